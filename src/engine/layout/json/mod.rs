//! A reader for one JSON object per line that looks only at what is asked for.
//!
//! It walks the line once, front to back. Strings are borrowed unless they hold escapes. Nested values that nobody
//! asked for are skipped without building anything; their depth is bounded.

mod string;

use std::borrow::Cow;

use string::{quote_or_escape, unescape};

/// Nesting beyond this is refused; no layout prints more than four levels.
const DEPTH: u32 = 64;

/// A value as it stands in the line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A string, escapes resolved.
    Text(Cow<'a, str>),
    /// A number, `true`, `false` or `null`, as written.
    Bare(&'a str),
    /// An object or array: its text, with the brackets.
    Nested(&'a str),
}

/// Calls `field` with each key of the object that is the whole of `line`, in order; `field` takes the key's value.
/// `None` when the line is no object, is broken, is nested too deep or goes on behind it, or when `field` returns
/// `None`.
pub(crate) fn fields<'a>(
    line: &'a str,
    field: impl FnMut(Cow<'a, str>, &mut Cursor<'a>) -> Option<()>,
) -> Option<()> {
    let mut at = Cursor { text: line, at: 0, depth: 0 };
    at.object(field)?;
    at.blanks();
    (at.at == line.len()).then_some(())
}

/// The strings of an array, for whose other values the text stands. `None` when it is no array.
pub(crate) fn items(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut at = Cursor { text, at: 0, depth: 0 };
    let mut found = Vec::new();
    at.expect(b'[')?;
    if at.take(b']') {
        return Some(found);
    }
    loop {
        found.push(match at.value()? {
            Value::Text(text) => text,
            Value::Bare(text) | Value::Nested(text) => Cow::Borrowed(text),
        });
        if at.take(b']') {
            return Some(found);
        }
        at.expect(b',')?;
    }
}

/// A place in a line before a value.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Objects entered within the line's own.
    depth: u32,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it comes next, after blanks.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        // Encoders write no blanks, or one.
        if self.peek() == Some(byte) {
            self.at += 1;
            return true;
        }
        self.blanks();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Steps over the next byte after blanks.
    #[inline]
    fn step(&mut self) -> Option<u8> {
        self.blanks();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Whether the value is an object or array.
    pub(crate) fn is_nested(&mut self) -> bool {
        self.blanks();
        matches!(self.peek(), Some(b'{' | b'['))
    }

    /// Takes the value, an object within the line's own, key by key as [`fields`] does.
    #[inline]
    pub(crate) fn inner(
        &mut self,
        field: impl FnMut(Cow<'a, str>, &mut Cursor<'a>) -> Option<()>,
    ) -> Option<()> {
        self.depth += 1;
        self.object(field)?;
        self.depth -= 1;
        Some(())
    }

    #[inline]
    fn object(&mut self, mut field: impl FnMut(Cow<'a, str>, &mut Cursor<'a>) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            field(key, self)?;
            match self.step()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Takes the value.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Option<Value<'a>> {
        self.blanks();
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'{' | b'[' => self.nested().map(Value::Nested),
            _ => self.bare().map(Value::Bare),
        }
    }

    /// A number or a word.
    fn bare(&mut self) -> Option<&'a str> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        let goes_on = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if self.at > start && !self.peek().is_some_and(goes_on) {
            return self.text.get(start..self.at);
        }
        while self.peek().is_some_and(goes_on) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at)?;
        (is_number(word.as_bytes()) || matches!(word, "true" | "false" | "null")).then_some(word)
    }

    /// Skips an object or array.
    fn nested(&mut self) -> Option<&'a str> {
        let start = self.at;
        // One bit per level: 1 for an object.
        let mut open = 0u64;
        let mut depth = 0;
        loop {
            self.blanks();
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    if self.depth + depth >= DEPTH {
                        return None;
                    }
                    depth += 1;
                    open = open << 1 | u64::from(bracket == b'{');
                    self.at += 1;
                }
                bracket @ (b'}' | b']') => {
                    if (open & 1 == 1) != (bracket == b'}') {
                        return None;
                    }
                    depth -= 1;
                    open >>= 1;
                    self.at += 1;
                    if depth == 0 {
                        return self.text.get(start..self.at);
                    }
                }
                b'"' => {
                    self.raw_string()?;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    self.bare()?;
                }
            }
        }
    }

    #[inline(always)]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.blanks();
        let (raw, escaped) = self.raw_string()?;
        if escaped { unescape(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }

    /// The text between the quotes, and whether it holds escapes.
    #[inline(always)]
    fn raw_string(&mut self) -> Option<(&'a str, bool)> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut from = start;
        let mut escaped = false;
        loop {
            let at = from + quote_or_escape(self.text.as_bytes().get(from..)?)?;
            if self.text.as_bytes().get(at) == Some(&b'"') {
                self.at = at + 1;
                return Some((self.text.get(start..at)?, escaped));
            }
            escaped = true;
            from = at + 2;
        }
    }
}

