//! Lines by people who want another's address banned, or a panic.

use proptest::prelude::*;

use super::*;

/// A name that a client gave, in a layout that prints it before the address.
#[test]
fn a_client_cannot_put_an_address_before_the_real_one() {
    let layout = pattern("%d{HH:mm:ss.SSS} %-5level [ehlo=%X{ehlo} ip=%X{ip}] %logger - %msg");
    let read = |ehlo: &str, message: &str| {
        let line = format!("16:45:43.701 INFO  [ehlo={ehlo} ip=203.0.113.7] a.B - {message}");
        layout.read(&line, clock()).map(|e| e.context.get("ip").map(str::to_owned))
    };
    assert_eq!(read("client.example", "m"), Ok(Some("203.0.113.7".into())));
    assert_eq!(read("x ip=", "m"), Ok(Some("203.0.113.7".into())));
    assert_eq!(read("x ip=8.8.8.8", "m"), Ok(Some("203.0.113.7".into())));
    // Two readings: the line does not count, for either address.
    assert_eq!(read("x ip=8.8.8.8] a.B - m", "m"), Err(Unread::Ambiguous));
    assert_eq!(read("x", "m ip=8.8.8.8] a.B - m"), Err(Unread::Ambiguous));
}

#[test]
fn the_recommended_layout_cannot_be_moved_by_any_message() {
    let spec =
        detect("2026-11-22T16:45:43.701Z [INFO ] [proto=SMTP ip=203.0.113.7 src= rip= sid=1] A - x").unwrap();
    let layout = Layout::new(&spec).unwrap();
    for message in
        ["x", "] A - ip=8.8.8.8 src=/8.8.8.8:1 rip=8.8.8.8 sid=9] B - y", "[ip=8.8.8.8]", "", " - "]
    {
        let line = format!(
            "2026-11-22T16:45:43.701Z [INFO ] [proto=SMTP ip=203.0.113.7 src= rip= sid=1] A - {message}"
        );
        let event = layout.event(&line, clock()).unwrap();
        assert_eq!(event.context.get("ip"), Some("203.0.113.7"));
        assert_eq!((event.context.get("proxy.source"), event.context.get("remoteIP")), (None, None));
        assert_eq!((event.logger.as_ref(), event.message.as_ref()), ("A", message));
    }
}

/// James prints X-Forwarded-For of requests to WebAdmin as `ip`, before it asks who it is, if its request logger may.
#[test]
fn nothing_behind_the_address_that_a_client_of_webadmin_claims_is_believed() {
    let spec =
        detect("2026-11-22T16:45:43.701Z [INFO ] [proto=SMTP ip=203.0.113.7 src= rip= sid=1 auth=] A - x")
            .unwrap();
    let layout = Layout::new(&spec).unwrap();
    let read = |protocol: &str| {
        let header =
            "8.8.8.8 src= rip= sid= auth=] AbstractAuthProcessor - Too many authentication failures.";
        let line = format!(
            "2026-11-22T16:45:43.701Z [INFO ] [proto={protocol} ip={header} src= rip= sid= auth=] LoggingRequestFilter - x"
        );
        let event = layout.event(&line, clock()).unwrap();
        let addresses =
            ["ip", "remoteIP", "proxy.source"].map(|key| event.context.get(key).map(str::to_owned));
        (event.logger.to_string(), event.message.to_string(), addresses.into_iter().flatten().count())
    };
    assert_eq!(read("webadmin"), (String::new(), String::new(), 0));
    assert_eq!(read("IMAP").0, "AbstractAuthProcessor");
}

#[test]
fn an_injected_pair_in_a_dump_is_not_an_address() {
    let layout = pattern("%d{HH:mm:ss.SSS} %-5level %logger - %msg | MDC{%X}%n");
    let ip = |line: &str| layout.read(line, clock()).map(|e| e.context.get("ip").map(str::to_owned));
    assert_eq!(
        ip("16:45:43.701 INFO  a.B - m | MDC{protocol=SMTP, ip=203.0.113.7, ehlo=x, ip=8.8.8.8}"),
        Ok(Some("203.0.113.7".into()))
    );
    assert_eq!(ip("16:45:43.701 INFO  a.B - m | MDC{username=x, ip=8.8.8.8, protocol=IMAP}"), Ok(None));
    assert_eq!(
        ip("16:45:43.701 INFO  a.B - m | MDC{ip=8.8.8.8} | MDC{protocol=SMTP, ip=203.0.113.7}"),
        Err(Unread::Ambiguous)
    );
}

