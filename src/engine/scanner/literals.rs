//! The search for literals of which both cases are not meant.

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use memchr::memmem::Finder;

use super::gate::Mask;
use super::{anchor, buckets};

/// Literals, ready to search. Each is found by its anchor.
pub(super) struct Literals {
    search: Search,
    /// By anchor.
    around: Vec<Vec<Around>>,
}

enum Search {
    None,
    One(Box<Finder<'static>>),
    Packed(Box<Searcher>),
    Many(Box<AhoCorasick>),
}

/// A literal that an anchor stands for.
struct Around {
    text: Box<[u8]>,
    /// How far into it the anchor begins.
    offset: usize,
    bits: Mask,
}

impl Literals {
    /// `None`: they do not fit the machine.
    pub(super) fn new(literals: &[(Vec<u8>, Mask)]) -> Option<Self> {
        let texts: Vec<Vec<u8>> = literals.iter().map(|(text, _)| text.clone()).collect();
        let chosen = if texts.len() > 1 { anchor::choose(&texts) } else { None };
        let anchored = chosen.and_then(|(offsets, length)| {
            let mut anchors: Vec<Vec<u8>> = Vec::new();
            let mut around: Vec<Vec<Around>> = Vec::new();
            for ((text, bits), offset) in literals.iter().zip(offsets) {
                let anchor = text.get(offset..offset + length)?;
                let known = anchors.iter().position(|known| known == anchor).unwrap_or_else(|| {
                    anchors.push(anchor.to_vec());
                    around.push(Vec::new());
                    anchors.len() - 1
                });
                let place = Around { text: text.as_slice().into(), offset, bits: *bits };
                around.get_mut(known)?.push(place);
            }
            // Too many for the packed search need no order.
            packed::Config::new().builder().extend(&anchors).build()?;
            let order = buckets::order(&anchors, anchor::ORDINARY);
            let mut builder = packed::Config::new().builder();
            builder.extend(order.iter().filter_map(|at| anchors.get(*at)));
            let searcher = Box::new(builder.build()?);
            let around = order.iter().filter_map(|at| around.get_mut(*at).map(std::mem::take)).collect();
            Some(Self { search: Search::Packed(searcher), around })
        });
        if anchored.is_some() {
            return anchored;
        }
        let search = match texts.as_slice() {
            [] => Search::None,
            [text] => Search::One(Box::new(Finder::new(text).into_owned())),
            _ => Search::Many(Box::new(
                AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(&texts).ok()?,
            )),
        };
        // A literal that is the beginning of another is in every line that has the other.
        let beginnings = |text: &Vec<u8>| {
            let beginnings = literals.iter().filter(|(start, _)| text.starts_with(start));
            let place = |(text, bits): &(Vec<u8>, Mask)| Around {
                text: text.as_slice().into(),
                offset: 0,
                bits: *bits,
            };
            beginnings.map(place).collect()
        };
        Some(Self { search, around: texts.iter().map(beginnings).collect() })
    }

    /// The first anchor in `block[from..]` that a literal stands around: where, and the bits of all such literals.
    /// Their beginnings may be before `from`. None holds a line break, so all is in one line.
    pub(super) fn find(&self, block: &[u8], from: usize) -> Option<(usize, Mask)> {
        let mut from = from;
        loop {
            let (at, anchor) = self.search.find(block, from)?;
            let bits = self.around.get(anchor)?.iter().fold(0, |bits, literal| {
                let text = at.checked_sub(literal.offset).and_then(|start| block.get(start..));
                // The first byte is compared before there is a call.
                let same =
                    |text: &[u8]| text.first() == literal.text.first() && text.starts_with(&literal.text);
                if text.is_some_and(same) { bits | literal.bits } else { bits }
            });
            if bits != 0 {
                return Some((at, bits));
            }
            from = at + 1;
        }
    }
}

impl Search {
    /// The first anchor in `block[from..]`: where, and which.
    fn find(&self, block: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Self::None => None,
            Self::One(finder) => finder.find(block.get(from..)?).map(|at| (from + at, 0)),
            Self::Packed(searcher) => {
                let span = (from.min(block.len())..block.len()).into();
                searcher.find_in(block, span).map(|m| (m.start(), m.pattern().as_usize()))
            }
            Self::Many(automaton) => {
                let input = aho_corasick::Input::new(block).range(from.min(block.len())..);
                automaton.find(input).map(|m| (m.start(), m.pattern().as_usize()))
            }
        }
    }
}
