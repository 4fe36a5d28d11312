//! The enforcer's loop.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::backoff::Backoff;
use super::{EnforcerEvent, Order};
use crate::engine::Timestamp;
use crate::firewall::{Applied, Change, Firewall, FirewallError, ScopeName, Skeleton};

/// How often the kernel is asked whether somebody changed the ruleset: one small question.
const LOOK: Duration = Duration::from_millis(500);
/// Fresh changes of one batch.
const BATCH: usize = 2000;
/// Restored changes of one batch; a fresh change waits for one of these at most: some two milliseconds.
const RESTORED: usize = 500;
/// Orders taken before the kernel is asked again.
const ORDERS: usize = 10_000;

pub(super) struct Thread {
    firewall: Box<dyn Firewall>,
    inbox: Receiver<Order>,
    report: Box<dyn Fn(EnforcerEvent) + Send>,
    backlog: Backlog,
    /// What nft could not make room for.
    deferred: Backlog,
    wanted: Option<Skeleton>,
    /// Whether `wanted` is in the kernel.
    ensured: bool,
    /// Scopes that are in the kernel: of the last skeleton that was applied, while its table stands.
    standing: Option<HashSet<ScopeName>>,
    /// The table was damaged and its owner does not know yet.
    drifted: bool,
    skeleton: Backoff,
    changes: Backoff,
    room: Backoff,
    /// The kernel could not be asked whether the table stands.
    blind: bool,
    /// Times in a row that the table was gone again before a change could be made.
    relapses: u32,
    failing: bool,
    look_at: Instant,
    stopping: bool,
}

impl Thread {
    pub(super) fn new(
        firewall: Box<dyn Firewall>,
        inbox: Receiver<Order>,
        report: Box<dyn Fn(EnforcerEvent) + Send>,
    ) -> Self {
        Self {
            firewall,
            inbox,
            report,
            backlog: Backlog::default(),
            deferred: Backlog::default(),
            wanted: None,
            ensured: false,
            standing: None,
            drifted: false,
            skeleton: Backoff::default(),
            changes: Backoff::default(),
            room: Backoff::default(),
            blind: false,
            relapses: 0,
            failing: false,
            look_at: Instant::now() + LOOK,
            stopping: false,
        }
    }

    pub(super) fn run(mut self) {
        while !self.stopping {
            self.receive();
            self.work();
        }
        // What came last before the order to stop is done as well.
        while self.backlog.has_fresh(|scope| self.is_ready(scope)) && !self.failing {
            self.work();
        }
        (self.report)(EnforcerEvent::Stopped);
    }

