//! `gaoler bans`

use super::{Context, ExitStatus, show};
use crate::agent::report::{BanReport, Event};
use crate::standalone::client::Client;
use crate::standalone::config_report::ObjectReport;
use crate::standalone::daemon::DaemonStatus;
use crate::standalone::protocol::Verb;

/// List who is banned
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler bans                            all, those that end first first
  gaoler bans --jail james
  gaoler bans --watch                    then what happens, as it happens
  gaoler bans -o json | jq -r .subject   one JSON object a line
  gaoler bans -o wide                    with the rules that matched")]
pub struct Args {
    /// Only bans of this jail
    #[arg(short, long, value_name = "JAIL")]
    jail: Option<String>,
    /// Go on with bans and ends as they happen, until interrupted
    #[arg(short, long)]
    watch: bool,
}

/// Asks and prints. JSON is one object a line, so that a long list needs no memory.
///
/// # Errors
/// When the daemon does not answer.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let jail = args.jail.as_deref().map(Into::into);
    let mut client = Client::ask(&context.socket, Verb::Bans { jail, watch: args.watch })?;
    if context.data() {
        while let Some(item) = client.item::<serde_json::Value>()? {
            context.print_item(&item)?;
        }
        return Ok(ExitStatus::Success);
    }
    if args.watch {
        while let Some(item) = client.item::<Shown>()? {
            context.say(match item {
                Shown::Event(event) => show::event_line(&event, context),
                Shown::Ban(ban) => show::ban_line(&ban, context),
            })?;
        }
        return Ok(ExitStatus::Success);
    }
    let mut table = show::BanTable::new(context, false);
    while let Some(ban) = client.item::<BanReport>()? {
        table.row(&ban, &[]);
    }
    if let (0, Some(jail)) = (table.rows(), &args.jail) {
        let status: DaemonStatus = Client::ask(&context.socket, Verb::Status)?.answer()?;
        let absent = status.agent.absent_jails.iter().any(|known| known.name.as_str() == jail);
        let of_it = |object: &ObjectReport| object.kind == "Jail" && object.name == *jail;
        let declared = status.config.objects.iter().any(of_it);
        if !absent && !declared && !status.agent.jails.iter().any(|known| known.name.as_str() == jail) {
            anyhow::bail!("there is no jail {jail}; `gaoler status` lists them all");
        }
    }
    table.print()?;
    Ok(ExitStatus::Success)
}

/// An event has a word `event`; a ban has not.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Shown {
    Event(Box<Event>),
    Ban(Box<BanReport>),
}
