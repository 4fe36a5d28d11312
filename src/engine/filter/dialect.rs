//! Python's regex syntax, as fail2ban's filters use it, turned into Rust's.
//!
//! Two texts come out. `exact` means the same as the original; when it needs look-around, a back-reference, a
//! condition or an atomic group, only a backtracking engine runs it. `relaxed` matches at least every line that
//! `exact` matches and always runs in linear time: it stands in front.

use super::class;
use super::error::RegexError;
use super::tags::{Tag, tag};

/// Name of the group put around the one address tag of a linear pattern.
pub(super) const ADDRESS: &str = "address__";

/// A translated regex.
#[derive(Clone, Debug)]
pub(super) struct Translated {
    /// The same language.
    pub(super) exact: Mapped,
    /// A linear superset; the same text as `exact` when not `bounded`.
    pub(super) relaxed: Mapped,
    /// `exact` needs a backtracking engine.
    pub(super) bounded: bool,
}

/// Output and where each piece of it came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapped {
    pub(super) text: String,
    pieces: Vec<(usize, usize)>,
}

impl Mapped {
    fn push(&mut self, text: &str, from: usize) {
        self.pieces.push((self.text.len(), from));
        self.text.push_str(text);
    }

    /// The byte of the original that the output's byte `at` came from.
    pub(super) fn origin(&self, at: usize) -> usize {
        let next = self.pieces.partition_point(|(out, _)| *out <= at);
        next.checked_sub(1).and_then(|i| self.pieces.get(i)).map_or(0, |(_, from)| *from)
    }
}

/// Translates `source`. `multiline` is fail2ban's `maxlines > 1`.
pub(super) fn translate(source: &str, multiline: bool) -> Result<Translated, RegexError> {
    let first = Translator::new(source, multiline, true).run()?;
    // The group around the address would shift the numbers of back-references.
    if first.bounded { Translator::new(source, multiline, false).run() } else { Ok(first) }
}

struct Open {
    /// What closes it in `exact` and in `relaxed`.
    close: (&'static str, &'static str),
    /// A look-around: `relaxed` has nothing of its inside.
    hidden: bool,
    /// The tag that opened it.
    tag: Option<String>,
    at: usize,
}

struct Translator<'s> {
    source: &'s str,
    at: usize,
    exact: Mapped,
    relaxed: Mapped,
    stack: Vec<Open>,
    flags: String,
    bounded: bool,
    wrap: bool,
    skips: usize,
}

