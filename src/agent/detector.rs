//! The detector: one thread from the log line to the order to the kernel. Synchronous; it waits in one `poll` for
//! files, journals, commands and time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::{broadcast, watch};

use super::census::Totals;
use super::chronicle::Chronicle;
use super::court::Court;
use super::handle::{Command, Reply, Unusable};
use super::house::House;
use super::intake::Intake;
use super::kept_lists::KeptLists;
use super::kernel::Retirement;
use super::limit_pardons::LimitPardons;
use super::obey::Then;
use super::promotion::Promotions;
use super::report::{Event, FirewallReport, FirewallState};
use super::saver::Saver;
use super::set_clock::HeldBy;
use super::situation::Situation;
use super::snapshot::Snapshot;
use super::wake::Waker;
use crate::bans::{Ledger, LedgerLimits};
use crate::config::Config;
use crate::engine::{Shift, Timestamp};
use crate::firewall::Skeleton;
use crate::firewall::enforcer::{Enforcer, EnforcerEvent, Order};

/// The longest wait: the watchdog and timers that nobody computed are looked at then.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Before the first configuration nobody knows how long to remember, so nothing is forgotten.
const UNCONFIGURED: LedgerLimits = LedgerLimits::NONE;
/// How often windows that cannot matter any more give back their memory.
const SWEEP: Duration = Duration::from_secs(60);

/// What the detector is made of at start.
pub(super) struct Parts {
    pub(super) commands: Receiver<Command>,
    pub(super) waker: Waker,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) news: watch::Sender<u64>,
    pub(super) turns: Arc<AtomicU64>,
    pub(super) enforcer: Enforcer,
    pub(super) kernel: Receiver<EnforcerEvent>,
    pub(super) saver: Saver,
    pub(super) snapshot: Snapshot,
    pub(super) observe: bool,
    pub(super) totals: Arc<Mutex<Totals>>,
}

/// The thread's own state.
pub(super) struct Detector {
    pub(super) commands: Receiver<Command>,
    pub(super) waker: Waker,
    events: broadcast::Sender<Arc<Event>>,
    news: watch::Sender<u64>,
    chronicle: Chronicle,
    turns: Arc<AtomicU64>,
    pub(super) enforcer: Enforcer,
    pub(super) kernel: Receiver<EnforcerEvent>,
    pub(super) saver: Saver,
    pub(super) intake: Intake,
    pub(super) court: Court,
    pub(super) house: House,
    pub(super) kept_lists: KeptLists,
    pub(super) firewall: FirewallReport,
    pub(super) started: Timestamp,
    pub(super) totals: Arc<Mutex<Totals>>,
    pub(super) skeleton: Option<Skeleton>,
    pub(super) config: Arc<Config>,
    pub(super) situation: Arc<Situation>,
    pub(super) configured: bool,
    pub(super) retirement: Retirement,
    pub(super) promotions: Promotions,
    pub(super) limit_pardons: LimitPardons,
    sweep_at: Instant,
    pub(super) held_by: HeldBy,
    pub(super) clock: (Instant, Timestamp),
}

