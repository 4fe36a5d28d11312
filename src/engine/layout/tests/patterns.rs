//! Conversion patterns of logback and log4j2.

use super::*;

type Read = (Option<String>, String, String, String, Vec<(String, String)>);

fn read(text: &str, line: &str) -> Result<Read, Unread> {
    let layout = pattern(text);
    let event = layout.read(line, ReadClock { zone: &BERLIN, ..clock() })?;
    let pairs = context(&event);
    Ok((
        event.time.map(|t| t.to_string()),
        event.level.to_owned(),
        event.logger.to_string(),
        event.message.to_string(),
        pairs,
    ))
}

fn message(text: &str, line: &str) -> String {
    read(text, line).unwrap().3
}

fn error(text: &str) -> String {
    match Layout::new(&LayoutSpec::Pattern(text.into())) {
        Err(LayoutError::Pattern(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_patterns_of_the_fail2ban_guide_are_read() {
    assert_eq!(
        read(
            "%d{yyyy-MM-dd HH:mm:ss.SSS Z} - %C [ip=%X{ip}] - %msg%n",
            "2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=45.129.14.30] - Rejected message. Unknown user: dar...@domaine.de"
        )
        .unwrap(),
        (
            Some("2023-06-17T09:11:50.206Z".into()),
            String::new(),
            "org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler".into(),
            "Rejected message. Unknown user: dar...@domaine.de".into(),
            vec![("ip".into(), "45.129.14.30".into())]
        )
    );
    let (time, level, logger, message, _) = read(
        "%d{dd-MMM-yyyy HH:mm:ss.SSS} %level [%t] %C.%M:%L - %msg%n",
        "17-Jun-2023 11:11:50.206 INFO [smtpserver-executor-3] org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler.doAuthTest:397 - AUTH method LOGIN failed from Username{localPart=a.b:1 - x}@45.133.235.202",
    )
    .unwrap();
    assert_eq!(time.as_deref(), Some("2023-06-17T09:11:50.206Z"), "the reader's zone");
    assert_eq!(level, "INFO");
    assert_eq!(logger, "org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler");
    assert_eq!(message, "AUTH method LOGIN failed from Username{localPart=a.b:1 - x}@45.133.235.202");
}

#[test]
fn dates_are_read_as_java_prints_them() {
    for (format, printed, time) in [
        ("%d", "2026-11-22 16:45:43,701", "2026-11-22T15:45:43.701Z"),
        ("%date{ISO8601}", "2026-11-22T16:45:43,701", "2026-11-22T15:45:43.701Z"),
        ("%d{ISO8601,UTC}", "2026-11-22 16:45:43,701", "2026-11-22T16:45:43.701Z"),
        ("%d{DEFAULT}{GMT+2}", "2026-11-22 16:45:43,701", "2026-11-22T14:45:43.701Z"),
        ("%d{HH:mm:ss,SSS}", "16:45:43,701", "2026-11-22T15:45:43.701Z"),
        ("%d{ABSOLUTE}", "16:45:43,701", "2026-11-22T15:45:43.701Z"),
        ("%d{yyyyMMddHHmmssSSS, UTC}", "20261122164543701", "2026-11-22T16:45:43.701Z"),
        ("%d{COMPACT}", "20261122164543701", "2026-11-22T15:45:43.701Z"),
        ("%d{DATE}", "22 Nov 2026 16:45:43,701", "2026-11-22T15:45:43.701Z"),
        ("%d{EEE, d MMM yyyy hh:mm:ss a}", "Sun, 2 Nov 2025 12:05:06 AM", "2025-11-01T23:05:06Z"),
        ("%d{\"yyyy-MM-dd'T'HH:mm:ss.SSSXXX\",UTC}", "2026-11-22T16:45:43.701Z", "2026-11-22T16:45:43.701Z"),
        ("%d{\"yyyy-MM-dd'T'HH:mm:ss,SSS\", UTC}", "2026-11-22T16:45:43,701", "2026-11-22T16:45:43.701Z"),
        ("%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}", "2026-11-22T16:45:43.701-05:30", "2026-11-22T22:15:43.701Z"),
        (
            "%d{yyyy-MM-dd HH:mm:ss.SSSSSSSSS z}",
            "2026-11-22 16:45:43.701123456 CET",
            "2026-11-22T15:45:43.701123Z",
        ),
        ("%d{dd.MM.yy 'um' HH''mm}", "22.11.26 um 16'45", "2026-11-22T15:45:00Z"),
        ("%d{yyyy-DDD HH:mm:ss}", "2026-326 16:45:43", "2026-11-22T15:45:43Z"),
        ("%d{UNIX_MILLIS}", "1795365943701", "2026-11-22T16:45:43.701Z"),
        ("%d{UNIX}", "1795365943", "2026-11-22T16:45:43Z"),
        ("%d{MMM dd HH:mm:ss}", "Dec 31 23:59:59", "2025-12-31T22:59:59Z"),
    ] {
        let (found, _, _, message, _) = read(&format!("{format} %msg"), &format!("{printed} x"))
            .unwrap_or_else(|e| panic!("{format}: {e}"));
        assert_eq!((found.as_deref(), message.as_str()), (Some(time), "x"), "{format}");
    }
    for (format, printed) in [
        ("%d{yyyy-MM-dd}", "2026-1-22"),
        ("%d{HH:mm:ss}", "16:45"),
        ("%d{HH:mm:ss.SSS}", "16:45:43.70"),
        ("%d{dd MMM yyyy}", "22 Foo 2026"),
        ("%d", ""),
    ] {
        assert_eq!(read(&format!("{format} %msg"), &format!("{printed} x")), Err(Unread::Shape), "{format}");
    }
}

#[test]
fn day_and_time_of_day_may_stand_apart() {
    let at = |pattern: &str, line: &str| read(pattern, line).unwrap().0.unwrap();
    let apart = at("%d{yyyy-MM-dd} %d{HH:mm:ss.SSS} %m", "2026-11-21 16:45:43.701 x");
    assert_eq!(apart, "2026-11-21T15:45:43.701Z");
    let turned = at("%d{HH:mm:ss, UTC} %-5p %d{dd.MM.yyyy, UTC} %m", "16:45:43 INFO  21.11.2026 x");
    assert_eq!(turned, "2026-11-21T16:45:43Z");
    // One that is whole needs no other.
    let twice = at("%d{ISO8601,UTC} %d{HH:mm} %m", "2026-11-21 16:45:43,701 17:45 x");
    assert_eq!(twice, "2026-11-21T16:45:43.701Z");
}

#[test]
fn a_date_that_does_not_exist_has_no_time() {
    assert_eq!(read("%d{yyyy-MM-dd HH:mm:ss} %m", "2026-02-30 01:02:03 x").unwrap().0, None);
    assert_eq!(read("%d{HH:mm} %m", "25:00 x").unwrap().0, None);
}

#[test]
fn summer_time_has_no_hole_to_fall_into() {
    let at = |printed: &str| read("%d{yyyy-MM-dd HH:mm:ss} %m", &format!("{printed} x")).unwrap().0.unwrap();
    // The clocks jump from 02:00 to 03:00.
    assert_eq!(at("2026-03-29 02:30:00"), "2026-03-29T01:30:00Z");
    // 02:30 comes twice; the first counts.
    assert_eq!(at("2026-10-25 02:30:00"), "2026-10-25T00:30:00Z");
}

#[test]
fn padding_and_grouping_are_no_part_of_the_fields() {
    for (text, line) in [
        ("[%-5level] %-30logger - %m", "[WARN ] a.b.C                          - x - y"),
        ("[%5level] %30.30logger{29} - %m", "[ WARN]                          a.b.C - x - y"),
        ("%-5level %-30(%logger{5} [%t]) - %m", "WARN  a.b.C [main thread]           - x - y"),
        (
            "%highlight(%-5p) %cyan(%c){} - %m",
            "\u{1b}[31mWARN \u{1b}[0;39m \u{1b}[36ma.b.C\u{1b}[0;39m - x - y",
        ),
        (
            "%highlight{%-5p}{WARN=red} %style{%c}{cyan} - %m",
            "\u{1b}[31mWARN \u{1b}[m \u{1b}[36ma.b.C\u{1b}[m - x - y",
        ),
        ("%clr(%5p){magenta} %clr(%c){cyan} - %m", " WARN a.b.C - x - y"),
        ("%level|%logger|%m", "WARN|a.b.C|x - y"),
        ("%p\\_x %c\\(%L\\) 100%% %m", "WARNx a.b.C(42) 100% x - y"),
        ("%le %lo{36}: %message", "WARN a.b.C: x - y"),
    ] {
        let (_, level, logger, message, _) = read(text, line).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((level.as_str(), logger.as_str(), message.as_str()), ("WARN", "a.b.C", "x - y"), "{text}");
    }
}

#[test]
fn a_missing_key_is_not_an_empty_one() {
    let text = "[%X{protocol:-none}] [%X{ip:--}] [%mdc{remoteIP}] %msg";
    assert_eq!(read(text, "[none] [-] [] x").unwrap().4, []);
    assert_eq!(
        read(text, "[SMTP] [/[2001:db8:0:0:0:0:0:99]:43211] [203.0.113.7] x").unwrap().4,
        [("protocol", "SMTP"), ("ip", "/[2001:db8:0:0:0:0:0:99]:43211"), ("remoteIP", "203.0.113.7")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn a_stack_trace_at_the_end_is_not_waited_for() {
    for text in ["%m%n", "%m%n%rEx", "%m %ex{1}%n", "%m%nopex%n", "%m %xEx{short} %n", "%m"] {
        assert_eq!(message(text, "hello world"), "hello world", "{text}");
    }
    assert_eq!(message("%m %ex{1}%n", "hello java.io.IOException: x"), "hello java.io.IOException: x");
    assert_eq!(message("%m - %ex{1}%n", "hello - "), "hello");
    assert_eq!(message("%m ", "hello "), "hello");
}

#[test]
fn fields_behind_the_message_are_read_when_they_are_certain() {
    let text = "%p %m [%t] (%X{ip})";
    // `hello` with thread `x] (8.8.8.8) [main`, or `hello [x] (8.8.8.8)` with thread `main`: nobody can tell.
    assert_eq!(read(text, "INFO hello [x] (8.8.8.8) [main] (203.0.113.7)"), Err(Unread::Ambiguous));
    let (_, _, _, message, context) = read(text, "INFO hello (8.8.8.8) [main] (203.0.113.7)").unwrap();
    assert_eq!(message, "hello (8.8.8.8)");
    assert_eq!(context, [("ip".to_owned(), "203.0.113.7".to_owned())]);
}

#[test]
fn a_pattern_that_cannot_be_read_says_where_and_why() {
    insta::assert_snapshot!(
        [
            "%d %-5levle %logger - %msg%n",
            "%d{HH:mm:ss} %foo %m",
            "%msgx",
            "100% %m",
            "%-5(%p %m",
            "%d{HH:mm",
            "%d{YYYY-MM-dd} %m",
            "%d{HH:mm:ss, Mars/Olympus} %m",
            "%d %p %c%n",
            "%m %msg",
            "%d%n%m%n",
            "%t%c %m",
            "%X{ip}%X{ehlo} %m",
            "%highlight %m",
            "",
        ]
        .map(|text| format!("{text}\n    {}", error(text)))
        .join("\n")
    );
    let deep = format!("{}%m{}", "%-1(".repeat(40), ")".repeat(40));
    assert!(error(&deep).contains("too deep"));
    assert!(error(&"%m".repeat(3000)).contains("too long"));
}

#[test]
fn zones_are_known_where_the_machine_has_no_files_of_them() {
    // The image is such a machine.
    assert!(jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").is_ok());
}
