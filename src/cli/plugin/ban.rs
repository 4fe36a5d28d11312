//! `kubectl gaoler ban`

use super::Session;
use super::session::now;
use crate::agent::report::{BanReport, Banned, Durability};
use crate::api::v1alpha1::{BanListEntry, GoDuration, Prefix, Scope, Time};
use crate::bans::{Ban, Evidence, Origin};
use crate::cli::{ExitStatus, show, when, who};
use crate::engine::{Duration, Subject};
use crate::kubernetes::view::orders::{self, BY_HAND};

/// Ban an address or prefix by hand, on every node
///
/// Writes an entry of the BanList `by-hand`. The cluster's own addresses, allow lists and health checks are refused with
/// a reason; hosts of allow lists are spared by the nodes, which look them up.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl gaoler ban 203.0.113.7 --for 2h                     all ports, for two hours
  kubectl gaoler ban 203.0.113.0/24 --jail mail/james         the jail's Services, until unbanned
  kubectl gaoler ban 2001:db8:1:2::/64 --for 168h --reason 'asked by abuse@'
  kubectl get banlist by-hand -o yaml                         what was written")]
pub(super) struct Args {
    /// Who
    #[arg(value_name = "ADDR|CIDR", value_parser = who::bannable)]
    subject: Subject,
    /// Close only what this jail closes: `namespace/name`, or the name alone; without it everything is closed
    #[arg(short, long, value_name = "JAIL")]
    jail: Option<String>,
    /// For how long: 30m, 2h, 168h; without it until `kubectl gaoler unban`
    #[arg(short = 'f', long = "for", value_name = "DURATION", value_parser = when::lasting)]
    duration: Option<GoDuration>,
    /// Why, for whoever looks at `kubectl gaoler bans`; 256 characters at most
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn run(args: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    session.ask(async |client| {
        let view = session.view(&client).await?;
        let jail = args.jail.as_deref().map(|name| session.meant(&view, &client, name)).transpose()?;
        view.may_ban(args.subject, jail.as_ref())?;
        let now = now();
        // A fraction of a second is rounded up: a ban of no length is none.
        let seconds = args.duration.map(|GoDuration(d)| d.as_secs() + u64::from(d.subsec_nanos() > 0));
        let until = seconds.map(|seconds| now + Duration::from_secs(seconds));
        let entry = BanListEntry {
            prefix: Prefix(args.subject.to_string()),
            until: until.map(|until| Time(until.to_string())),
            scope: jail.as_ref().map(|jail| Scope(jail.as_str().to_owned())),
            reason: args.reason.clone(),
        };
        let known = !view.bans(now, |ban| ban.jail == jail && ban.subject == args.subject).is_empty();
        orders::add(&client, &entry, now).await?;
        let ban = Ban {
            jail,
            subject: args.subject,
            n: 1,
            since: now,
            until,
            origin: Origin::List(BY_HAND.into()),
            evidence: Evidence { reason: args.reason.clone(), ..Evidence::default() },
        };
        let enforced = view.report(&ban).ban.enforced;
        let banned = Banned { ban: BanReport::new(&ban, enforced), known, saved: Durability::Saved };
        show::banned(&banned, session.context)
    })
}
