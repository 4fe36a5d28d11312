//! The JSON layouts, beyond what the samples show.

use super::*;

/// Time in microseconds, level, logger, message, context.
type Read = (Option<i64>, String, String, String, Vec<(String, String)>);

fn read(spec: &LayoutSpec, line: &str) -> Option<Read> {
    let layout = Layout::new(spec).unwrap();
    let event = layout.event(line, clock())?;
    let pairs = context(&event);
    Some((
        event.time.map(Timestamp::as_micros),
        event.level.to_owned(),
        event.logger.into_owned(),
        event.message.into_owned(),
        pairs,
    ))
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn the_json_encoder_without_formatted_messages_is_filled_in() {
    let line = r#"{"sequenceNumber":0,"timestamp":1795365943701,"nanoseconds":701123456,"level":"INFO","threadName":"t","loggerName":"a.B","context":{"name":"default","birthdate":1,"properties":{}},"mdc": {},"message":"AUTH method {} failed from {}@{}","arguments": ["PLAIN","x{}@8.8.8.8","203.0.113.7"],"throwable":null}"#;
    let (time, level, logger, message, _) = read(&LayoutSpec::JsonEncoder, line).unwrap();
    assert_eq!(time, Some(1_795_365_943_701_000));
    assert_eq!((level.as_str(), logger.as_str()), ("INFO", "a.B"));
    // Braces in an argument are text.
    assert_eq!(message, "AUTH method PLAIN failed from x{}@8.8.8.8@203.0.113.7");
}

#[test]
fn the_formatted_message_counts_when_it_is_there() {
    let line = r#"{"timestamp":1,"level":"WARN","loggerName":"a.B","message":"m {}","formattedMessage":"m 1","arguments":["2"]}"#;
    assert_eq!(read(&LayoutSpec::JsonEncoder, line).unwrap().3, "m 1");
}

#[test]
fn logstash_has_the_context_beside_the_fields() {
    let line = r#"{"@timestamp":"2026-11-22T17:45:43.701123456+01:00","@version":"1","message":"SMTP Authentication failed.","logger_name":"org.apache.james.util.AuditTrail","thread_name":"smtp-1","level":"INFO","level_value":20000,"ip":"203.0.113.7","message":"forged","ehlo":"x","tags":["a"],"mdc":{"remoteIP":"203.0.113.7"}}"#;
    assert_eq!(
        read(&LayoutSpec::Logstash, line).unwrap(),
        (
            Some(1_795_365_943_701_123),
            "INFO".into(),
            "org.apache.james.util.AuditTrail".into(),
            "SMTP Authentication failed.".into(),
            vec![pair("ip", "203.0.113.7"), pair("ehlo", "x"), pair("remoteIP", "203.0.113.7")]
        )
    );
    assert_eq!(detect(line), Some(LayoutSpec::Logstash));
}

#[test]
fn a_time_is_text_or_a_number() {
    for time in [
        "1795365943701",
        "\"1795365943701\"",
        "\"2026-11-22T16:45:43.701Z\"",
        "\"2026-11-22 16:45:43,701\"",
        "\"2026-11-22T17:45:43.701+01:00\"",
    ] {
        let line = format!(r#"{{"timestamp":{time},"logger":"a","message":"m"}}"#);
        assert_eq!(read(&LayoutSpec::JsonLayout, &line).unwrap().0, Some(1_795_365_943_701_000), "{time}");
    }
    for time in ["null", "\"\"", "\"yesterday\"", "-5", "99999999999999999999", "{}"] {
        let line = format!(r#"{{"timestamp":{time},"logger":"a","message":"m"}}"#);
        assert_eq!(read(&LayoutSpec::JsonLayout, &line).unwrap().0, None, "{time}");
    }
}

#[test]
fn of_two_equal_keys_the_first_counts() {
    let line = r#"{"timestamp":1,"timestamp":2,"level":"INFO","level":"X","loggerName":"a","loggerName":"b","mdc":{"ip":"1.1.1.1","ip":"8.8.8.8"},"mdc":{"ip":"9.9.9.9"},"formattedMessage":"m","formattedMessage":"n"}"#;
    let layout = Layout::new(&LayoutSpec::JsonEncoder).unwrap();
    let event = layout.event(line, clock()).unwrap();
    assert_eq!(event.time, Some(Timestamp::from_micros(1000)));
    assert_eq!((event.level, event.logger.as_ref(), event.message.as_ref()), ("INFO", "a", "m"));
    assert_eq!(event.context.get("ip"), Some("1.1.1.1"));
    assert_eq!(event.context.len(), 2);
}

#[test]
fn what_a_client_wrote_into_a_value_stays_in_it() {
    let line = r#"{"timestamp":1,"loggerName":"a","mdc":{"ehlo":"x\",\"ip\":\"8.8.8.8","ip":"203.0.113.7"},"formattedMessage":"\"},\"mdc\":{\"ip\":\"8.8.8.8\"}"}"#;
    let layout = Layout::new(&LayoutSpec::JsonEncoder).unwrap();
    let event = layout.event(line, clock()).unwrap();
    assert_eq!(event.context.get("ip"), Some("203.0.113.7"));
    assert_eq!(event.message, "\"},\"mdc\":{\"ip\":\"8.8.8.8\"}");
}

#[test]
fn a_line_without_logger_or_message_is_no_event() {
    for line in [
        "{}",
        r#"{"timestamp":1,"level":"INFO"}"#,
        r#"{"loggerName":"a"}"#,
        r#"{"formattedMessage":"m"}"#,
        r#"{"loggerName":"a","formattedMessage":"m""#,
        r#"{"loggerName":"a","formattedMessage":"m"}}"#,
        r#"{"loggerName":"a","formattedMessage":"m","mdc":{"a":}}"#,
        r#"["loggerName"]"#,
        "",
    ] {
        assert_eq!(read(&LayoutSpec::JsonEncoder, line), None, "{line}");
    }
}

#[test]
fn fields_without_escapes_are_not_copied() {
    let line = r#"{"timestamp":1,"loggerName":"a.B","mdc":{"ip":"203.0.113.7"},"formattedMessage":"m"}"#;
    let layout = Layout::new(&LayoutSpec::JsonEncoder).unwrap();
    let event = layout.event(line, clock()).unwrap();
    assert!(matches!(event.message, std::borrow::Cow::Borrowed(_)));
    assert!(matches!(event.logger, std::borrow::Cow::Borrowed(_)));
}

#[test]
fn the_kind_of_json_shows_in_its_first_key() {
    for (line, expected) in [
        (r#"{"sequenceNumber":0,"timestamp":1,"level":"INFO""#, Some(LayoutSpec::JsonEncoder)),
        (r#"{"timestamp":17953,"level":"WARN""#, Some(LayoutSpec::JsonEncoder)),
        (r#"{"timestamp":"2026-11-22T16:45:43.701Z","level":"DEBUG""#, Some(LayoutSpec::JsonLayout)),
        (r#"{ "timestamp" : "1795365943701","level":"ERROR""#, Some(LayoutSpec::JsonLayout)),
        (r#"{"@timestamp":"x","level":"TRACE""#, Some(LayoutSpec::Logstash)),
        // No encoder writes levels in small letters; a name of James is in small letters.
        (r#"{"@timestamp":"x","level":"info"}"#, None),
        (r#"{"timestamp":1}"#, None),
        (r#"{"message":"\"timestamp\":1""#, None),
        (r#"{"level":"INFO","timestamp":1}"#, None),
        (r#"{"timestamp":"#, None),
        ("{", None),
        ("{}", None),
        ("[]", None),
    ] {
        assert_eq!(detect(line), expected, "{line}");
    }
}
