//! fail2ban's own way of judging a line, with the date cut out.

use std::sync::OnceLock;

use regex_automata::{Input, MatchKind, PatternSet, meta};

use super::FilterError;
use super::needle::{self, Origin, Required};
use super::pattern::{Found, Groups, Pattern, Search};
use crate::engine::TextSpec;
use crate::engine::dates::DateFinder;

/// From this many regexes on, one pass over the line tells which of them can match.
const WORTH_A_SET: usize = 4;
/// Lines of a multi-line filter's buffer.
const MOST_LINES: u32 = 64;

/// A compiled `failRegex` with everything around it.
#[derive(Debug)]
pub(crate) struct TextRules {
    pref: Option<Pattern>,
    fail: Vec<Pattern>,
    ignore: Vec<Pattern>,
    set: Option<Set>,
    engine: OnceLock<Option<meta::Regex>>,
    dates: DateFinder,
    date_patterns: Vec<String>,
    max_lines: usize,
}

/// What one engine for all `failRegex` tells of an ASCII line. It is built when a line needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// All begin with `^`: of those that match, the first in order is the leftmost-first match of the whole.
    First,
    /// Tells which of them match.
    Which,
}

/// What the regexes say about a line.
#[derive(Debug, PartialEq)]
pub(crate) enum TextVerdict<'t> {
    /// `prefRegex` does not match.
    NoPrefix,
    /// No `failRegex` matches.
    Miss,
    /// An `ignoreRegex` vetoes the match of a `failRegex`.
    Ignored { rule: usize, ignore: usize },
    /// A `<F-NOFAIL>` line.
    NoFailure { rule: usize },
    /// The backtracking engine reached its limit; `None`: in `prefRegex`.
    GaveUp { rule: Option<usize> },
    /// The first `failRegex` that matches, and its groups merged with those of `prefRegex`.
    Hit { rule: usize, found: Found<'t> },
}

impl TextRules {
    pub(crate) fn compile(spec: &TextSpec) -> Result<Self, FilterError> {
        if spec.fail_regex.is_empty() {
            return Err(FilterError::new("failRegex", "no failRegex", "add one, or use rules"));
        }
        if spec.max_lines > MOST_LINES {
            return Err(FilterError::new(
                "maxLines",
                format!("{} lines, more than {MOST_LINES}", spec.max_lines),
                format!("use at most {MOST_LINES}"),
            ));
        }
        let multiline = spec.max_lines > 1;
        let compile = |source: &str, field: String| {
            Pattern::compile(source, Origin::CutLine, multiline).map_err(|e| e.field(field))
        };
        let each = |sources: &[String], name: &str| {
            sources
                .iter()
                .enumerate()
                .map(|(i, s)| compile(s, format!("{name}[{i}]")))
                .collect::<Result<Vec<_>, _>>()
        };
        let pref = spec.pref_regex.as_deref().map(|s| compile(s, "prefRegex".to_owned())).transpose()?;
        let fail = each(&spec.fail_regex, "failRegex")?;
        let ignore = each(&spec.ignore_regex, "ignoreRegex")?;
        let before = pref.as_ref().map_or(Groups::default(), Pattern::groups);
        for (i, pattern) in fail.iter().enumerate() {
            let groups = pattern.groups();
            if !(groups.identify() || groups.session || before.identify() || before.session) {
                return Err(FilterError::new(
                    format!("failRegex[{i}]"),
                    "no <HOST> or <ADDR>: the regex names nobody",
                    "mark the address with <HOST> or <ADDR>",
                ));
            }
        }
        let dates = DateFinder::new(&spec.date_patterns)
            .map_err(|e| FilterError::new("datePatterns", e.to_string(), ""))?;
        let anchored = fail.iter().all(|p| p.anchored() && !p.bounded());
        let set = match fail.len() >= WORTH_A_SET && !multiline {
            false => None,
            true if anchored => Some(Set::First),
            true => Some(Set::Which),
        };
        let max_lines = usize::try_from(spec.max_lines.max(1)).unwrap_or(1);
        let engine = OnceLock::new();
        Ok(Self {
            pref,
            fail,
            ignore,
            set,
            engine,
            dates,
            date_patterns: spec.date_patterns.clone(),
            max_lines,
        })
    }

    pub(crate) fn fail(&self) -> &[Pattern] {
        &self.fail
    }

    pub(crate) fn ignore(&self) -> &[Pattern] {
        &self.ignore
    }

    pub(crate) fn pref(&self) -> Option<&Pattern> {
        self.pref.as_ref()
    }

