//! From a match to a verdict, from a verdict to a ban, from a ban to what the kernel must be told.
//!
//! Holds the jails and the ledger. Makes no system call: what shall reach the kernel and what shall be told to
//! people gathers in [`Outcome`].

use std::collections::BTreeMap;

use super::absent::Roll;
use super::colleagues::Colleagues;
use super::left_closed::LeftClosed;
use super::plan::scope_of;
use super::report::{BanReport, Event, EventKind, LeftOut, Moment};
use super::seat::Seat;
use crate::bans::{Ban, Evidence, Ledger, LedgerLimits, LedgerSnapshot, Origin, Recorded};
use crate::config::{BanEntry, Config};
use crate::engine::house::NeverBan;
use crate::engine::jail::JailSnapshot;
use crate::engine::{
    Conviction, Duration, JailName, JailSpec, Match, Outcome as MatchOutcome, Shift, Skip, Subject,
    Timestamp, Verdict,
};
use crate::firewall::Change;

/// What shall leave the court.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// For the kernel, in order.
    pub(super) changes: Vec<Change>,
    /// For people.
    pub(super) events: Vec<Event>,
}

/// All jails and the ledger.
#[derive(Debug)]
pub(super) struct Court {
    pub(super) seats: Vec<Seat>,
    pub(super) ledger: Ledger,
    pub(super) outcome: Outcome,
    /// Whether something changed that the snapshot should hold.
    pub(super) dirty: bool,
    pub(super) house: NeverBan,
    pub(super) observe: bool,
    /// Bans of others that hit somebody who is never banned here.
    pub(super) spared: Vec<Ban>,
    /// Entries of BanLists that would hit somebody who is never banned here.
    pub(super) unlisted: Vec<LeftOut>,
    /// How many bans of others found no place in their jail.
    pub(super) left_out: BTreeMap<Option<JailName>, usize>,
    /// Other nodes that told what they saw.
    pub(super) colleagues: Colleagues,
    /// How far this node's clock is ahead of the one that nodes share; `None`: nothing is shared, or nobody measured yet.
    pub(super) ahead: Option<Shift>,
    /// Windows of jails that are not configured yet.
    pub(super) waiting: BTreeMap<JailName, JailSnapshot>,
    /// What jails closed, in the last run or until now, that cannot be configured.
    pub(super) left_closed: BTreeMap<JailName, LeftClosed>,
    /// Why jails that are not in force are not.
    pub(super) roll: Roll,
}

impl Court {
    /// A court that goes on where the snapshots left off.
    pub(super) fn new(observe: bool, ledger: Ledger, waiting: BTreeMap<JailName, JailSnapshot>) -> Self {
        Self {
            seats: Vec::new(),
            ledger,
            outcome: Outcome::default(),
            dirty: false,
            house: NeverBan::default(),
            observe,
            spared: Vec::new(),
            unlisted: Vec::new(),
            left_out: BTreeMap::new(),
            colleagues: Colleagues::default(),
            ahead: None,
            waiting,
            left_closed: BTreeMap::new(),
            roll: Roll::default(),
        }
    }

    /// Takes another configuration. Jails that stay keep their windows; those that are gone lose them, unless their
    /// declaration may only be unreadable.
    pub(super) fn configure(&mut self, config: &Config, now: Timestamp) {
        let mut before: BTreeMap<JailName, Seat> =
            std::mem::take(&mut self.seats).into_iter().map(|seat| (seat.name().clone(), seat)).collect();
        for jail in &config.jails {
            let seat = match before.remove(jail.name()) {
                Some(mut seat) => {
                    seat.reconfigure(jail);
                    seat
                }
                None => Seat::new(jail, self.waiting.remove(jail.name()).as_ref()),
            };
            self.seats.push(seat);
        }
        // The declaration of a jail may be broken just now; what it counted waits until it is mended, and what it closed
        // stays closed. One that was in force until now is here when its declaration went into a file that cannot be
        // read: where it was before, nothing is broken.
        for (jail, seat) in before {
            if config.may_lack(&jail) {
                self.left_closed.extend(LeftClosed::by(&seat.config).map(|closed| (jail.clone(), closed)));
                self.waiting.insert(jail, seat.jail.snapshot());
            }
        }
        self.waiting.retain(|jail, _| config.may_lack(jail));
        self.roll = Roll::of(config);
        self.left_closed.retain(|jail, _| config.may_lack(jail));
        for jail in self.left_closed.keys() {
            tracing::warn!(%jail, "the declaration cannot be used: nothing is counted, and who is banned stays so");
        }
        self.ledger.set_limits(limits(config));
        let house = std::mem::take(&mut self.house);
        self.furnish(house);
        self.list(&config.ban_entries, now);
        self.reconsider(now);
        self.dirty = true;
    }

