//! `maxLines`: regexes over the last few lines at once.

use super::pattern::{Found, Search};
use super::text::{TextRules, TextVerdict};

/// What the regexes say about the last lines, and which of them stay for the lines to come.
pub(crate) struct LinesVerdict<'t> {
    pub(crate) verdict: TextVerdict<'t>,
    /// Indexes of the lines to keep; `None`: all.
    pub(crate) keep: Option<Vec<usize>>,
}

impl TextRules {
    /// Judges `joined`, the last lines with their dates cut out, each with a line break. As in fail2ban, lines that
    /// a match spans are used up, except those that `<SKIPLINES>` skipped.
    pub(crate) fn judge_lines<'t>(&self, joined: &'t str) -> LinesVerdict<'t> {
        let ascii = joined.is_ascii();
        let stay = |verdict| LinesVerdict { verdict, keep: None };
        let mut before = Found::default();
        let mut content = joined;
        if let Some(pref) = self.pref() {
            match pref.search(joined, ascii) {
                Search::Miss => return stay(TextVerdict::NoPrefix),
                Search::GaveUp => return stay(TextVerdict::GaveUp { rule: None }),
                Search::Hit(found) => {
                    content = found.content.filter(|c| !c.is_empty()).unwrap_or(joined);
                    before = found;
                }
            }
        }
        for (rule, pattern) in self.fail().iter().enumerate() {
            let (found, span) = match pattern.search_span(content, ascii) {
                Err(()) => return stay(TextVerdict::GaveUp { rule: Some(rule) }),
                Ok(None) => continue,
                Ok(Some(hit)) => hit,
            };
            let (keep, matched) =
                if self.pref().is_some() { (Vec::new(), content) } else { used_up(joined, &span) };
            let keep = Some(keep);
            if let Some(ignore) = self.ignore().iter().position(|p| p.is_match(matched, ascii) != Some(false))
            {
                return LinesVerdict { verdict: TextVerdict::Ignored { rule, ignore }, keep };
            }
            let found = before.overlaid_by(found, pattern.groups());
            let verdict = if found.no_failure {
                TextVerdict::NoFailure { rule }
            } else {
                TextVerdict::Hit { rule, found }
            };
            return LinesVerdict { verdict, keep };
        }
        stay(TextVerdict::Miss)
    }
}

/// Where a match lies, and the lines it skipped.
pub(super) struct Span<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) skipped: Vec<&'t str>,
}

/// The lines outside the match and those it skipped, by index; and the text of the lines it spans.
fn used_up<'t>(joined: &'t str, span: &Span<'t>) -> (Vec<usize>, &'t str) {
    let bytes = joined.as_bytes();
    let breaks = |to: usize| bytes.iter().take(to).filter(|b| **b == b'\n').count();
    let first = bytes.iter().take(span.start + 1).rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let last = span.end.saturating_sub(1);
    let last = bytes.iter().skip(last).position(|b| *b == b'\n').map_or(bytes.len(), |i| last + i + 1);
    let (from, to) = (breaks(first), breaks(last));
    let mut skipped = span.skipped.iter().flat_map(|text| text.lines()).peekable();
    let mut keep: Vec<usize> = (0..from).collect();
    for (index, line) in joined.lines().enumerate().take(to).skip(from) {
        if skipped.next_if_eq(&line).is_some() {
            keep.push(index);
        }
    }
    keep.extend(to..breaks(bytes.len()));
    (keep, joined.get(first..last).unwrap_or(joined))
}
