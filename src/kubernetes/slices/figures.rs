//! What the exchange of bans counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters, kept while the exchange runs.
#[derive(Debug, Default)]
pub struct Figures {
    pub(super) slices: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) left_out: AtomicU64,
    pub(super) failing: AtomicBool,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// BanSlices written.
    pub slices: u64,
    /// Bans in them.
    pub published: u64,
    /// Bans that the API server refused for what they are.
    pub refused: u64,
    /// Writes that failed and were tried again.
    pub failed: u64,
    /// Bans of others, as often as they came.
    pub received: u64,
    /// Entries of others that could not be used.
    pub left_out: u64,
    /// The last write failed: others do not know yet what this node decided.
    pub failing: bool,
}

impl Figures {
    /// How they stand.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            slices: read(&self.slices),
            published: read(&self.published),
            refused: read(&self.refused),
            failed: read(&self.failed),
            received: read(&self.received),
            left_out: read(&self.left_out),
            failing: self.failing.load(Ordering::Relaxed),
        }
    }

    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
