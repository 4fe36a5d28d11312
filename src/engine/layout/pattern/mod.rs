//! Lines of a logback or log4j2 conversion pattern, as pasted from the program's configuration.
//!
//! A pattern becomes a list of elements. Up to the first text that a client may have written (a context value such
//! as `%X{ehlo}`, the message) each element ends where its own form says: a date, a level, a logger, an address can
//! be read in one way only, whatever comes after. If the message is the last element it is the rest of the line.
//! That is the case of James' own layouts and of the recommended one.
//!
//! A pattern that prints something behind text of a client cannot be read with certainty: `%X{ehlo} ip=%X{ip}` looks
//! the same whether James or the client wrote ` ip=`. Such a line counts only if it can be read in one way; else it is
//! [`Unread::Ambiguous`]. A client can thus keep its own line from counting, but never have another's address in it.
//! Of James' WebAdmin the address itself is the client's text (X-Forwarded-For), so that nothing behind it is believed
//! where `%X{protocol}` stands before it and says `webadmin`.
//! What no pattern can prevent is a message with a line break, which makes a line of the client's own: use
//! `%replace(%msg){'[\r\n]+','\\n'}`, or JSON.

mod compile;
mod date;
mod dump;
mod error;
mod parse;
mod tail;
mod words;

use crate::engine::dates::DateFields;
use crate::engine::{Event, ReadClock};

use super::ansi::{after_colours, before_colours};
use super::{Unread, james};
use compile::{Element, Kind};
use date::DateFormat;
pub use error::PatternError;
use tail::{Reading, Tail};

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Elements that can be read in one way only.
    certain: Vec<Element>,
    rest: Rest,
    /// What may stand at the end of a line without being part of the last field.
    suffix: String,
}

/// What follows the certain elements.
#[derive(Debug)]
enum Rest {
    /// One field up to the end of the line, less this text.
    Field(Kind, String),
    /// Anything else.
    Search(Tail),
    /// Nothing: the message was before, which cannot be, or the pattern ends with a certain field.
    Nothing,
}

/// Longer ones are no patterns.
const LONGEST: usize = 4096;

impl Pattern {
    /// Compiles a pattern.
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let (mut certain, suffix) = compile::elements(pattern)?;
        let uncertain = (0..certain.len()).find(|&at| !ends_by_itself(&certain, at)).unwrap_or(certain.len());
        let rest = certain.split_off(uncertain);
        let last = match rest.as_slice() {
            [Element::Field { .. }, Element::Literal(text)] => Some(text.clone()),
            [Element::Field { .. }] => Some(String::new()),
            _ => None,
        };
        let rest = match (last, rest.first()) {
            (_, None) => Rest::Nothing,
            (Some(end), Some(Element::Field { kind, width: 0 })) => Rest::Field(kind.clone(), end),
            _ => Rest::Search(Tail::new(&rest).ok_or(PatternError::TooLong)?),
        };
        Ok(Self { certain, rest, suffix })
    }

    /// Whether it prints something of the context.
    pub(crate) fn has_context(&self) -> bool {
        let of_context = |kind: &Kind| matches!(kind, Kind::Key { .. } | Kind::Dump);
        let certain =
            self.certain.iter().any(|e| matches!(e, Element::Field { kind, .. } if of_context(kind)));
        certain
            || match &self.rest {
                Rest::Nothing => false,
                Rest::Field(kind, _) => of_context(kind),
                Rest::Search(tail) => tail.fields().iter().any(of_context),
            }
    }

    /// Takes a line apart.
    pub(crate) fn read<'a>(&self, line: &'a str, clock: ReadClock<'_>) -> Result<Event<'a>, Unread> {
        let mut found = Found { event: Event::default(), date: None, clock, forgeable: false };
        let mut text = line.strip_suffix(self.suffix.as_str()).unwrap_or(line);
        let mut elements = self.certain.as_slice();
        while let [element, rest @ ..] = elements {
            (text, elements) = found.take(element, rest, after_colours(text)).ok_or(Unread::Shape)?;
        }
        match &self.rest {
            Rest::Nothing if text.is_empty() => {}
            Rest::Nothing => return Err(Unread::Shape),
            Rest::Field(kind, end) => {
                let value = text.strip_suffix(end.as_str()).ok_or(Unread::Shape)?;
                found.field(kind, value);
            }
            Rest::Search(tail) => match tail.read(text) {
                Reading::One(values) => {
                    for (kind, value) in tail.fields().iter().zip(values) {
                        found.field(kind, value);
                    }
                }
                Reading::Ambiguous => return Err(Unread::Ambiguous),
                Reading::No => return Err(Unread::Shape),
            },
        }
        Ok(found.event)
    }
}

