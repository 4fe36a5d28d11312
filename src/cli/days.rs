//! On which day each line of a log was written whose lines bear the time of day only, as those of James' own console.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use jiff::tz::TimeZone;

use crate::engine::Timestamp;
use crate::engine::dates::second_of_day;

/// So many places of a log are looked at first, so that a large one costs little.
const PLACES: u64 = 2_048;
/// Where the time goes back by more seconds a new day began; by less, lines were late or summer time ended.
const BACK: u32 = 2 * 3_600;
/// The next line is looked for within so many bytes.
const NEAR: usize = 4_096;

/// Half a day. The engine takes a time of day for the last one before the moment at which a line was written, and one a
/// little behind that moment for a clock that is ahead: with half a day between, neither is mistaken for the other.
const NOON: u32 = 12 * 3_600;

/// A part of a log that was written within half a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The offset behind its last byte.
    pub(super) end: u64,
    /// When its last line was written, at the latest.
    pub(super) written: Timestamp,
}

/// A log of which nothing more is known than when it was written.
pub(super) fn whole(written: Timestamp) -> Vec<Part> {
    vec![Part { end: u64::MAX, written }]
}

/// The parts of a log whose last line was written at `written` at the latest. One whose lines bear dates, or none, is
/// one part. Days on which nothing was written cannot be seen.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn parts(log: &File, written: Timestamp, zone: &TimeZone) -> io::Result<Vec<Part>> {
    let (bounds, last) = bounds(log, log.metadata()?.len())?;
    let Ok(now) = jiff::Timestamp::from_microsecond(written.as_micros()) else { return Ok(whole(written)) };
    let now = now.to_zoned(zone.clone());
    let second = now.time().duration_since(jiff::civil::Time::midnight()).as_secs();
    let mut date = now.date();
    if i64::from(last) > second {
        date = date.yesterday().unwrap_or(date);
    }
    let mut parts = whole(written);
    for bound in bounds.iter().rev() {
        if bound.new_day {
            date = date.yesterday().unwrap_or(date);
        }
        let end = if bound.before < NOON { date.at(12, 0, 0, 0) } else { date.at(23, 59, 59, 999_999_999) };
        let written = end.to_zoned(zone.clone()).map_or(written, |end| end.timestamp().into());
        parts.push(Part { end: bound.at, written });
    }
    parts.reverse();
    Ok(parts)
}

/// Where a new half of a day begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    /// The offset of its first line.
    at: u64,
    /// Whether it is the first half of another day, or the second of the same.
    new_day: bool,
    /// The second of the day until which the half before it went.
    before: u32,
}

/// The hand of the log's clock: its second of the day, and lines that are a little late do not move it back.
#[derive(Clone, Copy)]
struct Hand(u32);

impl Hand {
    /// Goes on to the next line. Whether that begins a new half of a day, and of another day.
    fn go_on(&mut self, second: u32) -> Option<bool> {
        let Self(before) = *self;
        if second > before {
            // Somebody was late at midnight.
            if second - before > 24 * 3_600 - BACK {
                return None;
            }
            *self = Self(second);
            (before < NOON && second >= NOON).then_some(false)
        } else if second + BACK < before {
            *self = Self(second);
            Some(true)
        } else {
            None
        }
    }
}

/// Every half of a day but the first, and the last time of day, in seconds.
fn bounds(log: &File, size: u64) -> io::Result<(Vec<Bound>, u32)> {
    let mut found = Vec::new();
    let Some((mut at, second)) = next(log, 0)? else { return Ok((found, 0)) };
    let mut hand = Hand(second);
    for place in 1..=PLACES {
        let to = u128::from(size) * u128::from(place) / u128::from(PLACES);
        let to = if place == PLACES { None } else { next(log, u64::try_from(to).unwrap_or(size))? };
        let mut there = hand;
        if let Some((there_at, second)) = to
            && there.go_on(second).is_none()
        {
            (at, hand) = (there_at, there);
            continue;
        }
        // Something began on the way, or this is the end.
        while let Some((here, second)) =
            next(log, at + 1)?.filter(|(here, _)| to.is_none_or(|(to, _)| *here <= to))
        {
            let before = hand.0;
            if let Some(new_day) = hand.go_on(second) {
                found.push(Bound { at: here, new_day, before });
            }
            at = here;
        }
    }
    Ok((found, hand.0))
}