    /// Takes other never-ban prefixes.
    pub(super) fn furnish(&mut self, house: NeverBan) {
        for seat in &mut self.seats {
            seat.furnish(&house);
        }
        self.house = house;
    }

    /// Replaces what BanLists order, whose ends are by the clock that nodes share. Entries that would hit the house are
    /// left out.
    pub(super) fn list(&mut self, entries: &[BanEntry], now: Timestamp) {
        let mut bans = Vec::new();
        self.unlisted.clear();
        for entry in entries {
            let until = entry.until.map(|until| until + self.ahead());
            if let Some(why) = self.house.overlap(entry.subject) {
                tracing::warn!(list = entry.list, subject = %entry.subject, %why, "an entry of a ban list is left out");
                self.unlisted.push(LeftOut {
                    list: entry.list.clone(),
                    subject: entry.subject,
                    until: until.map(Moment),
                    why: why.to_string(),
                });
                continue;
            }
            bans.push(Ban {
                jail: entry.jail.clone(),
                subject: entry.subject,
                n: 1,
                since: now,
                until,
                origin: Origin::List(entry.list.clone()),
                evidence: Evidence { reason: Some(entry.reason.clone()), ..Evidence::default() },
            });
        }
        let changes = self.ledger.set_list(bans, now);
        for ban in &changes.begun {
            self.tell(EventKind::Ban, ban, now);
            self.sync(ban.jail.as_ref(), ban.subject, now);
        }
        for ban in &changes.ended {
            self.tell(EventKind::Unban, ban, now);
            self.sync(ban.jail.as_ref(), ban.subject, now);
        }
    }

    /// Counts one match in one jail. Whether its time was good enough for that.
    pub(super) fn hear(&mut self, seat: usize, m: &Match, now: Timestamp) -> bool {
        let Some(at) = self.seats.get_mut(seat) else { return true };
        let name = at.name().clone();
        let verdict = at.jail.count(m, &at.never, &self.ledger.history(&name), now);
        self.dirty = true;
        let too_early = matches!(verdict, Verdict::Skipped(Skip::TooOld | Skip::Pardoned));
        if m.outcome == MatchOutcome::Failure {
            match verdict {
                Verdict::Skipped(Skip::NeverBan) => {
                    at.tallies.never_banned += 1;
                    at.spared.note(m.address, now);
                }
                Verdict::Skipped(_) => at.tallies.too_late += 1,
                Verdict::Extended { .. } => at.tallies.while_banned += 1,
                _ => at.tallies.failures += 1,
            }
        }
        match verdict {
            Verdict::Ban(conviction) => self.convict(seat, &name, &conviction, now),
            Verdict::Extended { subject, n, until } => {
                let told = match self.ledger.prolong(&name, subject, n, until, now) {
                    // Its lines were read late: the ban was over, and this failure brings it into force.
                    Recorded::New => Some(EventKind::Ban),
                    Recorded::Prolonged => Some(EventKind::Prolong),
                    Recorded::Known | Recorded::Over | Recorded::Pardoned | Recorded::Refused => None,
                };
                if let Some(event) = told {
                    self.told_by_ledger(event, &name, subject, now);
                    self.sync(Some(&name), subject, now);
                }
                self.check_efficacy(seat, &name, m, now);
            }
            Verdict::Counted { .. } => self.check_efficacy(seat, &name, m, now),
            Verdict::Trusted(_) => {
                if let Some(at) = self.seats.get_mut(seat) {
                    at.tallies.successes += 1;
                }
            }
            Verdict::Skipped(_) => {}
        }
        !too_early
    }