/// Digits, with a sign, a fraction and an exponent or without.
fn is_number(word: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut rest = word.strip_prefix(b"-").unwrap_or(word);
    let part = |rest: &mut &[u8]| {
        let count = digits(rest);
        *rest = rest.get(count..).unwrap_or_default();
        count > 0
    };
    if !part(&mut rest) {
        return false;
    }
    if let [b'.', fraction @ ..] = rest {
        rest = fraction;
        if !part(&mut rest) {
            return false;
        }
    }
    if let [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] = rest {
        rest = exponent;
        if !part(&mut rest) {
            return false;
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(line: &str) -> Option<Vec<(String, Value<'_>)>> {
        let mut found = Vec::new();
        fields(line, |key, at| {
            found.push((key.into_owned(), at.value()?));
            Some(())
        })?;
        Some(found)
    }

    #[test]
    fn fields_come_in_order_and_twice_when_they_are_there_twice() {
        let found = all(r#" {"a":"x","b": 12 , "a":{"c":[1,{}]} ,"d":null} "#).unwrap();
        assert_eq!(
            found,
            [
                ("a".to_owned(), Value::Text("x".into())),
                ("b".to_owned(), Value::Bare("12")),
                ("a".to_owned(), Value::Nested(r#"{"c":[1,{}]}"#)),
                ("d".to_owned(), Value::Bare("null")),
            ]
        );
        assert_eq!(all("{}"), Some(Vec::new()));
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let found = all(r#"{"a":"x","b":"\/\"\\\n\u00e9\ud83d\ude00\ud83dx"}"#).unwrap();
        assert!(matches!(found[0].1, Value::Text(Cow::Borrowed("x"))));
        assert_eq!(found[1].1, Value::Text("/\"\\\n\u{e9}\u{1f600}\u{fffd}x".into()));
    }

    #[test]
    fn broken_objects_are_refused() {
        for line in [
            "",
            "{",
            "}",
            "[]",
            "x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{a:1}",
            "{\"a\":\"x}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\u+123\"}",
            "{\"a\":[}",
            "{\"a\":[}]}",
            "{\"a\":tru}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":\"\\",
            "{\"a\":nan}",
            "{\"a\":-}",
        ] {
            assert_eq!(all(line), None, "{line}");
        }
    }

    #[test]
    fn an_inner_object_counts_as_a_level() {
        let inner = |line: &str| {
            let mut found = Vec::new();
            fields(line, |_, at| {
                at.inner(|key, at| {
                    found.push((key.into_owned(), format!("{:?}", at.value()?)));
                    Some(())
                })
            })
            .map(|()| found)
        };
        assert_eq!(inner(r#"{"m": {"a":"x", "b":[1]} }"#).map(|found| found.len()), Some(2));
        assert_eq!(inner(r#"{"m":{},"n":{"a":{}}}"#).map(|found| found.len()), Some(1));
        for line in [r#"{"m":[]}"#, r#"{"m":{"a":1}"#, r#"{"m":{"a":1,}}"#, r#"{"m":{"a" 1}}"#, r#"{"m":1}"#]
        {
            assert_eq!(inner(line), None, "{line}");
        }
        let nested = |depth: usize| format!("{{\"m\":{{\"a\":{}{}}}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(inner(&nested(63)).is_some());
        assert!(inner(&nested(64)).is_none());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(all(&nested(64)).is_some());
        assert!(all(&nested(65)).is_none());
        assert!(all(&nested(1_000_000)).is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", odd in "[{}\\[\\]\":,\\\\u0-9d8c a\u{e9}]{0,60}") {
            let _ = (all(&text), all(&odd), items(&odd), all(&format!("{{\"{odd}")));
        }

        #[test]
        fn what_a_real_writer_wrote_comes_back(pairs in prop::collection::vec((".*", ".*"), 0..6)) {
            let body: Vec<String> = pairs
                .iter()
                .map(|(k, v)| format!("{}:{}", serde_json::to_string(k).unwrap(), serde_json::to_string(v).unwrap()))
                .collect();
            let line = format!("{{{}}}", body.join(","));
            let expected: Vec<_> = pairs.iter().map(|(k, v)| (k.clone(), Value::Text(v.as_str().into()))).collect();
            prop_assert_eq!(all(&line), Some(expected));
        }
    }
}
