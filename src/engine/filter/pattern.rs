//! One compiled regex of the dialect.
//!
//! Nearly all lines are ASCII, so the everyday engine works on bytes and knows no Unicode; it is a fraction of the
//! size. Lines with other characters get the full engine, built on first use.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::meta;
use regex_automata::util::captures::Captures;
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Hir, Look};

use super::dialect;
use super::engines;
use super::error::RegexError;
use super::frame::{Frame, Framed};
use super::lines;
use super::needle::{self, Origin, Required};
use super::span::{self, Span};
use crate::engine::address::parse_address;

/// Bytes of a regex as written.
const LONGEST_SOURCE: usize = 8 * 1024;

/// A compiled regex.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: String,
    /// In Rust's syntax: the regex itself, or a linear one that matches at least as much.
    relaxed: String,
    /// For ASCII lines, built on first use: most rules never see a line. `None`: the regex itself needs Unicode.
    ascii: Option<OnceLock<Option<meta::Regex>>>,
    unicode: OnceLock<Option<meta::Regex>>,
    backtracking: Option<Box<fancy_regex::Regex>>,
    groups: Groups,
    span: Option<Span>,
    frame: Option<Frame>,
    /// The only text that matches, when the regex is nothing but this text from beginning to end.
    whole: Option<Box<[u8]>>,
    anchored: bool,
    required: Option<Required>,
}

/// Which of the names that mean something the regex has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) address: bool,
    pub(crate) id: bool,
    pub(crate) session: bool,
    pub(crate) other: bool,
}

/// What a search found.
#[derive(Debug, PartialEq)]
pub(crate) enum Search<'t> {
    Miss,
    /// The backtracking engine reached its limit, or there is no engine.
    GaveUp,
    Hit(Found<'t>),
}

/// The named groups of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found<'t> {
    /// `ip4` or `ip6`, already parsed; then `ip` may be empty.
    pub(crate) address: Option<IpAddr>,
    /// `ip4` or `ip6`, as written.
    pub(crate) ip: Option<&'t str>,
    /// `dns`: a host name where an address could be.
    pub(crate) dns: Option<&'t str>,
    /// `fid`.
    pub(crate) id: Option<&'t str>,
    /// `mlfid`.
    pub(crate) session: Option<&'t str>,
    /// `nofail` or `mlfgained`: a helper line, no failure.
    pub(crate) no_failure: bool,
    /// `content` of a prefix regex.
    pub(crate) content: Option<&'t str>,
}

impl Pattern {
    pub(crate) fn compile(source: &str, origin: Origin, multiline: bool) -> Result<Self, RegexError> {
        if source.trim().is_empty() {
            return Err(RegexError::new("empty regex", "remove it or write one"));
        }
        if source.len() > LONGEST_SOURCE {
            return Err(RegexError::new(
                format!("regex of {} bytes, more than {LONGEST_SOURCE}", source.len()),
                "split it into several",
            ));
        }
        let translated = dialect::translate(source, multiline)?;
        let hir = engines::parse(source, &translated.relaxed)?;
        let large = engines::measure(&hir)?;
        let ascii_hir = engines::reparse(&translated.relaxed.text, false);
        let backtracking =
            translated.bounded.then(|| engines::backtracking(source, &translated)).transpose()?;
        let required = needle::of_regex(ascii_hir.as_ref().unwrap_or(&hir), origin);
        let groups = Groups::of(&hir, backtracking.as_deref());
        let plain = groups.address && !groups.id && !groups.session && !groups.other;
        let span = match &ascii_hir {
            Some(hir) if plain && !translated.bounded && !multiline => Span::of(hir),
            _ => None,
        };
        Ok(Self {
            source: source.to_owned(),
            relaxed: translated.relaxed.text,
            ascii: ascii_hir.is_some().then(OnceLock::new),
            unicode: large.map_or_else(OnceLock::new, |engine| OnceLock::from(Some(engine))),
            backtracking,
            groups,
            frame: span.and_then(|span| Frame::of(ascii_hir.as_ref()?, span)),
            span,
            whole: if translated.bounded || groups.any() { None } else { span::whole(&hir) },
            anchored: hir.properties().look_set_prefix().contains(Look::Start),
            required,
        })
    }