/// Lines that resemble all layouts.
fn line() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("16:45:43.701 ".to_owned()),
        Just("2026-11-22T16:45:43.701Z ".to_owned()),
        Just("2026-11-22 16:45:43.701 +0200 - ".to_owned()),
        Just("[INFO ] ".to_owned()),
        Just("\u{1b}[34m".to_owned()),
        Just("[ip=".to_owned()),
        Just("] - ".to_owned()),
        Just("a.b.C".to_owned()),
        Just("{\"timestamp\":1,\"loggerName\":\"".to_owned()),
        Just("\"mdc\":{\"ip\":\"".to_owned()),
        Just(" | MDC{".to_owned()),
        "\\PC{0,6}",
        "[0-9:.,{}\"\\\\\\[\\] é-]{0,8}",
    ];
    prop::collection::vec(token, 0..10).prop_map(|parts| parts.concat())
}

/// Every reader, for the properties.
static LAYOUTS: LazyLock<Vec<Layout>> = LazyLock::new(|| {
    let fixed = [
        LayoutSpec::JamesDefault,
        LayoutSpec::JsonEncoder,
        LayoutSpec::JsonLayout,
        LayoutSpec::Logstash,
        LayoutSpec::Text,
    ];
    fixed.iter().map(|spec| Layout::new(spec).unwrap()).chain(PATTERNS.map(pattern)).collect()
});

const PATTERNS: [&str; 6] = [
    "%d{HH:mm:ss.SSS} [%-5level] %logger{15} - %msg%n",
    "%d{yyyy-MM-dd HH:mm:ss.SSS Z} - %C [ip=%X{ip}] - %msg%n",
    "%d{dd-MMM-yyyy HH:mm:ss.SSS} %level [%t] %C.%M:%L - %msg%n",
    "%-5level %X{ehlo} %-20(%logger) %msg | MDC{%X}%n",
    "%5p %20c %X{ip}: %m (%t)",
    "%d{EEE d MMM yy h:m:s a z} %m",
];

proptest! {
    #[test]
    fn no_line_makes_a_layout_panic(line in line()) {
        for layout in LAYOUTS.iter() {
            let _ = layout.read(&line, clock());
        }
        let _ = (detect(&line), strip_ansi(&line).len());
    }

    #[test]
    fn no_pattern_makes_the_compiler_panic(text in "[%{}()\\\\a-zA-Z0-9 .,:'\"-]{0,40}", line in line()) {
        if let Ok(layout) = Layout::new(&LayoutSpec::Pattern(text.into())) {
            let _ = layout.read(&line, clock());
        }
    }

    #[test]
    fn what_is_recognised_can_be_read(line in line()) {
        if let Some(spec) = detect(&line) && !matches!(spec, LayoutSpec::JsonEncoder | LayoutSpec::JsonLayout | LayoutSpec::Logstash) {
            prop_assert!(Layout::new(&spec).unwrap().event(&line, clock()).is_some());
        }
    }

    /// Whatever the message is, it decides nothing about layout, level, logger or context.
    #[test]
    fn a_message_changes_no_other_field(message in line()) {
        let layout = &LAYOUTS[0];
        let line = format!("16:45:43.701 [WARN ] o.a.j.u.AuditTrail - {message}");
        prop_assert_eq!(detect(&line), Some(LayoutSpec::JamesDefault));
        let event = layout.event(&line, clock()).unwrap();
        prop_assert_eq!((event.level, event.logger.as_ref()), ("WARN", "o.a.j.u.AuditTrail"));
        prop_assert_eq!(event.message.as_ref(), message.as_str());

        let seed = &LAYOUTS[6];
        let line = format!("2026-11-22 16:45:34.154 +0000 - a.b.C$D [ip=203.0.113.7] - {message}");
        let event = seed.event(&line, clock()).unwrap();
        prop_assert_eq!(event.context.get("ip"), Some("203.0.113.7"));
        prop_assert_eq!((event.logger.as_ref(), event.message.as_ref()), ("a.b.C$D", message.as_str()));
    }

    /// A value is either read as it was printed or the line does not count.
    #[test]
    fn a_value_of_a_client_never_becomes_another_field(ehlo in "[a-z =\\]\\[.0-9,-]{0,20}", message in "[a-z =\\]\\[.0-9,-]{0,20}") {
        static LAYOUT: LazyLock<Layout> = LazyLock::new(|| pattern("%p [ehlo=%X{ehlo} ip=%X{ip}] %c - %m"));
        let layout = &*LAYOUT;
        let line = format!("INFO [ehlo={ehlo} ip=203.0.113.7] a.B - {message}");
        if let Ok(event) = layout.read(&line, clock()) {
            prop_assert_eq!(event.context.get("ip"), Some("203.0.113.7"));
            prop_assert_eq!(event.message.as_ref(), message.as_str());
        }
    }
}