impl Detector {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            commands,
            waker,
            events,
            news,
            turns,
            enforcer,
            kernel,
            mut saver,
            snapshot,
            observe,
            totals,
        } = parts;
        let Snapshot { clock, files, journals, readers, scans, jails, closed, ledger, allowed, hosts } =
            snapshot;
        let ledger = Ledger::restore(UNCONFIGURED, &ledger).unwrap_or_else(|error| {
            tracing::error!(%error, "the bans of the snapshot cannot be restored");
            saver.note_loss(format!("the bans of the snapshot cannot be restored: {error}"));
            Ledger::new(UNCONFIGURED)
        });
        let state = if observe { FirewallState::Observing } else { FirewallState::Starting };
        let (now, held_by, shift) = HeldBy::now(clock.as_ref());
        let mut court = Court::new(observe, ledger, jails);
        court.left_closed = closed;
        court.ahead = clock.and_then(|clock| clock.ahead).map(|ahead| ahead.then(shift));
        if shift != Shift::NONE {
            tracing::warn!(
                micros = shift.as_micros(),
                "the clock was set since the last run: what is left of every ban stays"
            );
            court.shift(shift, now);
            court.shift_windows(shift);
        }
        Self {
            house: House::new(hosts, waker.clone()),
            kept_lists: allowed,
            commands,
            waker,
            events,
            news,
            chronicle: Chronicle::new(),
            turns,
            enforcer,
            kernel,
            saver,
            intake: Intake::new(files, journals, scans, readers),
            court,
            firewall: FirewallReport { state, ..FirewallReport::default() },
            started: now,
            totals,
            skeleton: None,
            config: Arc::default(),
            situation: Arc::default(),
            configured: false,
            retirement: Retirement::default(),
            promotions: Promotions::new(),
            limit_pardons: LimitPardons::default(),
            sweep_at: Instant::now() + SWEEP,
            held_by,
            clock: (Instant::now(), now),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            self.turns.fetch_add(1, Ordering::Relaxed);
            self.waker.clear();
            if self.obey() == Then::End {
                return;
            }
            let now = self.now();
            self.listen_to_kernel(now);
            self.look_at_clock(now);
            if self.house.refresh(now) {
                self.furnish(now);
            }
            let more = self.configured && self.read(now);
            self.promote(now);
            self.court.expire(now);
            self.emit();
            if self.court.take_news() {
                self.news.send_modify(|turn| *turn += 1);
            }
            if Instant::now() >= self.sweep_at {
                self.court.sweep(now);
                self.sweep_at = Instant::now() + SWEEP;
            }
            self.chronicle.catch_up();
            self.saver.collect();
            if self.saver.is_due() {
                self.save(now);
            }
            if !more {
                self.wait();
            }
        }
    }

    /// Reads a portion; whether there is more.
    fn read(&mut self, now: Timestamp) -> bool {
        let Self { intake, court, enforcer, events, chronicle, .. } = self;
        let progress = intake.poll(now, &mut |seat, m, at| {
            let counted = court.hear(seat, m, at);
            // At once and not at the end of the block: the next line may be the attacker's next try.
            emit(court, enforcer, events, chronicle);
            counted
        });
        for (seat, reason) in self.intake.unusable() {
            if let Some(seat) = self.court.seats.get_mut(seat) {
                seat.unusable.push(reason);
            }
        }
        if std::mem::take(&mut self.court.dirty) {
            self.saver.changed();
        } else if progress.bytes > 0 {
            self.saver.moved();
        }
        progress.more
    }

    pub(super) fn emit(&mut self) {
        emit(&mut self.court, &self.enforcer, &self.events, &mut self.chronicle);
    }

    /// Waits for something to do.
    fn wait(&self) {
        let now = Instant::now();
        let mut wait = LONGEST_WAIT;
        let mut earlier = |at: Duration| wait = wait.min(at);
        if let Some(due) = self.saver.due_at() {
            earlier(due.saturating_duration_since(now));
        }
        if let Some(due) = self.chronicle.due_in() {
            earlier(due);
        }
        let wall = wall_clock();
        for end in [self.court.ledger.next_expiry(), self.house.next_end()].into_iter().flatten() {
            earlier(end.since(wall) + Duration::from_millis(1));
        }
        if let Some(due) = self.promotion_due() {
            earlier(due.saturating_duration_since(now));
        }
        if self.configured {
            earlier(self.intake.next_poll());
        }
        let mut fds = vec![PollFd::new(&self.waker, PollFlags::IN)];
        fds.extend(self.house.interfaces().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if self.configured {
            fds.extend(self.intake.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        if let Err(error) = poll(&mut fds, Some(&timeout))
            && error != rustix::io::Errno::INTR
        {
            tracing::error!(%error, "cannot wait for events");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn configure(&mut self, config: Arc<Config>, now: Timestamp) -> Vec<Unusable> {
        self.house.go_by(self.court.ahead(), now);
        self.house.configure(&self.kept_lists.complete(&self.config, &config), now);
        self.court.house = self.house.never().clone();
        self.court.configure(&config, now);
        self.intake.remembered_by(|jail| self.court.remembers(jail));
        let unusable = self.intake.configure(&config, &self.situation);
        for (seat, reason) in &unusable {
            if let Some(seat) = self.court.seats.get_mut(*seat) {
                seat.unusable.push(reason.clone());
            }
        }
        self.config = config;
        if self.retirement.is_asked() {
            return Vec::new();
        }
        self.configured = true;
        self.plan();
        // What the lists ended, then all that shall hold: in one go, before a line is read.
        self.emit();
        self.order(Order::Restore(self.court.holds(now)));
        self.saver.changed();
        let jails = &self.config.jails;
        let name = |seat: usize| jails.get(seat).map(|jail| jail.name().clone());
        unusable
            .into_iter()
            .filter_map(|(seat, reason)| Some(Unusable { jail: name(seat)?, reason }))
            .collect()
    }

    /// Takes other surroundings. What was counted and banned stays.
    pub(super) fn situate(&mut self, situation: Arc<Situation>, now: Timestamp) {
        if self.situation == situation {
            return;
        }
        let house = self.house.situate(&situation.house, now);
        self.situation = situation;
        if !self.configured {
            return;
        }
        let config = Arc::clone(&self.config);
        self.intake.place(&config, &self.situation);
        if house { self.furnish(now) } else { self.plan() }
    }

    fn save(&mut self, now: Timestamp) {
        let files = self.intake.files.checkpoints();
        let journals = self.intake.cursors();
        let (scans, readers) = self.intake.scans(&files, &journals);
        let snapshot = Snapshot {
            clock: Some(self.saved_clock(now)),
            files,
            journals,
            readers,
            scans,
            jails: self.court.jails_snapshot(),
            closed: self.court.closed_snapshot(),
            ledger: self.court.ledger_snapshot(),
            allowed: self.kept_lists.with(&self.config),
            hosts: self.house.answers().clone(),
        };
        self.saver.save(snapshot, now);
    }

    /// Orderly: what was decided is in the kernel, and on disk.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.emit();
        self.enforcer.stop();
        let _ = self.saver.settle();
        let now = self.now();
        self.save(now);
        self.saver.settle()
    }
}

/// Sends what the court decided.
fn emit(
    court: &mut Court,
    enforcer: &Enforcer,
    events: &broadcast::Sender<Arc<Event>>,
    chronicle: &mut Chronicle,
) {
    if !court.outcome.changes.is_empty() {
        let mut changes = std::mem::take(&mut court.outcome.changes);
        // In a storm thousands of these wait, of one change each.
        changes.shrink_to_fit();
        // When it has ended, `Detector::order` says so at the next occasion, and a restart restores.
        let _ = enforcer.send(Order::Changes(changes));
    }
    for event in court.outcome.events.drain(..) {
        chronicle.note(&event);
        // Nobody listening is no error.
        let _ = events.send(Arc::new(event));
    }
}

pub(super) fn answer<T>(reply: Reply<T>, answer: T) {
    // Whoever asked may be gone.
    let _ = reply.send(answer);
}

pub(super) fn wall_clock() -> Timestamp {
    jiff::Timestamp::now().into()
}
