//! The `%` directives of date patterns: what text each takes, and what that text says.

use crate::engine::civil::fraction;

use super::fields::Fields;
use super::zone;

/// One directive, or one of the numbers that stand for a whole date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour24,
    Hour12,
    Half,
    Minute,
    Second,
    Fraction,
    Zone,
    /// Taken and not needed: week days, week numbers.
    Ignored,
    /// Seconds since the epoch, with an optional fraction.
    Epoch,
    /// Seconds, milliseconds or microseconds since the epoch, told by the number of digits.
    LongEpoch,
    /// `@` and 24 hexadecimal digits (TAI64N).
    Tai64n,
}

const WEEK_DAYS: &str = "sun|mon|tue|wed|thu|fri|sat";
const WEEK_DAY_NAMES: &str = "sunday|monday|tuesday|wednesday|thursday|friday|saturday";
const MONTHS: &str = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
const MONTH_NAMES: &str =
    "january|february|march|april|may|june|july|august|september|october|november|december";
pub(crate) const EPOCH: &str = r"[0-9]{10,11}\b(?:\.[0-9]{3,6})?";
pub(crate) const LONG_EPOCH: &str = r"[0-9]{10,11}(?:[0-9]{3}(?:\.[0-9]{1,6}|[0-9]{3})?)?";
pub(crate) const TAI64N: &str = "@[0-9a-f]{24}";

/// How a directive is spelt in a pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spelling {
    /// What it means.
    pub(crate) directive: Directive,
    /// Blanks that may stand before it and are no part of the value.
    pub(crate) before: &'static str,
    /// Regular expression of its text.
    pub(crate) regex: &'static str,
    /// Whether the pattern ignores case when this is in it.
    pub(crate) alphabetic: bool,
}

/// The directive after `%`, and how many bytes of `text` (without the `%`) its name takes.
pub(crate) fn named(text: &str) -> Option<(Spelling, usize)> {
    use Directive as D;
    let (name, exact, length) = match text.strip_prefix("Ex").and_then(|rest| rest.chars().next()) {
        Some(name) if matches!(name, 'Y' | 'y' | 'm' | 'd' | 'H' | 'k' | 'l' | 'M' | 'S' | 'z' | 'Z') => {
            (name, true, 3)
        }
        _ => {
            let name = text.chars().next()?;
            (name, false, name.len_utf8())
        }
    };
    let (directive, before, regex) = match (name, exact) {
        // Only this century: a number elsewhere in the line is less likely to be taken for a year.
        ('Y', true) => (D::Year, "", "20[0-9]{2}"),
        ('Y', false) => (D::Year, "", "[0-9]{4}"),
        ('y', _) => (D::ShortYear, "", "[0-9]{2}"),
        ('m', true) => (D::Month, "", "0[1-9]|1[0-2]"),
        ('m', false) => (D::Month, "", "0?[1-9]|1[0-2]"),
        ('d', true) => (D::Day, "", "[12][0-9]|0[1-9]|3[01]"),
        ('d', false) => (D::Day, "", "[12][0-9]|[0 ]?[1-9]|3[01]"),
        ('H', true) => (D::Hour24, "", "[01][0-9]|2[0-3]"),
        ('H', false) => (D::Hour24, "", "[01]?[0-9]|2[0-3]"),
        ('k', true) => (D::Hour24, " ?", "[01]?[0-9]|2[0-3]"),
        ('k', false) => (D::Hour24, " ?", "[0-2]?[0-9]"),
        ('l', true) => (D::Hour12, " ?", "1[0-2]|[0-9]"),
        ('l', false) => (D::Hour12, " ?", "1?[0-9]"),
        ('I', _) => (D::Hour12, "", "1[0-2]|0[1-9]|[1-9]"),
        ('M', true) => (D::Minute, "", "[0-5][0-9]"),
        ('M', false) => (D::Minute, "", "[0-5]?[0-9]"),
        ('S', true) => (D::Second, "", "[0-5][0-9]|6[01]"),
        ('S', false) => (D::Second, "", "[0-5]?[0-9]|6[01]"),
        ('f', _) => (D::Fraction, "", "[0-9]{1,6}"),
        ('p', _) => (D::Half, "", "am|pm"),
        ('b', _) => (D::MonthName, "", MONTHS),
        ('B', _) => (D::MonthName, "", MONTH_NAMES),
        ('a', _) => (D::Ignored, "", WEEK_DAYS),
        ('A', _) => (D::Ignored, "", WEEK_DAY_NAMES),
        ('j', _) => {
            (D::DayOfYear, "", "36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]")
        }
        ('w', _) => (D::Ignored, "", "[0-6]"),
        ('U' | 'W', _) => (D::Ignored, "", "5[0-3]|[0-4][0-9]|[0-9]"),
        ('z', true) => {
            (D::Zone, "", "(?:[A-Z](?:[A-Z]{2,4})?)?[+-][01][0-9](?::?[0-9]{2})?|[A-Z](?:[A-Z]{2,4})?")
        }
        ('z', false) => (D::Zone, "", "Z|UTC|GMT|[+-][01][0-9](?::?[0-9]{2})?"),
        ('Z', true) => (D::Zone, "", "[A-Z](?:[A-Z]{2,4})?"),
        ('Z', false) => (D::Zone, "", "Z|[A-Z]{3,5}"),
        _ => return None,
    };
    let alphabetic = !exact && matches!(name, 'a' | 'A' | 'b' | 'B' | 'p');
    Some((Spelling { directive, before, regex, alphabetic }, length))
}

