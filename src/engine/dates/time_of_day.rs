//! `16:59:59` at the start of a line, by hand: what James' own console prints.

use std::ops::Range;

use crate::engine::civil::pair;

use super::fields::Fields;

/// The time of day that `line` begins with. `None` also for rare spellings (one digit, something before it): the
/// template of the same form knows those.
pub(crate) fn at_start(line: &str) -> Option<(Fields, Range<usize>)> {
    let (&[h1, h2, b':', m1, m2, b':', s1, s2], rest) = line.as_bytes().split_first_chunk::<8>()? else {
        return None;
    };
    // A date ends at the end of a word; beyond ASCII that is not seen by a byte.
    if rest.first().is_some_and(|b| !b.is_ascii() || b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let fields =
        Fields { hour: pair(h1, h2)?, minute: pair(m1, m2)?, second: pair(s1, s2)?, ..Fields::default() };
    (fields.hour < 24 && fields.minute < 60 && fields.second <= 61).then_some((fields, 0..8))
}
