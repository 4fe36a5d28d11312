//! Finds the date in a line, as fail2ban does: the matched text is cut out and the rest is not trimmed, since its
//! filters count on what remains.

mod defaults;
mod directive;
mod fields;
mod iso;
mod judge;
mod pattern;
mod syslog;
mod template;
#[cfg(test)]
mod tests;
mod time_of_day;
mod zone;

use std::ops::Range;
use std::sync::Arc;

use super::{ReadClock, Timestamp};
use fields::Fields;
pub use judge::judge;
use template::{First, Hit, Template};

pub(crate) use directive::month;
pub(crate) use fields::{Fields as DateFields, most_recent};
pub(crate) use zone::offset as zone_offset;

/// The second of the day that a line begins with which bears the time of day only.
pub(crate) fn second_of_day(line: &[u8]) -> Option<u32> {
    let head = std::str::from_utf8(line.get(..9).unwrap_or(line)).ok()?;
    let (time, _) = time_of_day::at_start(head)?;
    Some(u32::from(time.hour) * 3_600 + u32::from(time.minute) * 60 + u32::from(time.second))
}

/// Why a date pattern was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DateError {
    /// A `%` with a letter that stands for no part of a date.
    #[error(
        "date pattern {pattern:?} has the unknown directive %{directive} at character {}; write %% for a percent sign", .position + 1
    )]
    UnknownDirective {
        /// The pattern.
        pattern: String,
        /// The character after the `%`.
        directive: String,
        /// Where, counted in characters from 0.
        position: usize,
    },
    /// A back-reference to anything but a group with a few punctuation characters in brackets.
    #[error(
        "date pattern {pattern:?} refers back to the group {name:?}; only a group like (?P<{name}>[-/.]) can be referred to"
    )]
    BackReference {
        /// The pattern.
        pattern: String,
        /// The group referred to.
        name: String,
    },
    /// The rest of the pattern is no regular expression of the linear kind.
    #[error("date pattern {pattern:?} is no regular expression that can be used: {reason}")]
    Regex {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
}

impl DateError {
    /// The same of the pattern as it was written.
    fn of(self, written: &str) -> Self {
        match self {
            Self::Regex { reason, .. } => Self::Regex { pattern: written.to_owned(), reason },
            other => other,
        }
    }
}

/// A date in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDate {
    /// The point in time. A date that does not exist, such as February 30th, counts as now.
    pub time: Timestamp,
    /// Bytes to cut out of the line; what remains is not trimmed.
    pub range: Range<usize>,
}

/// What was found in earlier lines of the same source. It makes finding faster and, where two forms fit a line, as
/// with `01-02-2012`, keeps to the one that fitted before.
#[derive(Clone, Debug, Default)]
pub struct DateMemory {
    last: Option<(usize, Range<usize>)>,
}

/// Finds dates of some forms.
#[derive(Debug)]
pub struct DateFinder {
    templates: Arc<[Template]>,
    /// The templates are the default ones, with everything known of them.
    default: bool,
}

impl DateMemory {
    /// The form of the last date, for [`DateFinder::form`].
    #[must_use]
    pub fn form(&self) -> Option<usize> {
        self.last.as_ref().map(|(index, _)| *index)
    }
}

impl DateFinder {
    /// The pattern of a form, with `{^LN-BEG}` in front where it is bound to the start of the line.
    #[must_use]
    pub fn form(&self, index: usize) -> Option<&str> {
        self.templates.get(index).map(|template| template.name.as_str())
    }

    /// A finder for fail2ban's `datepattern`s, tried in order; without any, for the default forms. `{^LN-BEG}`,
    /// `{DEFAULT}`, `{DATE}`, `{EPOCH}`, `{LEPOCH}`, `Epoch`, `LEpoch`, `TAI64N` and `{NONE}` are understood.
    ///
    /// # Errors
    ///
    /// [`DateError`] names the pattern and what is wrong in it.
    pub fn new(patterns: &[String]) -> Result<Self, DateError> {
        match patterns {
            [] => return Ok(Self { templates: defaults::templates(), default: true }),
            [only] if keyword(only) == "{DEFAULT}" => return Self::new(&[]),
            [only] if keyword(only) == "{^LN-BEG}" => {
                return Ok(Self { templates: defaults::templates_at_start(), default: true });
            }
            _ => {}
        }
        let mut templates = Vec::new();
        for pattern in patterns {
            add(pattern.trim(), &mut templates)?;
        }
        Ok(Self { templates: templates.into(), default: false })
    }

    /// The date of a line, when nothing is known of the lines before it.
    #[must_use]
    pub fn find(&self, line: &str, clock: ReadClock<'_>) -> Option<FoundDate> {
        self.find_next(&mut DateMemory::default(), line, clock)
    }

