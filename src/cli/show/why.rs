//! All about one address.

use std::net::IpAddr;

use super::why;
use crate::agent::report::{Absence, BanReport, OverLimit, WhyReport};
use crate::cli::{Context, Table, when};

/// A line about a ban: what it tells, and what is told.
pub(in crate::cli) type Fact = (&'static str, String);

/// The report as text. `more` knows further facts about a ban.
pub(in crate::cli) fn dossier(
    report: &WhyReport,
    context: &Context,
    more: impl Fn(&BanReport) -> Vec<Fact>,
) -> String {
    let address = context.bold(report.address);
    let mut out = match (report.dropped, report.bans.is_empty()) {
        (true, true) => format!("{address} is {} by a rate limit", context.red("refused")),
        (true, false) if report.bans.iter().any(|ban| ban.enforced) => {
            format!("{address} is {}", context.red("banned"))
        }
        (true, false) if report.closed.iter().any(|closed| closed.absent.is_some()) => {
            format!("{address} is {} by a rate limit; its ban drops nothing", context.red("refused"))
        }
        (true, false) => format!(
            "{address} is {} by a rate limit; its ban is only {}",
            context.red("refused"),
            context.yellow("observed")
        ),
        (false, false) if report.unanswered.is_some() => {
            format!(
                "{address} is banned, but its ban drops nothing; whether its packets are dropped is {}",
                context.yellow("not known")
            )
        }
        (false, false) => {
            format!("{address} is banned, but its packets are {}", context.yellow("not dropped"))
        }
        (false, true) if report.unanswered.is_some() => {
            format!(
                "{address} is not banned; whether a rate limit refuses it is {}",
                context.yellow("not known")
            )
        }
        (false, true) => format!("{address} is {}", context.green("not banned")),
    };
    if let Some(why) = &report.unanswered {
        let more = if report.dropped { " further" } else { "" };
        out += &format!("\n{why}: which{more} rate limits refuse it is not known; ask again");
    }
    for ban in &report.bans {
        out += &format!("\n{}", facts(ban, report, more(ban)));
    }
    for penalty in &report.penalties {
        out += &format!(
            "\nunder the penalty of rate limit {}{}, {}",
            penalty.limit,
            coming_as(penalty.source),
            when::relative(penalty.until)
        );
    }
    for over in &report.over_limits {
        out += &format!("\n{}", over_limit(over));
    }
    for allowance in &report.allowed {
        let by = allowance.jail.as_ref().map_or_else(String::new, |jail| format!(" by jail {jail}"));
        out += &format!("\nnever banned{by}: {}", allowance.why);
    }
    for entry in &report.left_out {
        out += &format!(
            "\nban list {} bans {}, but that entry is left out, because something in it is never banned: {}",
            entry.list, entry.subject, entry.why
        );
    }
    for watched in &report.watched {
        out += &format!(
            "\njail {} counts {} of {} failures against {}, the last at {}",
            watched.jail,
            watched.weight,
            watched.needed,
            watched.subject,
            when::relative(watched.last)
        );
    }
    out
}

/// How its packets come, where that is not the address that is told of.
fn coming_as(source: Option<IpAddr>) -> String {
    source.map_or_else(String::new, |source| format!(" as {source}"))
}

fn over_limit(over: &OverLimit) -> String {
    let limit = format!("{}{}", over.limit, coming_as(over.source));
    match (over.last_over, over.observes) {
        (Some(last), false) => format!(
            "over rate limit {limit}, which refuses only what is over, the last at {}",
            when::relative(last)
        ),
        (Some(last), true) => format!(
            "over rate limit {limit}, which only observes and would have refused what was over, the last at {}",
            when::relative(last)
        ),
        (None, _) => format!(
            "over rate limit {limit}, which only observes and would refuse it until {}",
            when::relative(over.until)
        ),
    }
}

fn facts(ban: &BanReport, report: &WhyReport, more: Vec<Fact>) -> Table {
    let jail = ban.jail.as_ref().map_or_else(|| "no jail".into(), |jail| format!("jail {jail}"));
    let mut facts = Table::plain();
    let mut fact = |name: &str, value: String| facts.row([format!("  {name}"), value]);
    fact("subject", ban.subject.to_string());
    fact("by", format!("{jail}, ban number {}", ban.n));
    fact("why", why(ban));
    for rule in &ban.rules {
        fact("rule", format!("{} × {}", rule.matches, rule.rule));
    }
    if let Some(first) = ban.first {
        fact("first failure", when::relative(first));
    }
    if let Some(since) = ban.since {
        fact("since", when::relative(since));
    }
    fact("until", ban.until.map_or_else(|| "until unbanned".into(), when::relative));
    let closed = report.closed.iter().find(|ports| ports.jail == ban.jail);
    match closed.and_then(|closed| closed.absent) {
        Some(Absence::Gone) => fact("drops", format!("nothing, {jail} is not declared any more")),
        Some(Absence::Disabled) => fact("drops", format!("nothing, {jail} is Disabled")),
        Some(Absence::Refused) if !ban.enforced => {
            fact("drops", format!("nothing, the manifest of {jail} is refused"));
        }
        Some(Absence::Unread) if !ban.enforced => {
            fact("drops", format!("nothing, what may declare {jail} cannot be read"));
        }
        _ if !ban.enforced => fact("drops", "nothing, it is only observed".into()),
        Some(Absence::Refused) => {
            fact("jail", "its manifest is refused; this ban goes on until it ends".into());
        }
        Some(Absence::Unread) => {
            fact("jail", "what may declare it cannot be read; this ban goes on until it ends".into());
        }
        None => {}
    }
    if let Some(closed) = closed {
        let ports: Vec<String> = closed.ports.iter().map(ToString::to_string).collect();
        match closed.all {
            true => fact("closed ports", "all".into()),
            false if ports.is_empty() => {}
            false => fact("closed ports", ports.join(", ")),
        }
    }
    for (name, value) in more {
        fact(name, value);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context::{Color, Format};

    fn told(report: &serde_json::Value) -> String {
        let context = Context::of(Format::Text, Color::Never, "/nowhere".into(), 0);
        let mut whole = serde_json::json!({
            "address": "198.51.100.7", "dropped": false, "bans": [], "closed": [], "allowed": [], "watched": [],
        });
        let (Some(whole), Some(report)) = (whole.as_object_mut(), report.as_object()) else { unreachable!() };
        whole.extend(report.clone());
        let report = serde_json::from_value(serde_json::json!(whole)).unwrap();
        dossier(&report, &context, |_| Vec::new())
    }

    #[test]
    fn whom_the_firewall_says_nothing_of_is_not_told_to_be_let_in() {
        let silent = serde_json::json!({"unanswered": "the firewall did not answer"});
        assert_eq!(
            told(&silent),
            "198.51.100.7 is not banned; whether a rate limit refuses it is not known\n\
             the firewall did not answer: which rate limits refuse it is not known; ask again"
        );
        assert_eq!(told(&serde_json::json!({})), "198.51.100.7 is not banned");
        let ban = serde_json::json!({
            "subject": "198.51.100.7", "n": 1, "origin": "hand", "weight": 0, "enforced": false,
        });
        let observed =
            told(&serde_json::json!({"bans": [&ban], "unanswered": "the firewall did not answer"}));
        assert!(
            observed.starts_with(
                "198.51.100.7 is banned, but its ban drops nothing; whether its packets are dropped is not known\n"
            ),
            "{observed}"
        );
        let dropped_by_nobody = told(&serde_json::json!({"bans": [&ban]}));
        assert!(dropped_by_nobody.starts_with("198.51.100.7 is banned, but its packets are not dropped\n"));
    }

    #[test]
    fn a_ban_of_a_jail_whose_declaration_is_broken_is_told_as_that_and_not_as_observed() {
        for (absent, tells) in [
            ("Refused", "nothing, the manifest of jail james is refused"),
            ("Unread", "nothing, what may declare jail james cannot be read"),
        ] {
            let ban = serde_json::json!({
                "subject": "198.51.100.7", "jail": "james", "n": 1, "origin": "jail", "weight": 5, "enforced": false,
            });
            let closed = serde_json::json!([{"jail": "james", "ports": [], "all": false, "absent": absent}]);
            let report = told(&serde_json::json!({"bans": [ban], "closed": closed}));
            assert!(report.contains(tells) && !report.contains("observed"), "{report}");
        }
    }

    #[test]
    fn a_ban_that_is_only_observed_is_told_as_that_beside_a_penalty_that_is_not() {
        let ban = |enforced: bool| {
            serde_json::json!({
                "subject": "198.51.100.7", "jail": "james", "n": 1, "origin": "jail", "weight": 5, "enforced": enforced,
            })
        };
        let until = "2026-11-22T12:00:00Z";
        let penalties = serde_json::json!([{"limit": "smtp", "until": until}]);
        let both = |enforced| {
            told(&serde_json::json!({"dropped": true, "bans": [ban(enforced)], "penalties": penalties}))
        };
        assert!(both(true).starts_with("198.51.100.7 is banned\n"), "{}", both(true));
        let observed = both(false);
        assert!(
            observed.starts_with("198.51.100.7 is refused by a rate limit; its ban is only observed\n"),
            "{observed}"
        );
        assert!(
            observed.contains("drops  ") && observed.contains("nothing, it is only observed"),
            "{observed}"
        );
        assert!(observed.contains("\nunder the penalty of rate limit smtp, "), "{observed}");
        assert!(!both(true).contains("observed"));
    }
}
