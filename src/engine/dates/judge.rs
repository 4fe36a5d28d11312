//! Which time counts (DESIGN §5, Time).

use std::time::Duration;

use crate::engine::{ReadClock, Timestamp};

/// A date further off than this in a line that was just appended is a wrong clock, not an old line.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The time that counts for a line in which `found` was read.
///
/// A line without a date happened now. A line appended while the reader stood at the end of the file happened now,
/// too, when its date is more than 60 s off. A date still to come counts as now, else a line could be counted before
/// it happened and lengthen a sentence.
#[must_use]
pub fn judge(found: Option<Timestamp>, clock: ReadClock<'_>) -> Timestamp {
    match found {
        Some(time) if time > clock.now => clock.now,
        Some(time) if clock.live && time.distance(clock.now) > TOLERANCE => clock.now,
        Some(time) => time,
        None => clock.now,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn judged(found: Option<i64>, live: bool) -> i64 {
        let clock = ReadClock { now: Timestamp::from_secs(1_000_000), live, zone: &TimeZone::UTC };
        judge(found.map(Timestamp::from_secs), clock).as_secs()
    }

    #[test]
    fn an_old_date_counts_only_while_catching_up() {
        assert_eq!(judged(Some(999_940), true), 999_940);
        assert_eq!(judged(Some(999_939), true), 1_000_000);
        assert_eq!(judged(Some(999_939), false), 999_939);
        assert_eq!(judged(Some(0), false), 0);
    }

    #[test]
    fn nothing_happens_in_the_future() {
        assert_eq!(judged(Some(1_000_030), true), 1_000_000);
        assert_eq!(judged(Some(2_000_000), false), 1_000_000);
    }

    #[test]
    fn a_line_without_a_date_happened_now() {
        assert_eq!(judged(None, true), 1_000_000);
        assert_eq!(judged(None, false), 1_000_000);
    }
}
