//! The regex engines and their limits.

use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{MatchKind, meta};
use regex_syntax::hir::Hir;

use super::dialect::{Mapped, Translated};
use super::error::RegexError;
use super::size;

/// Bytes of a compiled regex.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;
/// Bytes of remembered states per direction of one regex: beyond them the engine begins anew, or goes slower.
const CACHE: usize = 128 * 1024;
/// Depth of groups.
const NEST_LIMIT: u32 = 64;
/// Steps of the backtracking engine on one line; some milliseconds.
const STEP_LIMIT: usize = 100_000;

fn parser(unicode: bool) -> regex_syntax::Parser {
    regex_syntax::ParserBuilder::new().unicode(unicode).utf8(unicode).nest_limit(NEST_LIMIT).build()
}

/// A regex that was parsed before.
pub(super) fn reparse(text: &str, unicode: bool) -> Option<Hir> {
    parser(unicode).parse(text).ok()
}

/// Parses a translated regex; mistakes are told at their place in `source`.
pub(super) fn parse(source: &str, from: &Mapped) -> Result<Hir, RegexError> {
    parser(true).parse(&from.text).map_err(|error| {
        let (what, at) = match &error {
            regex_syntax::Error::Parse(e) => (e.kind().to_string(), e.span().start.offset),
            regex_syntax::Error::Translate(e) => (e.kind().to_string(), e.span().start.offset),
            _ => (error.to_string(), 0),
        };
        if what.starts_with("duplicate capture group name") {
            return RegexError::new(
                "two groups of one name (<HOST> and <ADDR> name the groups ip4, ip6, dns)",
                "write the tag once, or use (?:…) and two regexes",
            );
        }
        RegexError::at(source, from.origin(at), &what, "see https://docs.rs/regex/latest/regex/#syntax")
    })
}

/// Builds the linear engine of a regex that may be too large for it, and refuses one that is. `None`: it is certainly
/// not, and the engine is built when a line needs it.
pub(super) fn measure(hir: &Hir) -> Result<Option<meta::Regex>, RegexError> {
    // Compiling with all of Unicode is most of the work of making a filter, and nearly all regexes are small.
    if size::at_most(hir) <= SIZE_LIMIT {
        return Ok(None);
    }
    // The whole engine, not only the automaton that reads forwards: the one that reads backwards is often larger.
    linear(hir, true).map(Some).ok_or_else(|| {
        RegexError::new(
            format!("regex too large: its automaton needs more than {} MiB", SIZE_LIMIT >> 20),
            "use fewer or smaller counted repetitions such as {1,1000}, and classes of ASCII in them: \
             [0-9A-Za-z_] is a hundred times smaller than \\w",
        )
    })
}

/// The linear engine.
pub(super) fn linear(hir: &Hir, unicode: bool) -> Option<meta::Regex> {
    let config = meta::Config::new()
        .utf8_empty(unicode)
        .nfa_size_limit(Some(SIZE_LIMIT))
        .onepass_size_limit(Some(64 * 1024))
        .hybrid_cache_capacity(CACHE);
    meta::Builder::new()
        .syntax(syntax::Config::new().unicode(unicode).utf8(unicode))
        .configure(config)
        .build_from_hir(hir)
        .ok()
}

/// One linear engine for several regexes, for ASCII text.
pub(super) fn set(hirs: &[Hir], kind: MatchKind) -> Option<meta::Regex> {
    let config = meta::Config::new()
        .utf8_empty(false)
        .match_kind(kind)
        .which_captures(thompson::WhichCaptures::Implicit)
        .nfa_size_limit(Some(4 * SIZE_LIMIT))
        .hybrid_cache_capacity(16 * CACHE);
    meta::Builder::new()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .configure(config)
        .build_many_from_hir(hirs)
        .ok()
}

/// The backtracking engine, with its step limit.
pub(super) fn backtracking(
    source: &str,
    translated: &Translated,
) -> Result<Box<fancy_regex::Regex>, RegexError> {
    let built = fancy_regex::RegexBuilder::new(&translated.exact.text)
        .backtrack_limit(STEP_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .build();
    built.map(Box::new).map_err(|error| match error {
        fancy_regex::Error::ParseError(at, kind) => {
            let what = kind.to_string();
            RegexError::at(source, translated.exact.origin(at), &what, "write it without look-around")
        }
        other => RegexError::new(other.to_string(), "write it without look-around"),
    })
}