/// The directive of a named group that a pattern spells out itself, `(?P<Y>…)`.
pub(crate) fn of_group(name: &str) -> Option<Directive> {
    let mut chars = name.chars();
    let directive = named(chars.next()?.encode_utf8(&mut [0; 4]))?.0.directive;
    chars.next().is_none().then_some(directive)
}

impl Directive {
    /// Puts what `text` says into `fields`. `None` when it says nothing that exists.
    pub(crate) fn read(self, text: &str, fields: &mut Fields) -> Option<()> {
        match self {
            Self::Year => fields.year = Some(text.parse().ok()?),
            Self::ShortYear => fields.year = Some(2000 + text.parse::<i16>().ok()?),
            Self::Month => fields.month = Some(text.parse().ok()?),
            Self::MonthName => fields.month = Some(month(text.as_bytes())?),
            Self::Day => fields.day = Some(text.trim_start().parse().ok()?),
            Self::DayOfYear => fields.day_of_year = Some(text.parse().ok()?),
            Self::Hour24 => fields.hour = text.parse().ok()?,
            Self::Hour12 => {
                fields.hour = text.parse().ok()?;
                // Without `%p` it is before noon.
                fields.half = fields.half.or(Some(false));
            }
            Self::Half => fields.half = Some(text.as_bytes().first()?.eq_ignore_ascii_case(&b'p')),
            Self::Minute => fields.minute = text.parse().ok()?,
            Self::Second => fields.second = text.parse().ok()?,
            Self::Fraction => fields.micros = fraction(text.as_bytes()).0,
            // A zone that is not known is the reader's.
            Self::Zone => fields.offset = zone::offset(text),
            Self::Ignored => {}
            Self::Epoch => fields.epoch = Some(epoch(text)?),
            Self::LongEpoch => fields.epoch = Some(long_epoch(text)?),
            Self::Tai64n => fields.epoch = Some(tai64n(text)?),
        }
        Some(())
    }
}

/// 1 to 12, by the first three letters.
pub(crate) fn month(name: &[u8]) -> Option<u8> {
    let head = name.first_chunk::<3>()?.map(|b| b.to_ascii_lowercase());
    let at = MONTHS.as_bytes().chunks(4).position(|m| m.starts_with(&head))?;
    u8::try_from(at + 1).ok()
}

/// Seconds with an optional fraction, as microseconds.
fn epoch(text: &str) -> Option<i64> {
    let (seconds, digits) = text.split_once('.').unwrap_or((text, ""));
    let micros = i64::from(fraction(digits.as_bytes()).0);
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}

fn long_epoch(text: &str) -> Option<i64> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        ..13 => epoch(text),
        13..16 => number.checked_mul(1000)?.checked_add(i64::from(fraction(digits.as_bytes()).0 / 1000)),
        _ => Some(number),
    }
}

/// The label's first 16 digits are 2^62 plus TAI seconds. Whoever writes it without a table of leap seconds adds
/// ten seconds to the epoch, as tai64n(8) does.
fn tai64n(text: &str) -> Option<i64> {
    let seconds = i64::from_str_radix(text.get(2..17)?, 16).ok()?.checked_sub(10)?;
    let nanos = i64::from_str_radix(text.get(17..25)?, 16).ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(nanos / 1000)
}
