//! Python's escapes and character classes. `[` is text inside one, `&&` and `--` are no operators.

/// Why a class cannot be read, and the offset.
type Refusal = (usize, &'static str);

/// A class at the start of `text`, in Rust's syntax, and its length.
pub(super) fn translate(text: &str) -> Result<(String, usize), Refusal> {
    let mut out = String::from("[");
    let mut at = 1;
    if text.get(at..).is_some_and(|rest| rest.starts_with('^')) {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else {
            return Err((0, "unclosed character class"));
        };
        if c == ']' && at > first {
            return Ok((out + "]", at + 1));
        }
        let low = at;
        let item = item(text, &mut at)?;
        let range =
            text.get(at..).and_then(|rest| rest.strip_prefix('-')).filter(|rest| !rest.starts_with(']'));
        match (item, range) {
            (Item::Char(from), Some(after)) if !after.is_empty() => {
                at += 1;
                match self::item(text, &mut at)? {
                    Item::Char(to) if from <= to => {
                        char(&mut out, from);
                        out.push('-');
                        char(&mut out, to);
                    }
                    _ => return Err((low, "bad range in a character class")),
                }
            }
            (Item::Char(c), _) => char(&mut out, c),
            // `[\w-.]`: Python refuses it from 3.7 on only as a warning; the dash is text.
            (Item::Class(class), _) => out.push_str(class),
        }
    }
}

enum Item {
    Char(char),
    Class(&'static str),
}

fn item(text: &str, at: &mut usize) -> Result<Item, Refusal> {
    let rest = text.get(*at..).unwrap_or_default();
    let mut chars = rest.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), Some(c)) => {
            let class = match c {
                'd' => r"\d",
                'D' => r"\D",
                'w' => r"\w",
                'W' => r"\W",
                's' => r"\s",
                'S' => r"\S",
                'b' => {
                    *at += 2;
                    return Ok(Item::Char('\u{8}'));
                }
                _ => {
                    let (value, len) = escaped(rest).ok_or((*at, "unknown escape in a character class"))?;
                    *at += len;
                    return Ok(Item::Char(value));
                }
            };
            *at += 2;
            Ok(Item::Class(class))
        }
        (Some('\\'), None) | (None, _) => Err((*at, "unclosed character class")),
        (Some(c), _) => {
            *at += c.len_utf8();
            Ok(Item::Char(c))
        }
    }
}

fn char(out: &mut String, c: char) {
    if c.is_control() {
        out.push_str(&format!(r"\x{{{:x}}}", u32::from(c)));
        return;
    }
    if c.is_ascii_punctuation() && regex_syntax::is_meta_character(c) {
        out.push('\\');
    }
    out.push(c);
}

/// The one character that the escape at the start of `text` stands for, and the escape's length.
pub(super) fn escaped(text: &str) -> Option<(char, usize)> {
    let c = text.chars().nth(1)?;
    let simple = |value: char| Some((value, 2));
    match c {
        'n' => simple('\n'),
        't' => simple('\t'),
        'r' => simple('\r'),
        'f' => simple('\u{c}'),
        'v' => simple('\u{b}'),
        'a' => simple('\u{7}'),
        'x' => hex(text, 2),
        'u' => hex(text, 4),
        'U' => hex(text, 8),
        '0'..='9' => octal(text),
        _ if c.is_ascii_alphabetic() => None,
        _ => Some((c, 1 + c.len_utf8())),
    }
}

fn hex(text: &str, digits: usize) -> Option<(char, usize)> {
    let number = text.get(2..2 + digits)?;
    if !number.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((char::from_u32(u32::from_str_radix(number, 16).ok()?)?, 2 + digits))
}

/// `\0`, `\012`, `\377`: octal in Python when it starts with 0 or has three octal digits.
pub(super) fn octal(text: &str) -> Option<(char, usize)> {
    let digits = text.bytes().skip(1).take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
    let number = text.get(1..=digits)?;
    if digits == 0 || (digits < 3 && !number.starts_with('0')) {
        return None;
    }
    Some((char::from_u32(u32::from_str_radix(number, 8).ok()?)?, 1 + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_classes_mean_the_same_in_rust() {
        for (class, yes, no) in [
            (r"[^[]", "a]", "["),
            (r"[]a]", "]a", "b"),
            (r"[^]a]", "b", "]a"),
            (r"[a&&b]", "a&b", "c"),
            (r"[\w-.]", "a-.", " "),
            (r"[a\-z]", "a-z", "b"),
            (r"[+--]", "+,-", "a"),
            (r"[\]\\]", r"]\", "a"),
            (r"[^\>]", "a<", ">"),
            (r"[[:]", "[:", "a"),
            (r"[a-]", "a-", "b"),
            (r"[\x41\102\b]", "AB\u{8}", "b"),
            (r"[~~#]", "~#", "a"),
        ] {
            let (text, len) = translate(class).unwrap();
            assert_eq!(len, class.len(), "{class}");
            let regex = regex::Regex::new(&format!("^{text}$")).unwrap_or_else(|e| panic!("{class}: {e}"));
            for c in yes.chars() {
                assert!(regex.is_match(&c.to_string()), "{class} must take {c:?}");
            }
            for c in no.chars() {
                assert!(!regex.is_match(&c.to_string()), "{class} must not take {c:?}");
            }
        }
    }

    #[test]
    fn broken_classes_are_refused_with_their_place() {
        assert_eq!(translate("[abc"), Err((0, "unclosed character class")));
        assert_eq!(translate("[z-a]"), Err((1, "bad range in a character class")));
        assert_eq!(translate(r"[\q]"), Err((1, "unknown escape in a character class")));
    }
}