/// Whether the element at `at` ends where its own form says, whatever comes after.
fn ends_by_itself(elements: &[Element], at: usize) -> bool {
    let Some(Element::Field { kind, .. }) = elements.get(at) else { return at < elements.len() };
    if !kind.is_certain() {
        return false;
    }
    match (elements.get(at + 1), elements.get(at + 2)) {
        (None, _) => true,
        (Some(Element::Literal(text)), after) => {
            // A logger may hold the first character of the text that ends it; then what follows must be certain, too.
            let inside = text.bytes().next().is_some_and(is_class);
            !inside || matches!(after, Some(Element::Field { kind, .. }) if kind.is_certain())
        }
        _ => false,
    }
}

/// Characters of classes and loggers.
fn is_class(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'-' | b'/' | b'<' | b'>')
}

struct Found<'a, 'c> {
    event: Event<'a>,
    /// What dates that tell only the day or only the time of day have said.
    date: Option<DateFields>,
    clock: ReadClock<'c>,
    /// Whether a client may have written all that follows.
    forgeable: bool,
}

impl<'a> Found<'a, '_> {
    /// Reads an element at the start of `text`, and the literal that ends it: what text and which elements are left.
    fn take<'e>(
        &mut self,
        element: &Element,
        after: &'e [Element],
        text: &'a str,
    ) -> Option<(&'a str, &'e [Element])> {
        let rest = match element {
            Element::Literal(literal) => begins(text, literal).then(|| text.get(literal.len()..))?,
            Element::Blanks => {
                let blanks = text.len() - text.trim_start_matches(' ').len();
                let kept = match after.first() {
                    Some(Element::Literal(literal)) => literal.len() - literal.trim_start_matches(' ').len(),
                    _ => 0,
                };
                text.get(blanks.saturating_sub(kept)..)
            }
            Element::Date(format) => self.date(format, text),
            Element::Level { width, renamed } => {
                let (level, rest) = level(text, *width, *renamed)?;
                self.event.level = level;
                Some(rest)
            }
            Element::Field { kind, width } => {
                let (end, next, after) = match after {
                    [Element::Literal(literal), after @ ..] => {
                        let end = field_end(kind, *width, literal, text)?;
                        (end, end + literal.len(), after)
                    }
                    _ => (text.len(), text.len(), after),
                };
                let value = before_colours(text.get(..end)?);
                let value = if *width > 0 { value.trim_matches(' ') } else { value };
                if matches!(kind, Kind::Logger) && !james::is_logger(value) {
                    return None;
                }
                self.field(kind, value);
                return Some((text.get(next..)?, after));
            }
        }?;
        Some((rest, after))
    }

    fn date(&mut self, format: &DateFormat, text: &'a str) -> Option<&'a str> {
        let mut fields = self.date.unwrap_or_default();
        let length = format.read(text, &mut fields)?;
        // The first counts. Where it tells only the day, or only the time of day, the others complete it.
        if self.event.time.is_none() || self.date.is_some() {
            self.event.time = format.time(fields, self.clock);
            self.date = (!format.is_whole()).then_some(fields);
        }
        text.get(length..)
    }

    fn field(&mut self, kind: &Kind, value: &'a str) {
        // What looks like the end of the address, the logger and the message may all be of the client's header.
        self.forgeable |= matches!(kind, Kind::Key { address: true, .. }) && self.event.context.is_claimed();
        if self.forgeable {
            return;
        }
        match kind {
            Kind::Logger if self.event.logger.is_empty() => self.event.logger = value.into(),
            Kind::Message => self.event.message = value.into(),
            Kind::Key { key, default, .. } if !value.is_empty() && value != default => {
                self.event.context.push(key.clone(), value);
            }
            Kind::Dump => dump::read(value, &mut self.event.context),
            Kind::Logger | Kind::Text | Kind::Key { .. } => {}
        }
    }
}

