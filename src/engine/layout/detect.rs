//! Which layout a line shows.

use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;

use crate::engine::{LayoutSpec, ReadClock, Timestamp};

use super::ansi::after_colours;
use super::james;
use super::pattern::Pattern;

/// Text layouts that are recognised beside James' own. Each shows fields at fixed places before any message.
const PATTERNS: [&str; 5] = [
    // What deploy/james/ has for text: context at a fixed place, one line per event.
    r#"%d{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX",UTC} [%-5level] [proto=%X{protocol:-} ip=%X{ip:-} src=%X{proxy.source:-} rip=%X{remoteIP:-} sid=%X{sessionId:-} auth=%X{authType:-}] %logger{0} - %msg%n"#,
    // The same without the way of logging in.
    r#"%d{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX",UTC} [%-5level] [proto=%X{protocol:-} ip=%X{ip:-} src=%X{proxy.source:-} rip=%X{remoteIP:-} sid=%X{sessionId:-}] %logger{0} - %msg%n"#,
    // The same without the session.
    r#"%d{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX",UTC} [%-5level] [proto=%X{protocol:-} ip=%X{ip:-} src=%X{proxy.source:-} rip=%X{remoteIP:-}] %logger{0} - %msg%n"#,
    // The file layout of the fail2ban guide for James (log4j2, Spring) and the console beside it.
    "%d{yyyy-MM-dd HH:mm:ss.SSS Z} - %C [ip=%X{ip}] - %msg%n",
    "%d{dd-MMM-yyyy HH:mm:ss.SSS} %level [%t] %C.%M:%L - %msg%n",
];

/// How every JSON encoder writes levels.
const LEVELS: [&str; 5] = ["\"INFO\"", "\"WARN\"", "\"ERROR\"", "\"DEBUG\"", "\"TRACE\""];

/// All of them, compiled. One that did not compile would only not be recognised; a test sees to it that all do.
static KNOWN: LazyLock<Vec<(LayoutSpec, Pattern)>> = LazyLock::new(|| {
    PATTERNS
        .iter()
        .filter_map(|text| Some((LayoutSpec::Pattern(Arc::from(*text)), Pattern::new(text).ok()?)))
        .collect()
});

/// The layout that the beginning of `line` shows; `None` when it shows none (a stack trace, a banner, free text).
///
/// Only what comes before any message is looked at, so that nothing in a message can make a line show another
/// layout.
#[must_use]
pub fn detect(line: &str) -> Option<LayoutSpec> {
    let text = after_colours(line);
    if let Some(object) = text.strip_prefix('{') {
        return json(object);
    }
    if !text.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    if james::Line::read(line).is_some() {
        return Some(LayoutSpec::JamesDefault);
    }
    let clock = ReadClock {
        now: Timestamp::default(),
        live: false,
        newest: Timestamp::default(),
        zone: &TimeZone::UTC,
    };
    KNOWN.iter().find(|(_, pattern)| pattern.read(line, clock).is_ok()).map(|(spec, _)| spec.clone())
}

/// By the first key and how its value begins.
///
/// And by a level in capitals, in so many letters: a line break in a user's name makes the rest of the name a line of
/// its own in a text log, but James prints names in small letters, and what it logs is always so.
fn json(object: &str) -> Option<LayoutSpec> {
    if !LEVELS.iter().any(|level| object.contains(level)) {
        return None;
    }
    let rest = object.trim_start().strip_prefix('"')?;
    let (key, rest) = rest.split_once('"')?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().bytes().next()?;
    match (key, value) {
        ("sequenceNumber", b'0'..=b'9') | ("timestamp", b'0'..=b'9') => Some(LayoutSpec::JsonEncoder),
        ("timestamp", b'"') => Some(LayoutSpec::JsonLayout),
        ("@timestamp", _) => Some(LayoutSpec::Logstash),
        _ => None,
    }
}
