//! `kubectl gaoler why`

use std::net::IpAddr;

use super::Session;
use super::session::now;
use crate::agent::report::BanReport;
use crate::cli::{ExitStatus, show, who};
use crate::kubernetes::view::ClusterWhy;

/// Tell all about one address: banned or not, by which jail, on what evidence, seen by which nodes, until when
///
/// Exits with 0 when its packets are dropped somewhere and with 1 when not.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl gaoler why 203.0.113.7
  kubectl gaoler why 2001:db8:1:2::17 -o json
  if kubectl gaoler why \"$addr\" >/dev/null; then echo banned; fi")]
pub(super) struct Args {
    /// The address
    #[arg(value_name = "ADDR", value_parser = who::address)]
    address: IpAddr,
}

pub(super) fn run(args: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let context = session.context;
    let report = session.ask(async |client| Ok(session.view(&client).await?.why(args.address, now())))?;
    if context.data() {
        context.print_data(&report)?;
    } else {
        context.say(show::dossier(&report.why, context, |ban| facts(&report, ban)))?;
    }
    Ok(ExitStatus::from_answer(report.why.dropped))
}

fn facts(report: &ClusterWhy, ban: &BanReport) -> Vec<(&'static str, String)> {
    // An entry of a list has the jail and subject of a counted ban, perhaps; the nodes did not see that one.
    let listed = ban.origin.starts_with("list ");
    let saw = report
        .saw
        .iter()
        .find(|saw| saw.jail == ban.jail && saw.subject == ban.subject && (listed == saw.nodes.is_empty()));
    let Some(saw) = saw else { return Vec::new() };
    let mut facts = Vec::new();
    if !saw.nodes.is_empty() {
        facts.push(("seen by", saw.nodes.join(", ")));
    }
    if !saw.services.is_empty() {
        facts.push(("closed to it", format!("Services {}", saw.services.join(", "))));
    }
    facts
}
