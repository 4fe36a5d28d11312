//! `gaoler bans`

use super::{Context, ExitStatus, Table, when};
use crate::agent::report::{BanReport, Event, EventKind};
use crate::standalone::client::Client;
use crate::standalone::daemon::DaemonStatus;
use crate::standalone::protocol::Verb;

/// List who is banned
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler bans                            all, those that end first first
  gaoler bans --jail james
  gaoler bans --watch                    then what happens, as it happens
  gaoler bans -o json | jq -r .subject   one JSON object a line")]
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
    if context.json() {
        while let Some(item) = client.item::<serde_json::Value>()? {
            context.print_json_line(&item)?;
        }
        return Ok(ExitStatus::Success);
    }
    if args.watch {
        while let Some(item) = client.item::<Shown>()? {
            context.say(match item {
                Shown::Event(event) => event_line(&event, context),
                Shown::Ban(ban) => ban_line(&ban, context),
            })?;
        }
        return Ok(ExitStatus::Success);
    }
    let mut table = Table::new(&["ADDRESS", "JAIL", "N", "SINCE", "LEFT", "WHY"]);
    let mut count = 0;
    while let Some(ban) = client.item::<BanReport>()? {
        count += 1;
        table.row([
            context.bold(ban.subject),
            ban.jail.as_ref().map_or_else(|| "(all ports)".into(), ToString::to_string),
            ban.n.to_string(),
            when::local(ban.since),
            left(&ban),
            why(&ban),
        ]);
    }
    if let (0, Some(jail)) = (count, &args.jail) {
        let status: DaemonStatus = Client::ask(&context.socket, Verb::Status)?.answer()?;
        if !status.agent.jails.iter().any(|known| known.name.as_str() == jail) {
            anyhow::bail!("there is no jail {jail}; `gaoler status` lists them all");
        }
    }
    context.say(if count == 0 { "nobody is banned".to_string() } else { table.to_string() })?;
    Ok(ExitStatus::Success)
}

/// An event has a word `event`; a ban has not.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Shown {
    Event(Box<Event>),
    Ban(Box<BanReport>),
}

fn left(ban: &BanReport) -> String {
    ban.until.map_or_else(|| "for ever".into(), |until| when::span(until.0.since(when::now().0)))
}

/// `5 failures`, `by hand: reason`, `list spamhaus: reason`.
pub(super) fn why(ban: &BanReport) -> String {
    let mut why = match ban.origin.as_str() {
        "jail" => format!("{} failures", ban.weight),
        "hand" => "by hand".into(),
        origin => origin.to_string(),
    };
    if let Some(reason) = &ban.reason {
        why += &format!(": {}", printable(reason));
    }
    if !ban.enforced {
        why += " (observed only)";
    }
    why
}

/// A reason was typed by somebody; control characters would reach the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn ban_line(ban: &BanReport, context: &Context) -> String {
    let jail = ban.jail.as_ref().map_or("all ports", |jail| jail.as_str());
    let (since, left) = (when::local(ban.since), left(ban));
    format!("{since}  {:8} {}  {jail}, {left}, {}", "banned", context.bold(ban.subject), why(ban))
}

fn event_line(event: &Event, context: &Context) -> String {
    let ban = &event.ban;
    let jail = ban.jail.as_ref().map_or("all ports", |jail| jail.as_str());
    let time = when::local(event.time);
    let word = match event.event {
        EventKind::Ban => context.red("BAN     "),
        EventKind::Prolong => context.red("PROLONG "),
        EventKind::Unban => context.green("UNBAN   "),
        EventKind::Expire => context.green("EXPIRE  "),
    };
    match event.event {
        EventKind::Ban | EventKind::Prolong => {
            format!("{time}  {word} {}  {jail}, {}, {}", context.bold(ban.subject), left(ban), why(ban))
        }
        EventKind::Unban | EventKind::Expire => {
            format!("{time}  {word} {}  {jail}", context.bold(ban.subject))
        }
    }
}
