//! Structured rules on every layout, and how `Auto` settles.

use super::workload::{Dress, lines};
use super::*;

#[test]
fn failures_are_found_in_every_dress() {
    for dress in [Dress::Default, Dress::Json, Dress::Seed] {
        let mut spec = logins();
        if dress == Dress::Seed {
            // The logger stands where `%C` prints the calling class.
            spec.rules.iter_mut().for_each(|r| r.logger = None);
        }
        let scanner = scanner(&[spec], &LayoutSpec::Auto, Envelope::None);
        let (found, stats) = scan(&scanner, lines(dress, 1400, 14, 1000));
        assert_eq!((found.len(), stats.matches, stats.undecided), (100, 100, 0), "{dress:?}");
        assert_eq!(found[7].address.to_string(), "10.0.0.7");
        assert!(stats.candidates < 110, "{dress:?}: {stats:?}");
    }
}

#[test]
fn the_first_recognised_line_settles_the_layout_for_good() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let mut state = ScanState::default();
    let mut found = Vec::new();
    let mut scan = |state: &mut ScanState, text: &str| {
        scanner.scan(state, text.as_bytes(), clock(), &mut |m| found.push(m.address.to_string()));
    };
    scan(&mut state, "a banner\n\tat a.stack.trace\n");
    assert_eq!(state.layout(), None);
    scan(&mut state, "16:45:34.154 [INFO ] o.a.j.p.n.BasicChannelInboundHandler - Connection established\n");
    assert_eq!(state.layout(), Some(&LayoutSpec::JamesDefault));
    let forged = lines(Dress::Json, 1, 1, 1);
    assert!(forged.contains("10.0.0.0"));
    scan(&mut state, &forged);
    scan(&mut state, &lines(Dress::Default, 1, 1, 1).replace("10.0.0.0", "10.0.0.9"));
    assert_eq!(state.layout(), Some(&LayoutSpec::JamesDefault));
    assert_eq!(found, ["10.0.0.9"]);
}

#[test]
fn a_name_that_begins_the_block_as_json_neither_blinds_nor_accuses() {
    // What is left of a forged name after a restart in the midst of its event. James prints names in small letters.
    let forged = [
        r#"{"timestamp":1795365943701,"level":"info"}"#,
        r#"{"timestamp":"x","level":"info"}"#,
        r#"{"@timestamp":"x","level":"info"}"#,
    ];
    let accusing = r#"{"timestamp":1795365943701,"level":"info","logger\u004eame":"o","message":"\u0053\u004d\u0054\u0050 \u0041uthentication failed.","mdc":{"remote\u0049\u0050":"8.8.8.8"}}"#;
    for first in forged {
        let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
        let mut found = Vec::new();
        let mut state = ScanState::default();
        let block = format!("{first}\n{accusing}\n{}", lines(Dress::Default, 1, 1, 1));
        scanner.scan(&mut state, block.as_bytes(), clock(), &mut |m| found.push(m.address.to_string()));
        assert_eq!((found, state.layout()), (vec!["10.0.0.0".to_owned()], Some(&LayoutSpec::JamesDefault)));
    }
}

#[test]
fn a_line_of_text_shows_that_the_json_before_it_was_forged() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let block = format!("{{\"timestamp\":\"x\",\"level\":\"INFO\"}}\n{}", lines(Dress::Default, 2, 1, 2));
    assert_eq!(scan(&scanner, block).0.len(), 2);
}

#[test]
fn a_program_that_is_configured_anew_is_understood_again() {
    for (before, after) in [
        (Dress::Default, Dress::Json),
        (Dress::Json, Dress::Default),
        (Dress::Json, Dress::Seed),
        (Dress::Default, Dress::Seed),
    ] {
        let mut spec = logins();
        spec.rules.iter_mut().for_each(|r| r.logger = None);
        let scanner = scanner(&[spec], &LayoutSpec::Auto, Envelope::None);
        let mut state = ScanState::default();
        let count = |state: &mut ScanState, text: String| {
            let mut found = 0;
            for line in text.split_inclusive('\n') {
                scanner.scan(state, line.as_bytes(), clock(), &mut |_| found += 1);
            }
            found
        };
        assert_eq!(count(&mut state, lines(before, 30, 1, 30)), 30, "{before:?}");
        count(&mut state, lines(after, 20, 1, 20));
        assert_eq!(count(&mut state, lines(after, 30, 1, 30)), 30, "{before:?} to {after:?}");
    }
}

