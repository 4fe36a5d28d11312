//! The one search over a whole block that decides which lines are looked at.
//!
//! Every rule gives literals one of which stands in each line it can speak about. All of them are searched at once.
//! A hit names, by a bit, the rules whose literal it is; rules may share a bit, for a bit only says that a rule is
//! worth trying.

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use memchr::memchr_iter;
use memchr::memmem::Finder;

use crate::engine::filter::Needle;
use crate::engine::layout::colour;

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
    exact: Exact,
    exact_masks: Vec<Mask>,
    folded: Option<AhoCorasick>,
    folded_masks: Vec<Mask>,
    /// One bit per pair of bytes that stand next to each other in a literal that a colour code may stand in.
    pairs: Vec<u64>,
    /// The first bytes of these pairs.
    left: [bool; 256],
    coloured: bool,
    every_line: bool,
    all: Mask,
}

enum Exact {
    None,
    One(Box<Finder<'static>>),
    Packed(Box<Searcher>),
    Many(Box<AhoCorasick>),
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
        // A literal that is the beginning of another is in every line that has the other.
        let texts: Vec<Vec<u8>> = self.exact.iter().map(|(text, _)| text.clone()).collect();
        let exact_masks = texts
            .iter()
            .map(|text| {
                self.exact.iter().filter(|(start, _)| text.starts_with(start)).fold(0, |m, (_, bit)| m | bit)
            })
            .collect();
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
        let mut pairs = vec![0u64; 1024];
        let mut left = [false; 256];
        for text in &self.coloured {
            for pair in text.windows(2) {
                let [a, b] = pair else { continue };
                for a in [a.to_ascii_lowercase(), a.to_ascii_uppercase(), *a] {
                    if let Some(slot) = left.get_mut(usize::from(a)) {
                        *slot = true;
                    }
                    for b in [b.to_ascii_lowercase(), b.to_ascii_uppercase(), *b] {
                        let (word, bit) = pair_bit(a, b);
                        if let Some(slot) = pairs.get_mut(word) {
                            *slot |= bit;
                        }
                    }
                }
            }
        }
        let all = self.exact.iter().chain(&self.folded).fold(0, |mask, (_, bit)| mask | (bit & !PIECE));
        Some(Gate {
            exact: Exact::new(&texts)?,
            exact_masks,
            folded,
            folded_masks: self.folded.iter().map(|(_, bit)| *bit).collect(),
            pairs,
            left,
            coloured: !self.coloured.is_empty(),
            every_line: self.every_line,
            all: all | if self.every_line { ALWAYS } else { 0 },
        })
    }
}

impl Exact {
    fn new(texts: &[Vec<u8>]) -> Option<Self> {
        Some(match texts {
            [] => Self::None,
            [text] => Self::One(Box::new(Finder::new(text).into_owned())),
            _ => {
                let mut builder =
                    packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).builder();
                match builder.extend(texts).build() {
                    Some(searcher) => Self::Packed(Box::new(searcher)),
                    None => Self::Many(Box::new(
                        AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(texts).ok()?,
                    )),
                }
            }
        })
    }

    /// The first literal in `block[from..to]`: where, and which.
    fn find(&self, block: &[u8], from: usize, to: usize) -> Option<(usize, usize)> {
        match self {
            Self::None => None,
            Self::One(finder) => finder.find(block.get(from..to)?).map(|at| (from + at, 0)),
            Self::Packed(searcher) => {
                searcher.find_in(block, (from..to).into()).map(|m| (m.start(), m.pattern().as_usize()))
            }
            Self::Many(automaton) => {
                let input = aho_corasick::Input::new(block).range(from..to);
                automaton.find(input).map(|m| (m.start(), m.pattern().as_usize()))
            }
        }
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

    /// The next place at or after `from` that makes its line worth looking at. `cursor` belongs to this block.
    pub(super) fn next(&self, block: &[u8], from: usize, cursor: &mut Cursor) -> Option<(usize, Mask)> {
        let exact = cursor.exact.refresh(from, || self.exact(block, from, block.len()));
        let folded = match &self.folded {
            None => None,
            Some(_) => cursor.folded.refresh(from, || self.folded(block, from, block.len())),
        };
        let split = match self.coloured {
            false => None,
            true => cursor.split.refresh(from, || Some((self.split(block, from, block.len())?, self.all))),
        };
        [exact, folded, split].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// All bits of `line`.
    pub(super) fn line(&self, line: &[u8]) -> Mask {
        self.rest(line, 0, if self.every_line { ALWAYS } else { 0 })
    }

    /// `mask` and the bits of everything in `line[from..]`.
    pub(super) fn rest(&self, line: &[u8], from: usize, mut mask: Mask) -> Mask {
        let mut at = from;
        while mask & self.all != self.all
            && let Some((hit, bits)) = self.exact(line, at, line.len())
        {
            mask |= bits;
            at = hit + 1;
        }
        if mask & self.all != self.all && self.folded.is_some() {
            let mut at = from;
            while let Some((hit, bits)) = self.folded(line, at, line.len()) {
                mask |= bits;
                at = hit + 1;
            }
        }
        if self.coloured && mask & self.all != self.all && self.split(line, from, line.len()).is_some() {
            mask |= self.all;
        }
        mask
    }

    fn exact(&self, block: &[u8], from: usize, to: usize) -> Option<(usize, Mask)> {
        let (at, which) = self.exact.find(block, from, to)?;
        Some((at, self.exact_masks.get(which).copied().unwrap_or(self.all)))
    }

    fn folded(&self, block: &[u8], from: usize, to: usize) -> Option<(usize, Mask)> {
        let input = aho_corasick::Input::new(block).range(from..to);
        let found = self.folded.as_ref()?.find(input)?;
        Some((found.start(), self.folded_masks.get(found.pattern().as_usize()).copied().unwrap_or(self.all)))
    }

    /// The first colour code that stands where it may hide a literal.
    fn split(&self, block: &[u8], from: usize, to: usize) -> Option<usize> {
        let mut at = from;
        let block = block.get(..to)?;
        for escape in memchr_iter(0x1b, block.get(from..)?).map(|offset| from + offset) {
            let before = escape.checked_sub(1).and_then(|i| block.get(i));
            if escape < at || before.is_none_or(|b| self.left.get(usize::from(*b)) != Some(&true)) {
                continue;
            }
            let mut end = escape;
            while block.get(end) == Some(&0x1b) {
                match colour(block.get(end..)?) {
                    0 => break,
                    length => end += length,
                }
            }
            if end > escape
                && let Some(before) = before
                && let Some(after) = block.get(end)
            {
                let (word, bit) = pair_bit(*before, *after);
                if self.pairs.get(word).is_some_and(|slot| slot & bit != 0) {
                    return Some(escape);
                }
            }
            at = end.max(escape + 1);
        }
        None
    }
}

fn pair_bit(a: u8, b: u8) -> (usize, u64) {
    let index = usize::from(a) << 8 | usize::from(b);
    (index >> 6, 1 << (index & 63))
}
