//! `gaoler why`

use std::net::IpAddr;

use super::{Context, ExitStatus, show, who};
use crate::agent::report::WhyReport;
use crate::standalone::client::Client;
use crate::standalone::protocol::Verb;

/// Tell all about one address: banned or not, by which jail and rules, until when, which ports
///
/// Exits with 0 when its packets are dropped somewhere, with 1 when not, and with 2 when the firewall did not say whether a
/// rate limit refuses them.
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
    if context.data() {
        context.print_data(&report)?;
    } else {
        context.say(show::dossier(&report, context, |_| Vec::new()))?;
    }
    Ok(match &report.unanswered {
        Some(_) if !report.dropped => ExitStatus::Failure,
        _ => ExitStatus::from_answer(report.dropped),
    })
}
