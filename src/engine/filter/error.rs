//! Why a filter was refused.

/// One mistake in a filter, with the field it is in and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FilterError {
    /// The field within the filter's spec: `rules[0].message`, `failRegex[2]`, …
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty when the message says it all.
    pub fix: String,
}

impl FilterError {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), fix: fix.into() }
    }
}

/// A mistake in one regex, before the field is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegexError {
    pub(super) message: String,
    pub(super) fix: String,
}

impl RegexError {
    pub(super) fn new(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { message: message.into(), fix: fix.into() }
    }

    /// A mistake at a byte of the regex; the message counts characters from 1.
    pub(super) fn at(source: &str, at: usize, what: &str, fix: &str) -> Self {
        let column = source.char_indices().take_while(|(i, _)| *i < at).count() + 1;
        Self::new(format!("{what} at character {column} of the regex"), fix)
    }

    pub(super) fn field(self, field: impl Into<String>) -> FilterError {
        FilterError { field: field.into(), message: self.message, fix: self.fix }
    }
}
