//! A map whose entries also stand in line, one line per rank.

use super::{KeyedMap, Subject};

/// Ranks are 0 to `RANKS - 1`; higher ones share the last line.
pub(super) const RANKS: usize = 64;

const NONE: u32 = u32::MAX;

/// Subjects with a value each, in lines by rank; within a line the one that was touched longest ago stands first.
/// Finding, touching, removing, and naming the first of the lowest rank all take constant time, and an entry costs
/// its own size plus some 35 bytes.
#[derive(Clone, Debug)]
pub(super) struct Ranked<T> {
    index: KeyedMap<Subject, u32>,
    nodes: Vec<Node<T>>,
    /// The first unused node; unused ones are chained by `next`.
    free: u32,
    lines: Vec<Line>,
    /// Bit r is set when line r has somebody in it.
    occupied: u64,
}

/// Where an entry is, until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

#[derive(Clone, Debug)]
struct Node<T> {
    subject: Subject,
    rank: u8,
    prev: u32,
    next: u32,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    first: u32,
    last: u32,
    len: usize,
}

impl<T: Default> Ranked<T> {
    pub(super) fn new() -> Self {
        let lines = vec![Line { first: NONE, last: NONE, len: 0 }; RANKS];
        Self { index: KeyedMap::default(), nodes: Vec::new(), free: NONE, lines, occupied: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, subject: Subject) -> Option<Slot> {
        self.index.get(&subject).copied().map(Slot)
    }

    pub(super) fn get(&self, slot: Slot) -> &T {
        &self.nodes[slot.0 as usize].value
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut T {
        &mut self.nodes[slot.0 as usize].value
    }

    pub(super) fn subject(&self, slot: Slot) -> Subject {
        self.nodes[slot.0 as usize].subject
    }

    pub(super) fn rank(&self, slot: Slot) -> usize {
        usize::from(self.nodes[slot.0 as usize].rank)
    }

    /// How many stand in line `rank`.
    pub(super) fn in_line(&self, rank: usize) -> usize {
        self.lines.get(rank).map_or(0, |line| line.len)
    }

    /// Adds a subject that is not there yet, at the end of the line of its rank.
    pub(super) fn insert(&mut self, subject: Subject, value: T, rank: usize) {
        let node = Node { subject, rank: 0, prev: NONE, next: NONE, value };
        let at = if self.free == NONE {
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].next;
            self.nodes[at as usize] = node;
            at
        };
        self.index.insert(subject, at);
        self.link(at, rank);
    }

    /// Puts an entry at the end of the line of its rank, which may have changed.
    pub(super) fn touch(&mut self, slot: Slot, rank: usize) {
        self.unlink(slot.0);
        self.link(slot.0, rank);
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.unlink(slot.0);
        let node = &mut self.nodes[slot.0 as usize];
        node.value = T::default();
        node.next = self.free;
        self.index.remove(&node.subject);
        self.free = slot.0;
        if self.index.is_empty() {
            // What an attack has made grow is given back when it is over.
            *self = Self::new();
        }
    }

    /// The first in the lowest line of `from` or more that is not empty.
    pub(super) fn first_from(&self, from: usize) -> Option<Slot> {
        let mask = self.occupied & u64::MAX.checked_shl(from as u32).unwrap_or(0);
        (mask != 0).then(|| Slot(self.lines[mask.trailing_zeros() as usize].first))
    }

    /// The first of every line that is not empty, by rank, starting with rank `from`.
    pub(super) fn firsts(&self, from: usize) -> impl Iterator<Item = Slot> {
        self.lines.iter().skip(from).filter(|line| line.len > 0).map(|line| Slot(line.first))
    }

    /// Everybody: by rank, and within a rank by who was touched longest ago.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Subject, &T)> {
        self.firsts(0).flat_map(move |slot| {
            std::iter::successors(self.nodes.get(slot.0 as usize), |node| self.nodes.get(node.next as usize))
                .map(|node| (node.subject, &node.value))
        })
    }

    /// Every entry, in no order.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.index.values().copied().map(Slot).collect()
    }

    /// Bytes held, without what values have on the heap themselves.
    pub(super) fn bytes(&self) -> usize {
        // A table of std's map: seven of eight places are usable, each with one byte of control.
        let places = self.index.capacity().div_ceil(7) * 8;
        places * (size_of::<(Subject, u32)>() + 1)
            + self.nodes.capacity() * size_of::<Node<T>>()
            + self.lines.capacity() * size_of::<Line>()
    }

    fn link(&mut self, at: u32, rank: usize) {
        let rank = rank.min(RANKS - 1);
        let last = std::mem::replace(&mut self.lines[rank].last, at);
        self.lines[rank].len += 1;
        self.occupied |= 1 << rank;
        let node = &mut self.nodes[at as usize];
        (node.rank, node.prev, node.next) = (rank as u8, last, NONE);
        match last {
            NONE => self.lines[rank].first = at,
            last => self.nodes[last as usize].next = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Node { rank, prev, next, .. } = self.nodes[at as usize];
        let rank = usize::from(rank);
        match prev {
            NONE => self.lines[rank].first = next,
            prev => self.nodes[prev as usize].next = next,
        }
        match next {
            NONE => self.lines[rank].last = prev,
            next => self.nodes[next as usize].prev = prev,
        }
        self.lines[rank].len -= 1;
        if self.lines[rank].len == 0 {
            self.occupied &= !(1 << rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subject(i: u8) -> Subject {
        Subject::host(std::net::Ipv4Addr::new(198, 51, 100, i).into())
    }

    proptest! {
        #[test]
        fn lines_are_what_a_plain_list_of_touches_says(
            steps in prop::collection::vec((0..8_u8, 0..70_usize, any::<bool>()), 0..200),
        ) {
            let mut ranked = Ranked::<u8>::new();
            let mut plain: Vec<(u8, usize)> = Vec::new(); // in order of touch
            for (who, rank, stays) in steps {
                let known = plain.iter().position(|(w, _)| *w == who);
                if let Some(at) = known {
                    plain.remove(at);
                }
                match (ranked.find(subject(who)), stays) {
                    (Some(slot), true) => ranked.touch(slot, rank),
                    (Some(slot), false) => ranked.remove(slot),
                    (None, true) => ranked.insert(subject(who), who, rank),
                    (None, false) => {}
                }
                if stays {
                    plain.push((who, rank.min(RANKS - 1)));
                }
                let mut sorted = plain.clone();
                sorted.sort_by_key(|(_, rank)| *rank);
                prop_assert_eq!(
                    ranked.iter().map(|(_, who)| *who).collect::<Vec<_>>(),
                    sorted.iter().map(|(who, _)| *who).collect::<Vec<_>>()
                );
                prop_assert_eq!(ranked.len(), plain.len());
                let lowest = sorted.iter().find(|(_, rank)| *rank >= 2).map(|(who, _)| *who);
                prop_assert_eq!(ranked.first_from(2).map(|slot| *ranked.get(slot)), lowest);
            }
        }
    }
}
