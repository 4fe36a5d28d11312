//! Where the last day of a log begins whose lines show a time of day and no date.
//!
//! Such a line says the same every day at that time. Read from the beginning, a log of two days would accuse today
//! whoever failed yesterday at this time. Backwards from the end, every step over midnight shows.

use std::collections::VecDeque;
use std::io;

use memchr::{memchr_iter, memrchr};

use super::body::Body;
use crate::engine::Duration;
use crate::engine::layout::time_of_day;

/// Lines of this age, and older ones, are of another day. Less than a day: clocks differ a little, and so do the
/// times of neighbouring lines.
const MOST: i64 = (24 * 60 - 10) * 60_000;
/// A time of day that lies further behind the one before it is one after midnight. Threads write out of order, and
/// in autumn clocks go back by an hour.
const BACK: i64 = 65 * 60_000;
const DAY: i64 = 24 * 60 * 60_000;
/// Bytes read at once.
const BLOCK: usize = 64 * 1024;
/// Enough of a line to see its time.
const PREFIX: usize = 256;
/// When so many bytes show no time of day, the log's lines have dates or nothing.
const TRIAL: u64 = 256 * 1024;

/// The place in the text between `from` and `size` where its last day begins, `quiet` after the last line was written;
/// `None`: all of it is of that day, or its lines are not of this kind.
pub(super) fn last_day(body: &mut Body, from: u64, size: u64, quiet: Duration) -> io::Result<Option<u64>> {
    let mut age = i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX);
    let mut after: Option<i64> = None;
    let mut buffer = vec![0; BLOCK + PREFIX];
    // Every line that begins there or later has been looked at.
    let mut known = size;
    let mut day = size;
    while known > from {
        let block = known.saturating_sub(BLOCK as u64).max(from);
        let n = body.read_at(block, &mut buffer)?;
        let text = buffer.get(..n).unwrap_or_default();
        let mut open = usize::try_from(known - block).unwrap_or(n).min(n);
        loop {
            let newline = memrchr(b'\n', text.get(..open.saturating_sub(1)).unwrap_or_default());
            let start = match newline {
                Some(i) => i + 1,
                None if block == from => 0,
                None => break,
            };
            let line = text.get(start..n.min(start + PREFIX)).unwrap_or_default();
            if let Some(time) = time_of_day(line) {
                let back = after.map_or(0, |after| after - time);
                age = age.saturating_add(if back < -BACK { back + DAY } else { back });
                if age >= MOST {
                    return Ok(Some(day));
                }
                after = Some(time);
                day = block + start as u64;
            }
            if newline.is_none() {
                return Ok(None);
            }
            open = start;
        }
        known = block + 1;
        if after.is_none() && size - known > TRIAL {
            return Ok(None);
        }
    }
    Ok(None)
}

/// As [`last_day`], for a text that can only be read forwards, and to its end.
pub(super) fn last_day_forwards(body: &mut Body, from: u64, quiet: Duration) -> io::Result<Option<u64>> {
    let mut days = Days::default();
    let mut buffer = vec![0; BLOCK + PREFIX];
    let mut at = from;
    loop {
        let n = body.read_at(at, &mut buffer)?;
        let text = buffer.get(..n).unwrap_or_default();
        // Lines that begin before this have enough of them in the buffer.
        let enough = if n < buffer.len() { n } else { BLOCK };
        let begin = if at == from { Some(0) } else { None };
        let newlines = memchr_iter(b'\n', text.get(..enough.saturating_sub(1)).unwrap_or_default());
        for start in begin.into_iter().chain(newlines.map(|newline| newline + 1)) {
            let line = text.get(start..n.min(start + PREFIX)).unwrap_or_default();
            if let Some(time) = time_of_day(line) {
                days.line(time, at + start as u64);
            }
        }
        if n < buffer.len() {
            return Ok(days.begin_of_last(quiet, at + n as u64));
        }
        // The last byte again: a newline there begins the next line.
        at += BLOCK as u64 - 1;
        if days.last.is_none() && at - from > TRIAL {
            return Ok(None);
        }
    }
}

