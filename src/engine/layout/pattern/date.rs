//! Java's date formats (`SimpleDateFormat`, `DateTimeFormatter`) as readers.

use jiff::tz::{Offset, TimeZone};

use crate::engine::civil::{fraction, pair};
use crate::engine::dates::{DateFields, month, zone_offset};
use crate::engine::{ReadClock, Timestamp};

use super::PatternError;

/// A compiled format and the zone its dates are in when they name none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DateFormat {
    parts: Vec<Part>,
    zone: Option<TimeZone>,
    /// Whether it tells both the day and the time of day.
    whole: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// This very text.
    Literal(String),
    /// One of these characters.
    OneOf(&'static [u8]),
    Year,
    ShortYear,
    /// Least number of digits, 1 or 2; never more than 2.
    Month(usize),
    MonthName,
    Day(usize),
    DayOfYear,
    Hour24(usize),
    Hour12(usize),
    Half,
    Minute(usize),
    Second(usize),
    /// Exactly so many digits.
    Fraction(usize),
    WeekDay,
    Zone,
    Epoch,
    EpochMillis,
}

/// `ISO8601` of logback has a blank between date and time, that of log4j2 a `T`.
const ISO_8601: &str = "yyyy-MM-dd\u{1}HH:mm:ss\u{2}SSS";

impl DateFormat {
    /// The format of `%d` with its options.
    pub(crate) fn new(options: &[String], position: usize) -> Result<Self, PatternError> {
        let (format, zone) = arguments(options);
        let format = match format.as_str() {
            "" | "ISO8601" | "DEFAULT" | "STRICT" => ISO_8601,
            "ABSOLUTE" => "HH:mm:ss,SSS",
            "DATE" => "dd MMM yyyy HH:mm:ss,SSS",
            "COMPACT" => "yyyyMMddHHmmssSSS",
            "ISO8601_BASIC" => "yyyyMMdd'T'HHmmss,SSS",
            "ISO8601_PERIOD" => "yyyy-MM-dd'T'HH:mm:ss.SSS",
            "ISO8601_PERIOD_MICROS" => "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
            "DEFAULT_PERIOD" => "yyyy-MM-dd HH:mm:ss.SSS",
            "DEFAULT_MICROS" => "yyyy-MM-dd HH:mm:ss,SSSSSS",
            "DEFAULT_NANOS" => "yyyy-MM-dd HH:mm:ss,SSSSSSSSS",
            "ABSOLUTE_PERIOD" => "HH:mm:ss.SSS",
            "ABSOLUTE_MICROS" => "HH:mm:ss,SSSSSS",
            "ABSOLUTE_NANOS" => "HH:mm:ss,SSSSSSSSS",
            "ISO8601_OFFSET_DATE_TIME_HH" => "yyyy-MM-dd'T'HH:mm:ss,SSSX",
            "ISO8601_OFFSET_DATE_TIME_HHMM" | "ISO8601_OFFSET_DATE_TIME_HHCMM" => {
                "yyyy-MM-dd'T'HH:mm:ss,SSSXXX"
            }
            "UNIX" => "\u{3}",
            "UNIX_MILLIS" => "\u{4}",
            format => format,
        };
        let parts = parts(format, position)?;
        let zone = match zone {
            Some(name) => Some(named_zone(&name).ok_or(PatternError::UnknownZone { zone: name, position })?),
            None => None,
        };
        let has = |wanted: fn(&Part) -> bool| parts.iter().any(wanted);
        let whole = has(|part| matches!(part, Part::Epoch | Part::EpochMillis))
            || has(|part| matches!(part, Part::Day(_) | Part::DayOfYear))
                && has(|part| matches!(part, Part::Hour24(_) | Part::Hour12(_)));
        Ok(Self { parts, zone, whole })
    }

    /// Reads a date at the start of `text` into `fields`: how many bytes it takes.
    pub(crate) fn read(&self, text: &str, fields: &mut DateFields) -> Option<usize> {
        let mut at = 0;
        for part in &self.parts {
            let rest = text.get(at..)?;
            at += part.read(rest, fields)?;
        }
        Some(at)
    }

    /// Whether it tells both the day and the time of day.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The point in time of what was read.
    pub(crate) fn time(&self, fields: DateFields, clock: ReadClock<'_>) -> Option<Timestamp> {
        match &self.zone {
            Some(zone) => fields.resolve(ReadClock { zone, ..clock }),
            None => fields.resolve(clock),
        }
    }

    /// A regular expression that takes what [`DateFormat::read`] takes, and perhaps more.
    pub(crate) fn regex(&self) -> String {
        self.parts.iter().map(Part::regex).collect()
    }
}

