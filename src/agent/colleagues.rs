//! What other nodes saw of subjects below the threshold, and what they are told in turn.

use std::sync::Arc;

use super::court::Court;
use super::detector::{Detector, answer};
use super::handle::Reply;
use crate::engine::jail::Shared;
use crate::engine::window::Hit;
use crate::engine::{JailName, NodeIndex, Shift, Sighting, Subject, Timestamp};

/// What one node saw of one subject for one jail, with names in place of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The jail.
    pub jail: JailName,
    /// Who.
    pub subject: Subject,
    /// Its failures, oldest first.
    pub failures: Vec<Seen>,
    /// Spans of successful logins, first and last.
    pub successes: Vec<(Timestamp, Timestamp)>,
}

impl Account {
    /// The same by a clock that differs by so much.
    #[must_use]
    pub fn shifted(mut self, shift: Shift) -> Self {
        self.failures.iter_mut().for_each(|seen| seen.at = seen.at + shift);
        for (first, last) in &mut self.successes {
            (*first, *last) = (*first + shift, *last + shift);
        }
        self
    }
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, by the log.
    pub at: Timestamp,
    /// How much it counts.
    pub weight: u32,
    /// `filter/rules[0]`; empty when its rule is not declared any more.
    pub rule: Arc<str>,
}

/// What others should know of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What was seen here.
    pub account: Account,
    /// The most weight within one window.
    pub weight: u32,
}

/// Other nodes by number. Numbers are never given to another node: a cluster has far fewer than there are numbers,
/// and what does not fit any more shares the last one.
#[derive(Debug, Default)]
pub(super) struct Colleagues(Vec<Arc<str>>);

impl Colleagues {
    fn index(&mut self, name: &Arc<str>) -> NodeIndex {
        let at = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(Arc::clone(name));
            self.0.len() - 1
        });
        NodeIndex(u16::try_from(at).unwrap_or(u16::MAX))
    }

    pub(super) fn name(&self, node: NodeIndex) -> Arc<str> {
        self.0.get(usize::from(node.0)).cloned().unwrap_or_else(|| "another node".into())
    }
}

impl Detector {
    pub(super) fn hear_node(
        &mut self,
        node: &Arc<str>,
        accounts: Vec<Account>,
        reply: Reply<()>,
        now: Timestamp,
    ) {
        self.court.hear_node(node, accounts, now);
        self.emit();
        answer(reply, ());
    }

    pub(super) fn share(&mut self, quotas: &[(JailName, u32)], reply: Reply<()>) {
        self.court.share(quotas);
        answer(reply, ());
    }
}

impl Court {
    /// Takes in what a node saw, each account in place of the same node's earlier one.
    fn hear_node(&mut self, node: &Arc<str>, accounts: Vec<Account>, now: Timestamp) {
        let index = self.colleagues.index(node);
        for account in accounts {
            let Some(seat) = self.seats.iter().position(|seat| *seat.name() == account.jail) else {
                continue;
            };
            self.hear_account(seat, index, account.shifted(self.ahead()), now);
        }
    }

    fn hear_account(&mut self, seat: usize, node: NodeIndex, account: Account, now: Timestamp) {
        let Some(at) = self.seats.get_mut(seat).filter(|seat| seat.config.adds_up) else { return };
        let hit = |seen: &Seen| Hit { time: seen.at, weight: seen.weight, rule: at.rule_called(&seen.rule) };
        let failures = account.failures.iter().map(hit).collect();
        let sighting = Sighting { failures, successes: account.successes };
        let name = account.jail;
        let history = self.ledger.history(&name);
        let conviction = at.jail.hear(node, account.subject, sighting, &at.never, &history, now);
        if let Some(conviction) = conviction {
            self.dirty = true;
            self.convict(seat, &name, &conviction, now);
        }
    }

    /// From now on gathers for others what these jails count, each from its quota on; all other jails gather nothing.
    fn share(&mut self, quotas: &[(JailName, u32)]) {
        for seat in &mut self.seats {
            let quota = quotas.iter().find(|(jail, _)| jail == seat.name()).map(|(_, quota)| *quota);
            seat.jail.share(quota);
        }
    }

    /// What others should know, by the shared clock.
    pub(super) fn sightings(&mut self, now: Timestamp) -> Vec<Told> {
        let mut all = Vec::new();
        let back = self.ahead().reversed();
        for seat in &mut self.seats {
            let shared = seat.jail.sightings(now);
            all.extend(shared.into_iter().map(|Shared { subject, weight, sighting }| {
                let seen =
                    |hit: &Hit| Seen { at: hit.time, weight: hit.weight, rule: seat.rule_name(hit.rule) };
                let account = Account {
                    jail: seat.name().clone(),
                    subject,
                    failures: sighting.failures.iter().map(seen).collect(),
                    successes: sighting.successes,
                };
                Told { account: account.shifted(back), weight }
            }));
        }
        all
    }

    /// Whether others should be told something new.
    pub(super) fn take_news(&mut self) -> bool {
        let mut news = false;
        for seat in &mut self.seats {
            news |= seat.jail.take_news();
        }
        news
    }
}
