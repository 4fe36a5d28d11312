//! What the API server holds of all nodes' bans, as far as a writer must know: hashes, not objects.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::ends::Ends;
use super::refusals::Refusals;
use crate::bans::Ban;
use crate::engine::{Duration, JailName, Subject, Timestamp};
use crate::kubernetes::epoch::Epoch;

/// Which objects: those of an epoch that is watched, or all the others.
pub(super) type Part = Option<Epoch>;

/// Identities and latest ends of published bans.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    keys: RandomState,
    held: BTreeMap<Part, Ends>,
    /// The same, of lists that are being read.
    listing: BTreeMap<Part, Ends>,
    /// Written by us, not seen on the watch yet.
    on_the_way: HashMap<u64, OnTheWay>,
    /// What the server will not take.
    pub(super) refusals: Refusals,
    /// How many lists have begun, and which of them is being read for a part.
    begun: u64,
    reading: BTreeMap<Part, u64>,
    /// By how much the end of a ban that we hold may differ from the one we wrote, and be the same.
    slack: Duration,
}

#[derive(Clone, Copy, Debug)]
struct OnTheWay {
    until: Timestamp,
    /// In whose watch it will be seen.
    epoch: Epoch,
    /// How many lists had begun when the server had it: a later one must hold it. `None` until it answers.
    taken: Option<u64>,
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

    /// A list of all objects of a part begins.
    pub(super) fn list(&mut self, part: Part) {
        self.begun += 1;
        self.reading.insert(part, self.begun);
        self.listing.insert(part, Ends::default());
    }

    /// The list is complete: what it did not hold is not there any more, whatever was believed before. What the server
    /// took after the list had begun need not be in it.
    pub(super) fn listed(&mut self, part: Part) {
        let Some(listing) = self.listing.remove(&part) else { return };
        self.held.insert(part, listing);
        let began = self.reading.remove(&part).unwrap_or(0);
        let held = &self.held;
        self.on_the_way.retain(|_, way| {
            let listed_here = match part {
                Some(epoch) => way.epoch == epoch,
                None => !held.contains_key(&Some(way.epoch)),
            };
            !listed_here || way.taken.is_none_or(|taken| taken >= began)
        });
    }

    /// The epoch is watched no longer: its objects belong to the others now.
    pub(super) fn close(&mut self, epoch: Epoch) {
        self.listing.remove(&Some(epoch));
        self.reading.remove(&Some(epoch));
        let Some(closed) = self.held.remove(&Some(epoch)) else { return };
        // A list that is being read left them out, as long as they were watched.
        if let Some(listing) = self.listing.get_mut(&None) {
            listing.add(closed.clone());
        }
        self.held.entry(None).or_default().add(closed);
    }

    /// An object of this part holds this ban. Tells whether we wrote it and see it come back.
    pub(super) fn put(&mut self, part: Part, entry: &Entry<'_>) -> bool {
        let (key, until) = (self.key(entry), entry.end());
        let held = match self.listing.get_mut(&part) {
            Some(listing) => listing,
            None => self.held.entry(part).or_default(),
        };
        held.put(key, until, 1);
        let ours = self.on_the_way.get(&key).is_some_and(|written| written.until <= until);
        if ours {
            self.on_the_way.remove(&key);
        }
        ours
    }

    /// An object that held this ban is gone.
    pub(super) fn take(&mut self, part: Part, entry: &Entry<'_>) {
        let key = self.key(entry);
        if let Some(held) = self.held.get_mut(&part) {
            held.take(key, entry.end());
        }
    }

    /// We are about to write this ban with this epoch's label.
    pub(super) fn writing(&mut self, epoch: Epoch, entry: &Entry<'_>) {
        if !self.has(entry) {
            let way = OnTheWay { until: entry.end(), epoch, taken: None };
            self.on_the_way.insert(self.key(entry), way);
        }
    }

    /// The server has it.
    pub(super) fn wrote(&mut self, entry: &Entry<'_>) {
        let key = self.key(entry);
        if let Some(way) = self.on_the_way.get_mut(&key) {
            way.taken = Some(self.begun);
        }
        self.refusals.forget(key);
    }

    /// The server will not take it; `alone`: because of itself, and not for its neighbours in the same object. Whether that
    /// is new.
    pub(super) fn refused(&mut self, entry: &Entry<'_>, alone: bool, now: Instant) -> bool {
        let key = self.key(entry);
        self.on_the_way.remove(&key);
        if alone {
            return self.refusals.refuse(key, now);
        }
        self.refusals.put_off(key, now);
        false
    }

    /// A write failed: what was believed to be on its way perhaps is not.
    pub(super) fn forget_written(&mut self) {
        self.on_the_way.clear();
    }

    /// The end that others know of this ban; `None` when they do not know it.
    pub(super) fn end(&self, entry: &Entry<'_>) -> Option<Timestamp> {
        let key = self.key(entry);
        let all = self.held.values().chain(self.listing.values());
        let seen = all.filter_map(|held| held.get(key));
        seen.chain(self.on_the_way.get(&key).map(|way| way.until)).max()
    }

    /// Whether nothing is to be done about this ban: others know it, with this end or a later one, or the server has
    /// refused it and is left alone with it for a while.
    pub(super) fn settled(&self, entry: &Entry<'_>) -> bool {
        self.refusals.wait(self.key(entry)) || self.has(entry)
    }

    /// Whether others know this ban, with this end or a later one.
    pub(super) fn has(&self, entry: &Entry<'_>) -> bool {
        self.end(entry).is_some_and(|end| end + self.slack >= entry.end())
    }

    /// Ends that are later by no more than this are no later. Not zero where our clock is corrected for: the correction
    /// moves a little.
    pub(super) fn set_slack(&mut self, slack: Duration) {
        self.slack = slack;
    }
}

#[cfg(test)]
#[path = "tests/shelf.rs"]
mod tests;
