//! The one search over a whole block that decides which lines are looked at.
//!
//! Every rule gives literals one of which stands in each line it can speak about. All of them are searched at once.
//! A hit names, by a bit, the rules whose literal it is; rules may share a bit, for a bit only says that a rule is
//! worth trying.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

use super::literals::Literals;
use super::split::Split;
use crate::engine::filter::Needle;

/// Bits of the rules to try on a line.
pub(super) type Mask = u64;

/// The line is one piece of a container's longer line.
pub(super) const PIECE: Mask = 1 << 63;
/// Rules without a literal; they are tried on every line.
pub(super) const ALWAYS: Mask = 1 << 62;
/// Bits that literals share.
const BITS: usize = 62;
/// Ends of `2026-… stdout P ` and `2026-… stderr P `: short, and in no ordinary line's envelope.
const PIECES: [&[u8]; 2] = [b"t P ", b"r P "];

/// Literals of all rules, ready to search.
pub(super) struct Gate {
    exact: Literals,
    folded: Option<AhoCorasick>,
    /// The bits of all literals of which both cases are meant: any of them may stand where one was found, too.
    folded_bits: Mask,
    /// Of the literals that a colour code may stand in.
    split: Option<Split>,
    every_line: bool,
    all: Mask,
}

/// Collects the literals.
#[derive(Default)]
pub(super) struct Builder {
    exact: Vec<(Vec<u8>, Mask)>,
    folded: Vec<(Vec<u8>, Mask)>,
    /// Literals that a colour code may stand in.
    coloured: Vec<Vec<u8>>,
    next: usize,
    every_line: bool,
}

impl Builder {
    /// The bits of a rule that speaks only about lines with one of `needles`. With `coloured`, the literals may span
    /// fields of a layout, between which colour codes stand.
    pub(super) fn add(&mut self, needles: &[Needle], coloured: bool) -> Mask {
        if coloured {
            self.coloured.extend(needles.iter().map(|needle| needle.text.clone()));
        }
        needles.iter().fold(0, |mask, needle| {
            let list = if needle.folded { &mut self.folded } else { &mut self.exact };
            let known = list.iter().find(|(text, _)| *text == needle.text).map(|(_, bit)| *bit);
            mask | known.unwrap_or_else(|| {
                let bit = 1 << (self.next % BITS);
                self.next += 1;
                list.push((needle.text.clone(), bit));
                bit
            })
        })
    }

    /// The bits of a rule without any literal: every line must be looked at.
    pub(super) fn add_every_line(&mut self) -> Mask {
        self.every_line = true;
        ALWAYS
    }

    /// `pieces`: the lines are in a container's envelope. `None`: the literals do not fit the machine.
    pub(super) fn build(mut self, pieces: bool) -> Option<Gate> {
        if pieces {
            self.exact.extend(PIECES.map(|text| (text.to_vec(), PIECE)));
        }
        let folded_texts: Vec<&Vec<u8>> = self.folded.iter().map(|(text, _)| text).collect();
        let folded = match folded_texts.is_empty() {
            true => None,
            false => Some(
                AhoCorasickBuilder::new()
                    .match_kind(MatchKind::Standard)
                    .ascii_case_insensitive(true)
                    .build(&folded_texts)
                    .ok()?,
            ),
        };
        let all = self.exact.iter().chain(&self.folded).fold(0, |mask, (_, bit)| mask | (bit & !PIECE));
        Some(Gate {
            exact: Literals::new(&self.exact)?,
            folded,
            folded_bits: self.folded.iter().fold(0, |mask, (_, bit)| mask | bit),
            split: Split::new(&self.coloured),
            every_line: self.every_line,
            all: all | if self.every_line { ALWAYS } else { 0 },
        })
    }
}

/// How far each search has come in a block.
#[derive(Default)]
pub(super) struct Cursor {
    exact: Next,
    folded: Next,
    split: Next,
}

/// A place found by a search, or that there is none.
#[derive(Clone, Copy, Default)]
enum Next {
    #[default]
    Unknown,
    At(usize, Mask),
    None,
}

impl Next {
    fn refresh(
        &mut self,
        from: usize,
        search: impl FnOnce() -> Option<(usize, Mask)>,
    ) -> Option<(usize, Mask)> {
        match *self {
            Self::At(at, mask) if at >= from => return Some((at, mask)),
            Self::None => return None,
            _ => {}
        }
        let found = search();
        *self = found.map_or(Self::None, |(at, mask)| Self::At(at, mask));
        found
    }
}

impl Gate {
    /// Whether lines are looked at one by one because a rule has no literal.
    pub(super) fn every_line(&self) -> bool {
        self.every_line
    }

    /// The bits of all rules.
    pub(super) fn all(&self) -> Mask {
        self.all
    }

    /// The next place at or after `from` that makes its line worth looking at, and the bits of all that is found
    /// there. `cursor` belongs to this block.
    pub(super) fn next(&self, block: &[u8], from: usize, cursor: &mut Cursor) -> Option<(usize, Mask)> {
        let mut first = cursor.exact.refresh(from, || self.exact.find(block, from));
        let mut also = |found: Option<(usize, Mask)>| {
            first = match (first, found) {
                (Some((at, bits)), Some((other, more))) if at == other => Some((at, bits | more)),
                (Some((at, bits)), Some((other, _))) if at < other => Some((at, bits)),
                (first, found) => found.or(first),
            };
        };
        if self.folded.is_some() {
            also(cursor.folded.refresh(from, || Some((self.folded(block, from)?, self.folded_bits))));
        }
        if let Some(split) = &self.split {
            also(cursor.split.refresh(from, || Some((split.find(block, from)?, self.all))));
        }
        first
    }

    /// The bits of everything in `block[from..to]`, which is a line or the end of one, and `known`. `cursor` belongs
    /// to this block.
    pub(super) fn rest(
        &self,
        block: &[u8],
        from: usize,
        to: usize,
        known: Mask,
        cursor: &mut Cursor,
    ) -> Mask {
        let (mut mask, mut from) = (known, from);
        while mask & self.all != self.all
            && let Some((hit, bits)) = self.next(block, from, cursor)
            && hit < to
        {
            mask |= bits;
            from = hit + 1;
        }
        mask
    }

    /// All bits of `line`.
    pub(super) fn line(&self, line: &[u8]) -> Mask {
        let known = if self.every_line { ALWAYS } else { 0 };
        self.rest(line, 0, line.len(), known, &mut Cursor::default())
    }

    fn folded(&self, block: &[u8], from: usize) -> Option<usize> {
        let input = aho_corasick::Input::new(block).range(from.min(block.len())..);
        self.folded.as_ref()?.find(input).map(|found| found.start())
    }
}
