//! What layouts make of lines that James really wrote, and of lines made to deceive.

mod encoders;
mod hostile;
mod patterns;
mod samples;

use std::sync::LazyLock;

use jiff::tz::TimeZone;

use super::*;
use crate::engine::Timestamp;

/// Central European time, without the machine's own zone files.
pub(super) static BERLIN: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());

static UTC: TimeZone = TimeZone::UTC;

/// Shortly after the samples were written, 2026-11-22T17:00:00Z.
pub(super) fn clock() -> ReadClock<'static> {
    let now = Timestamp::from_secs(1_795_366_800);
    ReadClock { now, live: true, newest: now, zone: &UTC }
}

pub(super) fn pattern(text: &str) -> Layout {
    Layout::new(&LayoutSpec::Pattern(text.into())).unwrap()
}

pub(super) fn context(event: &Event<'_>) -> Vec<(String, String)> {
    event.context.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn auto_is_no_layout_of_its_own() {
    assert_eq!(Layout::new(&LayoutSpec::Auto).unwrap_err(), LayoutError::Auto);
}

#[test]
fn text_is_the_whole_line() {
    let layout = Layout::new(&LayoutSpec::Text).unwrap();
    let event = layout.event("2023-06-17 11:11:50 x", clock()).unwrap();
    assert_eq!((event.time, event.message.as_ref()), (None, "2023-06-17 11:11:50 x"));
    assert_eq!(layout.spec(), &LayoutSpec::Text);
}

/// Time of day at which a line is read, and the point in time its time of day means.
#[test]
fn a_time_of_day_is_the_most_recent_one_across_midnight_too() {
    let layout = Layout::new(&LayoutSpec::JamesDefault).unwrap();
    let read = |now: &str, printed: &str| {
        let now: jiff::Timestamp = now.parse().unwrap();
        let clock = ReadClock { now: now.into(), live: true, newest: now.into(), zone: &BERLIN };
        let line = format!("{printed} [INFO ] o.a.j - x");
        layout.event(&line, clock).unwrap().time.unwrap().to_string()
    };
    // 00:00:01 in Berlin: the line is two seconds old, of yesterday.
    assert_eq!(read("2026-11-21T23:00:01Z", "23:59:59.500"), "2026-11-21T22:59:59.5Z");
    // 23:59:59 in Berlin: James' clock runs ahead and shows tomorrow.
    assert_eq!(read("2026-11-21T22:59:59Z", "00:00:10.000"), "2026-11-21T23:00:10Z");
    // A minute ahead is a clock, more is yesterday.
    assert_eq!(read("2026-11-21T12:00:00Z", "13:01:00.000"), "2026-11-21T12:01:00Z");
    assert_eq!(read("2026-11-21T12:00:00Z", "13:01:00.001"), "2026-11-20T12:01:00.001Z");
    // The night in which the clocks go back: twenty past two was summer time when it is read at 01:30Z, i.e. 02:30.
    assert_eq!(read("2026-10-25T01:30:00Z", "02:20:00.000"), "2026-10-25T01:20:00Z");
    // Before and after the change.
    assert_eq!(read("2026-10-25T08:00:00Z", "01:59:00.000"), "2026-10-24T23:59:00Z");
}

#[test]
fn the_default_layout_has_a_fixed_beginning() {
    let layout = Layout::new(&LayoutSpec::JamesDefault).unwrap();
    for line in [
        "16:45:43.701 [INFO ] o.a.j.u.AuditTrail - ",
        "16:45:43,701 [WARN ] AuditTrail - x",
        "16:45:43.701 \u{1b}[31m[ERROR]\u{1b}[0;39m reactor.Foo$Bar - x",
        "16:45:43.701 \u{1b}[31m[WARN ]\u{1b}[m o.a.j.Foo - x",
    ] {
        assert!(layout.event(line, clock()).is_some(), "{line}");
        assert_eq!(detect(line), Some(LayoutSpec::JamesDefault), "{line}");
    }
    for line in [
        "",
        "\tat org.apache.james.Foo(Foo.java:1)",
        "java.lang.IllegalArgumentException: 16:45:43.701 [INFO ] o.a.j - x",
        " 16:45:43.701 [INFO ] o.a.j - x",
        "16:45:43 [INFO ] o.a.j - x",
        "24:45:43.701 [INFO ] o.a.j - x",
        "16:45:43.7011 [INFO ] o.a.j - x",
        "16:45:43.701 [info ] o.a.j - x",
        "16:45:43.701 [INFO] o.a.j - x",
        "16:45:43.701 [INFO ]  - x",
        "16:45:43.701 [INFO ] o.a.j -x",
        "16:45:43.701 [INFO ] o.a.j : x - y",
        "16:45:43.701 [INFO ] o.a.j",
        "Picked up JAVA_TOOL_OPTIONS: -Xmx1g",
    ] {
        assert_eq!(layout.read(line, clock()), Err(Unread::Shape), "{line}");
        assert_eq!(detect(line), None, "{line}");
    }
}
