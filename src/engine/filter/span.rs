//! Where in a match the address must be, so that captures need not be computed.
//!
//! An address tag marks a run of address characters. When one end of the run is at a fixed distance from an end of
//! the match, and on the other side the regex has a character that no address contains, then the run has only one
//! possible extent, whatever the rest of the regex does. That is so in nearly every filter: `…@<HOST>$`,
//! `[ip=<HOST>] - …`. All of it holds for ASCII, where one character is one byte.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::dialect::ADDRESS;
use super::pattern::Found;

/// How to find the address in a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// It begins this many bytes after the match's beginning.
    FromStart(usize),
    /// It ends this many bytes before the match's end.
    FromEnd(usize),
}

impl Span {
    /// Looks at a regex whose only address is marked by the group `ADDRESS`. `None`: captures are needed.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let mut parts = Vec::new();
        flatten(hir, &mut parts);
        let at = parts.iter().position(|part| is_address(part))?;
        let (before, after) = (parts.get(..at)?, parts.get(at + 1..)?);
        if before.iter().chain(after).any(|part| mentions_address(part)) {
            return None;
        }
        if let Some(length) = fixed(after)
            && edge(before.iter().rev().copied(), Side::Last).disjoint()
        {
            return Some(Self::FromEnd(length));
        }
        let first = edge(after.iter().copied(), Side::First);
        match fixed(before) {
            Some(length) if first.disjoint() && !first.may_be_empty => Some(Self::FromStart(length)),
            _ => None,
        }
    }

    /// The address in the match `start..end` of `text`, when it is one.
    pub(super) fn read(self, text: &str, start: usize, end: usize) -> Option<Found<'_>> {
        let (from, to) = self.find(text.as_bytes(), start, end)?;
        let ip = text.get(from..to)?;
        Some(Found { address: Some(ip.parse().ok()?), ip: Some(ip), ..Found::default() })
    }

    /// The address within the match `start..end` of `text`, without brackets.
    fn find(self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
        match self {
            Self::FromStart(skip) => {
                let mut from = start.checked_add(skip)?;
                if text.get(from) == Some(&b'[') {
                    from += 1;
                }
                let run = text.get(from..end)?.iter().take_while(|b| is_address_byte(**b)).count();
                Some((from, from + run))
            }
            Self::FromEnd(skip) => {
                let mut to = end.checked_sub(skip)?;
                if to > start && text.get(to - 1) == Some(&b']') {
                    to -= 1;
                }
                let run = text.get(start..to)?.iter().rev().take_while(|b| is_address_byte(**b)).count();
                Some((to - run, to))
            }
        }
    }
}

/// The text that a regex is, when it is only that, from `^` to `$`.
pub(super) fn whole(hir: &Hir) -> Option<Box<[u8]>> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    let [start, literals @ .., end] = parts.as_slice() else { return None };
    let anchored =
        matches!(start.kind(), HirKind::Look(Look::Start)) && matches!(end.kind(), HirKind::Look(Look::End));
    let literal = |part: &&Hir| match part.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        _ => None,
    };
    let text = literals.iter().map(literal).collect::<Option<Vec<_>>>()?.concat();
    anchored.then(|| text.into())
}

/// What an address tag can capture, brackets aside.
pub(super) fn is_address_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'^')
}

pub(super) fn flatten<'h>(hir: &'h Hir, parts: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Concat(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        HirKind::Capture(capture) if capture.name.as_deref() != Some(ADDRESS) => flatten(&capture.sub, parts),
        _ => parts.push(hir),
    }
}

pub(super) fn is_address(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Capture(capture) if capture.name.as_deref() == Some(ADDRESS))
}

/// Whether an address tag takes IPv4.
pub(super) fn may_be_ipv4(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => capture.name.as_deref() == Some("ip4") || may_be_ipv4(&capture.sub),
        HirKind::Repetition(repetition) => may_be_ipv4(&repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(may_be_ipv4),
        _ => false,
    }
}

fn mentions_address(hir: &Hir) -> bool {
    is_address(hir)
        || match hir.kind() {
            HirKind::Capture(capture) => mentions_address(&capture.sub),
            HirKind::Repetition(repetition) => mentions_address(&repetition.sub),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(mentions_address),
            _ => false,
        }
}

/// The length of everything in `parts`, when it is always the same.
fn fixed(parts: &[&Hir]) -> Option<usize> {
    parts.iter().try_fold(0usize, |sum, part| {
        let (least, most) = (part.properties().minimum_len()?, part.properties().maximum_len()?);
        if least == most { sum.checked_add(least) } else { None }
    })
}

#[derive(Clone, Copy)]
enum Side {
    First,
    Last,
}

/// The bytes that may stand next to the address.
struct Edge {
    touches_address: bool,
    may_be_empty: bool,
}

impl Edge {
    fn disjoint(&self) -> bool {
        !self.touches_address
    }
}

/// `parts` in the order away from the address.
fn edge<'h>(parts: impl Iterator<Item = &'h Hir>, side: Side) -> Edge {
    let mut all = Edge { touches_address: false, may_be_empty: true };
    for part in parts {
        let one = edge_of(part, side);
        all.touches_address |= one.touches_address;
        if !one.may_be_empty {
            all.may_be_empty = false;
            break;
        }
    }
    all
}

fn edge_of(hir: &Hir, side: Side) -> Edge {
    let touches = |yes: bool| Edge { touches_address: yes, may_be_empty: false };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Edge { touches_address: false, may_be_empty: true },
        HirKind::Literal(literal) => {
            let byte = match side {
                Side::First => literal.0.first(),
                Side::Last => literal.0.last(),
            };
            touches(byte.is_none_or(|b| is_address_byte(*b)))
        }
        HirKind::Class(Class::Bytes(class)) => {
            touches(class.iter().any(|range| (range.start()..=range.end()).any(is_address_byte)))
        }
        // Not ASCII: never decided here.
        HirKind::Class(Class::Unicode(_)) => touches(true),
        HirKind::Capture(capture) => edge_of(&capture.sub, side),
        HirKind::Repetition(repetition) => {
            let inner = edge_of(&repetition.sub, side);
            Edge { may_be_empty: inner.may_be_empty || repetition.min == 0, ..inner }
        }
        HirKind::Concat(parts) => match side {
            Side::First => edge(parts.iter(), side),
            Side::Last => edge(parts.iter().rev(), side),
        },
        HirKind::Alternation(branches) => branches.iter().map(|branch| edge_of(branch, side)).fold(
            Edge { touches_address: false, may_be_empty: false },
            |a, b| Edge {
                touches_address: a.touches_address || b.touches_address,
                may_be_empty: a.may_be_empty || b.may_be_empty,
            },
        ),
    }
}
