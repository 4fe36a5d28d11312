//! Everybody a jail counts, bounded: who gives way when there are too many.
//!
//! A subject's rank is the weight within its window, plus one when somebody logged in from there. Beyond the cap
//! 1. subjects whose last record is older than `findTime` go first,
//! 2. then those of the lowest rank,
//! 3. among those the one that was heard of longest ago.
//!
//! So an attacker with a million addresses pushes out other addresses with one failure, never one with more. The
//! other way round, subjects of rank 2 or more hold at most 15/16 of the places (of caps of 16 and more): those with
//! a first failure always have room to get a second one counted, and a full house cannot blind a jail.

use super::ranked::{RANKS, Ranked, Slot};
use super::trust::Trust;
use super::window::Window;
use super::{Duration, Shift, Subject, Timestamp};

/// What is known of one subject. 48 bytes, as long as two failures are enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) window: Window,
    /// Boxed: most subjects never log in.
    pub(super) trust: Option<Box<Trust>>,
}

impl Tracked {
    pub(super) fn is_empty(&self) -> bool {
        self.window.is_empty() && self.trust.is_none()
    }

    /// The latest record of any kind.
    pub(super) fn last(&self) -> Timestamp {
        let trust = self.trust.as_ref().and_then(|t| t.last());
        self.window.last().max(trust).unwrap_or(Timestamp::MIN)
    }

    /// The clock was set: so are the times of what is known.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.window.shift(shift);
        if let Some(trust) = &mut self.trust {
            trust.shift(shift);
        }
    }

    pub(super) fn is_trusted(&self, at: Timestamp, span: Duration) -> bool {
        self.trust.as_ref().is_some_and(|t| t.covers(at, span))
    }

    fn rank(&self, span: Duration) -> usize {
        let weight = self.window.last().map_or(0, |last| self.window.weight_at(last, span));
        weight as usize + usize::from(self.trust.is_some())
    }

    fn heap_bytes(&self) -> usize {
        let trust = self.trust.as_ref().map_or(0, |t| size_of::<Trust>() + t.heap_bytes());
        self.window.heap_bytes() + trust
    }
}

/// First rank of those who have more than a single failure.
const HEAVY: usize = 2;
/// Lines looked at per record while sweeping out who cannot matter any more.
const SWEPT_LINES: usize = 2;

/// The tracked subjects of a jail.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    ranked: Ranked<Tracked>,
    evicted: u64,
    swept: usize,
}

impl Roster {
    /// An empty roster that goes on counting evictions, and sweeping after line `swept`.
    pub(super) fn new(evicted: u64, swept: usize) -> Self {
        Self { ranked: Ranked::new(), evicted, swept: swept.min(RANKS) }
    }

    /// The line that was swept last.
    pub(super) fn swept(&self) -> usize {
        self.swept
    }

    pub(super) fn len(&self) -> usize {
        self.ranked.len()
    }

    /// How many gave way although they could still have mattered.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn get(&self, subject: Subject) -> Option<&Tracked> {
        self.ranked.find(subject).map(|slot| self.ranked.get(slot))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Subject, &Tracked)> {
        self.ranked.iter()
    }

    /// Lets `change` work on what is known of `subject` (nothing, when it is new), and keeps the result when there
    /// is something in it. The caller bounds the roster afterwards.
    pub(super) fn update<R>(
        &mut self,
        subject: Subject,
        span: Duration,
        change: impl FnOnce(&mut Tracked) -> R,
    ) -> R {
        match self.ranked.find(subject) {
            Some(slot) => {
                let tracked = self.ranked.get_mut(slot);
                let result = change(tracked);
                self.settle(slot, span);
                result
            }
            None => {
                let mut tracked = Tracked::default();
                let result = change(&mut tracked);
                if !tracked.is_empty() {
                    let rank = tracked.rank(span);
                    self.ranked.insert(subject, tracked, rank);
                }
                result
            }
        }
    }

    fn settle(&mut self, slot: Slot, span: Duration) {
        let tracked = self.ranked.get(slot);
        if tracked.is_empty() {
            self.ranked.remove(slot);
        } else {
            let rank = tracked.rank(span);
            self.ranked.touch(slot, rank);
        }
    }

    /// Works on everybody within `covers`, in no particular order, and forgets who has nothing left.
    pub(super) fn update_all(
        &mut self,
        covers: impl Fn(Subject) -> bool,
        mut change: impl FnMut(&mut Tracked),
    ) {
        for slot in self.ranked.slots() {
            if covers(self.ranked.subject(slot)) {
                change(self.ranked.get_mut(slot));
                if self.ranked.get(slot).is_empty() {
                    self.ranked.remove(slot);
                }
            }
        }
    }

    /// Makes those beyond `max` give way; `fresh` is the moment before which a last record is expired.
    pub(super) fn bound(&mut self, max: usize, fresh: Timestamp) {
        let heavy = max - max / 16;
        while self.ranked.len() > max {
            self.evict(0, fresh);
        }
        while self.ranked.len() - self.ranked.in_line(0) - self.ranked.in_line(1) > heavy {
            self.evict(HEAVY, fresh);
        }
    }

    fn evict(&mut self, from: usize, fresh: Timestamp) {
        let expired = self.ranked.firsts(from).find(|slot| self.ranked.get(*slot).last() < fresh);
        if let Some(slot) = expired.or_else(|| self.ranked.first_from(from)) {
            self.evicted += u64::from(expired.is_none());
            self.ranked.remove(slot);
        }
    }

    /// Forgets some of those whose last record is older than `horizon`: a few per call, so that no single record
    /// pays for a long silence.
    pub(super) fn sweep(&mut self, horizon: Timestamp) {
        for _ in 0..SWEPT_LINES {
            let next = self.ranked.first_from(self.swept + 1).or_else(|| self.ranked.first_from(0));
            let Some(slot) = next else { return };
            self.swept = self.ranked.rank(slot);
            if self.ranked.get(slot).last() < horizon {
                self.ranked.remove(slot);
            }
        }
    }

    /// Forgets all whose last record is older than `horizon`.
    pub(super) fn sweep_all(&mut self, horizon: Timestamp) {
        self.update_all(
            |_| true,
            |tracked| {
                if tracked.last() < horizon {
                    *tracked = Tracked::default();
                }
            },
        );
    }

    /// Bytes held, heap included.
    pub(super) fn bytes(&self) -> usize {
        self.ranked.bytes() + self.ranked.iter().map(|(_, t)| t.heap_bytes()).sum::<usize>()
    }
}