    pub(super) fn convict(&mut self, seat: usize, name: &JailName, conviction: &Conviction, now: Timestamp) {
        let Some(at) = self.seats.get(seat) else { return };
        let rules = conviction.rules.iter().map(|(rule, matches)| (at.rule_name(*rule), *matches)).collect();
        let ban = Ban {
            jail: Some(name.clone()),
            subject: conviction.subject,
            n: conviction.n,
            since: conviction.since,
            until: conviction.until,
            origin: Origin::Jail,
            evidence: Evidence {
                weight: conviction.weight,
                first: Some(conviction.first),
                rules,
                nodes: conviction.nodes.iter().map(|node| self.colleagues.name(*node)).collect(),
                reason: None,
            },
        };
        self.pronounce(seat, &ban, now);
    }

    /// Puts a ban of this seat's jail in force, unless the brake holds it back.
    pub(super) fn pronounce(&mut self, seat: usize, ban: &Ban, now: Timestamp) {
        let Some(at) = self.seats.get_mut(seat) else { return };
        // By the log's time, so that catching up on an hour is not an hour's bans in one second.
        if ban.is_active(now) && !at.brake.admit(ban.since) {
            at.tallies.braked += 1;
            if at.brake.held_back() == 1 {
                tracing::warn!(jail = %at.name(), "more bans a minute than the brake allows: observing only");
            }
            return;
        }
        match self.ledger.record(ban, now) {
            Recorded::New => {
                at.tallies.bans += 1;
                self.tell(EventKind::Ban, ban, now);
                self.sync(ban.jail.as_ref(), ban.subject, now);
            }
            Recorded::Prolonged => {
                self.tell(EventKind::Prolong, ban, now);
                self.sync(ban.jail.as_ref(), ban.subject, now);
            }
            Recorded::Refused => self.refused(ban.jail.as_ref()),
            Recorded::Known | Recorded::Over | Recorded::Pardoned => {}
        }
    }

    fn check_efficacy(&mut self, seat: usize, name: &JailName, m: &Match, now: Timestamp) {
        for ineffective in self.ledger.seen_again(name, m.address, m.time) {
            let subject = ineffective.ban.subject;
            tracing::warn!(jail = %name, %subject, "a banned subject still appears in the log");
            if let Some(seat) = self.seats.get_mut(seat) {
                seat.efficacy.note(subject, now);
            }
        }
    }

    /// Ends bans whose time is up. The kernel ends them by itself by its own clock, which stands still while the
    /// machine sleeps and does not follow when the wall clock is set: so it is told as well.
    pub(super) fn expire(&mut self, now: Timestamp) {
        for ban in self.ledger.expire(now) {
            self.tell(EventKind::Expire, &ban, now);
            self.sync(ban.jail.as_ref(), ban.subject, now);
        }
    }

    /// Brings the kernel to what the ledger holds of one (jail, subject).
    pub(super) fn sync(&mut self, jail: Option<&JailName>, subject: Subject, now: Timestamp) {
        if !self.enforces(jail) {
            return;
        }
        let scope = self.scope(jail);
        let change = match self.ledger.in_force(jail, subject, now) {
            Some(hold) => Change::Ban { scope, subject, until: hold.until },
            None => Change::Lift { scope, subject },
        };
        self.outcome.changes.push(change);
        self.dirty = true;
    }

    /// Everything the kernel should hold now.
    pub(super) fn holds(&self, now: Timestamp) -> Vec<Change> {
        // Room for all at once: a list that grows step by step takes up to twice as much.
        let mut holds = Vec::with_capacity(self.ledger.len());
        let enforced = self.ledger.holds(now).filter(|(jail, ..)| self.enforces(*jail));
        holds.extend(enforced.map(|(jail, subject, hold)| Change::Ban {
            scope: self.scope(jail),
            subject,
            until: hold.until,
        }));
        holds
    }

