//! What a replay says to a person.

use crate::agent::replay::{BlindReport, ReplayReport, UnjudgedReport};
use crate::agent::report::BanReport;
use crate::cli::plural::counted;
use crate::cli::{Context, Table, when};

/// Changes of layout that are told one by one.
const MOST_CHANGES: usize = 5;

pub(super) fn print(report: &ReplayReport, context: &Context) -> anyhow::Result<()> {
    if !report.bans.is_empty() {
        let mut table = Table::new(&["ADDRESS", "N", "FROM", "UNTIL", "FAILURES", "RULES"]);
        for ban in &report.bans {
            table.row([
                context.bold(ban.subject),
                ban.n.to_string(),
                ban.since.map_or_else(|| "-".into(), when::local),
                ban.until.map_or_else(|| "for ever".into(), when::local),
                ban.weight.to_string(),
                rules(ban),
            ]);
        }
        context.say(table)?;
    }
    context.say(summary(report))
}

fn rules(ban: &BanReport) -> String {
    let rule = |r: &crate::agent::report::RuleCount| format!("{} x{}", r.rule, r.matches);
    ban.rules.iter().map(rule).collect::<Vec<_>>().join(", ")
}

/// `8 lines, 8 failures: jail james would have banned 4 addresses 4 times`, and what else is worth a word.
fn summary(report: &ReplayReport) -> String {
    let tallies = &report.tallies;
    let failures = tallies.failures + tallies.while_banned + tallies.never_banned + tallies.too_late;
    let mut who: Vec<_> = report.bans.iter().map(|ban| ban.subject).collect();
    who.sort_unstable();
    who.dedup();
    let bans = match report.bans.len() {
        0 => "nobody".to_string(),
        n if n == who.len() => counted(n as u64, "subject"),
        n => format!("{}, {n} times", counted(who.len() as u64, "subject")),
    };
    let (lines, failures) = (counted(report.lines, "line"), counted(failures, "failure"));
    let mut text = format!("{lines}, {failures}: jail {} would have banned {bans}", report.jail);
    for (n, what) in [
        (tallies.never_banned, "of somebody who is never banned"),
        (tallies.too_late, "written more than findTime too late"),
    ] {
        if n > 0 {
            text += &format!("; {} {what}", counted(n, "failure"));
        }
    }
    if tallies.braked > 0 {
        text += &format!("; {} held back by the brake", counted(tallies.braked, "ban"));
    }
    for change in report.layouts.iter().take(MOST_CHANGES) {
        let place = place(&change.log, change.line);
        text += &format!("\nfrom {place} on the layout is another one, and read as such: {}", change.layout);
    }
    if let Some(more) = report.layouts.len().checked_sub(MOST_CHANGES).filter(|more| *more > 0) {
        text += &format!("\nthe layout changes {}", counted(more as u64, "more time"));
    }
    if let Some(unread) = &report.unread {
        let (lines, place) = (counted(unread.lines, "line"), place(&unread.log, unread.line));
        text += &format!("\nnot understood, being of another layout: {lines}, the first is {place}");
        text += "\n  → declare that layout in the jail, if it is the program's own: source.layout: {type: …}; `gaoler explain` \
                 tells which one a line shows";
    }
    if let Some(UnjudgedReport { lines, layout }) = &report.unjudged {
        let why = layout.as_ref().map_or_else(
            || "the layout was not recognised".to_owned(),
            |layout| format!("none has the form of the declared layout {layout}"),
        );
        text += &format!(
            "\nnot understood, though rules speak about them: {}; {why}\n  → copy James' <pattern> into the jail: \
             source.layout: {{type: Pattern, pattern: '…'}}; `gaoler explain` shows how it reads a line",
            counted(*lines, "line"),
        );
    }
    for blind in &report.blind {
        text += &without_address(blind);
    }
    text
}

/// `line 31 of james.log`
fn place(log: &str, line: u64) -> String {
    if matches!(log, "" | "-") { format!("line {line}") } else { format!("line {line} of {log}") }
}

