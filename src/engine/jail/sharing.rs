//! A jail that adds up failures over several nodes.
//!
//! Every node counts its own records exactly and tells the others of a subject once its own weight within some window
//! reaches a quota, or when another node told of it. With R nodes and a quota of `maxRetry / R`, rounded up, no full
//! window stays hidden: one of the nodes has at least that much of it. Each node that saw a failure of the subject
//! adds up what it knows, whenever a record or a report arrives, and the failure that completes the window in time
//! order decides; so nodes that know the same pronounce the same ban.

use std::collections::BTreeSet;

use super::judge::{judge_added, serve, settled};
use super::{Jail, NeverBan};
use crate::engine::{Conviction, History, JailSpec, NodeIndex, Sighting, Subject, Term, Timestamp, sentence};

/// Who is told of to other nodes.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    quota: u32,
    subjects: BTreeSet<Subject>,
    news: bool,
}

/// One subject that other nodes should know of, as this node alone saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Who.
    pub subject: Subject,
    /// The most weight within one window: who has the least gives way first when there are too many.
    pub weight: u32,
    /// What was seen of it here.
    pub sighting: Sighting,
}

/// The own weight within a window from which a node tells of a subject, where `nodes` nodes count.
///
/// Where logins count it is that of a threshold one lower: the node that saw the login must have answered before the
/// window can be full. Single failures that weigh more than the quota can still be faster.
#[must_use]
pub fn quota(spec: &JailSpec, nodes: usize) -> u32 {
    let least = spec.max_retry.max(1);
    let hidden = if spec.trusted_factor > 1 { least - 1 } else { least };
    hidden.div_ceil(u32::try_from(nodes).unwrap_or(u32::MAX).max(1)).max(1)
}

impl Jail {
    /// Begins, or goes on, to gather what other nodes should know: subjects of this own weight within a window, and
    /// those that others tell of. `None` gathers nothing.
    pub fn share(&mut self, quota: Option<u32>) {
        let Some(quota) = quota.map(|quota| quota.max(1)) else {
            self.sharing = None;
            return;
        };
        if self.sharing.as_ref().is_some_and(|sharing| sharing.quota == quota) {
            return;
        }
        let span = self.spec.find_time;
        let wanted = |(subject, tracked): &(Subject, &super::Tracked)| {
            tracked.window.peak(span) >= quota || self.elsewhere.has_failures(*subject, Timestamp::MIN)
        };
        let subjects = self.roster.iter().filter(wanted).map(|(subject, _)| subject).collect();
        self.sharing = Some(Sharing { quota, subjects, news: true });
    }

    /// Whether something that other nodes should know came up since the last call.
    pub fn take_news(&mut self) -> bool {
        self.sharing.as_mut().is_some_and(|sharing| std::mem::take(&mut sharing.news))
    }

    /// All that other nodes should know now, and only what was counted here. Subjects whose failures have slid out of
    /// every window, were settled by a ban or pardoned are gone from it.
    pub fn sightings(&mut self, now: Timestamp) -> Vec<Shared> {
        let horizon = self.horizon(now);
        let span = self.spec.find_time;
        let Self { roster, elsewhere, sharing: Some(sharing), .. } = self else { return Vec::new() };
        let mut all = Vec::with_capacity(sharing.subjects.len());
        sharing.subjects.retain(|subject| {
            let Some(tracked) = roster.get(*subject) else { return false };
            let failures: Vec<_> = tracked.window.hits().filter(|hit| hit.time >= horizon).copied().collect();
            // Logins alone are of interest only where others see failures: else two nodes would tell each other of
            // an office for ever.
            if failures.is_empty() && !elsewhere.has_failures(*subject, horizon) {
                return false;
            }
            let trust = tracked.trust.iter().flat_map(|trust| trust.clusters());
            let successes = trust.filter(|(_, last)| *last >= horizon - span).collect();
            let weight = tracked.window.peak(span);
            all.push(Shared { subject: *subject, weight, sighting: Sighting { failures, successes } });
            true
        });
        all
    }

    /// Puts what another node saw of `subject` in place of what it told before; an empty sighting takes it back.
    /// A ban falls when that completes a window and this node saw a failure of the subject as well. The caller records
    /// it in the ledger behind `history` before it calls again.
    ///
    /// Reports of at most `max_tracked` subjects are kept.
    pub fn hear(
        &mut self,
        node: NodeIndex,
        subject: Subject,
        mut sighting: Sighting,
        never: &NeverBan,
        history: &dyn History,
        now: Timestamp,
    ) -> Option<Conviction> {
        if self.spares(subject, never) {
            sighting = Sighting::default();
        }
        let new = self.elsewhere.replace(node, subject, sighting, self.spec.max_tracked);
        let own = self.roster.get(subject)?;
        let horizon = self.horizon(now);
        if let Some(sharing) = &mut self.sharing
            && self.elsewhere.has_failures(subject, horizon)
            && (!own.window.is_empty() || own.trust.is_some())
        {
            sharing.news |= sharing.subjects.insert(subject);
        }
        if new.is_empty() || own.window.is_empty() {
            return None;
        }
        let last = history.latest(subject);
        let settled = settled(last, history.pardoned(subject));
        let others = self.elsewhere.of(subject);
        let (spec, span) = (&self.spec, self.spec.find_time);
        self.roster.update(subject, span, |tracked| {
            tracked.window.forget_through(settled);
            if tracked.window.is_empty() {
                return None;
            }
            judge_added(spec, tracked, others, subject, &new, last, settled, horizon)
        })
    }

    /// Settles what was counted of a subject when a ban of it is learned from elsewhere. Answers with the ban's new
    /// end when failures that were counted here happened during it; the outer `None` leaves it alone.
    pub fn settle(&mut self, subject: Subject, term: Term) -> Option<Option<Timestamp>> {
        let spec = &self.spec;
        self.roster.get(subject)?;
        let before = term.until;
        let until = self.roster.update(subject, spec.find_time, |tracked| {
            let end = |time| sentence::end(&spec.sentence, &spec.name, subject, term.n, time);
            serve(&mut tracked.window, term.since, term.until, end)
        });
        (until != before).then_some(until)
    }

    /// Notes that `subject` was counted here, for the others.
    pub(super) fn note_for_others(&mut self, subject: Subject, horizon: Timestamp) {
        let Some(sharing) = &mut self.sharing else { return };
        if sharing.subjects.contains(&subject) {
            sharing.news = true;
            return;
        }
        let span = self.spec.find_time;
        let Some(tracked) = self.roster.get(subject) else { return };
        if tracked.window.peak(span) >= sharing.quota || self.elsewhere.has_failures(subject, horizon) {
            sharing.subjects.insert(subject);
            sharing.news = true;
        }
    }

    /// How many subjects other nodes tell of.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.elsewhere.len()
    }

    /// How many reports of other nodes found no place.
    #[must_use]
    pub fn unheard(&self) -> u64 {
        self.elsewhere.left_out()
    }
}

#[cfg(test)]
#[path = "../tests/sharing.rs"]
mod tests;

#[cfg(test)]
#[path = "../tests/sharing_properties.rs"]
mod properties;
