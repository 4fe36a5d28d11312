//! Offsets from UTC as logs print them: `Z`, `+0200`, `-05:30`, `+02`, `CEST`, `UTC+0200`.

use crate::engine::civil::pair;

/// Abbreviations that name one offset, in quarters of an hour east of UTC. Those that mean different zones in
/// different countries are not here; a date with one of them is read in the zone of the reader.
const NAMES: &[(&str, i8)] = &[
    ("Z", 0),
    ("UTC", 0),
    ("UT", 0),
    ("GMT", 0),
    ("WET", 0),
    ("WEST", 4),
    ("CET", 4),
    ("MET", 4),
    ("CEST", 8),
    ("MEST", 8),
    ("EET", 8),
    ("SAST", 8),
    ("CAT", 8),
    ("EEST", 12),
    ("MSK", 12),
    ("EAT", 12),
    ("PKT", 20),
    ("NPT", 23),
    ("WIB", 28),
    ("ICT", 28),
    ("AWST", 32),
    ("HKT", 32),
    ("SGT", 32),
    ("JST", 36),
    ("KST", 36),
    ("ACST", 38),
    ("AEST", 40),
    ("ACDT", 42),
    ("AEDT", 44),
    ("NZST", 48),
    ("NZDT", 52),
    ("NST", -14),
    ("NDT", -10),
    ("BRT", -12),
    ("ART", -12),
    ("EDT", -16),
    ("AST", -16),
    ("ADT", -12),
    ("EST", -20),
    ("CDT", -20),
    ("CST", -24),
    ("MDT", -24),
    ("MST", -28),
    ("PDT", -28),
    ("PST", -32),
    ("AKDT", -32),
    ("AKST", -36),
    ("HST", -40),
];

/// Seconds east of UTC. `None` when the text names no offset known here.
pub(crate) fn offset(text: &str) -> Option<i32> {
    let digits = text.find(['+', '-']).unwrap_or(text.len());
    let (name, numeric) = text.split_at_checked(digits)?;
    if numeric.is_empty() {
        return named(name);
    }
    let base = if name.is_empty() { 0 } else { named(name)? };
    Some(base + numeric_offset(numeric.as_bytes())?)
}

fn named(name: &str) -> Option<i32> {
    NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, quarters)| i32::from(*quarters) * 900)
}

/// `±HH`, `±HHMM` or `±HH:MM` and nothing after it.
pub(crate) fn numeric_offset(text: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match *text {
        [sign, h1, h2] => (sign, pair(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, pair(h1, h2)?, pair(m1, m2)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_and_named_offsets_are_read() {
        for (text, seconds) in [
            ("Z", 0),
            ("UTC", 0),
            ("+0200", 7200),
            ("+02", 7200),
            ("-05:30", -19_800),
            ("-0500", -18_000),
            ("CEST", 7200),
            ("cet", 3600),
            ("UTC+0200", 7200),
            ("NPT", 20_700),
        ] {
            assert_eq!(offset(text), Some(seconds), "{text}");
        }
        for text in ["", "+", "+2", "+24", "+0060", "XYZ", "XYZ+01", "+02000", "*0200"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }
}
