//! `kubectl gaoler unban`

use super::Session;
use super::session::now;
use crate::agent::report::{BanReport, Durability, UnbanOrder, Unbanned};
use crate::cli::{ExitStatus, show, who};
use crate::engine::Subject;
use crate::kubernetes::view::SeenBan;
use crate::kubernetes::view::orders::{self, BY_HAND};

/// End bans and penalties of rate limits on every node, and forget the failures that led to them
///
/// Writes a Pardon, which nodes that are away now obey when they come back, and removes what it covers from the BanList
/// `by-hand`. Other BanLists stay as they are: what they hold is named. Rate limits forget who is over
/// them. Exits with 1 when nobody was banned or over a rate limit, as far as nodes told, or when a ban remains.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl gaoler unban 203.0.113.7               every ban of this address
  kubectl gaoler unban 203.0.113.0/24            every ban within the prefix
  kubectl gaoler unban 203.0.113.7 --jail mail/james
  kubectl gaoler unban --all
  kubectl get pardons                            what was written")]
#[command(group = clap::ArgGroup::new("who").required(true).args(["subject", "all"]))]
pub(super) struct Args {
    /// Who
    #[arg(value_name = "ADDR|CIDR", value_parser = who::subject)]
    subject: Option<Subject>,
    /// Everybody
    #[arg(long)]
    all: bool,
    /// Only bans of this jail: `namespace/name`, or the name alone
    #[arg(short, long, value_name = "JAIL")]
    jail: Option<String>,
    /// Why; 256 characters at most
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn run(args: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    session.ask(async |client| {
        let view = session.view(&client).await?;
        let jail = args.jail.as_deref().map(|name| session.meant(&view, &client, name)).transpose()?;
        let order = UnbanOrder { prefix: args.subject.map(Subject::net), jail, reason: args.reason.clone() };
        let lift = view.lift(&order, BY_HAND, now());
        let reason = order.reason.as_deref();
        orders::unban(&client, &lift.pardons, order.jail.as_ref(), reason, now()).await?;
        let reports = |bans: Vec<SeenBan>| bans.into_iter().map(|seen| seen.ban).collect::<Vec<BanReport>>();
        let unbanned = Unbanned {
            ended: reports(lift.ended),
            remaining: reports(lift.remaining),
            released: lift.released,
            forgotten: lift.forgotten,
            unanswered: None,
            saved: Durability::Saved,
        };
        show::unbanned(&unbanned, session.context)
    })
}
