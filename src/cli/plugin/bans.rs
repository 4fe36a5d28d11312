//! `kubectl gaoler bans`

use super::Session;
use super::session::now;
use crate::agent::report::{Event, EventKind};
use crate::cli::{ExitStatus, show};
use crate::engine::{JailName, Shift};
use crate::kubernetes::view::{SeenBan, View, follow};

/// List who is banned
///
/// Computed from the same objects and with the same code as every node does; asks no node.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl gaoler bans                            all, those that end first first
  kubectl gaoler bans -n mail                    of the jails of one namespace
  kubectl gaoler bans --jail mail/james -o wide  with the rules that matched and the nodes that saw it
  kubectl gaoler bans --watch                    then what happens, as it happens
  kubectl gaoler bans -o json | jq -r .subject   one JSON object a line")]
pub(super) struct Args {
    /// Only bans of this jail: `namespace/name`, or the name alone
    #[arg(short, long, value_name = "JAIL")]
    jail: Option<String>,
    /// Go on with bans and ends as they happen, until interrupted
    #[arg(short, long)]
    watch: bool,
}

pub(super) fn run(args: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let context = session.context;
    session.ask(async |client| {
        let view = session.view(&client).await?;
        let jail = args.jail.as_deref().map(|name| session.meant(&view, &client, name)).transpose()?;
        let wanted = Wanted { jail, namespace: session.namespace.clone() };
        let bans = view.bans(now(), |ban| wanted.has(ban.jail.as_ref()));
        if context.data() {
            bans.iter().try_for_each(|seen| context.print_item(seen))?;
        } else if args.watch {
            bans.iter().try_for_each(|seen| context.say(show::ban_line(&seen.ban, context)))?;
        } else {
            let mut table = show::BanTable::new(context, true);
            for SeenBan { ban, nodes } in &bans {
                table.row(ban, nodes);
            }
            table.print()?;
        }
        if args.watch { watch(session, client.clone(), view, &wanted).await } else { Ok(ExitStatus::Success) }
    })
}

async fn watch(
    session: &Session<'_>,
    client: kube::Client,
    view: View,
    wanted: &Wanted,
) -> anyhow::Result<ExitStatus> {
    let context = session.context;
    let tell = |kind: EventKind, seen: &SeenBan| -> anyhow::Result<()> {
        if !wanted.has(seen.ban.jail.as_ref()) {
            return Ok(());
        }
        let event = Event { time: now().into(), event: kind, ahead: Shift::NONE, ban: seen.ban.clone() };
        if context.data() {
            context.print_item(&event)
        } else {
            context.say(show::event_line(&event, context))
        }
    };
    follow(client, session.scope(), view, now, tell).await?;
    Ok(ExitStatus::Success)
}

/// Which bans are listed.
struct Wanted {
    jail: Option<JailName>,
    namespace: Option<String>,
}

impl Wanted {
    fn has(&self, jail: Option<&JailName>) -> bool {
        let in_namespace = |namespace: &String| {
            jail.and_then(|jail| jail.as_str().split_once('/')).is_some_and(|(own, _)| own == namespace)
        };
        match &self.jail {
            Some(wanted) => jail == Some(wanted),
            None => self.namespace.as_ref().is_none_or(in_namespace),
        }
    }
}
