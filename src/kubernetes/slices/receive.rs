//! From the API server to the detector: what other nodes banned, and what people pardoned.
//!
//! BanSlices are watched by the epoch in which they were made ([`crate::kubernetes::epoch`]): what the controller
//! does to old ones later is not news. All others are listed at start, and again whenever something may have been
//! missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use super::shelf::{Entry, Part, Shelf};
use super::{decode, pardon};
use crate::agent::handle::Gone;
use crate::agent::report::{Condition, ConditionType};
use crate::api::v1alpha1 as api;
use crate::bans::{Ban, Pardon};
use crate::engine::Timestamp;
use crate::kubernetes::agent::station::Station;
use crate::kubernetes::epoch::{Epoch, LABEL};
use crate::kubernetes::follow::{Gap, followed_sound, renewals};
use crate::kubernetes::identity::Question;

/// Under this name it says what is wrong.
const NAME: &str = "following bans";
/// How long bans wait for the Pardons at start: longer, and a server without the kind Pardon would keep a node from
/// guarding against what others know.
const PARDONS_FIRST: Duration = Duration::from_secs(10);
/// Objects handed over at once at most.
const GATHER: usize = 16;
/// How often the clock is asked whether another epoch has begun.
const LOOK: Duration = Duration::from_secs(30);
/// Between two lists because of bans that found no room: where a jail is full all the time, each list finds some of them.
const ROOM: Duration = Duration::from_secs(300);
/// Before a server that does not say which storage it has is asked again…
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// …so often: a server that never says may have another.
const ASK_MOST: u32 = 4;
/// All nodes lost the same server at the same moment: they list everything again within so long, not at once.
const SPREAD: Duration = Duration::from_secs(30);

type Events = Vec<Result<Event<api::BanSlice>, Gap>>;
type Pardons = Vec<Result<Event<api::Pardon>, Gap>>;

/// Follows both kinds.
pub(super) struct Receiver {
    station: Station,
    shelf: Arc<Mutex<Shelf>>,
    /// Grows when all is known that the server holds, and when that may have become less.
    lists: watch::Sender<u64>,
    epochs: BTreeMap<Epoch, Watch>,
    /// A list of everything that is being read.
    everything: Option<BoxStream<'static, Events>>,
    /// When to begin the next one.
    list_at: Option<Instant>,
    /// Everything was listed once.
    complete: bool,
    /// Which storage the server has: it may have come back with another.
    storage: Option<String>,
    /// How often it went back to an earlier state.
    renewals: u64,
    doubt: bool,
    asked: Question,
    /// How often in a row the server did not say.
    unanswered: u32,
    /// When to ask whether there is room again for bans that found none.
    room_at: Instant,
}

/// A watch of one epoch.
struct Watch {
    events: BoxStream<'static, Events>,
    /// What it has told is all there is. Not so from a gap until it has listed anew.
    listed: bool,
}

impl Receiver {
    pub(super) fn new(station: Station, shelf: Arc<Mutex<Shelf>>, lists: watch::Sender<u64>) -> Self {
        Self {
            station,
            shelf,
            lists,
            epochs: BTreeMap::new(),
            everything: None,
            list_at: Some(Instant::now()),
            complete: false,
            storage: None,
            renewals: renewals(),
            doubt: true,
            asked: Question::default(),
            unanswered: 0,
            room_at: Instant::now() + LOOK,
        }
    }

