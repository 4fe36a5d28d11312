//! Literals that every match of a regex contains, so that a block can be searched before its lines are cut.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::rarity::{ranks, ranks_in_words};

/// Shorter than this, a literal is in too many lines to be worth a search.
const SHORTEST: usize = 3;
/// Longer literals are no rarer.
const LONGEST: usize = 32;
/// A regex with more alternatives has no usable literals.
const MOST_ALTERNATIVES: usize = 16;

/// A literal in ASCII. Letters are lower-case when `folded`, and both cases are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Needle {
    /// What to look for; at least three bytes.
    pub(crate) text: Vec<u8>,
    /// Both cases of every letter are meant.
    pub(crate) folded: bool,
}

/// Where the searched text comes from, which decides what a literal must not span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A message, a logger or a context value: it stands in the line as one piece, perhaps escaped as JSON.
    Field,
    /// The line with its date cut out. A date begins and ends at a word boundary, so where it was, two characters
    /// meet that are no word characters.
    CutLine,
}

/// Literals one of which every match contains, and how rare they are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Required {
    /// At least one of these is in every matching line.
    pub(crate) needles: Vec<Needle>,
    /// Higher is rarer.
    pub(crate) rarity: u32,
}

/// The best required literals of a regex; `None` when there are none worth a search.
pub(super) fn of_regex(hir: &Hir, origin: Origin) -> Option<Required> {
    let mut search = Search { origin, run: Vec::new(), best: None };
    search.visit(hir);
    search.end_run();
    search.best
}

/// The best required literal of a fixed text.
pub(super) fn of_text(text: &str) -> Option<Required> {
    let run: Vec<(u8, bool)> = text.bytes().map(|b| (b, false)).collect();
    best_of_run(&run, Origin::Field)
}

/// Of two sets of required literals the rarer one.
pub(super) fn rarer(a: Option<Required>, b: Option<Required>) -> Option<Required> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.rarity > a.rarity { b } else { a }),
        (a, b) => a.or(b),
    }
}

struct Search {
    origin: Origin,
    /// Bytes that stand next to each other, each with whether both cases are meant.
    run: Vec<(u8, bool)>,
    best: Option<Required>,
}

impl Search {
    fn offer(&mut self, found: Option<Required>) {
        self.best = rarer(self.best.take(), found);
    }

    fn end_run(&mut self) {
        let found = best_of_run(&self.run, self.origin);
        self.run.clear();
        self.offer(found);
    }

    fn visit(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Literal(literal) => self.run.extend(literal.0.iter().map(|b| (*b, false))),
            HirKind::Class(class) => match both_cases(class) {
                Some(lower) => self.run.push((lower, true)),
                None => self.end_run(),
            },
            HirKind::Capture(capture) => self.visit(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.visit(part)),
            HirKind::Repetition(repetition) => {
                self.end_run();
                if repetition.min > 0 {
                    self.visit(&repetition.sub);
                    self.end_run();
                }
            }
            HirKind::Alternation(branches) => {
                self.end_run();
                let found = self.alternatives(branches);
                self.offer(found);
            }
            // A line break or boundary has no width, but `$` and `^` inside a literal make it impossible anyway.
            HirKind::Look(_) | HirKind::Empty => {}
        }
    }

    fn alternatives(&self, branches: &[Hir]) -> Option<Required> {
        let mut all = Required { needles: Vec::new(), rarity: u32::MAX };
        for branch in branches {
            let one = of_regex(branch, self.origin)?;
            all.rarity = all.rarity.min(one.rarity);
            all.needles.extend(one.needles);
        }
        // Any of them will do, so together they are in more lines than the commonest of them.
        let others = u32::try_from(all.needles.len()).unwrap_or(u32::MAX).saturating_sub(1);
        all.rarity = all.rarity.saturating_sub(others);
        (all.needles.len() <= MOST_ALTERNATIVES).then_some(all)
    }
}

/// The lower-case letter, when a class holds exactly both cases of one.
fn both_cases(class: &Class) -> Option<u8> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Bytes(class) => class.iter().map(|r| (r.start().into(), r.end().into())).collect(),
        Class::Unicode(class) => class.iter().map(|r| (r.start().into(), r.end().into())).collect(),
    };
    match ranges.as_slice() {
        [(upper, u), (lower, l)] if upper == u && lower == l && upper + 32 == *lower => {
            u8::try_from(*lower).ok().filter(u8::is_ascii_lowercase)
        }
        _ => None,
    }
}

