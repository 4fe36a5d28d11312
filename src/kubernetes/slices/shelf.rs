//! What the API server holds of all nodes' bans, as far as a writer must know: hashes, not objects.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::bans::Ban;
use crate::engine::{JailName, Subject, Timestamp};

/// Identities and latest ends of published bans, 24 bytes each.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    keys: RandomState,
    held: HashMap<u64, Held>,
    /// The same, of a list that is being read.
    listing: Option<HashMap<u64, Held>>,
    /// Written by us, not seen on the watch yet.
    on_the_way: HashMap<u64, Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    /// The latest end; [`Timestamp::MAX`] is permanent.
    until: Timestamp,
    /// How many objects hold the ban with this end. Merging writes the merged one before it deletes its parts.
    objects: u32,
}

/// Who is banned by what for the how many-th time, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) jail: Option<&'a JailName>,
    pub(super) subject: Subject,
    pub(super) n: u32,
    pub(super) until: Option<Timestamp>,
}

impl<'a> From<&'a Ban> for Entry<'a> {
    fn from(ban: &'a Ban) -> Self {
        Self { jail: ban.jail.as_ref(), subject: ban.subject, n: ban.n, until: ban.until }
    }
}

impl Entry<'_> {
    fn end(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp::MAX)
    }
}

impl Shelf {
    /// The number of a ban's identity.
    pub(super) fn key(&self, entry: &Entry<'_>) -> u64 {
        self.keys.hash_one((entry.jail, entry.subject, entry.n))
    }

    /// A list of all objects begins.
    pub(super) fn list(&mut self) {
        self.listing = Some(HashMap::new());
    }

    /// The list is complete: what it did not hold is not there any more, whatever was believed before.
    pub(super) fn listed(&mut self) {
        if let Some(listing) = self.listing.take() {
            self.held = listing;
            self.on_the_way.clear();
        }
    }

    /// An object holds this ban. Tells whether we wrote it and see it come back.
    pub(super) fn put(&mut self, entry: &Entry<'_>) -> bool {
        let (key, end) = (self.key(entry), entry.end());
        let held = self.listing.as_mut().unwrap_or(&mut self.held);
        let known = held.entry(key).or_insert(Held { until: end, objects: 0 });
        if known.until < end {
            *known = Held { until: end, objects: 1 };
        } else if known.until == end {
            known.objects += 1;
        }
        let ours = self.on_the_way.get(&key).is_some_and(|until| *until <= end);
        if ours {
            self.on_the_way.remove(&key);
        }
        ours
    }

    /// An object that held this ban is gone.
    pub(super) fn take(&mut self, entry: &Entry<'_>) {
        let (key, end) = (self.key(entry), entry.end());
        let Some(known) = self.held.get_mut(&key).filter(|known| known.until == end) else { return };
        known.objects = known.objects.saturating_sub(1);
        if known.objects == 0 {
            self.held.remove(&key);
        }
    }

    /// We wrote this ban.
    pub(super) fn wrote(&mut self, entry: &Entry<'_>) {
        let key = self.key(entry);
        if self.held.get(&key).is_none_or(|known| known.until < entry.end()) {
            self.on_the_way.insert(key, entry.end());
        }
    }

    /// A write failed: what was believed to be on its way perhaps is not.
    pub(super) fn forget_written(&mut self) {
        self.on_the_way.clear();
    }

    /// The end that others know of this ban; `None` when they do not know it.
    pub(super) fn end(&self, entry: &Entry<'_>) -> Option<Timestamp> {
        let key = self.key(entry);
        let held = [Some(&self.held), self.listing.as_ref()].into_iter().flatten();
        let seen = held.filter_map(|held| held.get(&key)).map(|known| known.until);
        seen.chain(self.on_the_way.get(&key).copied()).max()
    }

    /// Whether others know this ban, with this end or a later one.
    pub(super) fn has(&self, entry: &Entry<'_>) -> bool {
        self.end(entry).is_some_and(|end| end >= entry.end())
    }
}

#[cfg(test)]
#[path = "tests/shelf.rs"]
mod tests;
