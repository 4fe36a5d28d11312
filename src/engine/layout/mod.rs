//! How a line splits into an event. One file per family of layouts.

mod ansi;
mod detect;
mod encoder;
mod james;
mod json;
mod logger;
mod pattern;
#[cfg(test)]
mod tests;

pub(crate) use ansi::colour;
pub use ansi::strip_ansi;
pub use detect::detect;
pub use james::time_of_day;
pub use logger::logger_matches;
pub use pattern::PatternError;

use super::{Event, LayoutSpec, ReadClock};
use encoder::Encoder;
use pattern::Pattern;

/// Why a layout could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// `Auto` is no layout: it is found out per source, by [`detect`].
    #[error("the layout Auto must be resolved from a source's first lines")]
    Auto,
    /// The pattern cannot be read.
    #[error("layout pattern cannot be used")]
    Pattern(#[from] PatternError),
}

/// Why a line is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It does not have the layout's form: a stack trace, a banner, another program's line.
    #[error("the line does not have the layout's form")]
    Shape,
    /// It can be read in more than one way, because a value or the message holds text that looks like the pattern's
    /// own. Which of them is true cannot be told.
    #[error("the line can be read in more than one way: text in it looks like the pattern's own")]
    Ambiguous,
}

/// Takes lines of one layout apart.
#[derive(Debug)]
pub struct Layout {
    spec: LayoutSpec,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    James,
    Json(Encoder),
    Text,
    Pattern(Pattern),
}

impl Layout {
    /// A layout, compiled.
    ///
    /// # Errors
    ///
    /// [`LayoutError`]: `Auto`, or a pattern that cannot be read, with the position in it.
    pub fn new(spec: &LayoutSpec) -> Result<Self, LayoutError> {
        let reader = match spec {
            LayoutSpec::Auto => return Err(LayoutError::Auto),
            LayoutSpec::JamesDefault => Reader::James,
            LayoutSpec::JsonEncoder => Reader::Json(Encoder::Logback),
            LayoutSpec::JsonLayout => Reader::Json(Encoder::Contrib),
            LayoutSpec::Logstash => Reader::Json(Encoder::Logstash),
            LayoutSpec::Text => Reader::Text,
            LayoutSpec::Pattern(pattern) => Reader::Pattern(Pattern::new(pattern)?),
        };
        Ok(Self { spec: spec.clone(), reader })
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &LayoutSpec {
        &self.spec
    }

    /// Whether events of this layout can have a context.
    pub(crate) fn has_context(&self) -> bool {
        match &self.reader {
            Reader::James | Reader::Text => false,
            Reader::Json(_) => true,
            Reader::Pattern(pattern) => pattern.has_context(),
        }
    }

    /// The event of a line, which is without its newline and container envelope. Colours before the message may still
    /// be there; in the message they stay. `None` when the line is not of this layout.
    #[must_use]
    pub fn event<'a>(&self, line: &'a str, clock: ReadClock<'_>) -> Option<Event<'a>> {
        self.read(line, clock).ok()
    }

    /// As [`Layout::event`], with the reason why a line is no event.
    ///
    /// # Errors
    ///
    /// [`Unread`] when the line is not of this layout or could be read in more than one way.
    pub fn read<'a>(&self, line: &'a str, clock: ReadClock<'_>) -> Result<Event<'a>, Unread> {
        match &self.reader {
            Reader::James => james::Line::read(line).map(|line| line.event(clock)).ok_or(Unread::Shape),
            Reader::Json(encoder) => encoder.event(line, clock).ok_or(Unread::Shape),
            Reader::Text => Ok(Event { message: line.into(), ..Event::default() }),
            Reader::Pattern(pattern) => pattern.read(line, clock),
        }
    }
}