/// `lines` in the envelope of a container, if there is one.
fn wrapped(envelope: Envelope, lines: &str) -> String {
    let line = |line: &str| match envelope {
        Envelope::None => line.to_owned(),
        Envelope::Cri => format!("2026-11-22T16:45:41.985000000Z stdout F {line}"),
    };
    lines.split_inclusive('\n').map(line).collect()
}

/// Scans a block; gives how many matches there are.
fn count(scanner: &Scanner, state: &mut ScanState, block: &str) -> u64 {
    scanner.scan(state, block.as_bytes(), clock(), &mut |_| {}).matches
}

#[test]
fn a_line_of_text_in_the_midst_of_json_is_counted_and_so_is_all_json_behind_it() {
    for envelope in [Envelope::None, Envelope::Cri] {
        let scanner = scanner(&[logins()], &LayoutSpec::Auto, envelope);
        let (json, text) = (lines(Dress::Json, 150, 1, 150), lines(Dress::Default, 1, 1, 1));
        let log = wrapped(envelope, &[json.clone(), text, json].concat());
        assert_eq!(scan(&scanner, &log).1.matches, 301, "{envelope:?}, at once");
        let mut state = ScanState::default();
        let one_by_one: u64 = log.split_inclusive('\n').map(|line| count(&scanner, &mut state, line)).sum();
        assert_eq!((one_by_one, state.layout()), (301, Some(&LayoutSpec::JsonEncoder)), "{envelope:?}");
    }
}

#[test]
fn json_is_earned_with_its_twentieth_line_and_survives_a_restart() {
    for envelope in [Envelope::None, Envelope::Cri] {
        for (before, renewed, layout) in [
            (19, false, LayoutSpec::JamesDefault),
            (20, false, LayoutSpec::JsonEncoder),
            (20, true, LayoutSpec::JsonEncoder),
        ] {
            let scanner = scanner(&[logins()], &LayoutSpec::Auto, envelope);
            let mut state = ScanState::default();
            let json = lines(Dress::Json, before, 1, before);
            assert_eq!(count(&scanner, &mut state, &wrapped(envelope, &json)), before as u64);
            let kept = serde_json::to_string(&state.memory()).unwrap();
            state = match renewed {
                true => state.renewed(),
                false => ScanState::remembering(serde_json::from_str(&kept).unwrap()),
            };
            let text = lines(Dress::Default, 1, 1, 1);
            assert_eq!(count(&scanner, &mut state, &wrapped(envelope, &text)), 1);
            assert_eq!(state.layout(), Some(&layout), "{envelope:?} {before} {renewed}");
        }
    }
}

/// Each line written so many seconds after the one before.
fn written(lines: &str, apart: usize) -> String {
    let line = |(n, line)| {
        format!("2026-11-22T16:{:02}:{:02}.000000000Z stdout F {line}", n * apart / 60, n * apart % 60)
    };
    lines.split_inclusive('\n').enumerate().map(line).collect()
}

#[test]
fn a_container_whose_json_begins_with_a_line_of_text_is_understood_after_a_minute() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::Cri);
    let mut state = ScanState::default();
    let (json, text) = (lines(Dress::Json, 3, 1, 3), lines(Dress::Default, 1, 1, 1));
    count(&scanner, &mut state, &wrapped(Envelope::Cri, &[json, text].concat()));
    assert_eq!(state.layout(), Some(&LayoutSpec::JamesDefault));
    count(&scanner, &mut state, &written(&lines(Dress::Json, 30, 1, 30), 3));
    assert_eq!(state.layout(), Some(&LayoutSpec::JsonEncoder));
    let text = wrapped(Envelope::Cri, &lines(Dress::Default, 1, 1, 1));
    assert_eq!(count(&scanner, &mut state, &text), 1, "text stands for itself alone now");
    assert_eq!(state.layout(), Some(&LayoutSpec::JsonEncoder));
}

#[test]
fn explaining_a_containers_lines_comes_to_the_same_layout_as_scanning_them() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::Cri);
    let log = written(&[lines(Dress::Default, 1, 1, 1), lines(Dress::Json, 30, 1, 30)].concat(), 3);
    let mut state = ScanState::default();
    let matched = |line: &str| {
        let account = scanner.explain(&mut state, line.as_bytes(), clock());
        u64::from(account.filters.iter().any(|filter| filter.matched.is_some()))
    };
    let explained: u64 = log.lines().map(matched).sum();
    assert_eq!(state.layout(), Some(&LayoutSpec::JsonEncoder));
    assert_eq!(explained, count(&scanner, &mut ScanState::default(), &log));
}

