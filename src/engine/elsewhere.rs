//! What other nodes saw of the subjects that a jail counts.
//!
//! Kept apart from what was counted here: only that is in the snapshot and only that is told to others. A node's
//! renewed report takes the place of its earlier one, so nothing counts twice; a failure that is missing in it had
//! slid out of every window anyway. Reports are kept as they came: what bans and pardons have settled is left out
//! when they are added up, because a pardon may come later than the report.

use std::collections::HashMap;

use super::trust::Trust;
use super::window::{Hit, Window};
use super::{Duration, KeyedMap, NodeIndex, Shift, Sighting, Subject, Timestamp};

/// One node's report of one subject.
#[derive(Clone, Debug)]
pub(super) struct Account {
    node: NodeIndex,
    /// Oldest first.
    hits: Vec<Hit>,
    trust: Trust,
}

/// The reports of all other nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Elsewhere {
    accounts: KeyedMap<Subject, Vec<Account>>,
    left_out: u64,
}

impl Elsewhere {
    /// Puts a node's report of `subject` in place of its earlier one; an empty one only takes that away. Answers with
    /// the moments of failures that were not in the earlier one. Beyond `max` subjects newcomers are left out.
    pub(super) fn replace(
        &mut self,
        node: NodeIndex,
        subject: Subject,
        sighting: Sighting,
        max: usize,
    ) -> Vec<Timestamp> {
        let Sighting { failures: mut hits, successes } = sighting;
        hits.sort_by_key(|hit| hit.time);
        if hits.is_empty() && successes.is_empty() {
            if let Some(accounts) = self.accounts.get_mut(&subject) {
                accounts.retain(|account| account.node != node);
                if accounts.is_empty() {
                    self.accounts.remove(&subject);
                }
            }
            return Vec::new();
        }
        if self.accounts.len() >= max && !self.accounts.contains_key(&subject) {
            self.left_out += 1;
            return Vec::new();
        }
        let accounts = self.accounts.entry(subject).or_default();
        let before = match accounts.iter().position(|account| account.node == node) {
            Some(at) => accounts.swap_remove(at).hits,
            None => Vec::new(),
        };
        let new = added(&before, &hits);
        accounts.push(Account { node, hits, trust: Trust::from_clusters(successes) });
        new
    }

    /// All reports of `subject`.
    pub(super) fn of(&self, subject: Subject) -> &[Account] {
        self.accounts.get(&subject).map_or(&[], Vec::as_slice)
    }

    /// Whether another node reports a failure of `subject` at or after `horizon`.
    pub(super) fn has_failures(&self, subject: Subject, horizon: Timestamp) -> bool {
        self.of(subject).iter().any(|account| account.hits.last().is_some_and(|hit| hit.time >= horizon))
    }

    /// Whether another node reports a failure that shares a window of `span` with `time`.
    pub(super) fn is_near(
        &self,
        subject: Subject,
        time: Timestamp,
        span: Duration,
        horizon: Timestamp,
    ) -> bool {
        let near = |hit: &Hit| hit.time >= horizon && hit.time.distance(time) <= span;
        self.of(subject).iter().any(|account| account.hits.iter().any(near))
    }

    /// Forgets failures before `horizon` and successes that ended before `trusted`. So a node that is gone is ignored
    /// after a while by itself.
    pub(super) fn sweep(&mut self, horizon: Timestamp, trusted: Timestamp) {
        self.accounts.retain(|_, accounts| {
            accounts.retain_mut(|account| {
                account.hits.retain(|hit| hit.time >= horizon);
                account.trust.keep(trusted);
                !account.hits.is_empty() || !account.trust.is_empty()
            });
            !accounts.is_empty()
        });
    }

    /// The failures, to change what their rules are called.
    pub(super) fn hits_mut(&mut self) -> impl Iterator<Item = &mut Hit> {
        self.accounts.values_mut().flatten().flat_map(|account| &mut account.hits)
    }

    /// The clock was set: so are the times of what others reported.
    pub(super) fn shift(&mut self, shift: Shift) {
        for account in self.accounts.values_mut().flatten() {
            account.hits.iter_mut().for_each(|hit| hit.time = hit.time + shift);
            account.trust.shift(shift);
        }
    }

    /// How many subjects others report.
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// How often a report found no place.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Bytes held, heap included.
    pub(super) fn bytes(&self) -> usize {
        let heap = |account: &Account| {
            size_of::<Account>() + account.hits.capacity() * size_of::<Hit>() + account.trust.heap_bytes()
        };
        self.accounts.capacity() * size_of::<(Subject, Vec<Account>)>()
            + self.accounts.values().flatten().map(heap).sum::<usize>()
    }
}

/// The failures in `own` and in the reports of others that happened after `settled` and not before `horizon`.
pub(super) fn merge(own: &Window, others: &[Account], settled: Timestamp, horizon: Timestamp) -> Window {
    let counts = |hit: &&Hit| hit.time > settled && hit.time >= horizon;
    let others = others.iter().flat_map(|account| &account.hits).filter(counts);
    Window::of(own.hits().chain(others).copied().collect())
}

/// Whether somebody logged in at another node at `time` or at most `span` before it.
pub(super) fn is_trusted(others: &[Account], time: Timestamp, span: Duration) -> bool {
    others.iter().any(|account| account.trust.covers(time, span))
}

/// The nodes that report failures between `first` and `last`, both included.
pub(super) fn witnesses(others: &[Account], first: Timestamp, last: Timestamp) -> Vec<NodeIndex> {
    let saw = |account: &&Account| account.hits.iter().any(|hit| (first..=last).contains(&hit.time));
    let mut nodes: Vec<NodeIndex> = others.iter().filter(saw).map(|account| account.node).collect();
    nodes.sort_unstable();
    nodes
}

/// Moments of the failures in `now` that are not in `before`; both oldest first.
fn added(before: &[Hit], now: &[Hit]) -> Vec<Timestamp> {
    let mut known: HashMap<(Timestamp, u32), u32> = HashMap::new();
    for hit in before {
        *known.entry((hit.time, hit.weight)).or_default() += 1;
    }
    let mut new = Vec::new();
    for hit in now {
        match known.get_mut(&(hit.time, hit.weight)) {
            Some(times) if *times > 0 => *times -= 1,
            _ => new.push(hit.time),
        }
    }
    new.dedup();
    new
}
