//! `gaoler status`

use serde::Serialize;

use super::show::{absent_jail, kept_list, limit_table, limit_text, offenders_of};
use super::{Context, ExitStatus, Table, when};
use crate::agent::report::{Absence, AbsentJail, Condition, ConditionType, FirewallState, JailReport};
use crate::standalone::client::Client;
use crate::standalone::config_report::{ObjectReport, ProblemReport};
use crate::standalone::daemon::DaemonStatus;
use crate::standalone::protocol::Verb;

/// Show how the daemon and its jails are
///
/// Exits with 1 when something needs a look: a jail or rate limit that is not ready, a refused object, a failing firewall.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler status                 all jails, the firewall, the configuration
  gaoler status james           one jail: its files, layout, counters
  gaoler status smtp            one rate limit: its offenders and until when it refuses them
  gaoler status ratelimit/smtp  the same where a jail has that name too
  gaoler status -o json | jq '.jails[].counters.bans'")]
pub struct Args {
    /// Only this jail or rate limit; `jail/NAME` or `ratelimit/NAME` where both have that name
    #[arg(value_name = "JAIL|LIMIT")]
    name: Option<String>,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer, or there is no such jail.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let status: DaemonStatus = Client::ask(&context.socket, Verb::Status)?.answer()?;
    if let Some(name) = &args.name {
        return one(name, &status, context);
    }
    if context.data() {
        context.print_data(&status)?;
    } else {
        context.say(text(&status, context))?;
    }
    Ok(ExitStatus::from_answer(is_well(&status)))
}

/// Prints what has this name: a jail, else a rate limit.
fn one(name: &str, status: &DaemonStatus, context: &Context) -> anyhow::Result<ExitStatus> {
    let (kind, named) = match name.split_once('/') {
        Some((kind @ ("jail" | "ratelimit"), named)) => (Some(kind), named),
        _ => (None, name),
    };
    let jail = status.agent.jails.iter().find(|jail| jail.name.as_str() == named);
    let limit = status.agent.rate_limits.iter().find(|limit| limit.name == named);
    match (jail.filter(|_| kind != Some("ratelimit")), limit.filter(|_| kind != Some("jail"))) {
        (Some(jail), other) => {
            let mut text = jail_text(jail, context);
            if other.is_some() {
                text += &format!("\n\nA rate limit has this name too: `gaoler status ratelimit/{named}`");
            }
            text += &refusals("Jail", named, status);
            print(jail, text, &jail.conditions, context)
        }
        (None, Some(limit)) => {
            let mut text = limit_text(limit, context);
            for condition in troubles(&limit.conditions) {
                text += &format!("\n{} {}", context.red("!"), sentence(condition));
            }
            text += &refusals("RateLimit", named, status);
            print(limit, text, &limit.conditions, context)
        }
        (None, None) => {
            let kinds: &[&str] = match kind {
                Some("jail") => &["Jail"],
                Some(_) => &["RateLimit"],
                None => &["Jail", "RateLimit"],
            };
            let mut declared = status.config.objects.iter().filter(|object| object.name == named);
            if let Some(object) =
                declared.find(|object| kinds.contains(&object.kind.as_str()) && !object.accepted)
            {
                let absent = status.agent.absent_jails.iter().find(|jail| jail.name.as_str() == named);
                let absent = absent.filter(|_| object.kind == "Jail");
                let mut text = format!("{} {named} is {}", object.kind, context.red("refused"));
                if let Some(jail) = absent {
                    text += &format!("\n{}", absent_jail(jail, &places(jail, status)));
                }
                text += &refusals(&object.kind, named, status);
                let problems = status.config.problems_of(&object.kind, named).collect();
                return broken(&Broken { object: Some(object), absent, problems }, text, context);
            }
            let absent = status.agent.absent_jails.iter().find(|jail| jail.name.as_str() == named);
            if let Some(jail) = absent.filter(|_| kinds.contains(&"Jail")) {
                let mut text = absent_jail(jail, &places(jail, status));
                if !jail.why.is_trouble() {
                    anyhow::bail!("{text}");
                }
                let problems: Vec<&ProblemReport> = status.config.unread_problems().collect();
                text.extend(problems.iter().map(|problem| format!("\n\n{}", problem.text.trim_end())));
                return broken(&Broken { object: None, absent, problems }, text, context);
            }
            let what = match kind {
                Some("jail") => "jail",
                Some(_) => "rate limit",
                None => "jail or rate limit",
            };
            anyhow::bail!("there is no {what} {named}; `gaoler status` lists them all")
        }
    }
}

/// What is declared under a name and cannot be in force.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Broken<'s> {
    /// The object, where somebody can tell which it is.
    #[serde(flatten)]
    object: Option<&'s ObjectReport>,
    /// What of its bans.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<&'s AbsentJail>,
    /// What is wrong.
    problems: Vec<&'s ProblemReport>,
}