/// Cuts a run of literal bytes at everything that may look different in the line, and takes the rarest piece.
fn best_of_run(run: &[(u8, bool)], origin: Origin) -> Option<Required> {
    // JSON encoders escape these; outside ASCII a line may be broken UTF-8.
    let breaks = |b: u8| !(b' '..=b'~').contains(&b) || matches!(b, b'/' | b'"' | b'\\');
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut best: Option<Required> = None;
    let mut start = 0;
    for at in 0..=run.len() {
        let cut = match (at.checked_sub(1).and_then(|i| run.get(i)), run.get(at)) {
            (_, None) => Some(at + 1),
            (_, Some((b, _))) if breaks(*b) => Some(at + 1),
            (Some((a, _)), Some((b, _))) if origin == Origin::CutLine && !word(*a) && !word(*b) => Some(at),
            _ => None,
        };
        if let Some(next) = cut {
            if let Some(piece) = run.get(start..at) {
                best = rarer(best, best_window(piece));
            }
            start = next;
        }
    }
    best
}

/// The end of `piece` from its rarest beginning on: the packed search looks at the first bytes of a literal.
fn best_window(piece: &[(u8, bool)]) -> Option<Required> {
    if piece.len() < SHORTEST {
        return None;
    }
    let (alone, in_words) = (ranks(piece), ranks_in_words(piece));
    let weight =
        |ranks: &[u32], start: usize, length: usize| ranks.iter().skip(start).take(length).sum::<u32>();
    // A literal keeps at least half of its bytes, so that a rare beginning does not make it short.
    let latest = (piece.len() / 2).min(piece.len().saturating_sub(SHORTEST.max(8)));
    let start = (0..=latest).max_by_key(|start| (weight(&alone, *start, 4), usize::MAX - start)).unwrap_or(0);
    let window: Vec<(u8, bool)> = piece.iter().skip(start).take(LONGEST).copied().collect();
    let folded = window.iter().any(|(_, both)| *both);
    // The packed search looks at four bytes at a time, when all literals have that many.
    let worth = if window.len() < 4 { 3 } else { 1 };
    Some(Required {
        rarity: weight(&in_words, start, LONGEST) / worth,
        needles: vec![Needle {
            text: window.iter().map(|(b, _)| if folded { b.to_ascii_lowercase() } else { *b }).collect(),
            folded,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(regex: &str, origin: Origin) -> Vec<String> {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(regex).unwrap();
        of_regex(&hir, origin).map_or_else(Vec::new, |r| {
            r.needles.into_iter().map(|n| String::from_utf8(n.text).unwrap()).collect()
        })
    }

    #[test]
    fn the_rarest_literal_is_taken_from_its_rarest_half_on() {
        for (regex, needle) in [
            (r"^AUTH method (\S{1,20}) failed from .*", "AUTH method "),
            (
                r"^.-.org.apache.james.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from User.*",
                "AUTH method LOGIN failed from User",
            ),
            (r"(foo)(bar)baz", "foobarbaz"),
            (r"(?:x+|y)restricted by", "tricted by"),
            (r"a(?:bcd)+e", "bcd"),
        ] {
            assert_eq!(
                needles(regex, Origin::Field),
                [needle.chars().take(LONGEST).collect::<String>()],
                "{regex}"
            );
        }
    }

    #[test]
    fn what_json_escapes_is_in_no_literal() {
        assert_eq!(needles(r#"from host/"address""#, Origin::Field), ["from host"]);
        assert_eq!(needles("länge failed", Origin::Field), ["ge failed"]);
    }

    #[test]
    fn a_literal_never_spans_where_a_date_may_have_been() {
        assert_eq!(needles(r"abc - - \[\] GET request", Origin::CutLine), [" GET request"]);
        assert_eq!(needles(r"host  failed login", Origin::CutLine), ["failed login"]);
    }

    #[test]
    fn alternatives_need_a_literal_each() {
        assert_eq!(needles("(?:failed|refused)", Origin::Field), ["failed", "refused"]);
        assert!(needles("(?:failed|no)", Origin::Field).is_empty());
        assert!(needles("(?:failed)?", Origin::Field).is_empty());
        assert!(needles(r"^\d+ \S+$", Origin::Field).is_empty());
    }

    #[test]
    fn letters_of_either_case_are_one_folded_literal() {
        let hir = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build()
            .parse("(?i)Failed 2x")
            .unwrap();
        let required = of_regex(&hir, Origin::Field).unwrap();
        assert_eq!(required.needles, [Needle { text: b"failed 2x".to_vec(), folded: true }]);
    }
}