    /// The same without shortcuts.
    #[cfg(test)]
    pub(super) fn plain(self) -> Self {
        Self { span: None, frame: None, whole: None, ..self }
    }

    /// The regex as written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The regex, or what of it is linear, in Rust's syntax.
    pub(super) fn relaxed(&self) -> &str {
        &self.relaxed
    }

    /// Whether it runs in the backtracking engine, with a step limit.
    pub(crate) fn bounded(&self) -> bool {
        self.backtracking.is_some()
    }

    /// Whether it matches at the beginning of the text only.
    pub(crate) fn anchored(&self) -> bool {
        self.anchored
    }

    /// One engine for all of `patterns`, for ASCII lines.
    pub(super) fn set(patterns: &[Self], kind: MatchKind) -> Option<meta::Regex> {
        let parsed = patterns.iter().map(|p| engines::reparse(&p.relaxed, false));
        engines::set(&parsed.collect::<Option<Vec<_>>>()?, kind)
    }

    pub(crate) fn groups(&self) -> Groups {
        self.groups
    }

    pub(crate) fn required(&self) -> Option<&Required> {
        self.required.as_ref()
    }

    fn linear(&self, ascii: bool) -> Option<&meta::Regex> {
        let build = |unicode| engines::linear(&engines::reparse(&self.relaxed, unicode)?, unicode);
        if ascii
            && let Some(cell) = &self.ascii
            && let Some(regex) = cell.get_or_init(|| build(false))
        {
            return Some(regex);
        }
        self.unicode.get_or_init(|| build(true)).as_ref()
    }

    /// Whether there is a linear engine for every text.
    #[cfg(test)]
    pub(super) fn builds(&self) -> bool {
        self.linear(true).is_some() && self.linear(false).is_some()
    }

    /// Whether the regex is found in `text`; `None` when the search gave up. `ascii` says that `text` is.
    pub(crate) fn is_match(&self, text: &str, ascii: bool) -> Option<bool> {
        let regex = self.linear(ascii)?;
        if !regex.is_match(text) {
            return Some(false);
        }
        match &self.backtracking {
            None => Some(true),
            Some(regex) => regex.is_match(text).ok(),
        }
    }

    /// The leftmost match and what its groups hold.
    pub(crate) fn search<'t>(&self, text: &'t str, ascii: bool) -> Search<'t> {
        if let Some(whole) = &self.whole {
            return if text.as_bytes() == &**whole { Search::Hit(Found::default()) } else { Search::Miss };
        }
        if ascii && let Some(frame) = &self.frame {
            match frame.read(text) {
                Framed::Hit(found) => return Search::Hit(found),
                Framed::Miss => return Search::Miss,
                Framed::Unsure => {}
            }
        }
        // A regex without an engine was refused; should one be left, that must not look like a miss.
        let Some(regex) = self.linear(ascii) else { return Search::GaveUp };
        if let Some(bounded) = &self.backtracking {
            if !regex.is_match(text) {
                return Search::Miss;
            }
            return match bounded.captures(text) {
                Err(_) => Search::GaveUp,
                Ok(None) => Search::Miss,
                Ok(Some(caps)) => Search::Hit(Found::new(|name| caps.name(name).map(|m| m.as_str()))),
            };
        }
        if let Some(span) = self.span
            && ascii
            && self.ascii.is_some()
        {
            let Some(found) = regex.search(&Input::new(text)) else { return Search::Miss };
            if let Some(found) = span.read(text, found.start(), found.end()) {
                return Search::Hit(found);
            }
        } else if !self.groups.any() {
            return if regex.is_match(text) { Search::Hit(Found::default()) } else { Search::Miss };
        }
        let mut caps: Captures = regex.create_captures();
        regex.search_captures(&Input::new(text), &mut caps);
        if !caps.is_match() {
            return Search::Miss;
        }
        Search::Hit(Found::new(|name| caps.get_group_by_name(name).and_then(|span| text.get(span.range()))))
    }

    /// As [`Pattern::search`], when it is known already that the leftmost match is at `start..end`.
    pub(super) fn within<'t>(&self, text: &'t str, ascii: bool, start: usize, end: usize) -> Search<'t> {
        match self.span.filter(|_| ascii).and_then(|span| span.read(text, start, end)) {
            Some(found) => Search::Hit(found),
            None => self.search(text, ascii),
        }
    }

    /// As [`Pattern::search`] over several lines, with the place of the match. An error when the search gave
    /// up.
    pub(super) fn search_span<'t>(
        &self,
        text: &'t str,
        ascii: bool,
    ) -> Result<Option<(Found<'t>, lines::Span<'t>)>, ()> {
        let Some(regex) = self.linear(ascii) else { return Err(()) };
        let all = |range: Option<Range<usize>>, group: &dyn Fn(&str) -> Option<&'t str>| {
            let Range { start, end } = range?;
            let skipped = (0..).map_while(|i| group(&format!("skiplines{i}"))).collect();
            Some((Found::new(group), lines::Span { start, end, skipped }))
        };
        if let Some(bounded) = &self.backtracking {
            let caps = if regex.is_match(text) { bounded.captures(text).map_err(|_| ())? } else { None };
            let Some(caps) = caps else { return Ok(None) };
            let group = |name: &str| caps.name(name).map(|m| m.as_str());
            return Ok(all(caps.get(0).map(|m| m.range()), &group));
        }
        let mut caps: Captures = regex.create_captures();
        regex.search_captures(&Input::new(text), &mut caps);
        let group = |name: &str| caps.get_group_by_name(name).and_then(|span| text.get(span.range()));
        Ok(all(caps.get_match().map(|m| m.range()), &group))
    }
}

