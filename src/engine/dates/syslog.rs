//! `Nov 22 16:59:59` at the start of a line, by hand: what syslog writes.

use std::ops::Range;

use crate::engine::civil::pair;

use super::directive::month;
use super::fields::Fields;

/// The date that `line` begins with. `None` also where a fraction, a year or something odd may follow: the template
/// of the same form knows those.
pub(crate) fn at_start(line: &str) -> Option<(Fields, Range<usize>)> {
    let [m1, m2, m3, b' ', d1, d2, b' ', h1, h2, b':', n1, n2, b':', s1, s2, b' ', next, ..] =
        *line.as_bytes()
    else {
        return None;
    };
    if !next.is_ascii_alphabetic() {
        return None;
    }
    let fields = Fields {
        month: Some(month(&[m1, m2, m3])?),
        day: Some(pair(if d1 == b' ' { b'0' } else { d1 }, d2)?),
        hour: pair(h1, h2)?,
        minute: pair(n1, n2)?,
        second: pair(s1, s2)?,
        ..Fields::default()
    };
    let in_range =
        (1..=31).contains(&fields.day?) && fields.hour < 24 && fields.minute < 60 && fields.second <= 61;
    in_range.then_some((fields, 0..15))
}
