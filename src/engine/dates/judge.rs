//! Which time counts (DESIGN §5, Time).

use std::time::Duration;

use crate::engine::{ReadClock, Timestamp};

/// A date further off than this in a line that was just appended is a wrong clock, not an old line.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The time that counts for a line in which `found` was read.
///
/// A line appended while the reader stood at the end of the file happened now when it has no date, or one that is more
/// than 60 s off. No line counts later than it can have been written ([`ReadClock::newest`]): else it could count
/// before it happened and lengthen a sentence, or, read again, count after a pardon that was given since.
#[must_use]
pub fn judge(found: Option<Timestamp>, clock: ReadClock<'_>) -> Timestamp {
    match found {
        Some(time) if clock.live && time.distance(clock.now) > TOLERANCE => clock.now,
        Some(time) => time.min(clock.newest),
        None => clock.newest,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn judged(found: Option<i64>, live: bool) -> i64 {
        judged_of(found, live, 1_000_000)
    }

    fn judged_of(found: Option<i64>, live: bool, newest: i64) -> i64 {
        let (now, newest) = (Timestamp::from_secs(1_000_000), Timestamp::from_secs(newest));
        let clock = ReadClock { now, live, newest, zone: &TimeZone::UTC };
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

    #[test]
    fn nothing_was_written_after_the_file_was() {
        assert_eq!(judged_of(None, false, 990_000), 990_000);
        assert_eq!(judged_of(Some(1_000_030), false, 990_000), 990_000);
        assert_eq!(judged_of(Some(990_001), false, 990_000), 990_000);
        assert_eq!(judged_of(Some(989_999), false, 990_000), 989_999);
    }
}