/// Where a field ends that `literal` follows.
fn field_end(kind: &Kind, width: usize, literal: &str, text: &str) -> Option<usize> {
    let least = match width {
        0 => 0,
        _ => text.char_indices().nth(width).map_or(text.len(), |(at, _)| at),
    };
    match kind {
        // The last of the texts that end it within the name: `%C.%M` prints `a.b.Class.method`.
        Kind::Logger if width == 0 && literal.bytes().next().is_some_and(is_class) => {
            let run = text.bytes().take_while(|b| is_class(*b)).count();
            let within = text.get(..(run + literal.len()).min(text.len()))?;
            within.rfind(literal).filter(|at| *at <= run)
        }
        Kind::Key { address: true, .. } => {
            let mut from = least;
            loop {
                let end = from + find(text.get(from..)?, literal)?;
                if end > LONGEST_ADDRESS {
                    return None;
                }
                match brackets(text.get(..end)?.trim_matches(' ')) {
                    None => return None,
                    // Brackets of an IPv6 address are part of it.
                    Some(open) if open > 0 => from = end + literal.len(),
                    Some(_) => return Some(end),
                }
            }
        }
        _ => Some(least + find(text.get(least..)?, literal)?),
    }
}

/// A host name of 255 characters, an address and a port.
const LONGEST_ADDRESS: usize = 512;

/// How many brackets an address leaves open. `None`: there is a blank in it.
fn brackets(address: &str) -> Option<i32> {
    let mut open = 0;
    for byte in address.bytes() {
        match byte {
            b'[' => open += 1,
            b']' => open -= 1,
            b' ' | b'\t'..=b'\r' => return None,
            _ => {}
        }
    }
    Some(open)
}

/// The first place of a short text.
fn find(text: &str, literal: &str) -> Option<usize> {
    let first = *literal.as_bytes().first()?;
    let mut places = memchr::memchr_iter(first, text.as_bytes());
    places.find(|&at| text.get(at..).is_some_and(|rest| begins(rest, literal)))
}

/// As `starts_with`, without a call for texts of a few characters.
fn begins(text: &str, literal: &str) -> bool {
    text.len() >= literal.len() && text.bytes().zip(literal.bytes()).all(|(a, b)| a == b)
}

/// A level with the blanks that fill it up, and what follows.
fn level(text: &str, width: usize, renamed: bool) -> Option<(&str, &str)> {
    let start = text.len() - text.trim_start_matches(' ').len();
    let start = if width > 0 { start.min(width) } else { 0 };
    let after = text.get(start..)?;
    let length = if renamed {
        after.bytes().take_while(u8::is_ascii_alphabetic).count()
    } else {
        match after.as_bytes() {
            [b'I', b'N', b'F', b'O', ..] | [b'W', b'A', b'R', b'N', ..] => 4,
            [b'E', b'R', b'R', b'O', b'R', ..]
            | [b'D', b'E', b'B', b'U', b'G', ..]
            | [b'T', b'R', b'A', b'C', b'E', ..]
            | [b'F', b'A', b'T', b'A', b'L', ..] => 5,
            _ => 0,
        }
    };
    if length == 0 {
        return None;
    }
    let (level, rest) = after.split_at_checked(length)?;
    let pad = width.saturating_sub(start + length);
    let blanks = rest.bytes().take(pad).take_while(|b| *b == b' ').count();
    Some((level, rest.get(blanks..)?))
}
