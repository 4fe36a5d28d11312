//! What this node decided and has not written yet, and when it shall be written.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::shelf::{Entry, Shelf};
use crate::agent::report::{BanReport, Event, EventKind};
use crate::engine::Timestamp;

/// How long a moved end waits for the next one at most: whoever goes on failing while banned moves it each time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bans that wait at most. Beyond it they are dropped here, and asked of the detector again.
const MOST: usize = 4096;

/// Bans that wait to be written, each identity once.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bans: HashMap<u64, BanReport>,
    at_once: VecDeque<u64>,
    later: BTreeSet<(Instant, u64)>,
    incomplete: bool,
}

impl<'a> From<&'a BanReport> for Entry<'a> {
    fn from(ban: &'a BanReport) -> Self {
        let until = ban.until.map(|until| until.0);
        Self { jail: ban.jail.as_ref(), subject: ban.subject, n: ban.n, until }
    }
}

/// Whether this node decided it.
fn is_own(ban: &BanReport) -> bool {
    matches!(ban.origin.as_str(), "jail" | "hand")
}

impl Outbox {
    /// Takes up what happened on this node.
    pub(super) fn hear(&mut self, event: &Event, shelf: &Shelf, wall: Timestamp, now: Instant) {
        if !is_own(&event.ban) || !matches!(event.event, EventKind::Ban | EventKind::Prolong) {
            return;
        }
        let entry = Entry::from(&event.ban);
        if shelf.settled(&entry) {
            return;
        }
        // Others must hear of the later end before the one they know has come.
        let wait = shelf.end(&entry).map_or(Duration::ZERO, |end| PATIENCE.min(end.since(wall) / 2));
        self.put(shelf.key(&entry), event.ban.clone(), now + wait, wait.is_zero());
    }

    /// Takes up a ban that others do not know, as the detector holds it.
    pub(super) fn miss(&mut self, ban: BanReport, shelf: &Shelf, now: Instant) {
        let entry = Entry::from(&ban);
        if !shelf.settled(&entry) {
            self.put(shelf.key(&entry), ban, now, true);
        }
    }

    fn put(&mut self, key: u64, ban: BanReport, due: Instant, at_once: bool) {
        if let Some(waiting) = self.bans.get_mut(&key) {
            *waiting = ban;
            return;
        }
        if self.bans.len() >= MOST {
            self.clear();
            self.incomplete = true;
            return;
        }
        self.bans.insert(key, ban);
        if at_once {
            self.at_once.push_back(key);
        } else {
            self.later.insert((due, key));
        }
    }

    /// What shall be written now, at most `most`, oldest first; without what others know meanwhile.
    pub(super) fn batch(&mut self, most: usize, shelf: &Shelf, now: Instant) -> Vec<BanReport> {
        while let Some((due, key)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.remove(&(due, key));
            self.at_once.push_back(key);
        }
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(key) = self.at_once.pop_front()
        {
            batch.extend(self.bans.remove(&key).filter(|ban| !shelf.settled(&Entry::from(ban))));
        }
        batch
    }

    /// When [`Self::batch`] has something; `None` while nothing waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.at_once.is_empty() { self.later.first().map(|(due, _)| *due) } else { Some(now) }
    }

    /// Drops all: the detector will be asked what is missing.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether bans were dropped since the last time this was asked.
    pub(super) fn was_incomplete(&mut self) -> bool {
        std::mem::take(&mut self.incomplete)
    }
}

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;