fn broken(broken: &Broken<'_>, text: String, context: &Context) -> anyhow::Result<ExitStatus> {
    let refused = Condition {
        kind: ConditionType::Accepted,
        status: false,
        reason: "Invalid".into(),
        message: String::new(),
    };
    print(broken, text, &[refused], context)
}

/// What is wrong with the newest declaration of this object, below what is in force.
fn refusals(kind: &str, name: &str, status: &DaemonStatus) -> String {
    let of_it = status.config.problems_of(kind, name);
    of_it.map(|problem| format!("\n\n{}", problem.text.trim_end())).collect()
}

/// Where what keeps this jail from being in force stands.
fn places(jail: &AbsentJail, status: &DaemonStatus) -> Vec<String> {
    let places = |refused| status.config.places_of("Jail", jail.name.as_str(), refused);
    if jail.why.is_trouble() { places(jail.why == Absence::Refused) } else { Vec::new() }
}

fn print(
    data: &impl Serialize,
    text: String,
    conditions: &[Condition],
    context: &Context,
) -> anyhow::Result<ExitStatus> {
    if context.data() {
        context.print_data(data)?;
    } else {
        context.say(text)?;
    }
    Ok(ExitStatus::from_answer(!conditions.iter().any(Condition::is_trouble)))
}

fn is_well(status: &DaemonStatus) -> bool {
    let jails = status.agent.jails.iter().flat_map(|jail| &jail.conditions);
    let limits = status.agent.rate_limits.iter().flat_map(|limit| &limit.conditions);
    let firewall = status.agent.firewall.state;
    !jails.chain(limits).chain(&status.agent.conditions).any(Condition::is_trouble)
        && matches!(firewall, FirewallState::Enforcing | FirewallState::Observing)
        && status.config.refused() == 0
        && status.config.unread() == 0
}

fn text(status: &DaemonStatus, context: &Context) -> String {
    let agent = &status.agent;
    let mut facts = Table::plain();
    let up = when::span(when::now().0.since(agent.started.0));
    facts.row(["gaoler".to_string(), format!("{}, up {up}", agent.version)]);
    let firewall = &agent.firewall;
    let state = match firewall.state {
        FirewallState::Starting => context.yellow("starting"),
        FirewallState::Enforcing => context.green("enforcing"),
        FirewallState::Failing => context.red("failing"),
        FirewallState::Removed => context.yellow("removed as asked: nothing is guarded"),
        FirewallState::Observing if firewall.leftovers => context.red(
            "observing only; what an earlier run left goes on dropping, bans until they end and rate limits for ever: stop this \
             one, `gaoler cleanup` removes it",
        ),
        FirewallState::Observing => context.yellow("observing only: nothing is dropped"),
    };
    let mut line = state;
    if firewall.repaired > 0 {
        line += &format!(", repaired {} times", firewall.repaired);
    }
    if let Some(problem) = &firewall.problem {
        line += &format!(": {problem}");
    }
    facts.row(["firewall".to_string(), line]);
    if let Some(why) = &firewall.unanswered {
        let told = format!("{why}: numbers of packets and offenders are not of now");
        facts.row([String::new(), context.yellow(told)]);
    }
    facts.row(["bans".to_string(), agent.bans.to_string()]);
    let house = &agent.house;
    facts.row([
        "never banned".to_string(),
        format!("{} own addresses, {} prefixes of allow lists", house.own, house.allowed),
    ]);
    if !house.unresolved.is_empty() {
        facts
            .row(["".to_string(), context.yellow(format!("cannot resolve {}", house.unresolved.join(", ")))]);
    }
    let saved = agent.state.saved.map_or_else(|| "not saved yet".into(), when::relative);
    facts.row(["state".to_string(), saved]);
    if let Some(notice) = &agent.state.notice {
        facts.row([String::new(), context.yellow(notice)]);
    }
    let read = when::relative(status.config.read);
    facts.row(["configuration".to_string(), format!("{}, read {read}", status.config.counts())]);

    let mut out = facts.to_string();
    out += "\n\n";
    let mut jails =
        Table::new(&["JAIL", "MODE", "BANNED", "WATCHED", "FAILURES", "BANS", "DROPPED", "STATE"]);
    for jail in &agent.jails {
        let troubles: Vec<String> = troubles(&jail.conditions).map(named).collect();
        let state = if troubles.is_empty() { context.green("ok") } else { context.red(troubles.join(", ")) };
        jails.row([
            context.bold(&jail.name),
            jail.mode.clone(),
            jail.banned.to_string(),
            jail.watched.to_string(),
            jail.counters.failures.to_string(),
            jail.counters.bans.to_string(),
            format!("{} packets", jail.counters.dropped_packets),
            state,
        ]);
    }
    if agent.jails.is_empty() {
        out += &no_jails(status);
    } else {
        out += &jails.to_string();
    }
    if !agent.rate_limits.is_empty() {
        out += &format!("\n\n{}", limit_table(&agent.rate_limits, context));
        match offenders_of(&agent.rate_limits, context) {
            nobody if nobody.is_empty() => {}
            somebody => out += &format!("\n\n{somebody}"),
        }
    }
    for jail in &agent.absent_jails {
        let mark = if jail.why.is_trouble() { context.red("!") } else { context.yellow("!") };
        out += &format!("\n{mark} {}", absent_jail(jail, &places(jail, status)));
    }
    for list in &agent.house.kept {
        let told = kept_list(list, &status.config.places_of("AllowList", &list.name, list.refused));
        out += &format!("\n{} {told}", context.red("!"));
    }
    let about = |who: String, c: &Condition| format!("\n{} {who}: {}", context.red("!"), sentence(c));
    for jail in &agent.jails {
        out.extend(troubles(&jail.conditions).map(|c| about(jail.name.to_string(), c)));
    }
    for limit in &agent.rate_limits {
        out.extend(troubles(&limit.conditions).map(|c| about(limit.name.clone(), c)));
    }
    out.extend(troubles(&agent.conditions).map(|c| about("gaoler".into(), c)));
    for problem in &status.config.problems {
        out += "\n\n";
        out += problem.text.trim_end();
    }
    out
}

