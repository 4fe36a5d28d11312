//! James' own console and file layout, `%d{HH:mm:ss.SSS} %highlight([%-5level]) %logger{15} - %msg`, with or without
//! colours.

use memchr::memchr;

use crate::engine::civil::{Civil, fraction, pair};
use crate::engine::dates::most_recent;
use crate::engine::{Event, ReadClock};

use super::ansi::after_colours;

/// The fields of a line.
pub(crate) struct Line<'a> {
    time: Civil,
    level: &'a str,
    logger: &'a str,
    message: &'a str,
}

impl<'a> Line<'a> {
    /// Takes a line apart. Everything before the message is fixed in form and free of blanks, so that no message can
    /// move it.
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        let (time, rest) = clock(line)?;
        let rest = after_colours(rest.strip_prefix(' ')?).strip_prefix('[')?;
        let (level, rest) = level(rest)?;
        let rest = after_colours(rest.strip_prefix(']')?).strip_prefix(' ')?;
        let (logger, rest) = rest.split_at_checked(memchr(b' ', rest.as_bytes())?)?;
        let rest = rest.strip_prefix(' ')?;
        let message = rest.strip_prefix("- ")?;
        if logger.is_empty() || !is_logger(logger) {
            return None;
        }
        Some(Self { time, level, logger, message })
    }

    /// The event, its time of day being the most recent one.
    pub(crate) fn event(self, clock: ReadClock<'_>) -> Event<'a> {
        Event {
            time: Some(most_recent(self.time, clock)),
            level: self.level,
            logger: self.logger.into(),
            message: self.message.into(),
            ..Event::default()
        }
    }
}

/// The time of day, in milliseconds, of a line that has this layout; its beginning is enough.
#[must_use]
pub fn time_of_day(line: &[u8]) -> Option<i64> {
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let whole = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = match std::str::from_utf8(whole) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(whole.get(..error.valid_up_to())?).ok()?,
    };
    Some(Line::read(text)?.time.as_utc_micros() / 1000)
}

fn clock(line: &str) -> Option<(Civil, &str)> {
    let ([h1, h2, b':', m1, m2, b':', s1, s2, b'.' | b',', f1, f2, f3], _) =
        line.as_bytes().split_first_chunk::<12>()?
    else {
        return None;
    };
    let (micros, 3) = fraction(&[*f1, *f2, *f3]) else { return None };
    let time = Civil {
        year: 1970,
        month: 1,
        day: 1,
        hour: pair(*h1, *h2)?,
        minute: pair(*m1, *m2)?,
        second: pair(*s1, *s2)?,
        micros,
    };
    Some((time.checked()?, line.get(12..)?))
}

/// A level padded to five letters, and what follows the padding.
pub(crate) fn level(text: &str) -> Option<(&str, &str)> {
    let (padded, rest) = text.split_at_checked(5)?;
    let level = padded.trim_end_matches(' ');
    matches!(level, "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR").then_some((level, rest))
}

/// Whether there are only characters of logger names: no blank and nothing that could end the field. Looks at all of
/// them whatever the first ones are, many at a time.
pub(crate) fn is_logger(text: &str) -> bool {
    text.bytes().fold(true, |all, byte| all & (byte.is_ascii_graphic() | !byte.is_ascii()))
}
