//! Regexes that are a frame around an address and free text: `^literal … .* … @<ADDR>$`, `^literal [ip=<HOST>] … .*$`.
//!
//! Nearly every rule is one. A few comparisons decide such a line, where an automaton would walk over all of it. What
//! cannot be decided so (IPv6, brackets, host names, anything odd) is left to the automaton. All of it holds for ASCII.

use std::net::{IpAddr, Ipv4Addr};

use memchr::memchr;
use memchr::memmem::Finder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::pattern::Found;
use super::span::{self, Span};

/// A regex of fixed pieces, one address and at most one gap.
#[derive(Debug)]
pub(super) struct Frame {
    head: Head,
    shape: Shape,
}

/// The beginning.
#[derive(Debug)]
enum Head {
    /// At the beginning of the text.
    Here(Piece),
    /// Wherever it stands first.
    Anywhere(Box<Finder<'static>>),
}

#[derive(Debug)]
enum Shape {
    /// Head, gap, `before`, address, `after`, end of the text.
    AtEnd { gap: Gap, before: Piece, after: Piece },
    /// Head, address, `after`, rest.
    AtStart { after: Piece, rest: Rest },
}

/// What may stand behind the last fixed piece.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Anything,
    Gap(Gap),
    Nothing,
}

/// Any text.
#[derive(Clone, Copy, Debug)]
struct Gap {
    line_breaks: bool,
}

/// Text of a fixed length.
#[derive(Debug, Default)]
struct Piece {
    parts: Vec<Part>,
    length: usize,
}

#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    /// One byte of these.
    Set([u64; 4]),
}

/// What a frame says of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Framed<'t> {
    Hit(Found<'t>),
    Miss,
    /// Ask the automaton.
    Unsure,
}

impl Frame {
    /// The frame of a regex whose only address is where `span` says.
    pub(super) fn of(hir: &Hir, span: Span) -> Option<Self> {
        let mut parts = Vec::new();
        span::flatten(hir, &mut parts);
        let address = parts.iter().position(|part| span::is_address(part))?;
        if !span::may_be_ipv4(parts.get(address)?) {
            return None;
        }
        let (mut front, mut back) = (parts.get(..address)?, parts.get(address + 1..)?);
        let here = matches!(front.first()?.kind(), HirKind::Look(Look::Start));
        if here {
            front = front.get(1..)?;
        }
        let ends = back.last().is_some_and(|part| matches!(part.kind(), HirKind::Look(Look::End)));
        if ends {
            back = back.get(..back.len() - 1)?;
        }
        let (head, shape) = match span {
            Span::FromEnd(_) if ends => {
                let at = front.iter().position(|part| gap(part).is_some())?;
                let gap = gap(front.get(at)?)?;
                let before = Piece::of(front.get(at + 1..)?)?;
                (front.get(..at)?, Shape::AtEnd { gap, before, after: Piece::of(back)? })
            }
            Span::FromStart(_) if here => {
                let (fixed, rest) =
                    match back.split_last().and_then(|(last, fixed)| Some((fixed, gap(last)?))) {
                        Some((fixed, gap)) => (fixed, if ends { Rest::Gap(gap) } else { Rest::Anything }),
                        None => (back, if ends { Rest::Nothing } else { Rest::Anything }),
                    };
                (front, Shape::AtStart { after: Piece::of(fixed)?, rest })
            }
            _ => return None,
        };
        let head = Piece::of(head)?;
        let head = if here {
            Head::Here(head)
        } else {
            Head::Anywhere(Box::new(Finder::new(head.literal()?).into_owned()))
        };
        Some(Self { head, shape })
    }

