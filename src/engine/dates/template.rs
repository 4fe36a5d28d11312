//! One date template: finds a date in a line and reads it.

use std::ops::Range;

use regex::Regex;

use super::DateError;
use super::directive::{self, Directive};
use super::fields::Fields;
use super::pattern::{Bounds, Expression, translate};

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Template {
    regex: Regex,
    /// Whether it matches at the start of a line only.
    pub(crate) anchored: bool,
    /// How the text of an anchored one can begin.
    pub(crate) first: First,
    /// Groups that may hold the text to cut; one of them takes part in a match.
    cut: Vec<usize>,
    /// Groups and what they say.
    parts: Vec<(usize, Directive)>,
}

/// The first character that is part of a word, in the text of an anchored template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Digit,
    Letter,
    Either,
}

/// A date found by a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// What to cut out of the line.
    pub(crate) range: Range<usize>,
    /// What it says; `None` when it says nothing that exists, such as a month without a name.
    pub(crate) fields: Option<Fields>,
}

impl Template {
    /// Compiles a user's pattern.
    pub(crate) fn new(pattern: &str) -> Result<Self, DateError> {
        Self::with_bounds(pattern, Bounds::Words)
    }

    /// Compiles a pattern to be found where `bounds` says.
    pub(crate) fn with_bounds(pattern: &str, bounds: Bounds) -> Result<Self, DateError> {
        Self::compile(pattern, &translate(pattern, bounds)?)
    }

    /// Compiles a regular expression whose groups `d0`, `d1`, … are `directives`, and whose `cut` groups, of which
    /// one takes part, are the text to cut.
    pub(crate) fn from_regex(
        regex: &str,
        anchored: bool,
        cut: &[usize],
        directives: Vec<Directive>,
    ) -> Result<Self, DateError> {
        let expression = Expression { regex: regex.to_owned(), anchored, copies: 1, directives };
        let mut template = Self::compile(regex, &expression)?;
        template.cut = cut.to_vec();
        Ok(template)
    }

    /// With the kind of character its text begins with, so that most lines need no search.
    pub(crate) fn beginning(mut self, first: First) -> Self {
        self.first = first;
        self
    }

    fn compile(pattern: &str, expression: &Expression) -> Result<Self, DateError> {
        let regex = regex::RegexBuilder::new(&expression.regex)
            .size_limit(1 << 20)
            .dfa_size_limit(1 << 20)
            .build()
            .map_err(|why| DateError::Regex { pattern: pattern.to_owned(), reason: reason(&why) })?;
        let mut parts = Vec::new();
        for (group, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let own = name.rsplit("__").next().unwrap_or(name);
            let known = own.strip_prefix('d').and_then(|index| index.parse::<usize>().ok());
            let directive = match known.and_then(|index| expression.directives.get(index)) {
                Some(directive) => Some(*directive),
                None => directive::of_group(own),
            };
            parts.extend(directive.map(|directive| (group, directive)));
        }
        let per_copy = regex.captures_len().saturating_sub(1) / expression.copies.max(1);
        let cut = (0..expression.copies).map(|copy| 1 + copy * per_copy).collect();
        Ok(Self { regex, anchored: expression.anchored, first: First::Either, cut, parts })
    }

    /// The first date in `line`. An empty match is no date.
    pub(crate) fn find(&self, line: &str) -> Option<Hit> {
        let found = self.regex.captures(line)?;
        let range = self.cut.iter().find_map(|&group| found.get(group))?.range();
        if range.is_empty() {
            return None;
        }
        let mut fields = Fields::default();
        let whole = self.parts.iter().try_for_each(|(group, directive)| match found.get(*group) {
            Some(text) => directive.read(text.as_str(), &mut fields),
            None => Some(()),
        });
        Some(Hit { range, fields: whole.map(|()| fields) })
    }
}

/// The last line of the error; the lines before it show the pattern as it was translated.
fn reason(why: &regex::Error) -> String {
    let text = why.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
