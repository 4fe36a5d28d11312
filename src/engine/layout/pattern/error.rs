//! What is wrong with a pattern.

use super::compile::Hint;

/// Why a pattern was refused. Positions count characters from 0; messages count them from 1, as people do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A conversion word that neither logback nor log4j2 has, or one that is not supported.
    #[error("unknown conversion word %{word} at character {}; {hint}", .position + 1)]
    UnknownWord {
        /// The word.
        word: String,
        /// Where its `%` is.
        position: usize,
        /// What may help.
        hint: Hint,
    },
    /// A `%` without a word.
    #[error("a % without a conversion word at character {}; write %% for a percent sign", .position + 1)]
    LonePercent {
        /// Where.
        position: usize,
    },
    /// A word that colours or changes text, without any.
    #[error(
        "%{word} at character {} has nothing to print; write %{word}(%level) or, in log4j2, %{word}{{%level}}", .position + 1
    )]
    NoText {
        /// The word.
        word: String,
        /// Where its `%` is.
        position: usize,
    },
    /// A bracket that is not closed.
    #[error("the {bracket} of the conversion word at character {} is not closed", .position + 1)]
    Unclosed {
        /// `(` or `{`.
        bracket: char,
        /// Where the word's `%` is.
        position: usize,
    },
    /// Groups within groups within groups.
    #[error("groups are nested too deep at character {}", .position + 1)]
    TooDeep {
        /// Where.
        position: usize,
    },
    /// A letter in a date format that prints nothing readable here.
    #[error(
        "the date format {format:?} at character {} has the unknown letter {letter:?}; quote text as 'text'", .position + 1
    )]
    UnknownDateLetter {
        /// The letter.
        letter: char,
        /// The format.
        format: String,
        /// Where the `%d` is.
        position: usize,
    },
    /// A time zone that this machine does not know.
    #[error(
        "the date at character {} has the unknown time zone {zone:?}; name it like UTC, +02:00 or Europe/Berlin", .position + 1
    )]
    UnknownZone {
        /// The zone.
        zone: String,
        /// Where the `%d` is.
        position: usize,
    },
    /// The pattern has no message.
    #[error("the pattern prints no message; it needs %msg")]
    NoMessage,
    /// The pattern has two messages.
    #[error("the pattern prints the message a second time at character {}", .position + 1)]
    SecondMessage {
        /// Where.
        position: usize,
    },
    /// Something is printed after a line break.
    #[error("the line break at character {} parts one event into several lines; put %n at the end", .position + 1)]
    SecondLine {
        /// Where the `%n` is.
        position: usize,
    },
    /// Nothing tells where a field ends.
    #[error(
        "nothing stands between {field} and the next field, so that its end cannot be told; put a blank there"
    )]
    Adjacent {
        /// The first of the two.
        field: String,
    },
    /// The pattern is too large.
    #[error("the pattern is too long")]
    TooLong,
}