/// Format and zone. In logback both are in one pair of braces, parted by a comma, quoted or not; in log4j2 each has
/// its own, and a comma belongs to the format.
fn arguments(options: &[String]) -> (String, Option<String>) {
    let Some(first) = options.first() else { return (String::new(), None) };
    let first = first.trim();
    let (format, rest) = match first.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((format, rest)) => (format.to_owned(), rest.trim().strip_prefix(',').unwrap_or("")),
        None => match first.split_once(',') {
            // `HH:mm:ss,SSS` and `EEE, d MMM yyyy` go on after the comma; no zone is made of these letters alone.
            Some((_, rest)) if is_format(rest) => (first.to_owned(), ""),
            Some((format, rest)) => (format.trim().to_owned(), rest),
            None => (first.to_owned(), ""),
        },
    };
    // logback's third argument is the language.
    let zone = rest.split(',').next().unwrap_or("").trim().trim_matches('"');
    let zone = if zone.is_empty() { options.get(1).map_or("", |zone| zone.trim()) } else { zone };
    (format, (!zone.is_empty()).then(|| zone.to_owned()))
}

fn is_format(text: &str) -> bool {
    let letters = || text.bytes().filter(u8::is_ascii_alphabetic);
    letters().count() > 0 && (text.contains('\'') || letters().all(|b| b"yuMLdDHhmsSnEaZXxz".contains(&b)))
}

