//! One date template: finds a date in a line and reads it.

use std::ops::Range;
use std::sync::OnceLock;

use regex::Regex;

use super::DateError;
use super::directive::{self, Directive};
use super::fields::Fields;
use super::pattern::{Bounds, Expression, translate};

/// A date form. Those of users are compiled at once, so that they can be refused; the default ones when the first
/// line needs them: most sources need one of thirty.
#[derive(Debug)]
pub(crate) struct Template {
    /// What it is called in reports: the pattern.
    pub(crate) name: String,
    expression: Expression,
    compiled: OnceLock<Option<Compiled>>,
    /// Whether it matches at the start of a line only.
    pub(crate) anchored: bool,
    /// How the text of an anchored one can begin.
    pub(crate) first: First,
    /// Finds what the template would find, faster, or leaves the line to it.
    by_hand: Option<ByHand>,
}

/// A reader of one form: what the date says and where it is.
pub(crate) type ByHand = fn(&str) -> Option<(Fields, Range<usize>)>;

#[derive(Debug)]
struct Compiled {
    regex: Regex,
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
        let template = Self::later(pattern, translate(pattern, Bounds::Words)?);
        let compiled = template
            .expression
            .compile()
            .map_err(|why| DateError::Regex { pattern: pattern.to_owned(), reason: reason(&why) })?;
        template.compiled.get_or_init(|| Some(compiled));
        Ok(template)
    }

    /// A pattern known to be good, compiled when a line needs it.
    pub(crate) fn later(name: &str, expression: Expression) -> Self {
        Self {
            name: name.to_owned(),
            anchored: expression.anchored,
            expression,
            compiled: OnceLock::new(),
            first: First::Either,
            by_hand: None,
        }
    }

    /// With a reader for lines of its most common spelling.
    pub(crate) fn by_hand(mut self, reader: ByHand) -> Self {
        self.by_hand = Some(reader);
        self
    }

    /// With the kind of character its text begins with, so that most lines need no search.
    pub(crate) fn beginning(mut self, first: First) -> Self {
        self.first = first;
        self
    }

    /// The first date in `line`. An empty match is no date.
    pub(crate) fn find(&self, line: &str) -> Option<Hit> {
        if let Some((fields, range)) = self.by_hand.and_then(|read| read(line)) {
            return Some(Hit { range, fields: Some(fields) });
        }
        self.search(line)
    }

    /// [`Template::find`] without the reader by hand.
    pub(super) fn search(&self, line: &str) -> Option<Hit> {
        let compiled = self.compiled.get_or_init(|| self.expression.compile().ok()).as_ref()?;
        let found = compiled.regex.captures(line)?;
        let range = compiled.cut.iter().find_map(|&group| found.get(group))?.range();
        if range.is_empty() {
            return None;
        }
        let mut fields = Fields::default();
        let whole = compiled.parts.iter().try_for_each(|(group, directive)| match found.get(*group) {
            Some(text) => directive.read(text.as_str(), &mut fields),
            None => Some(()),
        });
        Some(Hit { range, fields: whole.map(|()| fields) })
    }

    /// Whether it can be compiled at all.
    #[cfg(test)]
    pub(crate) fn is_sound(&self) -> bool {
        self.expression.compile().is_ok()
    }
}

impl Expression {
    fn compile(&self) -> Result<Compiled, regex::Error> {
        let regex =
            regex::RegexBuilder::new(&self.regex).size_limit(1 << 20).dfa_size_limit(1 << 20).build()?;
        let mut parts = Vec::new();
        for (group, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let own = name.rsplit("__").next().unwrap_or(name);
            let known = own.strip_prefix('d').and_then(|index| index.parse::<usize>().ok());
            let directive = match known.and_then(|index| self.directives.get(index)) {
                Some(directive) => Some(*directive),
                None => directive::of_group(own),
            };
            parts.extend(directive.map(|directive| (group, directive)));
        }
        let per_copy = regex.captures_len().saturating_sub(1) / self.copies.max(1);
        let cut = (0..self.copies).map(|copy| 1 + copy * per_copy).collect();
        Ok(Compiled { regex, cut, parts })
    }
}

/// The last line of the error; the lines before it show the pattern as it was translated.
fn reason(why: &regex::Error) -> String {
    let text = why.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