    /// Takes all orders there are; waits for the first as long as there is nothing to do.
    fn receive(&mut self) {
        match self.inbox.recv_timeout(self.idle(Instant::now())) {
            Ok(order) => self.take(order),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
        for _ in 0..ORDERS {
            match self.inbox.try_recv() {
                Ok(order) => self.take(order),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Skeleton(skeleton) => {
                self.wanted = Some(skeleton);
                self.ensured = false;
                self.skeleton.succeeded(); // a new one deserves a try at once
            }
            Order::Changes(changes) => {
                for change in changes {
                    self.deferred.forget(&change);
                    self.backlog.push(change);
                }
            }
            Order::Restore(changes) => self.backlog.restore(changes),
            Order::Counters(reply) => reply(self.firewall.counters()),
            Order::Limits(reply) => reply(self.as_wanted().and_then(|()| self.firewall.limits())),
            Order::Caught(reply) => reply(self.firewall.caught()),
            Order::Leftovers(reply) => reply(self.firewall.has_leftovers()),
            Order::Offences(of, reply) => reply(self.as_wanted().and_then(|()| self.firewall.offences(of))),
            Order::Release(releases, reply) => {
                let made = self.as_wanted();
                // In a table of before, too: its penalties hold.
                let released: Result<Vec<_>, _> =
                    releases.into_iter().map(|(from, age)| self.firewall.release(from, age)).collect();
                reply(made.and(released).map(|limits| limits.into_iter().flatten().collect()));
            }
            Order::Teardown => self.tear_down(),
            Order::Stop => self.stopping = true,
        }
    }

    /// Whether what the firewall knows of limits is all that holds: not while another table than the wanted one may.
    fn as_wanted(&mut self) -> Result<(), FirewallError> {
        self.make_skeleton();
        if self.wanted.is_some() && !self.ensured { Err(FirewallError::NotMade) } else { Ok(()) }
    }

    /// How long nothing needs to be done.
    fn idle(&self, now: Instant) -> Duration {
        let mut next = self.look_at.saturating_duration_since(now);
        if self.wanted.is_some() && !self.ensured {
            next = next.min(self.skeleton.remaining(now));
        }
        if self.standing.is_some() {
            if self.backlog.has_restoration() || self.backlog.has_fresh(|scope| self.is_ready(scope)) {
                next = next.min(self.changes.remaining(now));
            }
            if self.deferred.has_fresh(|_| true) {
                next = next.min(self.room.remaining(now));
            }
        }
        next
    }

    fn work(&mut self) {
        self.make_skeleton();
        self.make_changes();
        self.look();
        self.report_trouble_over();
    }

    fn make_skeleton(&mut self) {
        let Some(wanted) = self.wanted.as_ref().filter(|_| !self.ensured) else { return };
        if !self.skeleton.may_try(Instant::now()) {
            return;
        }
        match self.firewall.ensure(wanted) {
            Ok(()) => {
                self.standing = Some(wanted.scopes.iter().map(|scope| scope.name.clone()).collect());
                self.ensured = true;
                self.skeleton.succeeded();
                self.look_at = Instant::now() + LOOK;
                (self.report)(EnforcerEvent::Ensured);
                if std::mem::take(&mut self.drifted) {
                    (self.report)(EnforcerEvent::Drifted);
                }
            }
            Err(error) => {
                self.skeleton.failed(Instant::now());
                self.trouble(&error);
            }
        }
    }

    /// Whether changes of this scope can be tried. One that only the wanted skeleton knows waits for it.
    fn is_ready(&self, scope: &ScopeName) -> bool {
        self.standing.as_ref().is_some_and(|standing| self.ensured || standing.contains(scope))
    }

    fn make_changes(&mut self) {
        let now = Instant::now();
        if self.standing.is_none() || !self.changes.may_try(now) {
            return;
        }
        if self.room.may_try(now) && self.deferred.has_fresh(|_| true) {
            let again = self.deferred.take_fresh(usize::MAX, |_| true);
            self.backlog.put_back(again);
        }
        let mut backlog = std::mem::take(&mut self.backlog);
        let fresh = backlog.take_fresh(BATCH, |scope| self.is_ready(scope));
        self.backlog = backlog;
        if !fresh.is_empty() {
            self.apply(fresh, false);
        } else if self.backlog.has_restoration() {
            let part = self.backlog.take_restoration(RESTORED);
            self.apply(part, true);
        }
    }

    fn apply(&mut self, changes: Vec<Change>, restored: bool) {
        match self.firewall.apply(&changes, now()) {
            Ok(applied) => self.applied(changes, applied, restored),
            Err(error @ FirewallError::Drifted(_)) => {
                self.backlog.put_back(changes);
                self.relapses += 1;
                if self.relapses > 1 {
                    self.changes.failed(Instant::now());
                    self.trouble(&error);
                }
                self.damaged();
            }
            Err(error) => {
                self.backlog.put_back(changes);
                self.changes.failed(Instant::now());
                self.trouble(&error);
            }
        }
    }

    fn applied(&mut self, mut changes: Vec<Change>, applied: Applied, restored: bool) {
        let at = now();
        self.relapses = 0;
        self.changes.succeeded();
        if applied.deferred.is_empty() {
            if !self.deferred.has_fresh(|_| true) {
                self.room.succeeded();
            }
        } else {
            self.room.failed(Instant::now());
            if let Some(error) = &applied.obstacle {
                self.trouble(error);
            }
        }
        changes.retain(|change| {
            !applied.deferred.contains(change)
                && !applied.refused.iter().any(|(refused, _)| refused == change)
        });
        for change in applied.deferred {
            self.deferred.push(change);
        }
        for (change, reason) in applied.refused {
            (self.report)(EnforcerEvent::Refused { change, reason });
        }
        if !changes.is_empty() {
            (self.report)(EnforcerEvent::Applied { changes, at, restored });
        }
    }

    /// Asks now and then whether the table is as it was left.
    fn look(&mut self) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        if self.standing.is_none() {
            return;
        }
        match self.firewall.is_intact() {
            Ok(intact) => {
                self.blind = false;
                if !intact {
                    self.damaged();
                }
            }
            Err(error) => {
                self.blind = true;
                self.trouble(&error);
            }
        }
    }

    /// Somebody else had a hand in the table: make it anew, at once.
    fn damaged(&mut self) {
        self.drifted = true;
        self.ensured = false;
        self.standing = None;
        self.make_skeleton();
    }

    fn tear_down(&mut self) {
        self.backlog.clear();
        self.deferred.clear();
        self.wanted = None;
        self.ensured = false;
        self.standing = None;
        match self.firewall.teardown() {
            Ok(()) => (self.report)(EnforcerEvent::TornDown),
            Err(error) => (self.report)(EnforcerEvent::Failing(error.to_string())),
        }
    }

    fn trouble(&mut self, error: &FirewallError) {
        if !std::mem::replace(&mut self.failing, true) {
            (self.report)(EnforcerEvent::Failing(error.to_string()));
        }
    }

    fn report_trouble_over(&mut self) {
        let trouble =
            self.skeleton.is_failing() || self.changes.is_failing() || self.room.is_failing() || self.blind;
        if self.failing && !trouble {
            self.failing = false;
            (self.report)(EnforcerEvent::Recovered);
        }
    }
}

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}
