//! What stands between the quotes of a JSON string.

/// The first `"` or `\`. Eight bytes at a time: most strings are shorter than what a vector search needs to pay off.
#[inline(always)]
pub(super) fn quote_or_escape(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    /// The high bit of each byte of `word` that is 0, among others. High bits above the lowest one may be set in error.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64));
        let found = found & (ONES << 7);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + at)
}

/// Resolves the escapes of a string. Half a surrogate pair becomes U+FFFD.
pub(super) fn unescape(raw: &str) -> Option<String> {
    let mut plain = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let escape = *after.as_bytes().first()?;
        rest = after.get(1..)?;
        plain.push(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (unit, tail) = hex(rest)?;
                rest = tail;
                match low_surrogate(unit, tail) {
                    Some((c, tail)) => {
                        rest = tail;
                        c
                    }
                    None => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            _ => return None,
        });
    }
    plain.push_str(rest);
    Some(plain)
}

fn hex(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// The character of a surrogate pair whose first half is `high`, when the second half follows.
fn low_surrogate(high: u32, rest: &str) -> Option<(char, &str)> {
    if !(0xd800..0xdc00).contains(&high) {
        return None;
    }
    let (low, rest) = hex(rest.strip_prefix("\\u")?)?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_quote_or_escape_is_found(text in "[\"\\\\!#\\[\\]a\u{e9}\u{a2}\u{dc}\u{0}]{0,40}", plain in 0usize..30) {
            let text = "a".repeat(plain) + &text;
            prop_assert_eq!(quote_or_escape(text.as_bytes()), text.find(['"', '\\']));
        }
    }
}
