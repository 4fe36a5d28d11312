//! `gaoler ban`

use super::{Context, ExitStatus, show, when, who};
use crate::agent::report::{BanOrder, Banned};
use crate::api::v1alpha1::GoDuration;
use crate::engine::Subject;
use crate::standalone::client::Client;
use crate::standalone::protocol::Verb;

/// Ban an address or prefix by hand
///
/// Own addresses, allow lists and health checks are refused with a reason.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler ban 203.0.113.7 --for 2h                        all ports, for two hours
  gaoler ban 203.0.113.0/24 --jail james                 the jail's ports, until unbanned
  gaoler ban 2001:db8:1:2::/64 --for 168h --reason 'asked by abuse@'")]
pub struct Args {
    /// Who
    #[arg(value_name = "ADDR|CIDR", value_parser = who::bannable)]
    subject: Subject,
    /// Close this jail's ports only; without it everything is closed
    #[arg(short, long, value_name = "JAIL")]
    jail: Option<String>,
    /// For how long: 30m, 2h, 168h; without it until `gaoler unban`
    #[arg(short = 'f', long = "for", value_name = "DURATION", value_parser = when::lasting)]
    duration: Option<GoDuration>,
    /// Why, for whoever looks at `gaoler bans`
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Orders and prints what came of it.
///
/// # Errors
/// When the daemon does not answer, or refuses.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let order = BanOrder {
        subject: args.subject,
        jail: args.jail.as_deref().map(Into::into),
        // A fraction of a second is rounded up: a ban of no length is none.
        seconds: args.duration.map(|GoDuration(d)| d.as_secs() + u64::from(d.subsec_nanos() > 0)),
        reason: args.reason.clone(),
    };
    let banned: Banned = Client::ask(&context.socket, Verb::Ban(order))?.answer()?;
    show::banned(&banned, context)
}