    /// The date of the next line of a source.
    #[must_use]
    pub fn find_next(&self, memory: &mut DateMemory, line: &str, clock: ReadClock<'_>) -> Option<FoundDate> {
        let line = head(line);
        if self.default {
            let by_hand = match iso::at_start(line) {
                Some(date) => Some((defaults::ISO_AT_START, date)),
                None => syslog::at_start(line).map(|date| (defaults::SYSLOG_AT_START, date)),
            };
            if let Some((index, (fields, range))) = by_hand {
                memory.last = Some((index, range.clone()));
                return Some(found(Some(fields), range, clock));
            }
            if !may_hold_a_date(line) {
                return None;
            }
        }
        let (index, hit) = self.search(memory, line)?;
        memory.last = Some((index, hit.range.clone()));
        Some(found(hit.fields, hit.range, clock))
    }

    /// The template that fits and what it found. A template bound to the start of the line is believed at once. Of
    /// the others, a date further into the line than the last one may be part of somebody's message: then the
    /// leftmost of all is taken.
    fn search(&self, memory: &DateMemory, line: &str) -> Option<(usize, Hit)> {
        let mut reserve: Option<(usize, Hit)> = None;
        let mut tried = None;
        if let Some((index, last)) = &memory.last
            && let Some(template) = self.templates.get(*index)
        {
            tried = Some(*index);
            if let Some(hit) = template.find(line) {
                if template.anchored || hit.range == *last || self.templates.len() == 1 {
                    return Some((*index, hit));
                }
                reserve = Some((*index, hit));
            }
        }
        let usual = memory.last.as_ref().map_or(1, |(_, last)| last.start);
        let first = if self.default { first_of(line) } else { Some(First::Either) };
        for (index, template) in self.templates.iter().enumerate() {
            if tried == Some(index) || (template.anchored && !may_begin(template.first, first)) {
                continue;
            }
            let Some(hit) = template.find(line) else { continue };
            if template.anchored || hit.range.start <= usual {
                return Some((index, hit));
            }
            if reserve.as_ref().is_none_or(|(_, known)| hit.range.start < known.range.start) {
                reserve = Some((index, hit));
            }
        }
        reserve
    }
}

/// The part of the line that is looked at; what comes later is no date of the line.
fn head(line: &str) -> &str {
    const LONGEST: usize = 16_384;
    // One of four places in a row is the boundary of a character.
    (0..4).find_map(|back| line.get(..LONGEST - back)).unwrap_or(line)
}

fn found(fields: Option<Fields>, range: Range<usize>, clock: ReadClock<'_>) -> FoundDate {
    let time = fields.and_then(|fields| fields.resolve(clock)).unwrap_or(clock.now);
    FoundDate { time, range }
}

/// The point in time of text that is one ISO 8601 date and begins with it.
pub(crate) fn iso_time(text: &str, clock: ReadClock<'_>) -> Option<Timestamp> {
    iso::at_start(text).filter(|(_, range)| range.start == 0)?.0.resolve(clock)
}

fn keyword(pattern: &str) -> String {
    if pattern.contains('%') { String::new() } else { pattern.trim().to_ascii_uppercase() }
}

fn add(pattern: &str, templates: &mut Vec<Template>) -> Result<(), DateError> {
    match keyword(pattern).as_str() {
        "{^LN-BEG}" => templates.extend(defaults::build(true)),
        "{DEFAULT}" => templates.extend(defaults::build(false)),
        // The line has no date and is not looked at for one.
        "{NONE}" => {}
        "EPOCH" => templates.push(defaults::epoch()),
        "^EPOCH" | "{^LN-BEG}EPOCH" => templates.push(defaults::epoch_at_start()),
        "LEPOCH" => templates.push(defaults::long_epoch(false)),
        "^LEPOCH" | "{^LN-BEG}LEPOCH" => templates.push(defaults::long_epoch(true)),
        "TAI64N" => templates.push(defaults::tai64n(false)),
        "^TAI64N" | "{^LN-BEG}TAI64N" => templates.push(defaults::tai64n(true)),
        _ if pattern.to_ascii_uppercase().contains("{DATE}") => {
            templates.extend(defaults::in_place_of_date(pattern).map_err(|why| why.of(pattern))?);
        }
        _ => templates.push(Template::new(pattern)?),
    }
    Ok(())
}

/// What kind of character the first word of the line begins with, when it begins early enough for a date at the
/// start of the line. `None`: it does not.
fn first_of(line: &str) -> Option<First> {
    for byte in line.bytes().take(5) {
        match byte {
            b'0'..=b'9' => return Some(First::Digit),
            b'a'..=b'z' | b'A'..=b'Z' => return Some(First::Letter),
            b'_' => return None,
            0x80.. => return Some(First::Either),
            _ => {}
        }
    }
    None
}

fn may_begin(template: First, line: Option<First>) -> bool {
    match (template, line) {
        (_, None) => false,
        (First::Either, _) | (_, Some(First::Either)) => true,
        (template, Some(line)) => template == line,
    }
}

/// Whether the line has what every default form has: two digits around a colon, or eight digits in a row, or a `@`
/// before a digit.
fn may_hold_a_date(line: &str) -> bool {
    let bytes = line.as_bytes();
    let mut digits = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if digits >= 8 {
                    return true;
                }
                continue;
            }
            b':' if digits > 0 && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => return true,
            b'@' if bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit) => return true,
            _ => {}
        }
        digits = 0;
    }
    false
}
