//! `gaoler reload`

use super::{Context, ExitStatus};
use crate::standalone::client::Client;
use crate::standalone::config_report::ConfigReport;
use crate::standalone::protocol::Verb;

/// Make the daemon read its configuration again
///
/// The daemon notices changed files by itself; this tells what came of it. Exits with 1 when an object is refused:
/// the state it had before goes on.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler reload
  gaoler check /etc/gaoler && gaoler reload")]
pub struct Args {}

/// Orders and prints what came of it.
///
/// # Errors
/// When the daemon does not answer.
pub fn run(_args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let report: ConfigReport = Client::ask(&context.socket, Verb::Reload)?.answer()?;
    let errors = report.problems.iter().filter(|problem| problem.severity == "error").count();
    if context.data() {
        context.print_data(&report)?;
    } else {
        for problem in &report.problems {
            context.say(&problem.text)?;
        }
        context.say(report.counts())?;
    }
    Ok(ExitStatus::from_answer(report.refused() == 0 && errors == 0))
}