/// The first line with a time of day that begins at this offset or soon behind it: where, and its second of the day.
fn next(log: &File, from: u64) -> io::Result<Option<(u64, u32)>> {
    // The byte before tells whether a line begins here.
    let start = from.saturating_sub(1);
    let mut near = [0; NEAR];
    let read = log.read_at(&mut near, start)?;
    let near = near.get(..read).unwrap_or_default();
    let mut line = if from == 0 { Some(0) } else { memchr::memchr(b'\n', near).map(|newline| newline + 1) };
    while let Some(at) = line {
        let rest = near.get(at..).unwrap_or_default();
        if let Some(second) = second_of_day(rest) {
            return Ok(Some((start + at as u64, second)));
        }
        line = memchr::memchr(b'\n', rest).map(|newline| at + newline + 1);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Write as _;

    use super::*;

    /// The parts of a log that was written until this moment, each as its first line and when it was written.
    fn shown(log: &str, written: &str) -> Vec<(String, String)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(log.as_bytes()).unwrap();
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let written: jiff::Timestamp = written.parse().unwrap();
        let mut from = 0;
        let parts = parts(&file, written.into(), &zone).unwrap();
        let show = |part: &Part| {
            let line = log[from..].lines().next().unwrap_or_default().to_owned();
            from = usize::try_from(part.end).unwrap_or(log.len()).min(log.len());
            let written = jiff::Timestamp::from_microsecond(part.written.as_micros()).unwrap();
            (line, written.to_zoned(zone.clone()).strftime("%d %T").to_string())
        };
        parts.iter().map(show).collect()
    }

    fn pair(line: &str, written: &str) -> (String, String) {
        (line.to_owned(), written.to_owned())
    }

    #[test]
    fn every_half_of_a_day_is_a_part_and_the_last_line_is_of_the_day_of_the_file() {
        let log = "00:00:05.000 a\n\tat b\n11:00:00.000 b\n12:00:00.000 c\n11:59:59.000 late\n23:59:59.000 d\n\
                   00:00:01.000 e\n23:59:58.000 late\n09:00:00.000 f\n08:00:00.000 late\n06:00:00.000 g\n";
        let days = [
            pair("00:00:05.000 a", "18 12:00:00"),
            pair("12:00:00.000 c", "18 23:59:59"),
            pair("00:00:01.000 e", "19 12:00:00"),
        ];
        // 10:00 in Paris, of the day on which the last line was written.
        let today = pair("06:00:00.000 g", "20 10:00:00");
        assert_eq!(shown(log, "2026-11-20T09:00:00Z"), [&days[..], &[today]].concat());
        // 05:30 in Paris: 06:00 was yesterday.
        let written = shown(log, "2026-11-21T04:30:00Z").into_iter().map(|(_, written)| written);
        assert_eq!(written.collect::<Vec<_>>(), ["18 12:00:00", "18 23:59:59", "19 12:00:00", "21 05:30:00"]);
    }

    #[test]
    fn the_hour_that_comes_twice_and_lines_with_dates_begin_no_day() {
        let autumn = "02:59:59.000 a\n02:00:00.000 b\n";
        assert_eq!(shown(autumn, "2026-10-25T03:00:00Z").len(), 1);
        assert_eq!(shown("2026-11-19 23:00:00 a\n2026-11-20 01:00:00 b\n", "2026-11-20T09:00:00Z").len(), 1);
        assert_eq!(shown("", "2026-11-20T09:00:00Z").len(), 1);
    }

    #[test]
    fn in_a_large_log_the_first_line_of_every_half_of_a_day_is_found() {
        let mut log = String::new();
        let mut first = Vec::new();
        for day in 0..5 {
            for second in (0..86_400).step_by(7) {
                if second == 0 || second == 43_204 {
                    first.push((log.len() as u64, second == 0));
                }
                let (hour, minute) = (second / 3600, second / 60 % 60);
                writeln!(
                    log,
                    "{hour:02}:{minute:02}:{:02}.{day:03} [INFO ] some.logger - day {day}",
                    second % 60
                )
                .unwrap();
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(log.as_bytes()).unwrap();
        assert!(log.len() as u64 / PLACES > 1_000);
        let (found, last) = bounds(&file, log.len() as u64).unwrap();
        assert_eq!(found.iter().map(|bound| (bound.at, bound.new_day)).collect::<Vec<_>>(), first[1..]);
        assert_eq!(last, 86_394);
    }
}