/// As log4j2 writes to a console.
const OTHER: &str = "23-Nov-2026 12:59:55.000 INFO [main] org.apache.james.Main.start:12 - start\n";

#[test]
fn json_in_a_container_with_text_between_or_all_at_once_is_forged() {
    let genuine = "16:45:34.154 [INFO ] o.a.j.p.n.BasicChannelInboundHandler - Connection established\n";
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::Cri);
    let json = |count| lines(Dress::Json, count, 1, count);
    let long = format!("{} {}\n", genuine.trim_end(), "a".repeat(70_000));
    for log in [
        written(&[genuine, &json(19)].concat().repeat(10), 4),
        wrapped(Envelope::Cri, &[genuine, &json(300)].concat()),
        written(&[genuine, &json(300)].concat(), 0),
        // Whatever carries it: text of another layout, text of none, and a line too long to be looked at.
        written(&[genuine, &[OTHER, &json(19)].concat().repeat(10)].concat(), 4),
        written(&[genuine, &["no layout at all\n", &json(19)].concat().repeat(10)].concat(), 4),
        written(&[genuine, &[long.as_str(), &json(19)].concat().repeat(10)].concat(), 4),
    ] {
        let mut state = ScanState::default();
        assert_eq!(count(&scanner, &mut state, &log), 0);
        assert_eq!(state.layout(), Some(&LayoutSpec::JamesDefault));
        assert!(state.take_hints().next().unwrap().1.strange >= 190, "it is told all the same");
    }
}

#[test]
fn a_forged_first_look_ends_with_the_lines_of_text_whatever_json_stands_between_them() {
    for envelope in [Envelope::None, Envelope::Cri] {
        let scanner = scanner(&[logins()], &LayoutSpec::Auto, envelope);
        let mut state = ScanState::default();
        let forged = |times: usize| wrapped(envelope, &lines(Dress::Json, times, 1, times));
        let genuine = wrapped(envelope, &lines(Dress::Default, 1, 1, 1));
        count(&scanner, &mut state, &forged(100));
        for n in 0..20 {
            assert_eq!(count(&scanner, &mut state, &(genuine.clone() + &forged(5))), 6, "{envelope:?} {n}");
            state = ScanState::remembering(state.memory());
        }
        for n in 0..5 {
            assert_eq!(count(&scanner, &mut state, &(genuine.clone() + &forged(5))), 1, "{envelope:?} {n}");
        }
        assert_eq!(state.layout(), Some(&LayoutSpec::JamesDefault));
    }
}

#[test]
fn in_a_log_of_text_json_from_the_second_line_on_accuses_nobody() {
    for envelope in [Envelope::None, Envelope::Cri] {
        let scanner = scanner(&[logins()], &LayoutSpec::Auto, envelope);
        let mut state = ScanState::default();
        let first = "16:45:34.154 [INFO ] o.a.j.p.n.BasicChannelInboundHandler - Connection established\n";
        let log = first.to_owned() + &lines(Dress::Json, 300, 1, 300);
        assert_eq!(count(&scanner, &mut state, &wrapped(envelope, &log)), 0, "{envelope:?}");
    }
}

#[test]
fn explaining_a_line_that_no_rule_speaks_about_changes_nothing() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let mut state = ScanState::default();
    let json = lines(Dress::Json, 1, 1, 1);
    let first = scanner.explain(&mut state, json.trim_end().as_bytes(), clock());
    assert_eq!(first.layout.as_deref(), Some("JsonEncoder"));
    let line = b"16:45:34.154 [INFO ] o.a.j.p.n.BasicChannelInboundHandler - Connection established";
    let account = scanner.explain(&mut state, line, clock());
    assert_eq!((account.layout.as_deref(), account.shows), (Some("JamesDefault"), None));
    assert_eq!(state.layout(), Some(&LayoutSpec::JsonEncoder));
}