    pub(crate) fn dates(&self) -> &DateFinder {
        &self.dates
    }

    /// Filters with equal patterns find equal dates.
    pub(crate) fn date_patterns(&self) -> &[String] {
        &self.date_patterns
    }

    /// Lines looked at together; 1 is one at a time.
    pub(crate) fn max_lines(&self) -> usize {
        self.max_lines
    }

    /// Literals one of which stands in every line that regex `rule` matches.
    pub(crate) fn required(&self, rule: usize) -> Option<Required> {
        let pref = self.pref.as_ref().and_then(|p| p.required().cloned());
        let fail = self.fail.get(rule).and_then(|p| p.required().cloned());
        needle::rarer(fail, pref)
    }

    /// Judges a line whose date is cut out. Only the regexes `wanted`, in ascending order, can match.
    pub(crate) fn judge<'t>(&self, text: &'t str, wanted: &[usize]) -> TextVerdict<'t> {
        let ascii = text.is_ascii();
        let mut before = Found::default();
        let mut content = text;
        if let Some(pref) = &self.pref {
            match pref.search(text, ascii) {
                Search::Miss => return TextVerdict::NoPrefix,
                Search::GaveUp => return TextVerdict::GaveUp { rule: None },
                Search::Hit(found) => {
                    content = found.content.filter(|c| !c.is_empty()).unwrap_or(text);
                    before = found;
                }
            }
        }
        let set = self.set.filter(|_| ascii && wanted.len() >= WORTH_A_SET);
        let engine = set.and_then(|set| self.engine(set));
        if let (Some(Set::First), Some(engine)) = (set, engine) {
            let first = engine.search(&Input::new(content));
            let found =
                first.and_then(|m| Some((m.pattern().as_usize(), self.fail.get(m.pattern().as_usize())?, m)));
            return match found {
                None => TextVerdict::Miss,
                Some((rule, pattern, m)) => self.settle(
                    (text, content, ascii),
                    rule,
                    before,
                    pattern.within(content, ascii, m.start(), m.end()),
                ),
            };
        }
        let which = match (set, engine) {
            (Some(Set::Which), Some(engine)) => {
                let mut matched = PatternSet::new(self.fail.len());
                engine.which_overlapping_matches(&Input::new(content), &mut matched);
                Some(matched)
            }
            _ => None,
        };
        for &rule in wanted {
            let Some(pattern) = self.fail.get(rule) else { continue };
            if which.as_ref().is_some_and(|set| !contains(set, rule)) {
                continue;
            }
            match pattern.search(content, ascii) {
                Search::Miss => {}
                found => return self.settle((text, content, ascii), rule, before, found),
            }
        }
        TextVerdict::Miss
    }

    fn engine(&self, set: Set) -> Option<&meta::Regex> {
        let kind = match set {
            Set::First => MatchKind::LeftmostFirst,
            Set::Which => MatchKind::All,
        };
        self.engine.get_or_init(|| Pattern::set(&self.fail, kind)).as_ref()
    }

    /// What follows from the first regex that matches.
    fn settle<'t>(
        &self,
        (text, content, ascii): (&str, &str, bool),
        rule: usize,
        before: Found<'t>,
        search: Search<'t>,
    ) -> TextVerdict<'t> {
        let (Search::Hit(found), Some(pattern)) = (search, self.fail.get(rule)) else {
            return TextVerdict::GaveUp { rule: Some(rule) };
        };
        if let Some(ignore) = self.ignored(text, content, ascii) {
            return TextVerdict::Ignored { rule, ignore };
        }
        let found = before.overlaid_by(found, pattern.groups());
        if found.no_failure {
            return TextVerdict::NoFailure { rule };
        }
        TextVerdict::Hit { rule, found }
    }

    /// As in fail2ban, few `ignoreRegex` beside many `failRegex` see the whole line too.
    pub(super) fn ignores_whole_lines(&self) -> bool {
        self.ignore.len() + 2 < self.fail.len()
    }

    /// The `ignoreRegex` that vetoes.
    fn ignored(&self, text: &str, content: &str, ascii: bool) -> Option<usize> {
        let whole = self.ignores_whole_lines();
        self.ignore.iter().position(|pattern| {
            // Where the engine gives up, nobody is banned.
            (whole && pattern.is_match(text, ascii) != Some(false))
                || pattern.is_match(content, ascii) != Some(false)
        })
    }
}

fn contains(set: &PatternSet, rule: usize) -> bool {
    regex_automata::PatternID::new(rule).is_ok_and(|id| set.contains(id))
}
