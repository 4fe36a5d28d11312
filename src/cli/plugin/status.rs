//! `kubectl gaoler status`

use super::Session;
use super::session::now;
use crate::agent::report::Moment;
use crate::api::v1alpha1::{Condition, JailMode, LimitMode};
use crate::cli::show::{Offended, Offending, offender_lines};
use crate::cli::{Context, ExitStatus, Table};
use crate::firewall::MOST_OFFENDERS;
use crate::kubernetes::view::{AgentReport, ClusterStatus, JailOverview, LimitOverview, status};

/// Show how jails, rate limits and agents are, over the whole cluster
///
/// Exits with 1 when something needs a look: a refused object, a jail that is not ready, an agent that is silent.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl gaoler status
  kubectl gaoler status -n mail -o wide
  kubectl gaoler status -o json | jq '.troubles'")]
pub(super) struct Args {}

/// Offenders of one rate limit that are named; `-o wide` names all that are known.
const FEW_OFFENDERS: usize = 5;

pub(super) fn run(_: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let context = session.context;
    let status = session.ask(async |client| Ok(status(session.objects(&client).await?, now())))?;
    if context.data() {
        context.print_data(&status)?;
    } else {
        context.say(text(&status, context))?;
    }
    Ok(ExitStatus::from_answer(status.is_well()))
}

fn text(status: &ClusterStatus, context: &Context) -> String {
    let mut out = format!("{} kept out\n\n{}", status.bans, jails(&status.jails, context));
    if !status.rate_limits.is_empty() {
        out += &format!("\n\n{}", limits(&status.rate_limits, context));
        let named = if context.wide() { usize::MAX } else { FEW_OFFENDERS };
        match offender_lines(status.rate_limits.iter().map(offending), named, context) {
            nobody if nobody.is_empty() => {}
            somebody => out += &format!("\n\n{somebody}"),
        }
    }
    out += &format!("\n\n{}", agents(&status.agents, context));
    for trouble in &status.troubles {
        out += &format!("\n{} {}: {}", context.red("!"), trouble.who, trouble.what);
    }
    out
}

/// Who is over a limit, each on the node that says so.
fn offending(limit: &LimitOverview) -> Offended<'_> {
    let moment = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|time| Moment(time.into()));
    let named = limit.status.latest_offenders.iter().map(|one| Offending {
        source: format!("{} on {}", one.source, one.node),
        until: moment(&one.until),
        last_over: one.last_over.as_deref().and_then(moment),
    });
    Offended {
        limit: &limit.name,
        observes: limit.mode == LimitMode::Observe,
        named: named.collect(),
        count: limit.status.offenders as usize,
        // A node counts no more.
        or_more: limit.status.offenders as usize >= MOST_OFFENDERS,
    }
}

fn jails(jails: &[JailOverview], context: &Context) -> Table {
    let mut titles = vec!["JAIL", "MODE", "BANNED", "FAILING", "NODES", "PODS", "READY"];
    if context.wide() {
        titles.push("FILTERS");
    }
    let mut table = Table::new(&titles);
    for jail in jails {
        let status = &jail.status;
        let mode = match jail.mode {
            JailMode::Enforce => "Enforce".to_owned(),
            JailMode::Observe => context.yellow("Observe"),
            JailMode::Disabled => context.faint("Disabled"),
        };
        let mut cells = vec![context.bold(&jail.name), mode, jail.banned.to_string()];
        cells.extend([status.failing, status.nodes, status.pods].map(|n| n.to_string()));
        cells.push(ready(&status.conditions, context));
        if context.wide() {
            cells.push(jail.filters.join(", "));
        }
        table.row(cells);
    }
    table
}

fn limits(limits: &[LimitOverview], context: &Context) -> Table {
    let titles = ["RATE LIMIT", "MODE", "AT", "LIMIT", "OFFENDERS", "DROPPED", "UNCOUNTED", "NODES", "READY"];
    let mut table = Table::new(&titles);
    for limit in limits {
        let status = &limit.status;
        let mode = match limit.mode {
            LimitMode::Enforce => "Enforce".to_owned(),
            LimitMode::Observe => context.yellow("Observe"),
            LimitMode::Disabled => context.faint("Disabled"),
        };
        table.row([
            context.bold(&limit.name),
            mode,
            limit.at.clone(),
            limit.limit.clone(),
            status.offenders.to_string(),
            format!("{} packets", status.dropped_packets),
            format!("{} packets", status.uncounted_packets),
            status.nodes.to_string(),
            ready(&status.conditions, context),
        ]);
    }
    table
}

fn agents(agents: &[AgentReport], context: &Context) -> Table {
    let mut titles = vec!["NODE", "READY", "PODS", "BANS", "LAG", "VERSION"];
    if context.wide() {
        titles.extend(["KERNEL", "LOST", "CLOCK"]);
    }
    let mut table = Table::new(&titles);
    for agent in agents {
        let status = &agent.status;
        let ready = if agent.silent { context.red("silent") } else { ready(&status.conditions, context) };
        let mut cells =
            vec![context.bold(&agent.node), ready, status.pods.to_string(), status.bans.to_string()];
        cells.extend([format!("{} B", status.lag_bytes), status.version.clone()]);
        if context.wide() {
            let clock = format!("{:+} ms", status.clock_ahead_millis);
            cells.extend([status.kernel.clone(), format!("{} B", status.lost_bytes), clock]);
        }
        table.row(cells);
    }
    table
}

fn ready(conditions: &[Condition], context: &Context) -> String {
    match conditions.iter().find(|condition| condition.type_ == "Ready").map(|c| c.status.as_str()) {
        Some("True") => context.green("yes"),
        Some("False") => context.red("no"),
        _ => context.yellow("unknown"),
    }
}