#[test]
fn lines_of_another_layout_in_the_midst_of_events_change_nothing() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let mut state = ScanState::default();
    let event = "16:45:34.154 [INFO ] o.a.j.p.n.BasicChannelInboundHandler - Connection established\n";
    scanner.scan(&mut state, event.as_bytes(), clock(), &mut |m| panic!("{m:?}"));
    for _ in 0..10 {
        let block = format!("{}{event}", lines(Dress::Json, 19, 1, 19));
        scanner.scan(&mut state, block.as_bytes(), clock(), &mut |m| panic!("{m:?}"));
    }
    assert_eq!(state.layout(), Some(&LayoutSpec::JamesDefault));
}

#[test]
fn a_source_without_a_layout_for_long_never_gets_one_from_a_forged_line() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let mut state = ScanState::default();
    let mut block = "free text of another program\n".repeat(1000);
    block.push_str(&lines(Dress::Json, 1, 1, 1));
    let stats = scanner.scan(&mut state, block.as_bytes(), clock(), &mut |m| panic!("{m:?}"));
    assert_eq!((state.layout(), stats.undecided), (None, 1));
}

#[test]
fn json_without_formatted_messages_is_read_line_by_line() {
    let line = |ip: &str| {
        format!(
            "{{\"sequenceNumber\":0,\"timestamp\":1795355350654,\"level\":\"INFO\",\"loggerName\":\"org.apache.james.protocols.smtp.AUTHENTICATION\",\"mdc\": {{}},\"message\":\"AUTH {{}} {{}} failed from {{}}@{{}}\",\"arguments\": [\"method\",\"PLAIN\",\"Username{{x}}\",\"{ip}\"]}}\n"
        )
    };
    for layout in [LayoutSpec::Auto, LayoutSpec::JsonEncoder] {
        let scanner = scanner(&[logins()], &layout, Envelope::None);
        assert_eq!(addresses(&scanner, line("192.0.2.1") + &line("192.0.2.2")), ["192.0.2.1", "192.0.2.2"]);
    }
}

#[test]
fn one_event_in_several_lines_counts_once_and_two_events_twice() {
    let scanner = scanner(&[logins()], &LayoutSpec::JsonLayout, Envelope::None);
    let line = |ms: u32, logger: &str, message: &str, session: &str| {
        format!(
            "{{\"timestamp\":\"2026-11-22T16:45:34.{ms:03}Z\",\"level\":\"INFO\",\"mdc\":{{\"ip\":\"192.0.2.1\",\"sessionId\":\"{session}\"}},\"logger\":\"org.apache.james.{logger}\",\"message\":\"{message}\"}}\n"
        )
    };
    let auth = |ms, session: &str| {
        line(
            ms,
            "protocols.smtp.AUTHENTICATION",
            "AUTH method PLAIN failed from Username{x}@192.0.2.1",
            session,
        )
    };
    let audit = |ms, session: &str| line(ms, "util.AuditTrail", "SMTP Authentication failed.", session);
    let success = |ms, session: &str| line(ms, "util.AuditTrail", "SMTP Authentication succeeded.", session);
    let count = |log: String| scan(&scanner, log).0.len();
    assert_eq!(count(auth(1, "a") + &audit(2, "a")), 1, "two lines of one event");
    assert_eq!(count(auth(1, "a") + &audit(2, "a") + &auth(3, "a") + &audit(4, "a")), 2, "two events");
    assert_eq!(count(auth(1, "a") + &auth(1, "a") + &auth(1, "a")), 3, "the same statement three times");
    assert_eq!(count(auth(1, "a") + &audit(2, "b")), 2, "two sessions");
    assert_eq!(count(auth(1, "a") + &audit(2, "a") + &success(3, "a")), 2, "a success is another event");
    assert_eq!(count(auth(1, "a") + &audit(2, "a").replace("16:45:34", "16:45:36")), 2, "too far apart");
}

#[test]
fn an_event_whose_second_line_comes_when_the_span_is_over_counts_once() {
    let scanner = scanner(&[logins()], &LayoutSpec::JsonLayout, Envelope::None);
    let line = |ms: u32, logger: &str, message: &str| {
        let (second, ms) = (34 + ms / 1000, ms % 1000);
        format!(
            "{{\"timestamp\":\"2026-11-22T16:45:{second}.{ms:03}Z\",\"mdc\":{{\"ip\":\"192.0.2.1\"}},\"logger\":\"org.apache.james.{logger}\",\"message\":\"{message}\"}}\n"
        )
    };
    // Three failures a second, each of two lines that are 10 ms apart, whenever the span of one second ends.
    for shift in 0..40 {
        let log: String = (0..30)
            .map(|n| {
                let ms = 333 * n + shift * 10;
                line(
                    ms,
                    "protocols.smtp.AUTHENTICATION",
                    "AUTH method PLAIN failed from Username{x}@192.0.2.1",
                ) + &line(ms + 10, "util.AuditTrail", "SMTP Authentication failed.")
            })
            .collect();
        assert_eq!(scan(&scanner, log).0.len(), 30, "shift {shift}");
    }
}

