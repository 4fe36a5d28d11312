//! Bans, in a table or a line each.

use crate::agent::report::{BanReport, Event, EventKind};
use crate::cli::{Context, Table, when};

/// Bans, one in a row.
#[derive(Debug)]
pub(in crate::cli) struct BanTable<'c> {
    context: &'c Context,
    table: Table,
    rows: usize,
}

impl<'c> BanTable<'c> {
    /// An empty table. Wide ones also tell the rules, and the nodes of a cluster.
    pub(in crate::cli) fn new(context: &'c Context, cluster: bool) -> Self {
        let mut titles = vec!["ADDRESS", "JAIL", "N", "SINCE", "LEFT", "WHY"];
        if context.wide() {
            titles.push("RULES");
        }
        if context.wide() && cluster {
            titles.push("NODES");
        }
        Self { context, table: Table::new(&titles), rows: 0 }
    }

    /// Adds a ban that `nodes` saw.
    pub(in crate::cli) fn row(&mut self, ban: &BanReport, nodes: &[String]) {
        self.rows += 1;
        let mut cells = vec![
            self.context.bold(ban.subject),
            ban.jail.as_ref().map_or_else(|| "(all ports)".into(), ToString::to_string),
            ban.n.to_string(),
            since(ban),
            left(ban),
            why(ban),
        ];
        if self.context.wide() {
            let rules = ban.rules.iter().map(|rule| format!("{} x{}", printable(&rule.rule), rule.matches));
            cells.push(rules.collect::<Vec<_>>().join(", "));
            cells.push(nodes.join(","));
        }
        self.table.row(cells);
    }

    /// Prints the table, or that there is nobody.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(in crate::cli) fn print(&self) -> anyhow::Result<()> {
        if self.rows == 0 { self.context.say("nobody is banned") } else { self.context.say(&self.table) }
    }

    /// How many there are.
    pub(in crate::cli) fn rows(&self) -> usize {
        self.rows
    }
}

fn since(ban: &BanReport) -> String {
    ban.since.map_or_else(|| "-".into(), when::local)
}

fn left(ban: &BanReport) -> String {
    ban.until.map_or_else(|| "for ever".into(), |until| when::span(until.0.since(when::now().0)))
}

/// `5 failures`, `5 failures, node n1`, `by hand: reason`, `list spamhaus: reason`; behind it whether its packets pass.
pub(in crate::cli) fn why(ban: &BanReport) -> String {
    let mut why = match ban.origin.as_str() {
        "jail" => format!("{} failures", ban.weight),
        "hand" => "by hand".into(),
        origin if ban.weight > 0 => format!("{} failures, {origin}", ban.weight),
        origin => origin.to_string(),
    };
    if let Some(reason) = &ban.reason {
        why += &format!(": {}", printable(reason));
    }
    if !ban.enforced {
        // An observing jail, an allow list, a jail that is gone: `why` says which.
        why += " (not dropped)";
    }
    why
}

/// A reason was typed by somebody, or came with a feed; control characters would reach the terminal, and those that
/// turn the direction of writing would show another address than is meant.
fn printable(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// A ban that is there already when a watch begins.
pub(in crate::cli) fn ban_line(ban: &BanReport, context: &Context) -> String {
    let jail = ban.jail.as_ref().map_or("all ports", |jail| jail.as_str());
    let (since, left) = (since(ban), left(ban));
    format!("{since}  {:8} {}  {jail}, {left}, {}", "banned", context.bold(ban.subject), why(ban))
}

/// What a watch sees.
pub(in crate::cli) fn event_line(event: &Event, context: &Context) -> String {
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
