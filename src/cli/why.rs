//! `gaoler why`

use std::net::IpAddr;

use super::bans::why;
use super::{Context, ExitStatus, Table, when, who};
use crate::agent::report::WhyReport;
use crate::standalone::client::Client;
use crate::standalone::protocol::Verb;

/// Tell all about one address: banned or not, by which jail and rules, until when, which ports
///
/// Exits with 0 when its packets are dropped somewhere and with 1 when not.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler why 203.0.113.7
  gaoler why 2001:db8:1:2::17 -o json
  if gaoler why \"$addr\" >/dev/null; then echo banned; fi")]
pub struct Args {
    /// The address
    #[arg(value_name = "ADDR", value_parser = who::address)]
    address: IpAddr,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let report: WhyReport = Client::ask(&context.socket, Verb::Why { address: args.address })?.answer()?;
    if context.json() {
        context.print_json(&report)?;
    } else {
        context.say(text(&report, context))?;
    }
    Ok(ExitStatus::from_answer(report.dropped))
}

fn text(report: &WhyReport, context: &Context) -> String {
    let address = context.bold(report.address);
    let mut out = match (report.dropped, report.bans.is_empty()) {
        (true, _) => format!("{address} is {}", context.red("banned")),
        (false, false) => {
            format!("{address} is banned, but its packets are {}", context.yellow("not dropped"))
        }
        (false, true) => format!("{address} is {}", context.green("not banned")),
    };
    for ban in &report.bans {
        let jail = ban.jail.as_ref().map_or_else(|| "no jail".into(), |jail| format!("jail {jail}"));
        let mut facts = Table::plain();
        facts.row(["  subject".to_string(), ban.subject.to_string()]);
        facts.row(["  by".to_string(), format!("{jail}, ban number {}", ban.n)]);
        facts.row(["  why".to_string(), why(ban)]);
        for rule in &ban.rules {
            facts.row(["  rule".to_string(), format!("{} × {}", rule.matches, rule.rule)]);
        }
        if let Some(first) = ban.first {
            facts.row(["  first failure".to_string(), when::relative(first)]);
        }
        facts.row(["  since".to_string(), when::relative(ban.since)]);
        let until = ban.until.map_or_else(|| "until unbanned".into(), when::relative);
        facts.row(["  until".to_string(), until]);
        if let Some(closed) = report.closed.iter().find(|ports| ports.jail == ban.jail) {
            let ports: Vec<String> = closed.ports.iter().map(ToString::to_string).collect();
            let ports = if closed.all { "all".into() } else { ports.join(", ") };
            facts.row(["  closed ports".to_string(), ports]);
        }
        out += &format!("\n{facts}");
    }
    for allowance in &report.allowed {
        let by = allowance.jail.as_ref().map_or_else(String::new, |jail| format!(" by jail {jail}"));
        out += &format!("\nnever banned{by}: {}", allowance.why);
    }
    for watched in &report.watched {
        out += &format!(
            "\njail {} counts {} of {} failures against {}, the last at {}",
            watched.jail,
            watched.weight,
            watched.needed,
            watched.subject,
            when::relative(watched.last)
        );
    }
    out
}