    /// Whether bans of this jail reach the kernel. Those of a jail that is gone do not: what they would close is not
    /// declared any more.
    pub(super) fn enforces(&self, jail: Option<&JailName>) -> bool {
        match jail {
            None => !self.observe,
            Some(name) => match self.seat(name) {
                Some(seat) => seat.enforces(self.observe),
                None => !self.observe && self.left_closed.contains_key(name),
            },
        }
    }

    pub(super) fn seat(&self, name: &JailName) -> Option<&Seat> {
        self.seats.binary_search_by(|seat| seat.name().cmp(name)).ok().and_then(|at| self.seats.get(at))
    }

    /// Whether what this jail counted is still here.
    pub(super) fn remembers(&self, name: &JailName) -> bool {
        self.seat(name).is_some() || self.waiting.contains_key(name)
    }

    fn scope(&self, jail: Option<&JailName>) -> crate::firewall::ScopeName {
        match jail.and_then(|name| self.seat(name)) {
            Some(seat) => seat.scope.clone(),
            None => scope_of(jail),
        }
    }

    /// Gathers an event.
    pub(super) fn tell(&mut self, event: EventKind, ban: &Ban, now: Timestamp) {
        let report = BanReport::new(ban, self.enforces(ban.jail.as_ref()));
        let ahead = self.ahead();
        self.outcome.events.push(Event { time: Moment(now), event, ahead, ban: report });
    }

    /// An event about the ban the ledger holds.
    pub(super) fn told_by_ledger(
        &mut self,
        event: EventKind,
        name: &JailName,
        subject: Subject,
        now: Timestamp,
    ) {
        if let Some(ban) = self.ledger.counted(name, subject, now) {
            self.tell(event, &ban, now);
        }
    }

    /// What the snapshot keeps of the jails.
    pub(super) fn jails_snapshot(&self) -> BTreeMap<JailName, JailSnapshot> {
        let seats = self.seats.iter().map(|seat| (seat.name().clone(), seat.jail.snapshot()));
        self.waiting.clone().into_iter().chain(seats).collect()
    }

    /// What the snapshot keeps of what jails close.
    pub(super) fn closed_snapshot(&self) -> BTreeMap<JailName, LeftClosed> {
        let closed = |seat: &Seat| Some((seat.name().clone(), LeftClosed::by(&seat.config)?));
        self.left_closed.clone().into_iter().chain(self.seats.iter().filter_map(closed)).collect()
    }

    /// What the snapshot keeps of the ledger.
    pub(super) fn ledger_snapshot(&self) -> LedgerSnapshot {
        self.ledger.snapshot()
    }

    /// Gives back memory of what cannot matter any more.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        for seat in &mut self.seats {
            seat.jail.sweep(now);
        }
    }
}

/// For so long pardons and past bans are known at least: a jail that is away for a while may forget later than those
/// that stay.
const AT_LEAST: Duration = Duration::from_secs(86_400);
/// And for so long while there is no jail at all: what a jail forgets after unless it says otherwise.
const WITHOUT_JAILS: Duration = Duration::from_secs(30 * 86_400);

/// How much of the past these jails need.
pub(super) fn limits(config: &Config) -> LedgerLimits {
    // A record may be read `findTime` late, and asks for what was known then.
    let longest = |span: fn(&JailSpec) -> Duration| config.jails.iter().map(|jail| span(&jail.spec)).max();
    let forget_after = longest(|spec| spec.sentence.forget_after).unwrap_or(WITHOUT_JAILS).max(AT_LEAST);
    let find_time = longest(|spec| spec.find_time).unwrap_or(Duration::ZERO);
    LedgerLimits { forget_after: forget_after.saturating_add(find_time), ..LedgerLimits::default() }
}
