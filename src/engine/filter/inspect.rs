//! Asking every regex instead of the first that matches, as `fail2ban-regex` does.

use super::pattern::{Found, Search};
use super::text::TextRules;

/// What all regexes say about a line.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Inspection<'t> {
    /// Whether `prefRegex` matches; true without one.
    pub(crate) prefix: bool,
    /// Each `failRegex` that matches and is not vetoed, with its groups.
    pub(crate) hits: Vec<(usize, Found<'t>)>,
    /// Each `ignoreRegex` that vetoed something.
    pub(crate) ignored: Vec<usize>,
    /// A regex reached its step limit.
    pub(crate) gave_up: bool,
}

impl TextRules {
    /// Asks all regexes about a line whose date is cut out.
    pub(crate) fn inspect<'t>(&self, text: &'t str) -> Inspection<'t> {
        let ascii = text.is_ascii();
        let mut all = Inspection { prefix: true, ..Inspection::default() };
        let (mut before, mut content) = (Found::default(), text);
        if self.ignores_whole_lines() {
            all.ignored = self.ignoring(text, ascii);
            if !all.ignored.is_empty() {
                return all;
            }
        }
        if let Some(pref) = self.pref() {
            match pref.search(text, ascii) {
                Search::Hit(found) => {
                    content = found.content.filter(|c| !c.is_empty()).unwrap_or(text);
                    before = found;
                }
                other => {
                    return Inspection { gave_up: other == Search::GaveUp, ..Inspection::default() };
                }
            }
        }
        for (rule, pattern) in self.fail().iter().enumerate() {
            match pattern.search(content, ascii) {
                Search::Miss => {}
                Search::GaveUp => all.gave_up = true,
                Search::Hit(found) => {
                    let vetoes = self.ignoring(content, ascii);
                    if vetoes.is_empty() {
                        all.hits.push((rule, before.overlaid_by(found, pattern.groups())));
                    }
                    all.ignored.extend(vetoes);
                }
            }
        }
        all
    }

    fn ignoring(&self, text: &str, ascii: bool) -> Vec<usize> {
        let matches =
            self.ignore().iter().enumerate().filter(|(_, p)| p.is_match(text, ascii) != Some(false));
        matches.map(|(index, _)| index).collect()
    }
}
