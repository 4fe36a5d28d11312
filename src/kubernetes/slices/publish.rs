//! From the detector to the API server: what this node decided.
//!
//! The first ban is written at once; what is decided while that write is under way goes into the next. Whatever
//! goes wrong (the server away, an event missed, an object deleted) ends in the same place: the detector is asked
//! what it holds, and what the server does not hold is written. So nothing is kept here that could be lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::PostParams;
use tokio::sync::{broadcast, watch};

use super::orphans::{Orphans, adopt};
use super::outbox::Outbox;
use super::shelf::{Entry, Shelf};
use super::{MOST_PER_NODE, MOST_PER_SLICE, code};
use crate::agent::handle::Gone;
use crate::agent::report::{BanReport, Condition, ConditionType, Event};
use crate::api::v1alpha1::{BanSlice, BanSliceSpec, SlicedBan};
use crate::bans::Ban;
use crate::engine::Timestamp;
use crate::kubernetes::FIELD_MANAGER;
use crate::kubernetes::agent::station::Station;
use crate::kubernetes::epoch::{self, Epoch};
use crate::kubernetes::mirror::chain;

/// After a write that failed; doubled each time.
const RETRY: Duration = Duration::from_millis(200);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(10);
/// A write that takes longer has failed.
const ANSWER: Duration = Duration::from_secs(15);
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
    /// The number in the last object's name.
    last: u64,
}

/// How a write ended.
enum Written {
    Well,
    /// The server will never take these.
    Refused(kube::Error),
    /// Perhaps it was written, perhaps not.
    Failed(String),
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
        let Some(compared) = self.compared else { return self.compare.then_some(self.not_before) };
        let wanted = if self.compare { COMPARE_PAUSE } else { COMPARE_ANYWAY };
        Some((compared + wanted).max(self.not_before))
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
        self.shelf().set_slack(clock.slack());
        let mut missing = 0;
        let time = clock.now();
        let wanted = move |ban: &Ban| {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = Entry::from(ban);
            // Of one that is over any end will do: to write it again would bring back a ban that had ended.
            let over = ban.until.is_some_and(|until| until <= time);
            let known = if over { shelf.end(&entry).is_some() } else { shelf.has(&entry) };
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
            let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            for ban in &bans {
                self.outbox.miss(BanReport::new(ban, true), &shelf, now);
            }
        }
        self.compare |= self.outbox.was_incomplete();
        Ok(())
    }

    /// Takes up bans of other nodes that nobody publishes.
    async fn take_over(&mut self) -> Result<(), Gone> {
        let shelf = Arc::clone(&self.shelf);
        let mut missing = 0;
        let wanted = move |ban: &Ban| {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            // Another end of a ban that others know is its own node's matter.
            let miss = missing < PORTION && shelf.end(&Entry::from(ban)).is_none();
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
        let batch = self.outbox.batch(MOST_PER_SLICE, &shelf, Instant::now());
        for ban in &batch {
            shelf.writing(epoch, &Entry::from(ban));
        }
        batch
    }

    /// Writes one object.
    async fn write(&mut self) {
        let epoch = Epoch::of(self.station.clock.now());
        let mut batch = self.batch(epoch);
        let entries: Vec<SlicedBan> = batch
            .iter()
            .filter_map(|ban| {
                let entry = code::encode(ban);
                if entry.is_none() {
                    tracing::error!(subject = %ban.subject, jail = ?ban.jail, "a ban of a jail without a namespace is not shared");
                }
                entry
            })
            .collect();
        if entries.is_empty() {
            return;
        }
        match self.create(epoch, entries).await {
            Written::Well => self.well(&batch),
            Written::Refused(error) if batch.len() == 1 => {
                tracing::error!(error = %chain(&error), "the API server refuses a ban; others will not know it");
            }
            Written::Refused(error) => {
                // One of them is to blame; the others shall not suffer for it.
                tracing::warn!(error = %chain(&error), bans = batch.len(), "the API server refuses a BanSlice");
                for ban in batch.drain(..) {
                    let Some(entry) = code::encode(&ban) else { continue };
                    match self.create(epoch, vec![entry]).await {
                        Written::Well => self.well(&[ban]),
                        Written::Refused(error) => {
                            tracing::error!(subject = %ban.subject, error = %chain(&error), "the API server refuses a ban");
                        }
                        Written::Failed(why) => return self.failed(&why),
                    }
                }
            }
            Written::Failed(why) => self.failed(&why),
        }
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

    async fn create(&mut self, epoch: Epoch, bans: Vec<SlicedBan>) -> Written {
        let name = self.name(self.station.clock.now());
        let mut slice = BanSlice::new(&name, BanSliceSpec { node: self.station.node.clone(), bans });
        slice.metadata.labels = Some([(epoch::LABEL.to_owned(), epoch.label())].into());
        let slices: Api<BanSlice> = Api::all(self.station.client.clone());
        let post = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match tokio::time::timeout(ANSWER, slices.create(&post, &slice)).await {
            Ok(Ok(_)) => {
                self.station.tally.slices_written.inc();
                Written::Well
            }
            Ok(Err(error)) => match &error {
                kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422) => {
                    self.station.tally.slices_refused.inc();
                    Written::Refused(error)
                }
                _ => Written::Failed(chain(&error)),
            },
            Err(_) => Written::Failed(format!("no answer within {} s", ANSWER.as_secs())),
        }
    }

    /// A name nobody else gives, in the order of time.
    fn name(&mut self, now: Timestamp) -> String {
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        self.last = micros.max(self.last + 1);
        object_name(self.station.node.as_str(), self.last)
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

/// `<node>-<number>`: the admission policy knows an agent's objects by it. Thirteen digits are enough until 2112.
fn object_name(node: &str, number: u64) -> String {
    format!("{node}-{number:013x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{Name, explain};

    #[test]
    fn names_are_names_and_sort_by_time() {
        for node in ["n1", "ip-10-0-0-1.eu-west-1.compute.internal"] {
            let (early, late) = (object_name(node, 1), object_name(node, 1_700_000_000_000_000));
            assert!(early < late && late.starts_with(&format!("{node}-")), "{late}");
            assert!(late.split('.').all(|label| explain(Name::PATTERN, label).is_ok()), "{late}");
        }
    }
}
