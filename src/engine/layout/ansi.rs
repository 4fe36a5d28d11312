//! Colours in log lines.

use std::borrow::Cow;

use memchr::memchr;

const ESC: u8 = 0x1b;
/// `ESC [ 38;2;255;255;255 m` is the longest that logback or log4j2 write.
const LONGEST: usize = 24;

/// `line` without colour sequences (`ESC [ digits ; … m`). Borrowed when it has none.
///
/// Only colours go. Any other sequence stays as it is: its end is not certain, and what an attacker wrote before it
/// must not be able to swallow what James wrote after it.
#[must_use]
pub fn strip_ansi(line: &str) -> Cow<'_, str> {
    let Some(first) = memchr(ESC, line.as_bytes()) else { return Cow::Borrowed(line) };
    let mut plain = String::new();
    let mut kept = 0;
    let mut at = first;
    loop {
        let length = colour(line.as_bytes().get(at..).unwrap_or_default());
        if length > 0 {
            plain.push_str(line.get(kept..at).unwrap_or_default());
            kept = at + length;
        }
        let from = at + length.max(1);
        match memchr(ESC, line.as_bytes().get(from..).unwrap_or_default()) {
            Some(next) => at = from + next,
            None => break,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(line);
    }
    plain.push_str(line.get(kept..).unwrap_or_default());
    Cow::Owned(plain)
}

/// How many bytes the colour sequence at the start of `text` takes; 0 when there is none.
pub(crate) fn colour(text: &[u8]) -> usize {
    let [ESC, b'[', rest @ ..] = text else { return 0 };
    for (parameters, byte) in rest.iter().take(LONGEST + 1).enumerate() {
        match byte {
            b'0'..=b'9' | b';' => {}
            b'm' => return parameters + 3,
            _ => return 0,
        }
    }
    0
}

/// `text` after the colour sequences it begins with.
pub(crate) fn after_colours(mut text: &str) -> &str {
    loop {
        match colour(text.as_bytes()) {
            0 => return text,
            length => text = text.get(length..).unwrap_or_default(),
        }
    }
}

/// `text` without the colour sequences it ends with.
pub(crate) fn before_colours(text: &str) -> &str {
    match memchr(ESC, text.as_bytes()) {
        Some(at) if text.get(at..).is_some_and(|rest| after_colours(rest).is_empty()) => {
            text.get(..at).unwrap_or_default()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_colours_of_the_console_go() {
        assert_eq!(
            strip_ansi("16:45:34.154 \x1b[34m[INFO ]\x1b[0;39m o.a.j.u.AuditTrail - x"),
            "16:45:34.154 [INFO ] o.a.j.u.AuditTrail - x"
        );
        assert_eq!(strip_ansi("\x1b[m\x1b[1;31mx\x1b[0m"), "x");
    }

    #[test]
    fn a_sequence_without_its_end_swallows_nothing() {
        for text in ["x\x1b[203.0.113.7", "x\x1b[31", "\x1b", "\x1b[", "\x1b]0;title\x07y", "a\x1b[2Jb"] {
            assert!(matches!(strip_ansi(text), Cow::Borrowed(t) if t == text), "{text:?}");
        }
        let long = format!("\x1b[{}m", "1".repeat(40));
        assert_eq!(strip_ansi(&long), long);
    }

    proptest! {
        #[test]
        fn it_removes_nothing_but_colours(parts in prop::collection::vec("[^\\x1b]{0,5}|\\x1b\\[[0-9;]{0,6}m|\\x1b", 0..8)) {
            let line = parts.concat();
            let plain = strip_ansi(&line);
            let expected: String =
                parts.iter().filter(|p| colour(p.as_bytes()) != p.len() || p.is_empty()).map(String::as_str).collect();
            // A lone ESC may form a colour with what follows; then less remains.
            prop_assert!(plain.len() <= expected.len());
            if !parts.iter().any(|p| p == "\x1b") {
                prop_assert_eq!(plain.as_ref(), expected.as_str());
            }
        }
    }
}