#[test]
fn failures_of_nobody_and_failures_behind_a_proxy_are_told_apart() {
    let scanner = scanner(&[logins()], &LayoutSpec::JsonLayout, Envelope::None);
    let line = |mdc: &str, what: &str| {
        format!(
            "{{\"timestamp\":\"2026-11-22T16:45:34.000Z\",\"mdc\":{{{mdc}}},\"logger\":\"org.apache.james.util.AuditTrail\",\"message\":\"SMTP Authentication {what}.\"}}\n"
        )
    };
    let log = line("", "failed")
        + &line(r#""ip":"192.0.2.1""#, "failed")
        + &line(r#""ip":"192.0.2.60","proxy.source":"/203.0.113.99:43210""#, "failed")
        + &line("", "succeeded");
    let mut state = ScanState::default();
    scanner.scan(&mut state, log.as_bytes(), clock(), &mut |_| {});
    let hints: Vec<_> = state.take_hints().collect();
    assert_eq!(hints, [(0, Hints { addressed: 2, unaddressed: 1, proxied: 1, strange: 0 })]);
    assert_eq!(state.take_hints().count(), 0, "told once");
}

#[test]
fn a_success_is_looked_at_only_in_a_layout_that_can_show_whose_it_is() {
    let line =
        |what: &str| format!("16:45:34.154 [INFO ] o.a.j.u.AuditTrail - SMTP Authentication {what}.\n");
    let log = [line("succeeded"), line("failed"), line("succeeded")].concat();
    let plain = "%d{HH:mm:ss.SSS} [%-5level] %logger - %msg%n";
    let certain = "%d{HH:mm:ss.SSS} [%-5level] %X{ip} %logger - %msg%n";
    let dump = "%d{HH:mm:ss.SSS} [%-5level] %logger - %msg %X%n";
    for (layout, candidates) in [
        (LayoutSpec::Auto, 2),
        (LayoutSpec::JamesDefault, 1),
        (LayoutSpec::Pattern(plain.into()), 1),
        (LayoutSpec::Pattern(certain.into()), 3),
        (LayoutSpec::Pattern(dump.into()), 3),
        (LayoutSpec::JsonEncoder, 3),
    ] {
        let scanner = scanner(&[logins()], &layout, Envelope::None);
        assert_eq!(scan(&scanner, &log).1.candidates, candidates, "{layout:?}");
    }
    let mut state = ScanState::default();
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    scanner.scan(&mut state, log.as_bytes(), clock(), &mut |_| {});
    let hints: Vec<_> = state.take_hints().collect();
    assert_eq!(hints, [(0, Hints { unaddressed: 1, ..Hints::default() })], "the failure is still told");
}

#[test]
fn the_address_is_the_first_source_present_even_if_it_is_no_use() {
    let scanner = scanner(&[logins()], &LayoutSpec::JsonLayout, Envelope::None);
    let line = |mdc: &str| {
        format!(
            "{{\"timestamp\":\"2026-11-22T16:45:34.000Z\",\"level\":\"INFO\",\"mdc\":{{{mdc}}},\"logger\":\"org.apache.james.util.AuditTrail\",\"message\":\"SMTP Authentication failed.\"}}\n"
        )
    };
    for (mdc, address) in [
        (
            r#""ip":"10.0.0.1","proxy.source":"/203.0.113.99:43210","remoteIP":"10.0.0.1""#,
            Some("203.0.113.99"),
        ),
        (r#""ip":"10.0.0.1","proxy.source":"/[2001:db8:0:0:0:0:0:99]:43210""#, Some("2001:db8::99")),
        (r#""ip":"::ffff:192.0.2.7""#, Some("192.0.2.7")),
        (r#""ip":"10.0.0.1","proxy.source":"mx.example.org""#, None),
        (r#""ip":"127.0.0.1""#, None),
        (r#""host":"192.0.2.1""#, None),
    ] {
        assert_eq!(addresses(&scanner, line(mdc)), address.into_iter().collect::<Vec<_>>(), "{mdc}");
    }
}
