//! From the pieces of a pattern to what a line must show, one element after the other.

use std::borrow::Cow;

use super::PatternError;
use super::date::DateFormat;
use super::parse::{self, Piece, Word};
use super::words::{self, Meaning};

/// What a line must show at one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Element {
    /// This very text.
    Literal(String),
    /// Blanks that fill a group up to its width, or none.
    Blanks,
    /// A date.
    Date(DateFormat),
    /// A level, padded to a width. With names of its own it may be any word.
    Level {
        /// Least width.
        width: usize,
        /// Whether the pattern renames or shortens levels.
        renamed: bool,
    },
    /// Text up to the next literal.
    Field {
        /// What it is.
        kind: Kind,
        /// Least width; blanks fill it up on either side.
        width: usize,
    },
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The logger or class.
    Logger,
    /// Something of no interest.
    Text,
    /// One context key.
    Key {
        /// The key; the usual ones cost no copy per line.
        key: Cow<'static, str>,
        /// What is printed when the key is not there.
        default: String,
        /// Whether it holds an address, alone or with name and port, and nothing else.
        address: bool,
    },
    /// The whole context.
    Dump,
    /// The message.
    Message,
}

impl Kind {
    /// Whether no client decides what stands here, so that the field ends where its form says.
    pub(crate) fn is_certain(&self) -> bool {
        match self {
            Self::Logger | Self::Text => true,
            Self::Key { key, address, .. } => {
                *address || matches!(key.as_ref(), "protocol" | "sessionId" | "authType")
            }
            Self::Dump | Self::Message => false,
        }
    }
}

/// Keys that James writes.
const USUAL: [&str; 15] = [
    "protocol",
    "ip",
    "host",
    "remoteIP",
    "sessionId",
    "proxy.source",
    "proxy.destination",
    "proxy.ip",
    "action",
    "authType",
    "ehlo",
    "user",
    "username",
    "sender",
    "login-user",
];

/// Those that hold addresses.
const ADDRESSES: [&str; 5] = ["ip", "remoteIP", "proxy.source", "proxy.destination", "proxy.ip"];

/// The elements of a pattern, and text that may stand at the end of a line without being part of the last field.
pub(crate) fn elements(pattern: &str) -> Result<(Vec<Element>, String), PatternError> {
    let pieces = parse::parse(pattern)?;
    let mut compiler = Compiler::default();
    compiler.add_all(&pieces)?;
    compiler.finish()
}

#[derive(Default)]
struct Compiler {
    elements: Vec<Element>,
    /// Where the line ends, if the pattern says.
    end: Option<usize>,
    /// How many elements stand before the last stack trace.
    trace: Option<usize>,
    message: bool,
}

impl Compiler {
    fn add_all(&mut self, pieces: &[Piece]) -> Result<(), PatternError> {
        for piece in pieces {
            match piece {
                Piece::Literal(text) => self.literal(text),
                Piece::Word(word) => self.word(word)?,
            }
        }
        Ok(())
    }

    fn literal(&mut self, text: &str) {
        match self.elements.last_mut() {
            Some(Element::Literal(before)) => before.push_str(text),
            _ => self.elements.push(Element::Literal(text.to_owned())),
        }
    }

    fn word(&mut self, word: &Word) -> Result<(), PatternError> {
        let Some(meaning) = words::meaning(&word.name, word.group.is_some()) else {
            return Err(PatternError::UnknownWord {
                word: word.name.clone(),
                position: word.position,
                hint: Hint(words::hint(&word.name)),
            });
        };
        if let Some(end) = self.end
            && !matches!(meaning, Meaning::Exception | Meaning::Nothing | Meaning::NewLine)
        {
            return Err(PatternError::SecondLine { position: end });
        }
        let width = word.width;
        match meaning {
            Meaning::Date => {
                self.elements.push(Element::Date(DateFormat::new(&word.options, word.position)?));
            }
            Meaning::Level => {
                self.elements.push(Element::Level { width, renamed: !word.options.is_empty() });
            }
            Meaning::Logger => self.field(Kind::Logger, width),
            Meaning::Text => self.field(Kind::Text, width),
            Meaning::Message if self.message => {
                return Err(PatternError::SecondMessage { position: word.position });
            }
            Meaning::Message => {
                self.message = true;
                self.field(Kind::Message, width);
            }
            Meaning::Context => self.field(context(&word.options), width),
            Meaning::NewLine => self.end = Some(word.position),
            Meaning::Exception => self.trace = Some(self.elements.len()),
            Meaning::Nothing => {}
            Meaning::Group => self.group(word.group.as_deref().unwrap_or_default(), width)?,
            Meaning::Braces => {
                let Some(inner) = word.options.first() else {
                    return Err(PatternError::NoText { word: word.name.clone(), position: word.position });
                };
                self.group(&parse::parse(inner)?, width)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind, width: usize) {
        self.elements.push(Element::Field { kind, width });
    }

    fn group(&mut self, pieces: &[Piece], width: usize) -> Result<(), PatternError> {
        if width > 0 {
            self.elements.push(Element::Blanks);
        }
        self.add_all(pieces)?;
        if width > 0 {
            self.elements.push(Element::Blanks);
        }
        Ok(())
    }

    /// Text before a stack trace, or blanks, at the end of the line belong to no field; they are there or not.
    fn finish(mut self) -> Result<(Vec<Element>, String), PatternError> {
        if !self.message {
            return Err(PatternError::NoMessage);
        }
        let mut suffix = String::new();
        let traced = self.trace == Some(self.elements.len());
        if let Some(Element::Literal(text)) = self.elements.last()
            && (traced || text.trim().is_empty())
        {
            suffix.clone_from(text);
            self.elements.pop();
        }
        for pair in self.elements.windows(2) {
            if let [
                Element::Field { kind, .. },
                Element::Field { .. } | Element::Date(_) | Element::Level { .. },
            ] = pair
            {
                return Err(PatternError::Adjacent { field: kind.to_string() });
            }
        }
        Ok((self.elements, suffix))
    }
}

/// `%X`, `%X{key}`, `%X{key:-default}`, or log4j2's `%X{key, key}`.
fn context(options: &[String]) -> Kind {
    match options.first().map(|option| option.trim()) {
        None | Some("") => Kind::Dump,
        Some(keys) if keys.contains(',') => Kind::Dump,
        Some(option) => {
            let (key, default) = option.split_once(":-").unwrap_or((option, ""));
            let usual = USUAL.iter().find(|usual| **usual == key).map(|usual| Cow::Borrowed(*usual));
            Kind::Key {
                key: usual.unwrap_or_else(|| key.to_owned().into()),
                default: default.to_owned(),
                address: ADDRESSES.contains(&key),
            }
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Logger => f.write_str("%logger"),
            Self::Text => f.write_str("%thread (or the like)"),
            Self::Key { key, .. } => write!(f, "%X{{{key}}}"),
            Self::Dump => f.write_str("%X"),
            Self::Message => f.write_str("%msg"),
        }
    }
}

/// What a misspelt word may have been meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint(Option<&'static str>);

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(word) => write!(f, "did you mean %{word}? if text follows it, part them by \\_"),
            None => f.write_str("write %% for a percent sign"),
        }
    }
}
