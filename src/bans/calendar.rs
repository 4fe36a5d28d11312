//! What ends when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::{Subject, Timestamp};

/// Where an entry of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) book: u16,
    /// In a BanList, and not counted or ordered.
    pub(super) listed: bool,
    pub(super) subject: Subject,
}

/// Entries by their end. An entry whose end has moved later is not sought: it comes up at its old end and is put back
/// by whoever takes it. One that is gone comes up for nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar(BinaryHeap<Reverse<(Timestamp, Key)>>);

impl Calendar {
    pub(super) fn add(&mut self, end: Timestamp, key: Key) {
        self.0.push(Reverse((end, key)));
    }

    /// The earliest end, if it is not after `now`.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Timestamp, Key)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }

    /// The earliest end; perhaps of an entry that is gone or goes on.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((end, _))| *end)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps what is still true, when much is not.
    pub(super) fn keep(&mut self, mut is_true: impl FnMut(Timestamp, Key) -> bool) {
        self.0.retain(|Reverse((end, key))| is_true(*end, *key));
        self.0.shrink_to_fit();
    }

    /// Other ends, those that `end` gives.
    pub(super) fn move_all(&mut self, end: impl Fn(Timestamp, Key) -> Timestamp) {
        let entries = std::mem::take(&mut self.0).into_iter();
        self.0 = entries.map(|Reverse((at, key))| Reverse((end(at, key), key))).collect();
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(Timestamp, Key)>()
    }
}
