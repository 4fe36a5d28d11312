//! From the detector to the API server: what this node decided.
//!
//! The first ban is written at once; what is decided while that write is under way goes into the next. Whatever
//! goes wrong (the server away, an event missed, an object deleted) ends in the same place: the detector is asked
//! what it holds, and what the server does not hold is written. So nothing is kept here that could be lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};

use super::orphans::{Orphans, adopt};
use super::outbox::Outbox;
use super::shelf::{Entry, Shelf};
use super::{MOST_PER_NODE, MOST_PER_SLICE};
use crate::agent::handle::Gone;
use crate::agent::report::{BanReport, Condition, ConditionType, Event};
use crate::bans::Ban;
use crate::kubernetes::agent::station::Station;
use crate::kubernetes::epoch::Epoch;

/// After a write that failed; doubled each time.
const RETRY: Duration = Duration::from_millis(200);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(10);
/// Between two comparisons with what the detector holds.
const COMPARE_PAUSE: Duration = Duration::from_secs(1);
/// Compared without any occasion: bans that were over when their lines were read cause no event.
const COMPARE_ANYWAY: Duration = Duration::from_secs(600);
/// How long writing waits at start for the list of what there is: who was killed decides once more what it had written
/// and not noted yet.
const LIST_FIRST: Duration = Duration::from_secs(10);
/// Missing bans taken up by one comparison.
const PORTION: usize = 2048;
/// Under this name it says what is wrong.
const NAME: &str = "sharing bans";

mod write;

/// Writes BanSlices.
pub(super) struct Publisher {
    station: Station,
    shelf: Arc<Mutex<Shelf>>,
    outbox: Outbox,
    /// What the detector holds must be compared with what the server holds.
    compare: bool,
    compared: Option<Instant>,
    orphans: Orphans,
    /// No write before, and how long to wait after the next failure.
    not_before: Instant,
    patience: Duration,
    /// The last write failed.
    failing: bool,
    /// How many refused bans were told of, and what the server said of the last one.
    told_refused: usize,
    why_refused: String,
    /// The number in the last object's name.
    last: u64,
}

impl Publisher {
    pub(super) fn new(station: Station, shelf: Arc<Mutex<Shelf>>) -> Self {
        Self {
            orphans: Orphans::new(station.node.as_str()),
            station,
            shelf,
            outbox: Outbox::default(),
            compare: false,
            compared: None,
            not_before: Instant::now(),
            patience: RETRY,
            failing: false,
            told_refused: 0,
            why_refused: String::new(),
            last: 0,
        }
    }