fn no_jails(status: &DaemonStatus) -> String {
    match status.config.objects.iter().filter(|object| object.kind == "Jail").count() {
        0 if status.config.unread() > 0 => "no jail is in force: what is declared cannot all be read".into(),
        0 => "no jail is declared".into(),
        1 => "no jail is in force: the one that is declared is Disabled or refused".into(),
        n => format!("no jail is in force: {n} are declared, all Disabled or refused"),
    }
}

fn troubles(conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    conditions.iter().filter(|c| c.is_trouble())
}

/// `SourceMissing`, `not Accepted`.
fn named(condition: &Condition) -> String {
    let not = if condition.status { "" } else { "not " };
    format!("{not}{:?}", condition.kind)
}

fn sentence(condition: &Condition) -> String {
    let what = named(condition);
    match condition.message.as_str() {
        "" => format!("{what} ({})", condition.reason),
        message => format!("{what}: {message}"),
    }
}

fn jail_text(jail: &JailReport, context: &Context) -> String {
    let mut facts = Table::plain();
    facts.row(["jail".to_string(), context.bold(&jail.name)]);
    let seconds = |secs| when::span(std::time::Duration::from_secs(secs));
    let ban =
        jail.ban_time_seconds.map_or_else(|| "permanently".into(), |secs| format!("for {}", seconds(secs)));
    facts.row(["mode".to_string(), jail.mode.clone()]);
    facts.row([
        "sentence".to_string(),
        format!("{} failures in {}: banned {ban}", jail.max_retry, seconds(jail.find_time_seconds)),
    ]);
    let ports: Vec<String> = jail.ports.iter().map(ToString::to_string).collect();
    let closes = if jail.all_ports { "every port".into() } else { format!("ports {}", ports.join(", ")) };
    facts.row(["closes".to_string(), format!("{closes} ({})", jail.action)]);
    facts.row(["filters".to_string(), jail.filters.join(", ")]);
    facts.row(["banned".to_string(), context.bold(jail.banned)]);
    facts.row(["watched".to_string(), jail.watched.to_string()]);
    let c = &jail.counters;
    facts.row(["failures".to_string(), format!("{} counted, {} while banned", c.failures, c.while_banned)]);
    facts.row([
        "not counted".to_string(),
        format!("{} of who is never banned, {} too late", c.never_banned, c.too_late),
    ]);
    facts.row(["successes".to_string(), c.successes.to_string()]);
    facts.row(["bans".to_string(), format!("{} pronounced, {} held back by the brake", c.bans, c.braked)]);
    facts.row(["dropped".to_string(), format!("{} packets, {} bytes", c.dropped_packets, c.dropped_bytes)]);
    if c.evicted > 0 {
        facts.row([
            "gave way".to_string(),
            format!("{} watched subjects, because the jail was full", c.evicted),
        ]);
    }
    let mut out = facts.to_string();
    if !jail.files.is_empty() {
        let mut files = Table::new(&["FILE", "LAYOUT", "READ", "BEHIND", "LINES", "MATCHED"]);
        for file in &jail.files {
            files.row([
                file.path.display().to_string(),
                file.layout.clone().unwrap_or_else(|| "not known yet".into()),
                format!("{} B", file.offset),
                format!("{} B", file.lag_bytes),
                file.lines.to_string(),
                file.matched.to_string(),
            ]);
        }
        out += &format!("\n\n{files}");
    }
    if let Some(journal) = &jail.journal {
        let units = if journal.units.is_empty() { "all units".into() } else { journal.units.join(", ") };
        let (records, matched) = (journal.records, journal.matched);
        out += &format!("\n\njournal of {units}: {records} records, {matched} matched");
        if let Some(problem) = &journal.problem {
            out += &format!("\n{}", context.yellow(problem));
        }
    }
    for condition in troubles(&jail.conditions) {
        out += &format!("\n{} {}", context.red("!"), sentence(condition));
    }
    out
}