impl<'s> Translator<'s> {
    fn new(source: &'s str, multiline: bool, wrap: bool) -> Self {
        let several = source.match_indices('<').filter(|(i, _)| is_address(&source[*i..])).count() > 1;
        Self {
            source,
            at: 0,
            exact: Mapped::default(),
            relaxed: Mapped::default(),
            stack: Vec::new(),
            flags: if multiline { "m".to_owned() } else { String::new() },
            bounded: false,
            wrap: wrap && !several,
            skips: 0,
        }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn error(&self, at: usize, what: &str, fix: &str) -> RegexError {
        RegexError::at(self.source, at, what, fix)
    }

    /// Emits both texts for the next `len` bytes of the source.
    fn emit(&mut self, len: usize, exact: &str, relaxed: &str) {
        self.exact.push(exact, self.at);
        if !self.stack.iter().any(|open| open.hidden) {
            self.relaxed.push(relaxed, self.at);
        }
        self.at += len;
    }

    fn both(&mut self, len: usize, text: &str) {
        self.emit(len, text, text);
    }

    fn run(mut self) -> Result<Translated, RegexError> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\\' => self.escape()?,
                '[' => {
                    let (text, len) = class::translate(self.rest())
                        .map_err(|(offset, what)| self.error(self.at + offset, what, ""))?;
                    self.both(len, &text);
                }
                '(' => self.group()?,
                ')' => self.close()?,
                '<' => self.tag()?,
                '*' | '+' | '?' => self.quantifier(1, c.encode_utf8(&mut [0; 4])),
                '{' => match counted(self.rest()) {
                    Some((len, text)) => self.quantifier(len, &text),
                    None => self.both(1, r"\{"),
                },
                '^' | '$' | '.' | '|' => self.both(1, c.encode_utf8(&mut [0; 4])),
                _ => self.literal(c.len_utf8(), c),
            }
        }
        if let Some(open) = self.stack.last() {
            let what = if open.tag.is_some() { "tag that is never closed" } else { "unbalanced parenthesis" };
            return Err(self.error(open.at, what, "close it, or escape it with a backslash"));
        }
        if !self.flags.is_empty() {
            let flags = format!("(?{})", self.flags);
            for out in [&mut self.exact, &mut self.relaxed] {
                out.text.insert_str(0, &flags);
                for piece in &mut out.pieces {
                    piece.0 += flags.len();
                }
            }
        }
        Ok(Translated { exact: self.exact, relaxed: self.relaxed, bounded: self.bounded })
    }

    fn literal(&mut self, len: usize, c: char) {
        self.both(len, &regex_syntax::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn quantifier(&mut self, len: usize, text: &str) {
        match self.source.get(self.at + len..).and_then(|rest| rest.chars().next()) {
            Some('?') => self.both(len + 1, &format!("{text}?")),
            // Possessive, Python 3.11.
            Some('+') => {
                self.bounded = true;
                self.emit(len + 1, &format!("{text}+"), text);
            }
            _ => self.both(len, text),
        }
    }

    fn escape(&mut self) -> Result<(), RegexError> {
        let Some(c) = self.rest().chars().nth(1) else {
            return Err(self.error(self.at, "a lone backslash at the end", "write \\\\ for a backslash"));
        };
        match c {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'b' | 'B' | 'A' => self.both(2, &format!("\\{c}")),
            'Z' => self.both(2, r"\z"),
            '1'..='9' if class::octal(self.rest()).is_none() => {
                let digits = self.rest()[1..].bytes().take(2).take_while(u8::is_ascii_digit).count();
                let number = self.rest()[1..=digits].to_owned();
                self.bounded = true;
                self.emit(1 + digits, &format!(r"(?:\{number})"), "(?s:.*)");
            }
            _ => {
                let (value, len) = class::escaped(self.rest()).ok_or_else(|| {
                    self.error(self.at, &format!("unknown escape \\{c}"), "remove the backslash")
                })?;
                self.literal(len, value);
            }
        }
        Ok(())
    }

    fn open(&mut self, len: usize, exact: &str, relaxed: &str, close: (&'static str, &'static str)) {
        let at = self.at;
        self.emit(len, exact, relaxed);
        self.stack.push(Open { close, hidden: false, tag: None, at });
    }

    fn close(&mut self) -> Result<(), RegexError> {
        let Some(open) = self.stack.pop() else {
            return Err(self.error(self.at, "unbalanced parenthesis", r"escape it: \)"));
        };
        if open.tag.is_some() {
            return Err(self.error(self.at, "parenthesis that closes a tag's group", "close the tag first"));
        }
        self.emit(1, open.close.0, open.close.1);
        Ok(())
    }

    fn group(&mut self) -> Result<(), RegexError> {
        let rest = self.rest();
        // `((?i)x)` and `(?:(?i)x)`: the flags belong to the group.
        for prefix in ["((?", "(?:(?"] {
            if let Some(after) = rest.strip_prefix(prefix)
                && let Some(letters) = after.split_once(')').map(|(letters, _)| letters)
                && !letters.is_empty()
                && letters.bytes().all(|b| b.is_ascii_lowercase())
            {
                let flags = self.flag_letters(letters)?;
                self.open(
                    prefix.len() + letters.len() + 1,
                    &format!("(?{flags}:"),
                    &format!("(?{flags}:"),
                    (")", ")"),
                );
                return Ok(());
            }
        }
        for look in ["(?=", "(?!", "(?<=", "(?<!"] {
            if rest.starts_with(look) {
                self.bounded = true;
                let at = self.at;
                self.emit(look.len(), look, "(?:)");
                self.stack.push(Open { close: (")", ""), hidden: true, tag: None, at });
                return Ok(());
            }
        }
        if rest.starts_with("(?:") {
            self.open(3, "(?:", "(?:", (")", ")"));
        } else if rest.starts_with("(?>") {
            self.bounded = true;
            self.open(3, "(?>", "(?:", (")", ")"));
        } else if rest.starts_with("(?#") {
            let end =
                rest.find(')').ok_or_else(|| self.error(self.at, "unclosed comment", "close it with )"))?;
            self.at += end + 1;
        } else if let Some(after) = rest.strip_prefix("(?P=") {
            let name = self.name(after, ')')?;
            self.bounded = true;
            self.emit(name.len() + 5, &format!("(?P={name})"), "(?s:.*)");
        } else if let Some(after) = rest.strip_prefix("(?P<") {
            let name = self.name(after, '>')?;
            let group = format!("(?P<{name}>");
            self.open(group.len(), &group, &group, (")", ")"));
        } else if let Some(after) = rest.strip_prefix("(?(") {
            let name = self.name(after, ')')?;
            self.bounded = true;
            let condition = if name.bytes().all(|b| b.is_ascii_digit()) {
                format!("(?({name})")
            } else {
                format!("(?(<{name}>)")
            };
            self.open(name.len() + 4, &condition, "(?:(?:", (")", ")?)"));
        } else if let Some(after) = rest.strip_prefix("(?") {
            let len = after.bytes().take_while(|b| b.is_ascii_alphabetic() || *b == b'-').count();
            let (letters, end) = after.split_at(len);
            match end.as_bytes().first() {
                Some(b':') if !letters.is_empty() => {
                    let flags = self.flag_letters(letters)?;
                    let group = format!("(?{flags}:");
                    self.open(len + 3, &group, &group, (")", ")"));
                }
                // Anywhere in the regex: of the whole regex.
                Some(b')') if !letters.is_empty() && !letters.contains('-') => {
                    let flags = self.flag_letters(letters)?;
                    for flag in flags.chars().filter(|f| !self.flags.contains(*f)).collect::<Vec<_>>() {
                        self.flags.push(flag);
                    }
                    self.at += len + 3;
                }
                _ => return Err(self.error(self.at, "unknown kind of group", r"escape the parenthesis: \(")),
            }
        } else {
            self.open(1, "(", "(", (")", ")"));
        }
        Ok(())
    }

    /// Flags that mean something here; `a` and `u` are about Python's own defaults.
    fn flag_letters(&self, letters: &str) -> Result<String, RegexError> {
        let mut flags = String::new();
        for c in letters.chars() {
            match c {
                'i' | 'm' | 's' | '-' => flags.push(c),
                'a' | 'u' => {}
                'x' => {
                    return Err(self.error(
                        self.at,
                        "verbose mode (?x)",
                        "write the regex without blanks and comments",
                    ));
                }
                _ => return Err(self.error(self.at, &format!("unknown flag {c}"), "use i, m or s")),
            }
        }
        if flags.ends_with('-') {
            flags.pop();
        }
        Ok(flags)
    }

    fn name(&self, after: &'s str, end: char) -> Result<&'s str, RegexError> {
        let name = after.split_once(end).map_or("", |(name, _)| name);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(self.error(self.at, "bad group name", "use letters, digits and _"));
        }
        Ok(name)
    }

    fn tag(&mut self) -> Result<(), RegexError> {
        let Some((tag, len)) = tag(self.rest()) else {
            self.literal(1, '<');
            return Ok(());
        };
        match tag {
            Tag::Text(text) => self.both(len, &text),
            Tag::Address(text) => {
                let open = if self.wrap { format!("(?P<{ADDRESS}>") } else { "(?:".to_owned() };
                self.both(len, &format!("{open}{text})"));
            }
            Tag::SkipLines => {
                let text = format!(r"\n(?P<skiplines{}>(?:.*\n)*?)", self.skips);
                self.skips += 1;
                self.both(len, &text);
            }
            Tag::Open(name) => {
                if name.contains('-') || name.as_bytes().first().is_none_or(u8::is_ascii_digit) {
                    return Err(self.error(self.at, "bad tag name", "use letters, digits and _ after F-"));
                }
                let at = self.at;
                let written = self.source.get(at + 3..at + len - 1).unwrap_or_default().to_owned();
                self.both(len, &format!("(?P<{name}>"));
                self.stack.push(Open { close: (")", ")"), hidden: false, tag: Some(written), at });
            }
            Tag::Close(name) => match self.stack.last() {
                Some(open) if open.tag.as_deref() == Some(name.as_str()) => {
                    self.stack.pop();
                    self.both(len, ")");
                }
                // fail2ban takes a closing tag nobody opened as text.
                _ if !self.stack.iter().any(|open| open.tag.as_deref() == Some(name.as_str())) => {
                    self.literal(1, '<');
                }
                _ => {
                    return Err(self.error(
                        self.at,
                        "tag closed within another group",
                        "close the inner group first",
                    ));
                }
            },
        }
        Ok(())
    }
}

fn is_address(text: &str) -> bool {
    matches!(tag(text), Some((Tag::Address(_), _)))
}

/// `{m}`, `{m,}`, `{,n}`, `{m,n}`; anything else in braces is text in Python.
fn counted(text: &str) -> Option<(usize, String)> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let (low, high) = inner.split_once(',').map_or((inner, None), |(low, high)| (low, Some(high)));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if inner.is_empty() || !digits(low) || !high.is_none_or(digits) {
        return None;
    }
    let low = if low.is_empty() { "0" } else { low };
    Some((inner.len() + 2, high.map_or_else(|| format!("{{{low}}}"), |high| format!("{{{low},{high}}}"))))
}
