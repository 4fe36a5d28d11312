//! The detector and the kernel: what it orders of the enforcer, and what it hears back.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::detector::{Detector, answer};
use super::handle::Reply;
use super::plan::skeleton;
use super::report::FirewallState;
use crate::engine::Timestamp;
use crate::firewall::enforcer::{EnforcerEvent, Order};
use crate::firewall::{Change, FirewallError};

/// A clock that moved by more than this against the monotonic one was set.
const STEP: Duration = Duration::from_secs(2);

/// Whether this node was asked to guard no longer, and who waits until the table is gone.
#[derive(Debug, Default)]
pub(super) enum Retirement {
    /// It was not.
    #[default]
    No,
    /// The table is being removed.
    Asked(Vec<Reply<()>>),
    /// It is gone.
    Done,
}

impl Retirement {
    pub(super) fn is_asked(&self) -> bool {
        !matches!(self, Self::No)
    }
}

impl Detector {
    /// Has the table removed; from now on nothing is read or ordered.
    pub(super) fn retire(&mut self, reply: Reply<()>) {
        match &mut self.retirement {
            Retirement::Done => return answer(reply, ()),
            Retirement::Asked(waiting) => return waiting.push(reply),
            Retirement::No => self.retirement = Retirement::Asked(vec![reply]),
        }
        tracing::warn!("asked to clean up: the table is removed and nothing is guarded any more");
        self.configured = false;
        self.skeleton = None;
        // Whatever is decided from now on, by lists or by others, stays with us.
        self.court.observe = true;
        self.order(Order::Teardown);
    }

    /// The house is another.
    pub(super) fn furnish(&mut self, now: Timestamp) {
        self.court.furnish(self.house.never().clone());
        // What a BanList orders against the house waits for the house to change.
        self.court.list(&self.config.ban_entries, now);
        self.court.reconsider(now);
        self.plan();
        self.saver.changed();
    }

    /// Orders the skeleton when it is another than before.
    pub(super) fn plan(&mut self) {
        let enforcing = self.court.seats.iter().filter(|seat| seat.enforces(self.court.observe));
        let mut wanted = skeleton(
            enforcing.map(|seat| &*seat.config),
            &self.config.rate_limits,
            self.house.kernel(),
            &self.house.reachable(),
            &self.situation,
        );
        if !self.court.observe {
            wanted.scopes.extend(self.court.left_closed.iter().map(|(jail, closed)| closed.scope(jail)));
        }
        if self.configured && self.skeleton.as_ref() != Some(&wanted) {
            self.order(Order::Skeleton(wanted.clone()));
            self.skeleton = Some(wanted);
        }
    }

    pub(super) fn order(&mut self, order: Order) {
        if self.enforcer.send(order).is_err() {
            self.firewall.state = FirewallState::Failing;
            self.firewall.problem = Some("the enforcer has ended".into());
        }
    }

    pub(super) fn listen_to_kernel(&mut self, now: Timestamp) {
        while let Ok(event) = self.kernel.try_recv() {
            match event {
                EnforcerEvent::Ensured => {
                    self.works();
                    self.limit_pardons.table_stands();
                    self.pardon_in_limits(now);
                }
                EnforcerEvent::Recovered => self.works(),
                EnforcerEvent::Applied { changes, at, .. } => {
                    self.firewall.applied += changes.len() as u64;
                    self.acknowledge(&changes, at);
                }
                EnforcerEvent::Refused { change, reason } => {
                    self.firewall.refused += 1;
                    tracing::error!(?change, reason, "the kernel refuses a change");
                }
                EnforcerEvent::Drifted => {
                    tracing::warn!("somebody changed our table; it is made again");
                    self.firewall.repaired += 1;
                    self.court.ledger.unacknowledge();
                    let holds = self.court.holds(now);
                    self.order(Order::Restore(holds));
                }
                EnforcerEvent::Failing(problem) => {
                    tracing::error!(
                        problem,
                        "the firewall fails; it is tried again and nothing is forgotten"
                    );
                    self.firewall.state = FirewallState::Failing;
                    self.firewall.problem = Some(problem);
                }
                EnforcerEvent::TornDown => {
                    self.firewall.state = FirewallState::Removed;
                    self.firewall.problem = None;
                    self.court.ledger.unacknowledge();
                    if let Retirement::Asked(waiting) =
                        std::mem::replace(&mut self.retirement, Retirement::Done)
                    {
                        waiting.into_iter().for_each(|reply| answer(reply, ()));
                    }
                }
                EnforcerEvent::Stopped => {}
            }
        }
    }

    pub(super) fn works(&mut self) {
        if self.firewall.state == FirewallState::Failing {
            tracing::info!("the firewall works again");
        }
        if self.retirement.is_asked() {
            return;
        }
        let observing = self.court.observe;
        self.firewall.state = if observing { FirewallState::Observing } else { FirewallState::Enforcing };
        self.firewall.problem = None;
    }

    pub(super) fn acknowledge(&mut self, changes: &[Change], at: Timestamp) {
        for change in changes {
            if let Change::Ban { scope, subject, .. } = change {
                let seat = self.court.seats.iter().find(|seat| seat.scope == *scope);
                let jail = seat.map(|seat| seat.name().clone());
                self.court.ledger.acknowledge(jail.as_ref(), *subject, at);
            }
        }
    }

    /// Kernel timeouts run by their own clock, which stands still while the machine sleeps. What was on its way to the
    /// kernel when the clock was set was counted by the clock as it was.
    pub(super) fn look_at_clock(&mut self, now: Timestamp) {
        let (instant, wall) = self.clock;
        let expected = wall + instant.elapsed();
        self.clock = (Instant::now(), now);
        if now.distance(expected) > STEP && self.configured {
            tracing::warn!(by = ?now.distance(expected), "the clock was set, or the machine slept: the kernel's timeouts are set anew");
            let holds = self.court.holds(now);
            self.order(Order::Restore(holds));
        }
    }

    /// The kernel's counters, fetched by the thread that may wait for the kernel.
    pub(super) fn ask_counters(&mut self, reply: Reply<()>) {
        if self.court.observe && !self.retirement.is_asked() {
            let totals = Arc::clone(&self.totals);
            self.order(Order::Leftovers(Box::new(move |are_there| {
                totals.lock().unwrap_or_else(PoisonError::into_inner).leftovers = are_there;
            })));
        }
        let totals = Arc::clone(&self.totals);
        self.order(Order::Counters(Box::new(move |counters| {
            let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
            match counters {
                Ok(counters) => (totals.dropped, totals.unanswered) = (counters, None),
                Err(error) => totals.unanswered = Some(unanswered(&error)),
            }
        })));
        let totals = Arc::clone(&self.totals);
        self.order(Order::Limits(Box::new(move |limits| {
            let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
            match limits {
                Ok(limits) => (totals.limits, totals.limits_at) = (limits, jiff::Timestamp::now().into()),
                Err(error) => totals.unanswered = Some(unanswered(&error)),
            }
            drop(totals);
            answer(reply, ());
        })));
    }
}

/// What is told of a question to the kernel that failed.
pub(super) fn unanswered(error: &FirewallError) -> String {
    match error {
        FirewallError::NotMade => error.to_string(),
        _ => format!("the firewall did not answer: {error}"),
    }
}