impl Groups {
    fn of(hir: &Hir, bounded: Option<&fancy_regex::Regex>) -> Self {
        let mut groups = Self::default();
        let mut note = |name: &str| match name {
            "ip4" | "ip6" | "dns" => groups.address = true,
            "fid" => groups.id = true,
            "mlfid" => groups.session = true,
            "nofail" | "content" | "mlfforget" | "mlfgained" => groups.other = true,
            _ => {}
        };
        match bounded {
            Some(regex) => regex.capture_names().flatten().for_each(note),
            None => names(hir, &mut note),
        }
        groups
    }

    /// Whether a match can name somebody.
    pub(crate) fn identify(self) -> bool {
        self.address || self.id
    }

    fn any(self) -> bool {
        self != Self::default()
    }
}

fn names(hir: &Hir, note: &mut impl FnMut(&str)) {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Capture(capture) => {
            if let Some(name) = capture.name.as_deref() {
                note(name);
            }
            names(&capture.sub, note);
        }
        HirKind::Repetition(repetition) => names(&repetition.sub, note),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| names(part, note));
        }
        _ => {}
    }
}

impl<'t> Found<'t> {
    /// Who is accused: the text and, when it is one, the address. An address goes before a name, a name before an
    /// identifier.
    pub(crate) fn accused(self) -> Option<(&'t str, Option<IpAddr>)> {
        if let Some(text) = self.ip {
            return Some((text, self.address.or_else(|| parse_address(text))));
        }
        if let Some(text) = self.dns {
            return Some((text, None));
        }
        self.id.map(|text| (text, parse_address(text)))
    }

    /// The groups of `prefRegex` (`self`) and those of the regex after it, which win where it has them.
    pub(crate) fn overlaid_by(self, later: Self, groups: Groups) -> Self {
        Self {
            address: if groups.address { later.address } else { self.address },
            ip: if groups.address { later.ip } else { self.ip },
            dns: if groups.address { later.dns } else { self.dns },
            id: later.id.or(self.id),
            session: later.session.or(self.session),
            no_failure: later.no_failure || self.no_failure,
            content: None,
        }
    }

    fn new(group: impl Fn(&str) -> Option<&'t str>) -> Self {
        Self {
            address: None,
            ip: group("ip4").or_else(|| group("ip6")),
            dns: group("dns"),
            id: group("fid"),
            session: group("mlfid"),
            // A login that succeeded is no failure either.
            no_failure: ["nofail", "mlfgained"]
                .iter()
                .any(|name| group(name).is_some_and(|text| !text.is_empty())),
            content: group("content"),
        }
    }
}

#[cfg(test)]
#[path = "tests/pattern.rs"]
mod tests;