/// `UTC`, `GMT+2`, `+02:00`, `CET`, `Europe/Berlin`.
fn named_zone(name: &str) -> Option<TimeZone> {
    let plain = name.strip_prefix("Etc/").unwrap_or(name);
    let mut plain = plain.strip_prefix("GMT").filter(|rest| !rest.is_empty()).unwrap_or(plain).to_owned();
    if plain.len() == 2 {
        // Java takes hours of one digit.
        plain.insert(1, '0');
    }
    if let Some(seconds) = zone_offset(&plain) {
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

fn parts(format: &str, position: usize) -> Result<Vec<Part>, PatternError> {
    let mut parts = Vec::new();
    let mut chars = format.chars().peekable();
    let mut literal = String::new();
    while let Some(c) = chars.next() {
        if c == '\'' {
            quoted(&mut chars, &mut literal);
            continue;
        }
        if !c.is_ascii_alphabetic() && c > '\u{4}' {
            literal.push(c);
            continue;
        }
        let mut count = 1;
        while chars.next_if_eq(&c).is_some() {
            count += 1;
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(part(c, count).ok_or_else(|| PatternError::UnknownDateLetter {
            letter: c,
            format: format.to_owned(),
            position,
        })?);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// Text between quotes; two quotes are one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, literal: &mut String) {
    if chars.next_if_eq(&'\'').is_some() {
        literal.push('\'');
        return;
    }
    while let Some(c) = chars.next() {
        if c != '\'' {
            literal.push(c);
        } else if chars.next_if_eq(&'\'').is_some() {
            literal.push('\'');
        } else {
            return;
        }
    }
}

fn part(letter: char, count: usize) -> Option<Part> {
    let digits = count.min(2);
    Some(match (letter, count) {
        ('y' | 'u', 2) => Part::ShortYear,
        ('y' | 'u', _) => Part::Year,
        ('M' | 'L', 1 | 2) => Part::Month(digits),
        ('M' | 'L', _) => Part::MonthName,
        ('d', _) => Part::Day(digits),
        ('D', _) => Part::DayOfYear,
        ('H', _) => Part::Hour24(digits),
        ('h', _) => Part::Hour12(digits),
        ('a', _) => Part::Half,
        ('m', _) => Part::Minute(digits),
        ('s', _) => Part::Second(digits),
        ('S' | 'n', 1..=9) => Part::Fraction(count),
        ('E', _) => Part::WeekDay,
        ('Z' | 'X' | 'x' | 'z' | 'V' | 'O', _) => Part::Zone,
        ('\u{1}', _) => Part::OneOf(b" T"),
        ('\u{2}', _) => Part::OneOf(b",."),
        ('\u{3}', _) => Part::Epoch,
        ('\u{4}', _) => Part::EpochMillis,
        _ => return None,
    })
}

impl Part {
    /// Reads the part at the start of `text`; how many bytes it takes.
    fn read(&self, text: &str, fields: &mut DateFields) -> Option<usize> {
        let bytes = text.as_bytes();
        match self {
            Self::Literal(literal) => return super::begins(text, literal).then_some(literal.len()),
            Self::OneOf(choices) => return choices.contains(bytes.first()?).then_some(1),
            Self::Year => {
                let (century, year) =
                    (pair(*bytes.first()?, *bytes.get(1)?)?, pair(*bytes.get(2)?, *bytes.get(3)?)?);
                fields.year = Some(i16::from(century) * 100 + i16::from(year));
                return Some(4);
            }
            Self::ShortYear => fields.year = Some(2000 + i16::from(pair(*bytes.first()?, *bytes.get(1)?)?)),
            Self::Month(least) => return number(bytes, *least, |n| fields.month = Some(n)),
            Self::Day(least) => return number(bytes, *least, |n| fields.day = Some(n)),
            Self::Hour24(least) => return number(bytes, *least, |n| fields.hour = n),
            Self::Hour12(least) => {
                fields.half = fields.half.or(Some(false));
                return number(bytes, *least, |n| fields.hour = n);
            }
            Self::Minute(least) => return number(bytes, *least, |n| fields.minute = n),
            Self::Second(least) => return number(bytes, *least, |n| fields.second = n),
            Self::DayOfYear => {
                let digits = bytes.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
                fields.day_of_year = Some(text.get(..digits)?.parse().ok()?);
                return Some(digits);
            }
            Self::Fraction(count) => {
                let (micros, digits) = fraction(bytes.get(..*count)?);
                fields.micros = micros;
                return (digits == *count).then_some(digits);
            }
            Self::MonthName => {
                fields.month = Some(month(bytes)?);
                return Some(letters(bytes));
            }
            Self::WeekDay => return Some(letters(bytes)).filter(|length| *length >= 2),
            Self::Half => {
                fields.half = Some(bytes.first()?.eq_ignore_ascii_case(&b'p'));
                return bytes.get(1)?.eq_ignore_ascii_case(&b'm').then_some(2);
            }
            Self::Zone => {
                let (offset, length) = zone(text)?;
                fields.offset = offset;
                return Some(length);
            }
            Self::Epoch | Self::EpochMillis => {
                let digits = bytes.iter().take(18).take_while(|b| b.is_ascii_digit()).count();
                let unit = if *self == Self::Epoch { 1_000_000 } else { 1000 };
                fields.epoch = Some(text.get(..digits)?.parse::<i64>().ok()?.checked_mul(unit)?);
                return Some(digits);
            }
        }
        Some(2)
    }

    fn regex(&self) -> String {
        let number = |least: &usize| if *least == 2 { "[0-9]{2}" } else { "[0-9]{1,2}" };
        match self {
            Self::Literal(literal) => regex_syntax::escape(literal),
            Self::OneOf(choices) => format!("[{}]", String::from_utf8_lossy(choices)),
            Self::Year => "[0-9]{4}".into(),
            Self::ShortYear => "[0-9]{2}".into(),
            Self::Month(n)
            | Self::Day(n)
            | Self::Hour24(n)
            | Self::Hour12(n)
            | Self::Minute(n)
            | Self::Second(n) => number(n).into(),
            Self::DayOfYear => "[0-9]{1,3}".into(),
            Self::Fraction(count) => format!("[0-9]{{{count}}}"),
            Self::MonthName | Self::WeekDay => "[A-Za-z]{2,9}".into(),
            Self::Half => "[AaPp][Mm]".into(),
            Self::Zone => "[A-Za-z0-9:+/_-]{1,32}".into(),
            Self::Epoch | Self::EpochMillis => "[0-9]{1,18}".into(),
        }
    }
}

/// `least` to two digits.
fn number(bytes: &[u8], least: usize, set: impl FnOnce(u8)) -> Option<usize> {
    match (bytes.first()?, bytes.get(1)) {
        (tens, Some(ones)) if ones.is_ascii_digit() => {
            set(pair(*tens, *ones)?);
            Some(2)
        }
        (ones, _) if least == 1 => {
            set(pair(b'0', *ones)?);
            Some(1)
        }
        _ => None,
    }
}

fn letters(bytes: &[u8]) -> usize {
    bytes.iter().take(9).take_while(|b| b.is_ascii_alphabetic()).count()
}

/// A zone in any of the forms of `Z`, `X`, `z` and `VV`. A name that is not known is the reader's zone.
fn zone(text: &str) -> Option<(Option<i32>, usize)> {
    let name =
        text.bytes().take(32).take_while(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'_')).count();
    let bytes = text.as_bytes();
    let mut end = name;
    if matches!(bytes.get(name), Some(b'+' | b'-')) {
        let digits = |at: usize| bytes.get(at..at + 2).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
        if digits(name + 1) {
            end = name + 3;
            if bytes.get(end) == Some(&b':') && digits(end + 1) {
                end += 3;
            } else if digits(end) {
                end += 2;
            }
        }
    }
    (end > 0).then(|| (text.get(..end).and_then(zone_offset), end))
}