/// Where lines of the last day stand, one for each minute.
#[derive(Default)]
struct Days {
    /// Milliseconds since the first midnight, and places.
    minutes: VecDeque<(i64, u64)>,
    /// The time of the last line.
    last: Option<i64>,
    /// Whether a line was of another day than the last.
    passed: bool,
}

impl Days {
    fn line(&mut self, time: i64, place: u64) {
        let now = match self.last {
            None => time,
            Some(last) => {
                let step = time - last.rem_euclid(DAY);
                last + if step < -BACK { step + DAY } else { step }
            }
        };
        self.last = Some(now);
        if self.minutes.back().is_none_or(|(before, _)| now - before >= 60_000) {
            self.minutes.push_back((now, place));
        }
        self.forget(now, 0);
    }

    fn forget(&mut self, now: i64, quiet: i64) {
        while self.minutes.front().is_some_and(|(time, _)| quiet.saturating_add(now - time) >= MOST) {
            self.minutes.pop_front();
            self.passed = true;
        }
    }

    fn begin_of_last(mut self, quiet: Duration, end: u64) -> Option<u64> {
        self.forget(self.last?, i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX));
        self.passed.then(|| self.minutes.front().map_or(end, |(_, place)| *place))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Write as _;

    use super::*;

    /// A log with a line at each of these minutes, counted from some midnight, with lines of another kind between.
    fn log(minutes: impl Iterator<Item = i64>, filler: usize) -> String {
        minutes.fold(String::new(), |mut text, at| {
            let (hour, minute) = (at / 60 % 24, at % 60);
            write!(text, "{hour:02}:{minute:02}:00.000 [INFO ] o.a.j.X - at {at}\n\tat a.b.C\n").unwrap();
            if filler > 0 {
                writeln!(text, "{}", "y".repeat(filler)).unwrap();
            }
            text
        })
    }

    fn found(text: &str, from: u64, quiet: u64) -> Option<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut body = Body::open(file.path()).unwrap().0;
        let quiet = Duration::from_secs(quiet * 60);
        let place = last_day(&mut body, from, text.len() as u64, quiet).unwrap();
        let mut again = Body::open(file.path()).unwrap().0;
        let forwards = last_day_forwards(&mut again, from, quiet).unwrap();
        assert_eq!(forwards, place, "forwards as well");
        let place = place?;
        let rest = &text[usize::try_from(place).unwrap()..];
        Some(rest.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn the_same_time_of_yesterday_is_passed_over() {
        for filler in [0, 10, 3000, 63_000, 65_500, 65_536, 70_000] {
            // Three days, a line every 20 minutes.
            let text = log((0..216).map(|n| 600 + n * 20), filler);
            let last = 600 + 215 * 20;
            let wanted = format!("at {}", last - 24 * 60 + 20);
            let found = found(&text, 0, 0).unwrap();
            assert!(found.ends_with(&wanted), "{filler}: {found} is not {wanted}");
        }
    }

    #[test]
    fn a_log_of_one_day_is_read_whole() {
        assert_eq!(found(&log((0..71).map(|n| 600 + n * 20), 0), 0, 0), None);
        assert_eq!(found("", 0, 0), None);
        assert_eq!(found("2026-11-22 10:00:00.000 [INFO ] x - y\n", 0, 0), None);
    }

    #[test]
    fn a_log_that_was_not_written_for_a_day_is_passed_over_whole() {
        assert_eq!(found(&log((0..10).map(|n| 600 + n), 0), 0, 24 * 60), Some(String::new()));
    }

    #[test]
    fn what_was_read_before_is_not_looked_at_again() {
        let text = log((0..216).map(|n| 600 + n * 20), 0);
        let half = log((0..170).map(|n| 600 + n * 20), 0).len() as u64;
        assert_eq!(found(&text, half, 0), None);
    }

    #[test]
    fn lines_out_of_order_and_the_end_of_summer_time_are_no_midnight() {
        let minutes = (0..30).flat_map(|n| [600 + n * 2 + 1, 600 + n * 2]).chain(601..660).chain(600..700);
        assert_eq!(found(&log(minutes, 0), 0, 0), None);
    }
}