/// What a filter understood, and whose failures cannot be told or stopped here.
fn without_address(blind: &BlindReport) -> String {
    let BlindReport { filter, unaddressed, proxied } = blind;
    let mut text = String::new();
    if *unaddressed > 0 {
        text += &format!(
            "\nof nobody, as the layout shows no address: {} that {filter} understands\n  → give James a log \
             configuration with the diagnostic context (deploy/james/logback-*.xml, docs/james.md)",
            counted(*unaddressed, "failure"),
        );
    }
    if *proxied > 0 {
        text += &format!(
            "\nthrough a proxy (PROXY protocol), whose address the packets carry here: {} that {filter} \
             understands\n  → drop them where the proxy receives them",
            counted(*proxied, "failure"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;
    use crate::agent::replay::Replay;
    use crate::cli::days;
    use crate::config::load;
    use crate::engine::Timestamp;

    /// What the replay of a log through a jail with this layout says, and whom the filter accused how often.
    fn james(log: &str, layout: &str) -> (String, Vec<(String, u64)>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("all.yaml");
        let manifest = format!(
            "kind: Jail\napiVersion: gaoler.dev/v1alpha1\nmetadata: {{name: james}}\nspec:\n  filters: \
             [james-pop3-auth, james-smtp-auth]\n  source: {{files: [/nowhere.log]{layout}}}\n  maxRetry: 1000\n  enforce: {{ports: \
             [110]}}\n"
        );
        std::fs::write(&file, manifest).unwrap();
        let loaded = load(&[file], None);
        let mut replay = Replay::new(loaded.config.jails.first().unwrap(), &[]).unwrap();
        replay.begin("james.log");
        let written = Timestamp::from_secs(1_795_450_000);
        lines(log.as_bytes(), &mut replay, &days::whole(written)).unwrap();
        let report = replay.finish();
        let said = report.addresses.iter().map(|a| (a.address.to_string(), a.failures)).collect();
        (summary(&report), said)
    }

    fn as_shipped(n: usize, host: u8) -> String {
        let line = format!(
            "16:45:41.985 [INFO ] o.a.j.p.c.PassCmdHandler - Bad credential supplied for bob with remote address \
             203.0.113.{host}\n"
        );
        line.repeat(n)
    }

    fn in_json(n: usize, host: u8) -> String {
        let line = format!(
            "{{\"timestamp\":\"2026-11-22T16:45:41.985Z\",\"level\":\"INFO\",\"thread\":\"x\",\"logger\":\
             \"org.apache.james.pop3server.core.PassCmdHandler\",\"message\":\"Bad credential supplied for bob with \
             remote address 203.0.113.{host}\",\"context\":\"default\"}}\n"
        );
        line.repeat(n)
    }

    #[test]
    fn a_log_whose_layout_changes_midway_is_read_to_its_end_and_the_places_are_told() {
        for (n, m) in [(30, 30), (25, 3000), (3000, 25), (5000, 5000)] {
            let log =
                [as_shipped(n, 1), "\tat a.stack.trace\n".into(), in_json(m, 2), as_shipped(n, 3)].concat();
            let (text, said) = james(&log, "");
            let expected: Vec<(String, u64)> = [(1, n), (2, m), (3, n)]
                .map(|(host, times)| (format!("203.0.113.{host}"), times as u64))
                .to_vec();
            assert_eq!(said, expected, "{n} {m}: {text}");
            let there = format!("from line {} of james.log on the layout is another one", n + 2);
            let back = format!("from line {} of james.log on the layout is another one", n + m + 2);
            assert!(text.contains(&there) && text.contains(&back), "{text}");
            assert!(!text.contains("not understood"), "{text}");
        }
    }

    #[test]
    fn lines_of_another_layout_that_are_too_few_for_a_change_are_told_with_the_place_of_the_first() {
        let log = [as_shipped(40, 1), in_json(3, 2), as_shipped(1, 1), in_json(1, 2)].concat();
        let (text, said) = james(&log, "");
        assert_eq!(said, [("203.0.113.1".to_owned(), 41)]);
        assert!(text.contains("another layout: 4 lines, the first is line 41 of james.log"), "{text}");
    }

    #[test]
    fn a_line_of_text_among_json_is_understood_and_so_is_the_json_behind_it() {
        for (n, m) in [(1, 30), (10, 300), (150, 150), (3000, 3000)] {
            let log = [in_json(n, 1), as_shipped(1, 2), in_json(m, 1)].concat();
            let (text, said) = james(&log, "");
            let expected = [("203.0.113.1".to_owned(), (n + m) as u64), ("203.0.113.2".to_owned(), 1)];
            assert_eq!(said, expected, "{n} {m}: {text}");
            assert!(!text.contains("not understood"), "{n} {m}: {text}");
        }
    }

    #[test]
    fn where_a_layout_is_declared_lines_of_another_are_told_however_many_they_are() {
        let log = [as_shipped(40, 1), in_json(60, 2)].concat();
        let (text, said) = james(&log, ", layout: {type: JamesDefault}");
        assert_eq!(said, [("203.0.113.1".to_owned(), 40)]);
        assert!(text.contains("another layout: 60 lines, the first is line 41 of james.log"), "{text}");
        let declared = ", layout: {type: Pattern, pattern: '%d{HH:mm:ss.SSS} [%-5level] %logger - %msg%n'}";
        let (text, _) = james(&as_shipped(40, 1), declared);
        assert!(!text.contains("another layout"), "{text}");
    }

    #[test]
    fn a_change_of_layout_within_a_containers_log_is_read_too() {
        let wrapped = |lines: String| -> String {
            let line = |(n, line)| {
                format!("2026-11-22T16:{:02}:{:02}.985000000Z stdout F {line}\n", n / 20, n % 20 * 3)
            };
            lines.lines().enumerate().map(line).collect()
        };
        let log = wrapped([as_shipped(30, 1), in_json(60, 2)].concat());
        let (text, said) = james(&log, "");
        // As in the agent: after a minute of JSON.
        assert_eq!(said, [("203.0.113.1".to_owned(), 30), ("203.0.113.2".to_owned(), 40)], "{text}");
        assert!(text.contains("another layout: 20 lines, the first is line 31 of james.log"), "{text}");
        assert!(text.contains("declare that layout") && text.contains("from line 52 of james.log"), "{text}");
        // All at once it may be forged.
        let at_once = |lines: String| {
            wrapped(lines)
                .lines()
                .map(|line| format!("{}{}\n", "2026-11-22T16:45:41", &line[19..]))
                .collect::<String>()
        };
        let (text, said) = james(&at_once([as_shipped(30, 1), in_json(60, 2)].concat()), "");
        assert_eq!(said, [("203.0.113.1".to_owned(), 30)], "{text}");
        assert!(text.contains("another layout: 60 lines"), "{text}");
    }

    #[test]
    fn failures_that_show_no_address_are_told_with_the_remedy() {
        let line = "16:45:41.985 [INFO ] o.a.j.u.AuditTrail - SMTP Authentication failed.\n";
        let (text, said) = james(&(line.repeat(12) + &as_shipped(3, 1)), "");
        assert_eq!(said, [("203.0.113.1".to_owned(), 3)]);
        assert!(text.contains("no address: 12 failures that james-smtp-auth understands"), "{text}");
        assert!(text.contains("deploy/james/logback-"), "{text}");
        let (text, _) = james(&as_shipped(3, 1), "");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn failures_of_clients_behind_a_proxy_are_told_with_the_remedy() {
        let line = "{\"timestamp\":\"2026-11-22T16:45:41.985Z\",\"level\":\"INFO\",\"thread\":\"x\",\"mdc\":{\"ip\":\
                    \"192.0.2.60\",\"proxy.source\":\"/203.0.113.99:43210\"},\"logger\":\
                    \"org.apache.james.util.AuditTrail\",\"message\":\"SMTP Authentication failed.\"}\n";
        let (text, said) = james(line, "");
        assert_eq!(said, [("203.0.113.99".to_owned(), 1)]);
        assert!(
            text.contains("through a proxy") && text.contains("1 failure that james-smtp-auth"),
            "{text}"
        );
    }

    #[test]
    fn lines_of_a_layout_that_was_not_recognised_are_told_with_the_remedy() {
        let strange = as_shipped(7, 1).replace("16:45:41.985 [INFO ]", "INFO at 16.45:");
        for (log, layout, why) in [
            (&strange, "", "7 lines; the layout was not recognised"),
            (
                &strange,
                ", layout: {type: JamesDefault}",
                "7 lines; none has the form of the declared layout JamesDefault",
            ),
        ] {
            let (text, said) = james(log, layout);
            assert!(said.is_empty() && text.contains(why) && text.contains("type: Pattern"), "{text}");
            assert_eq!(text.matches("not understood").count(), 1, "{text}");
        }
        // Told as lines of another layout, and only so.
        let (text, _) = james(&in_json(7, 1), ", layout: {type: JamesDefault}");
        assert!(text.contains("another layout: 7 lines"), "{text}");
        assert_eq!(text.matches("not understood").count(), 1, "{text}");
        // A line of somebody else in the midst.
        let (text, said) = james(&(as_shipped(30, 1) + &strange), "");
        assert_eq!(said, [("203.0.113.1".to_owned(), 30)]);
        assert!(!text.contains("not understood"), "{text}");
    }
}
