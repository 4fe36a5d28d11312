//! ISO 8601 at the start of a line, by hand: the form most logs have, at a fraction of a search's cost.
//!
//! What is cut is exactly what the template of the same form cuts; a test holds the two together.

use std::ops::Range;

use crate::engine::civil::{fraction, pair};

use super::fields::Fields;
use super::zone::numeric_offset;

/// The date that `line` begins with, after at most two characters that are no part of a word. `None` also for rare
/// spellings (digits left out, characters beyond ASCII around the date): the template knows those.
pub(crate) fn at_start(line: &str) -> Option<(Fields, Range<usize>)> {
    let bytes = line.as_bytes();
    let start = (0..=2).find(|&at| bytes.get(at).is_none_or(u8::is_ascii_digit))?;
    if bytes.get(..start)?.iter().any(|b| !b.is_ascii() || b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let text = bytes.get(start..)?;
    let (date, rest) = text.split_first_chunk::<11>()?;
    let [b'2', b'0', y3, y4, sep, o1, o2, sep2, d1, d2, between] = *date else { return None };
    if sep != sep2 || !matches!(sep, b'-' | b'/' | b'.') || !matches!(between, b'T' | b' ') {
        return None;
    }
    let ([h1, h2, b':', m1, m2, b':', s1, s2], rest) = rest.split_first_chunk::<8>()? else { return None };
    let mut fields = Fields {
        year: Some(2000 + i16::from(pair(y3, y4)?)),
        month: Some(pair(o1, o2)?),
        day: Some(pair(d1, d2)?),
        hour: pair(*h1, *h2)?,
        minute: pair(*m1, *m2)?,
        second: pair(*s1, *s2)?,
        ..Fields::default()
    };
    let in_range = (1..=12).contains(&fields.month?)
        && (1..=31).contains(&fields.day?)
        && fields.hour < 24
        && fields.minute < 60
        && fields.second <= 61;
    if !in_range {
        return None;
    }
    let tail = Tail::read(rest)?;
    fields.micros = tail.micros;
    fields.offset = tail.offset;
    Some((fields, start..start + 19 + tail.length))
}

/// What follows the seconds.
struct Tail {
    micros: u32,
    offset: Option<i32>,
    /// Bytes that belong to the date.
    length: usize,
}

impl Tail {
    /// Fraction and zone, either, or none; a part is left out when the date would then end inside a word.
    fn read(rest: &[u8]) -> Option<Self> {
        if let [b'.' | b',', digits @ ..] = rest {
            let (micros, count) = fraction(digits);
            let after = digits.get(count..)?;
            if count > 6 {
                // The template takes six digits at most, so that it cuts before the fraction; the time is known all
                // the same.
                let offset = zone(after)?.map(|(offset, _)| offset);
                return Some(Self { micros, offset: offset.flatten(), length: 0 });
            }
            if count > 0 {
                if let Some((offset, length)) = zone(after)? {
                    return Some(Self { micros, offset, length: 1 + count + length });
                }
                if ends_here(after)? {
                    return Some(Self { micros, offset: None, length: 1 + count });
                }
            }
        } else if let Some((offset, length)) = zone(rest)? {
            return Some(Self { micros: 0, offset, length });
        }
        ends_here(rest)?.then_some(Self { micros: 0, offset: None, length: 0 })
    }
}

/// An offset from UTC, after blanks or none, and how many bytes they take together. The outer `None`: ask the
/// template.
#[allow(clippy::option_option)]
fn zone(text: &[u8]) -> Option<Option<(Option<i32>, usize)>> {
    let blanks = text.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count();
    let text = text.get(blanks..)?;
    let candidates: &[usize] = match text {
        [b'Z', ..] => &[1],
        [b'U', b'T', b'C', ..] | [b'G', b'M', b'T', ..] => &[3],
        [b'+' | b'-', b'0' | b'1', d, ..] if d.is_ascii_digit() => &[6, 5, 3],
        [first, ..] if !first.is_ascii() => return None,
        _ => &[],
    };
    for &length in candidates {
        let Some((value, after)) = text.split_at_checked(length) else { continue };
        let shape = match *value {
            [_, _, _, b':', m1, m2] | [_, _, _, m1, m2] => m1.is_ascii_digit() && m2.is_ascii_digit(),
            [_, _, _, _, _, _] => false,
            _ => true,
        };
        if shape && ends_here(after)? {
            let offset = if value.first().is_some_and(u8::is_ascii_alphabetic) {
                Some(0)
            } else {
                numeric_offset(value)
            };
            return Some(Some((offset, blanks + length)));
        }
    }
    Some(None)
}

/// Whether a word can end before `text`. `None` beyond ASCII: ask the template.
fn ends_here(text: &[u8]) -> Option<bool> {
    match text.first() {
        None => Some(true),
        Some(b) if !b.is_ascii() => None,
        Some(b) => Some(!b.is_ascii_alphanumeric() && *b != b'_'),
    }
}
