//! Points and spans of time for people: the local clock, and no more precision than helps.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::agent::report::Moment;
use crate::engine::{Shift, Timestamp};

/// How far this machine's clock is ahead of the one by which all that is shown was written.
static AHEAD: OnceLock<Shift> = OnceLock::new();

/// Goes by the clock that this one is so far ahead of, from now on.
#[cfg(feature = "kubernetes")]
pub(super) fn correct_by(ahead: Shift) {
    // Once is enough: no verb runs for so long that it would be another.
    let _ = AHEAD.set(ahead);
}

/// The moment of this call.
#[must_use]
pub(super) fn now() -> Moment {
    let ahead = AHEAD.get().copied().unwrap_or_default();
    Moment(Timestamp::from(jiff::Timestamp::now()) + ahead.reversed())
}

/// `2026-11-22 18:48:27`, in the zone of this machine.
#[must_use]
pub(super) fn local(moment: Moment) -> String {
    local_in(moment, &TimeZone::system())
}

fn local_in(moment: Moment, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_microsecond(moment.0.as_micros()) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => moment.to_string(),
    }
}

/// `2026-11-22 18:48:27 (in 1h 59m)`, or `(1h 59m ago)`.
#[must_use]
pub(super) fn relative(moment: Moment) -> String {
    let now = now();
    if moment >= now {
        format!("{} (in {})", local(moment), span(moment.0.since(now.0)))
    } else {
        format!("{} ({} ago)", local(moment), span(now.0.since(moment.0)))
    }
}

/// `3d 4h`, `1h 59m`, `42s`, `0s`: the two largest units.
#[must_use]
pub(super) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let parts = [(secs / 86_400, "d"), (secs / 3_600 % 24, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let from = parts.iter().position(|(n, _)| *n > 0).unwrap_or(parts.len() - 1);
    let shown: Vec<String> = parts
        .iter()
        .skip(from)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if shown.is_empty() { "0s".into() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        for (secs, text) in [
            (0, "0s"),
            (42, "42s"),
            (60, "1m"),
            (7_199, "1h 59m"),
            (7_200, "2h"),
            (86_400 + 59, "1d"),
            (3 * 86_400 + 4 * 3_600 + 5, "3d 4h"),
        ] {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
    }

    #[test]
    fn a_moment_is_shown_in_the_zone_asked_for() {
        let moment = Moment(Timestamp::from_secs(1_700_000_000));
        assert_eq!(local_in(moment, &TimeZone::fixed(jiff::tz::offset(1))), "2023-11-14 23:13:20");
    }
}
