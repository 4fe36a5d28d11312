//! `gaoler unban`

use super::{Context, ExitStatus, show, who};
use crate::agent::report::{UnbanOrder, Unbanned};
use crate::engine::Subject;
use crate::standalone::client::Client;
use crate::standalone::protocol::Verb;

/// End bans and penalties of rate limits, and forget the failures that led to them
///
/// A rate limit that refuses only what is over (`penalty: Excess`) forgets what it counted. Exits with 1 when nobody was
/// banned or over a rate limit, or when a ban remains (one of a BanList, or wider than what was named), and with 2 when the
/// firewall did not say which penalties ended.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler unban 203.0.113.7               every ban of this address
  gaoler unban 203.0.113.0/24            every ban within the prefix
  gaoler unban 203.0.113.7 --jail james
  gaoler unban --all")]
#[command(group = clap::ArgGroup::new("who").required(true).args(["subject", "all"]))]
pub struct Args {
    /// Who
    #[arg(value_name = "ADDR|CIDR", value_parser = who::subject)]
    subject: Option<Subject>,
    /// Everybody
    #[arg(long)]
    all: bool,
    /// Only bans of this jail
    #[arg(short, long, value_name = "JAIL")]
    jail: Option<String>,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Orders and prints what came of it.
///
/// # Errors
/// When the daemon does not answer, or refuses.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let order = UnbanOrder {
        prefix: args.subject.map(Subject::net),
        jail: args.jail.as_deref().map(Into::into),
        reason: args.reason.clone(),
    };
    let unbanned: Unbanned = Client::ask(&context.socket, Verb::Unban(order))?.answer()?;
    show::unbanned(&unbanned, context)
}
