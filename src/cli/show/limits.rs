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
    /// Until when it is told, if it is not over the limit again; so long it is refused.
    pub(in crate::cli) until: Option<Moment>,
    /// Where only what is over is refused: when that was last.
    pub(in crate::cli) last_over: Option<Moment>,
}

/// A rate limit and who is over it.
pub(in crate::cli) struct Offended<'a> {
    /// The limit.
    pub(in crate::cli) limit: &'a str,
    /// Whether it only observes.
    pub(in crate::cli) observes: bool,
    /// Those that are known.
    pub(in crate::cli) named: Vec<Offending>,
    /// How many there are.
    pub(in crate::cli) count: usize,
    /// Whether there may be more.
    pub(in crate::cli) or_more: bool,
}

/// All limits, one a line.
pub(in crate::cli) fn limit_table(limits: &[RateLimitReport], context: &Context) -> Table {
    let mut table = Table::new(&["RATE LIMIT", "MODE", "AT", "LIMIT", "OFFENDERS", "OVER", "UNCOUNTED"]);
    for limit in limits {
        table.row([
            context.bold(&limit.name),
            if limit.is_in_force() { limit.mode.clone() } else { context.faint(&limit.mode) },
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
    if let Some(jail) = &limit.escalate_to {
        let dead = limit.no_escalation.as_ref();
        let dead = dead.map(|why| format!(", {}", context.yellow(format!("which keeps nobody out: {why}"))));
        facts.row(["escalates to".to_string(), format!("jail {jail}{}", dead.unwrap_or_default())]);
    }
    let over = format!("{} packets, {} bytes", limit.limited_packets, limit.limited_bytes);
    facts.row(["over".to_string(), over]);
    facts.row(["uncounted".to_string(), uncounted(limit, context)]);
    facts.row(["offenders".to_string(), context.bold(offenders(limit))]);
    if let Some(why) = &limit.unanswered {
        let last = limit.counted.map_or_else(
            || "it told no numbers yet".into(),
            |counted| format!("these numbers are of {}", when::relative(counted)),
        );
        facts.row([String::new(), context.yellow(format!("{why}: {last}"))]);
    }
    let mut out = facts.to_string();
    if !limit.latest_offenders.is_empty() {
        let is_excess = limit.latest_offenders.iter().any(|one| one.last_over.is_some());
        let title = match (is_excess, observes(limit)) {
            (true, _) => "OVER THE LIMIT LAST AT",
            (false, false) => "REFUSED UNTIL",
            (false, true) => "WOULD BE REFUSED UNTIL",
        };
        let mut table = Table::new(&["OFFENDER", title]);
        for offender in &limit.latest_offenders {
            let moment = offender.last_over.unwrap_or(offender.until);
            table.row([offender.source.to_string(), when::relative(moment)]);
        }
        out += &format!("\n\n{table}");
        match limit.offenders.saturating_sub(limit.latest_offenders.len()) {
            0 => {}
            more if limit.more_offenders => {
                out += &format!("\nand {more} or more; of so many these are not the latest");
            }
            more => out += &format!("\nand {more} more"),
        }
    }
    out
}

/// Who is over the limits of this host; empty when nobody is.
pub(in crate::cli) fn offenders_of(limits: &[RateLimitReport], context: &Context) -> String {
    let told = limits.iter().map(|limit| {
        let named = limit.latest_offenders.iter().map(|one| Offending {
            source: one.source.to_string(),
            until: Some(one.until),
            last_over: one.last_over,
        });
        Offended {
            limit: &limit.name,
            observes: observes(limit),
            named: named.collect(),
            count: limit.offenders,
            or_more: limit.more_offenders,
        }
    });
    offender_lines(told, FEW, context)
}

/// One line for each limit that somebody is over: its name, what that means, who is known, how many there are. Names
/// `most` of each.
pub(in crate::cli) fn offender_lines<'a>(
    limits: impl Iterator<Item = Offended<'a>>,
    most: usize,
    context: &Context,
) -> String {
    let now = when::now();
    let mut table = Table::new(&["RATE LIMIT", "WHAT IT DOES", "OFFENDERS"]);
    let mut any = false;
    for Offended { limit, observes, mut named, count, or_more } in limits {
        named.retain(|one| one.until.is_none_or(|until| until > now));
        named.truncate(most);
        if named.is_empty() {
            continue;
        }
        any = true;
        let more = count.saturating_sub(named.len());
        let is_excess = named.iter().any(|one| one.last_over.is_some());
        let does = match (is_excess, observes) {
            (false, false) => "refuses for",
            (false, true) => "would refuse for",
            (true, false) => "refused what was over",
            (true, true) => "would have refused what was over",
        };
        let mut told: Vec<String> = named.into_iter().map(|one| told(one, now)).collect();
        if more > 0 {
            told.push(format!("and {more} {}more", if or_more { "or " } else { "" }));
        }
        table.row([context.bold(limit), does.into(), told.join(", ")]);
    }
    if any { table.to_string() } else { String::new() }
}

/// `198.51.100.7 (59s)`, `198.51.100.7 (4s ago)`
fn told(one: Offending, now: Moment) -> String {
    match (one.last_over, one.until) {
        (Some(last), _) => format!("{} ({} ago)", one.source, when::span(now.0.since(last.0))),
        (None, Some(until)) => format!("{} ({})", one.source, when::span(until.0.since(now.0))),
        (None, None) => one.source,
    }
}

fn observes(limit: &RateLimitReport) -> bool {
    limit.mode == "Observe"
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
    if limit.unanswered.is_some() && limit.counted.is_none() {
        return "not known".into();
    }
    format!("{}{}", limit.offenders, if limit.more_offenders { " or more" } else { "" })
}

fn uncounted(limit: &RateLimitReport, context: &Context) -> String {
    let text = format!("{} packets", limit.uncounted_packets);
    if limit.uncounted_packets > 0 { context.yellow(text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context::{Color, Format};

    #[test]
    fn an_overview_says_when_there_may_be_more_offenders_than_were_counted() {
        let context = Context::of(Format::Text, Color::Never, "/nowhere".into(), 0);
        let told = |count, or_more| {
            let named = vec![Offending { source: "198.51.100.7".into(), until: None, last_over: None }];
            let limit = Offended { limit: "smtp", observes: false, named, count, or_more };
            offender_lines(std::iter::once(limit), FEW, &context)
        };
        assert!(told(10_000, true).ends_with("198.51.100.7, and 9999 or more"), "{}", told(10_000, true));
        assert!(told(10_000, false).ends_with("198.51.100.7, and 9999 more"));
        assert!(told(1, false).ends_with("  198.51.100.7"));
    }
}
