//! What ends when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ipnet::{IpNet, Ipv4Net};

use crate::engine::{Subject, Timestamp};

/// Where an entry of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) book: u16,
    /// In a BanList, and not counted or ordered.
    pub(super) listed: bool,
    pub(super) subject: Subject,
}

impl Key {
    fn narrow(self) -> Option<Narrow> {
        let IpNet::V4(net) = self.subject.net() else { return None };
        Some(Narrow { book: self.book, listed: self.listed, net })
    }
}

/// The same of IPv4 alone: 8 bytes and not 22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Narrow {
    book: u16,
    listed: bool,
    net: Ipv4Net,
}

impl From<Narrow> for Key {
    fn from(Narrow { book, listed, net }: Narrow) -> Self {
        Self { book, listed, subject: Subject::new(IpNet::V4(net)) }
    }
}

/// Entries by their end. An entry whose end has moved later is not sought: it comes up at its old end and is put back
/// by whoever takes it. One that is gone comes up for nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    v4: BinaryHeap<Reverse<(Timestamp, Narrow)>>,
    v6: BinaryHeap<Reverse<(Timestamp, Key)>>,
}

impl Calendar {
    pub(super) fn add(&mut self, end: Timestamp, key: Key) {
        match key.narrow() {
            Some(narrow) => self.v4.push(Reverse((end, narrow))),
            None => self.v6.push(Reverse((end, key))),
        }
    }

    /// The earliest end, if it is not after `now`.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Timestamp, Key)> {
        let next = self.next().filter(|next| *next <= now)?;
        if self.v4.peek().is_some_and(|Reverse((end, _))| *end == next) {
            return self.v4.pop().map(|Reverse((end, narrow))| (end, narrow.into()));
        }
        self.v6.pop().map(|Reverse(entry)| entry)
    }

    /// The earliest end; perhaps of an entry that is gone or goes on.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let v4 = self.v4.peek().map(|Reverse((end, _))| *end);
        v4.into_iter().chain(self.v6.peek().map(|Reverse((end, _))| *end)).min()
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Keeps what is still true, when much is not.
    pub(super) fn keep(&mut self, mut is_true: impl FnMut(Timestamp, Key) -> bool) {
        self.v4.retain(|Reverse((end, narrow))| is_true(*end, Key::from(*narrow)));
        self.v6.retain(|Reverse((end, key))| is_true(*end, *key));
        self.v4.shrink_to_fit();
        self.v6.shrink_to_fit();
    }

    /// Other ends, those that `end` gives.
    pub(super) fn move_all(&mut self, end: impl Fn(Timestamp, Key) -> Timestamp) {
        let v4 = std::mem::take(&mut self.v4).into_iter();
        self.v4 = v4.map(|Reverse((at, narrow))| Reverse((end(at, narrow.into()), narrow))).collect();
        let v6 = std::mem::take(&mut self.v6).into_iter();
        self.v6 = v6.map(|Reverse((at, key))| Reverse((end(at, key), key))).collect();
    }

    pub(super) fn bytes(&self) -> usize {
        self.v4.capacity() * size_of::<(Timestamp, Narrow)>()
            + self.v6.capacity() * size_of::<(Timestamp, Key)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_both_families_come_by_their_end_and_are_what_they_were() {
        let key = |subject: &str, listed| Key { book: 3, listed, subject: subject.parse().unwrap() };
        let at = Timestamp::from_secs;
        let entries = [
            (at(1), key("2001:db8::/64", false)),
            (at(2), key("203.0.113.7", true)),
            (at(3), key("198.51.100.0/24", false)),
            (at(4), key("2001:db8:1::/64", true)),
        ];
        let mut calendar = Calendar::default();
        entries.iter().rev().for_each(|(end, key)| calendar.add(*end, *key));
        assert_eq!((calendar.len(), calendar.next()), (4, Some(at(1))));
        calendar.keep(|end, _| end != at(3));
        calendar.move_all(|end, _| end + crate::engine::Duration::from_secs(10));
        assert_eq!(calendar.take(at(10)), None, "none has ended");
        let taken: Vec<_> = std::iter::from_fn(|| calendar.take(at(13))).collect();
        let moved = |n: usize| (at(entries[n].0.as_secs() + 10), entries[n].1);
        assert_eq!(taken, [moved(0), moved(1)]);
        assert_eq!(calendar.take(Timestamp::MAX), Some(moved(3)));
        assert_eq!(calendar.len(), 0);
    }
}