    /// Runs until the detector ends.
    pub(super) async fn run(mut self) -> Result<(), Gone> {
        let pardons = followed_sound(Api::all(self.station.client.clone()), watcher::Config::default());
        let mut pardons = std::pin::pin!(pardons.ready_chunks(256));
        // So that nobody who was pardoned is shut out for the moment between the two lists.
        let first = self.pardoned_first(&mut pardons);
        if let Ok(outcome) = tokio::time::timeout(PARDONS_FIRST, first).await {
            outcome?;
        }
        loop {
            self.keep_time(self.station.clock.now());
            if !self.asked.is_open() && std::mem::take(&mut self.doubt) {
                self.asked = Question::put(self.station.client.clone(), Instant::now(), Duration::ZERO);
            }
            if self.room_at <= Instant::now() {
                self.look_for_room().await?;
            }
            let wake = self.room_at.min(Instant::now() + LOOK);
            let wake = self.list_at.map_or(wake, |at| at.min(wake));
            tokio::select! {
                biased;
                Some(events) = pardons.next() => self.forgive(events).await?,
                found = self.asked.answer() => self.compare_storage(found),
                (part, events) = next(&mut self.epochs, &mut self.everything) => {
                    self.take_in(part, events).await?;
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Watches the epochs around now and lists everything when it is time.
    fn keep_time(&mut self, now: Timestamp) {
        let watched = Epoch::watched(now);
        let latest = self.epochs.keys().next_back();
        if latest.is_some_and(|latest| latest.is_parted_from(watched)) {
            // The machine stood still, or the clock was known badly: nobody told of what was made meanwhile.
            self.list_at = Some(Instant::now());
        }
        let over: Vec<Epoch> = self.epochs.keys().copied().filter(|epoch| !watched.contains(epoch)).collect();
        for epoch in over {
            let missed = self.epochs.remove(&epoch).is_some_and(|watch| !watch.listed);
            self.shelf().close(epoch);
            if missed {
                self.list_soon();
            }
        }
        for epoch in watched {
            self.epochs.entry(epoch).or_insert_with(|| {
                let only = watcher::Config::default().labels(&epoch.selector());
                let events =
                    followed_sound(Api::all(self.station.client.clone()), only).ready_chunks(GATHER).boxed();
                Watch { events, listed: false }
            });
        }
        if self.list_at.is_some_and(|at| at <= Instant::now()) {
            self.list_at = None;
            let list = followed_sound(Api::all(self.station.client.clone()), watcher::Config::default())
                .ready_chunks(GATHER)
                .boxed();
            self.everything = Some(list);
        }
    }

    /// Lists everything anew when the server's storage is not the one it was: what was believed published is gone.
    fn compare_storage(&mut self, found: Option<String>) {
        let went_back = std::mem::replace(&mut self.renewals, renewals()) != renewals();
        if found.is_none() && !went_back && self.unanswered < ASK_MOST {
            // Nearly always it is busy, and a list is the last thing that it needs then.
            self.unanswered += 1;
            self.asked = Question::put(self.station.client.clone(), Instant::now(), ASK_AGAIN);
            return;
        }
        self.unanswered = 0;
        let same = !went_back && found.is_some() && (found == self.storage || self.storage.is_none());
        if found.is_some() {
            self.storage = found;
        }
        if !same && self.complete {
            self.list_soon();
        }
    }

    /// Lists everything anew when there is room for bans that found none.
    async fn look_for_room(&mut self) -> Result<(), Gone> {
        let room = self.station.agent.has_room_again().await?;
        if room {
            tracing::info!("there is room for bans that a full jail left out; everything is listed anew");
            self.list_soon();
        }
        self.room_at = Instant::now() + if room { ROOM } else { LOOK };
        Ok(())
    }

    fn list_soon(&mut self) {
        self.list_at.get_or_insert_with(|| {
            let millis = u64::try_from(SPREAD.as_millis()).unwrap_or(0);
            Instant::now() + Duration::from_millis(super::lot(self.station.node.as_str()) % millis)
        });
    }

    async fn pardoned_first(
        &mut self,
        pardons: &mut (impl Stream<Item = Pardons> + Unpin),
    ) -> Result<(), Gone> {
        while let Some(events) = pardons.next().await {
            let complete = events.iter().any(|event| matches!(event, Ok(Event::InitDone)));
            self.forgive(events).await?;
            if complete {
                break;
            }
        }
        Ok(())
    }

    async fn forgive(&mut self, events: Pardons) -> Result<(), Gone> {
        // That a Pardon is deleted changes nothing: what it ended has ended.
        let given = events.iter().filter_map(|event| match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => read_pardon(object),
            Ok(Event::Delete(_) | Event::Init | Event::InitDone) | Err(Gap) => None,
        });
        let given: Vec<Pardon> = given.collect();
        if given.is_empty() { Ok(()) } else { self.station.agent.receive(Vec::new(), given).await }
    }

    async fn take_in(&mut self, part: Part, events: Events) -> Result<(), Gone> {
        let mut bans = Vec::new();
        let mut told = false;
        for event in events {
            match event {
                Err(Gap) => {
                    if let Some(watch) = part.and_then(|epoch| self.epochs.get_mut(&epoch)) {
                        watch.listed = false;
                    }
                }
                Ok(Event::Init) => self.shelf().list(part),
                Ok(Event::InitDone) => {
                    self.listed(part);
                    told = true;
                }
                // A list of everything ends with the list; what follows belongs to others.
                Ok(Event::Apply(_) | Event::Delete(_)) if part.is_none() => {}
                Ok(Event::Delete(object)) => told |= self.shelf_without(part, &object),
                Ok(Event::Apply(object)) => {
                    let read = self.read(part, &object);
                    let now = self.station.clock.now();
                    read.iter().for_each(|ban| self.station.tally.arrived(ban, now));
                    bans.extend(read);
                }
                Ok(Event::InitApply(object)) => {
                    if part.is_some() || !self.is_watched(&object) {
                        bans.extend(self.read(part, &object));
                    } else {
                        // Its own watch has told of it, and the shelf has it; what was left out then is told again.
                        bans.extend(self.decoded(&object));
                    }
                }
            }
        }
        if !bans.is_empty() {
            self.station.agent.receive(bans, Vec::new()).await?;
        }
        let current = self.epochs.values().all(|watch| watch.listed);
        if told && self.complete && current {
            self.lists.send_modify(|lists| *lists += 1);
        }
        self.station.concerns.say(NAME, if current { Vec::new() } else { vec![behind()] });
        Ok(())
    }

    fn listed(&mut self, part: Part) {
        self.shelf().listed(part);
        match part.and_then(|epoch| self.epochs.get_mut(&epoch)) {
            Some(watch) => {
                watch.listed = true;
                self.doubt = true;
            }
            None => {
                self.everything = None;
                self.complete = true;
            }
        }
    }

    /// Whether a watch of its epoch tells of it.
    fn is_watched(&self, object: &api::BanSlice) -> bool {
        let epoch = object.labels().get(LABEL).and_then(|label| Epoch::read(label));
        epoch.is_some_and(|epoch| self.epochs.contains_key(&epoch))
    }

    /// The bans of an object that this node did not just write itself.
    fn read(&self, part: Part, object: &api::BanSlice) -> Vec<Ban> {
        let mut bans = self.decoded(object);
        let mut shelf = self.shelf();
        bans.retain(|ban| !shelf.put(part, &Entry::from(ban)));
        bans
    }

    /// The bans of an object that can be used.
    fn decoded(&self, object: &api::BanSlice) -> Vec<Ban> {
        let decoded = decode(&object.spec, self.station.node.as_str(), self.station.clock.now());
        if let Some((place, fault)) = decoded.faults.first() {
            tracing::warn!(
                slice = object.name_any(),
                entries = decoded.faults.len(),
                place,
                %fault,
                "entries of a BanSlice are left out; the first of them is named"
            );
        }
        self.station.tally.slices_received.inc();
        decoded.bans
    }

    /// An object was deleted: it lifts nothing. Tells whether it was ours, to be written again.
    fn shelf_without(&self, part: Part, object: &api::BanSlice) -> bool {
        let decoded = decode(&object.spec, self.station.node.as_str(), self.station.clock.now());
        let mut shelf = self.shelf();
        for ban in &decoded.bans {
            shelf.take(part, &Entry::from(ban));
        }
        object.spec.node == self.station.node
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said as long as a watch is broken.
fn behind() -> Condition {
    Condition {
        kind: ConditionType::Disconnected,
        status: true,
        reason: "BansNotFollowed".into(),
        message: "what other nodes ban now is not known here: BanSlices cannot be watched".into(),
    }
}

/// What comes next of any watch, the newest epoch first; a list of everything has time. Waits for ever when all ended,
/// which watches do not.
async fn next(
    epochs: &mut BTreeMap<Epoch, Watch>,
    everything: &mut Option<BoxStream<'static, Events>>,
) -> (Part, Events) {
    std::future::poll_fn(|context| {
        for (epoch, watch) in epochs.iter_mut().rev() {
            if let Poll::Ready(Some(events)) = watch.events.poll_next_unpin(context) {
                return Poll::Ready((Some(*epoch), events));
            }
        }
        if let Some(list) = everything
            && let Poll::Ready(Some(events)) = list.poll_next_unpin(context)
        {
            return Poll::Ready((None, events));
        }
        Poll::Pending
    })
    .await
}

fn read_pardon(object: &api::Pardon) -> Option<Pardon> {
    let read = pardon(&object.spec, object.metadata.creation_timestamp.as_ref());
    read.inspect_err(|fault| tracing::warn!(pardon = object.name_any(), %fault, "a Pardon is left out")).ok()
}
