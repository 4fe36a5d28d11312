//! Rate limits of this host, and who is over them.

use std::time::Duration;

use super::super::{Context, Table, when};
use crate::agent::report::{Moment, RateLimitReport};

/// Offenders of one limit that an overview names.
const FEW: usize = 5;

/// A source over a rate limit, as a host or a cluster tells of it.
pub(in crate::cli) struct Offending {
    /// Who.
    pub(in crate::cli) source: String,
    /// Until when, if it is not refused again.
    pub(in crate::cli) until: Option<Moment>,
}

/// All limits, one a line.
pub(in crate::cli) fn limit_table(limits: &[RateLimitReport], context: &Context) -> Table {
    let mut table = Table::new(&["RATE LIMIT", "MODE", "AT", "LIMIT", "OFFENDERS", "OVER", "UNCOUNTED"]);
    for limit in limits {
        table.row([
            context.bold(&limit.name),
            limit.mode.clone(),
            at(limit),
            format!("{}, {}", grant(limit), penalty(limit)),
            offenders(limit),
            format!("{} packets", limit.limited_packets),
            uncounted(limit, context),
        ]);
    }
    table
}

/// One limit in full.
pub(in crate::cli) fn limit_text(limit: &RateLimitReport, context: &Context) -> String {
    let mut facts = Table::plain();
    facts.row(["rate limit".to_string(), context.bold(&limit.name)]);
    facts.row(["mode".to_string(), limit.mode.clone()]);
    facts.row(["counts".to_string(), at(limit)]);
    facts.row(["limit".to_string(), format!("{}, penalty {}", grant(limit), penalty(limit))]);
    let over = format!("{} packets, {} bytes", limit.limited_packets, limit.limited_bytes);
    facts.row(["over".to_string(), over]);
    facts.row(["uncounted".to_string(), uncounted(limit, context)]);
    facts.row(["offenders".to_string(), context.bold(offenders(limit))]);
    let mut out = facts.to_string();
    if !limit.latest_offenders.is_empty() {
        let mut table = Table::new(&["OFFENDER", "UNTIL"]);
        for offender in &limit.latest_offenders {
            table.row([offender.source.to_string(), when::relative(offender.until)]);
        }
        out += &format!("\n\n{table}");
        match limit.offenders.saturating_sub(limit.latest_offenders.len()) {
            0 => {}
            more if limit.more_offenders => out += &format!("\nand {more} or more"),
            more => out += &format!("\nand {more} more"),
        }
    }
    out
}

/// Who is over the limits of this host; empty when nobody is.
pub(in crate::cli) fn offenders_of(limits: &[RateLimitReport], context: &Context) -> String {
    let told = limits.iter().map(|limit| {
        let offending = limit.latest_offenders.iter();
        let named = offending
            .map(|one| Offending { source: one.source.to_string(), until: Some(one.until) })
            .collect();
        (limit.name.as_str(), named, limit.offenders)
    });
    offender_lines(told, FEW, context)
}

/// One line for each limit that somebody is over: its name, who is known, how many there are. Names `most` of each.
pub(in crate::cli) fn offender_lines<'a>(
    limits: impl Iterator<Item = (&'a str, Vec<Offending>, usize)>,
    most: usize,
    context: &Context,
) -> String {
    let now = when::now();
    let mut table = Table::new(&["RATE LIMIT", "REFUSES NOW (FOR)"]);
    let mut any = false;
    for (name, mut named, count) in limits {
        named.retain(|one| one.until.is_none_or(|until| until > now));
        named.truncate(most);
        if named.is_empty() {
            continue;
        }
        any = true;
        let more = count.saturating_sub(named.len());
        let mut told: Vec<String> = named.into_iter().map(|one| told(one, now)).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        table.row([context.bold(name), told.join(", ")]);
    }
    if any { table.to_string() } else { String::new() }
}

/// `198.51.100.7 (59s)`
fn told(one: Offending, now: Moment) -> String {
    match one.until {
        Some(until) => format!("{} ({})", one.source, when::span(until.0.since(now.0))),
        None => one.source,
    }
}

fn at(limit: &RateLimitReport) -> String {
    let ports: Vec<String> = limit.ports.iter().map(ToString::to_string).collect();
    format!("{} {}", limit.protocol, ports.join(",")).trim_end().to_owned()
}

fn grant(limit: &RateLimitReport) -> String {
    format!("{} in {}", limit.hits, when::span(Duration::from_secs(limit.window_seconds)))
}

/// `Silence`, or `7d` where the report has `604800s`.
fn penalty(limit: &RateLimitReport) -> String {
    let seconds = limit.penalty.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    seconds.map_or_else(|| limit.penalty.clone(), |seconds| when::span(Duration::from_secs(seconds)))
}

fn offenders(limit: &RateLimitReport) -> String {
    format!("{}{}", limit.offenders, if limit.more_offenders { " or more" } else { "" })
}

fn uncounted(limit: &RateLimitReport, context: &Context) -> String {
    let text = format!("{} packets", limit.uncounted_packets);
    if limit.uncounted_packets > 0 { context.yellow(text) } else { text }
}