    /// Holds `text`, which is ASCII, against the frame.
    pub(super) fn read<'t>(&self, text: &'t str) -> Framed<'t> {
        let bytes = text.as_bytes();
        let head = match &self.head {
            Head::Here(piece) if piece.begins(bytes) => piece.length,
            Head::Anywhere(finder) => match finder.find(bytes) {
                Some(at) => at + finder.needle().len(),
                None => return Framed::Miss,
            },
            Head::Here(_) => return Framed::Miss,
        };
        let found = match &self.shape {
            Shape::AtEnd { gap, before, after } => at_end(bytes, head, *gap, before, after),
            Shape::AtStart { after, rest } => at_start(bytes, head, after, *rest),
        };
        let address = found.and_then(|(from, to)| {
            let ip = text.get(from..to)?;
            Some((ip, ip.parse::<Ipv4Addr>().ok()?))
        });
        match address {
            Some((ip, v4)) => {
                Framed::Hit(Found { address: Some(IpAddr::V4(v4)), ip: Some(ip), ..Found::default() })
            }
            None => Framed::Unsure,
        }
    }
}

/// Where the address is.
fn at_end(text: &[u8], head: usize, gap: Gap, before: &Piece, after: &Piece) -> Option<(usize, usize)> {
    let to = text.len().checked_sub(after.length)?;
    let from = to - text.get(head..to)?.iter().rev().take_while(|b| span::is_address_byte(**b)).count();
    let free = from.checked_sub(before.length)?;
    let fits =
        after.begins(text.get(to..)?) && before.begins(text.get(free..)?) && gap.takes(text.get(head..free)?);
    fits.then_some((from, to))
}

/// Where the address is.
fn at_start(text: &[u8], head: usize, after: &Piece, rest: Rest) -> Option<(usize, usize)> {
    let to = head + text.get(head..)?.iter().take_while(|b| span::is_address_byte(**b)).count();
    let left = text.get(to + after.length..)?;
    let ends = match rest {
        Rest::Anything => true,
        Rest::Gap(gap) => gap.takes(left),
        Rest::Nothing => left.is_empty(),
    };
    (ends && after.begins(text.get(to..)?)).then_some((head, to))
}

impl Gap {
    fn takes(self, text: &[u8]) -> bool {
        self.line_breaks || memchr(b'\n', text).is_none()
    }
}

impl Piece {
    /// `None` when the parts are not of one length.
    fn of(hirs: &[&Hir]) -> Option<Self> {
        let mut piece = Self::default();
        for hir in hirs {
            match hir.kind() {
                HirKind::Empty => {}
                HirKind::Literal(literal) => {
                    piece.length += literal.0.len();
                    match piece.parts.last_mut() {
                        Some(Part::Text(text)) => text.extend_from_slice(&literal.0),
                        _ => piece.parts.push(Part::Text(literal.0.to_vec())),
                    }
                }
                HirKind::Class(Class::Bytes(class)) => {
                    let mut set = [0; 4];
                    for byte in class.iter().flat_map(|range| range.start()..=range.end()) {
                        if let Some(word) = set.get_mut(usize::from(byte >> 6)) {
                            *word |= 1 << (byte & 63);
                        }
                    }
                    piece.length += 1;
                    piece.parts.push(Part::Set(set));
                }
                _ => return None,
            }
        }
        Some(piece)
    }

    fn begins(&self, mut text: &[u8]) -> bool {
        self.parts.iter().all(|part| {
            let rest = match part {
                Part::Text(known) => text.strip_prefix(known.as_slice()),
                Part::Set(set) => text.split_first().and_then(|(byte, rest)| {
                    let word = set.get(usize::from(byte >> 6))?;
                    (word >> (byte & 63) & 1 == 1).then_some(rest)
                }),
            };
            text = rest.unwrap_or_default();
            rest.is_some()
        })
    }

    /// Its text, when there is no choice and there is enough to search for.
    fn literal(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [Part::Text(text)] if text.len() >= 3 => Some(text),
            _ => None,
        }
    }
}

/// `.*` or `(?s:.)*`, lazy or not.
fn gap(part: &Hir) -> Option<Gap> {
    let HirKind::Repetition(repetition) = part.kind() else { return None };
    let HirKind::Class(Class::Bytes(class)) = repetition.sub.kind() else { return None };
    let has = |byte: u8| class.iter().any(|range| (range.start()..=range.end()).contains(&byte));
    let all = (0..128).all(|byte| byte == b'\n' || has(byte));
    (repetition.min == 0 && repetition.max.is_none() && all).then(|| Gap { line_breaks: has(b'\n') })
}

#[cfg(test)]
#[path = "tests/frame.rs"]
mod tests;