    /// Runs until the detector ends. `lists` grows when all that the server holds is on the shelf, and when something
    /// of ours vanished.
    pub(super) async fn run(
        mut self,
        mut events: broadcast::Receiver<Arc<Event>>,
        mut lists: watch::Receiver<u64>,
    ) -> Result<(), Gone> {
        let at_latest = Instant::now() + LIST_FIRST;
        loop {
            self.collect(&mut events)?;
            let now = Instant::now();
            // Before the first list everything would be missing.
            let known = *lists.borrow() > 0;
            let not_before = if known { self.not_before } else { self.not_before.max(at_latest) };
            if now >= not_before && self.outbox.due(now).is_some_and(|due| due <= now) {
                self.write().await;
                continue;
            }
            if known && self.compare_at().is_some_and(|at| at <= now) {
                self.compare().await?;
                continue;
            }
            if known && self.orphans.due().is_some_and(|at| at.max(self.not_before) <= now) {
                self.take_over().await?;
                continue;
            }
            let write_at = self.outbox.due(now).map(|due| due.max(not_before));
            let compare_at = self.compare_at().filter(|_| known);
            let look_at = self.orphans.due().map(|at| at.max(self.not_before)).filter(|_| known);
            let wake = [write_at, compare_at, look_at].into_iter().flatten().min();
            tokio::select! {
                event = events.recv() => self.heard(event)?,
                changed = lists.changed() => match changed {
                    Ok(()) => {
                        self.compare = true;
                        self.orphans.listed(Instant::now());
                    }
                    // The receiver ends only with the detector.
                    Err(_) => return Err(Gone),
                },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// When what the detector holds shall be compared with what the server holds.
    fn compare_at(&self) -> Option<Instant> {
        let again = self.shelf().refusals.due();
        let Some(compared) = self.compared else {
            return if self.compare {
                Some(self.not_before)
            } else {
                again.map(|at| at.max(self.not_before))
            };
        };
        let wanted = if self.compare { COMPARE_PAUSE } else { COMPARE_ANYWAY };
        let again = again.map(|at| at.max(compared + COMPARE_PAUSE));
        let at = again.map_or(compared + wanted, |again| again.min(compared + wanted));
        Some(at.max(self.not_before))
    }

    /// All events there are, without waiting.
    fn collect(&mut self, events: &mut broadcast::Receiver<Arc<Event>>) -> Result<(), Gone> {
        use broadcast::error::{RecvError, TryRecvError};
        loop {
            match events.try_recv() {
                Ok(event) => self.heard(Ok(event))?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Closed) => return Err(Gone),
                Err(TryRecvError::Lagged(missed)) => self.heard(Err(RecvError::Lagged(missed)))?,
            }
        }
    }

    fn heard(&mut self, event: Result<Arc<Event>, broadcast::error::RecvError>) -> Result<(), Gone> {
        use broadcast::error::RecvError;
        match event {
            Ok(event) => {
                let clock = &self.station.clock;
                let (event, now) = (event.shared(), clock.now());
                let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
                self.outbox.hear(&event, &shelf, now, Instant::now());
                drop(shelf);
                self.compare |= self.outbox.was_incomplete();
                Ok(())
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::info!(missed, "more bans at once than can be followed; asking which are missing");
                self.compare = true;
                Ok(())
            }
            Err(RecvError::Closed) => Err(Gone),
        }
    }

    /// Takes up what the server does not hold.
    async fn compare(&mut self) -> Result<(), Gone> {
        let (shelf, clock) = (Arc::clone(&self.shelf), &self.station.clock);
        let released = {
            let mut shelf = self.shelf();
            shelf.set_slack(clock.slack());
            shelf.refusals.release(Instant::now())
        };
        let mut missing = 0;
        let time = clock.now();
        let wanted = move |ban: &Ban| {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = Entry::from(ban);
            // Of one that is over any end will do: to write it again would bring back a ban that had ended.
            let over = ban.until.is_some_and(|until| until <= time);
            let known = if over { shelf.end(&entry).is_some() } else { shelf.has(&entry) };
            let known = known || shelf.refusals.wait(shelf.key(&entry));
            let miss = missing < PORTION && !known;
            missing += usize::from(miss);
            miss
        };
        let mut bans = self.station.agent.own_bans_that(MOST_PER_NODE, wanted).await?;
        self.compare = bans.len() == PORTION;
        // The next portion follows when this one is written, not after a pause.
        self.compared = (!self.compare).then(Instant::now);
        bans.sort_unstable_by_key(|ban| ban.since);
        let now = Instant::now();
        {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            for ban in &bans {
                self.outbox.miss(BanReport::new(ban, true), &shelf, now);
            }
            // What nobody holds any more is not tried again.
            let held: HashSet<u64> = bans.iter().map(|ban| shelf.key(&Entry::from(ban))).collect();
            if bans.len() < PORTION {
                released.iter().filter(|key| !held.contains(key)).for_each(|key| shelf.refusals.forget(*key));
            }
        }
        self.compare |= self.outbox.was_incomplete();
        self.tell_refused();
        Ok(())
    }

    /// Takes up bans of other nodes that nobody publishes.
    async fn take_over(&mut self) -> Result<(), Gone> {
        let shelf = Arc::clone(&self.shelf);
        let mut missing = 0;
        let wanted = move |ban: &Ban| {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            // Another end of a ban that others know is its own node's matter.
            let entry = Entry::from(ban);
            let known = shelf.end(&entry).is_some() || shelf.refusals.wait(shelf.key(&entry));
            let miss = missing < PORTION && !known;
            missing += usize::from(miss);
            miss
        };
        let bans = self.station.agent.foreign_bans_that(wanted).await?;
        let now = Instant::now();
        self.orphans.looked(bans.len() == PORTION, now);
        if bans.is_empty() {
            return Ok(());
        }
        tracing::info!(bans = bans.len(), "publishing bans of other nodes that these do not publish");
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        for ban in &bans {
            self.outbox.miss(adopt(ban), &shelf, now);
        }
        drop(shelf);
        if self.outbox.was_incomplete() {
            self.compare = true;
            self.orphans.listed(now);
        }
        Ok(())
    }

    /// The bans of the next object. Others count as knowing them from now on, until the watch shows them or the write
    /// fails.
    fn batch(&mut self, epoch: Epoch) -> Vec<BanReport> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = self.outbox.batch(MOST_PER_SLICE, &shelf, Instant::now());
        // Those that were refused come last, so that what they cost costs no other.
        batch.sort_by_key(|ban| shelf.refusals.know(shelf.key(&Entry::from(ban))));
        for ban in &batch {
            shelf.writing(epoch, &Entry::from(ban));
        }
        batch
    }

    fn well(&mut self, written: &[BanReport]) {
        let mut shelf = self.shelf();
        for ban in written {
            shelf.wrote(&Entry::from(ban));
        }
        drop(shelf);
        if std::mem::take(&mut self.failing) {
            tracing::info!("bans are shared again");
            self.station.concerns.say(NAME, Vec::new());
        }
        self.patience = RETRY;
    }

    fn failed(&mut self, why: &str) {
        self.station.tally.failed("BanSlice");
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(
                why,
                "cannot share bans; they hold here, and will be shared when that is possible"
            );
            let message = format!("bans of this node cannot be shared, and hold here alone: {why}");
            let reason = "BansNotShared".into();
            let condition = Condition { kind: ConditionType::Disconnected, status: true, reason, message };
            self.station.concerns.say(NAME, vec![condition]);
        }
        self.shelf().forget_written();
        self.outbox.clear();
        (self.compare, self.compared) = (true, None);
        // What was taken over waits for others to do it meanwhile.
        self.orphans.listed(Instant::now());
        self.not_before = Instant::now() + self.patience;
        self.patience = RETRY_MOST.min(self.patience * 2);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
