//! From the API server to the detector: what other nodes banned, and what people pardoned.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;

use super::figures::Figures;
use super::shelf::{Entry, Shelf};
use super::{decode, pardon};
use crate::agent::handle::{AgentHandle, Gone};
use crate::api::v1alpha1::{self as api, NodeName};
use crate::bans::{Ban, Pardon};
use crate::engine::Timestamp;
use crate::kubernetes::mirror::changes;

/// How long bans wait for the Pardons at start: longer, and a server without the kind Pardon would keep a node from
/// guarding against what others know.
const PARDONS_FIRST: Duration = Duration::from_secs(10);
/// Objects handed over at once at most.
const GATHER: usize = 16;

/// Follows both kinds.
pub(super) struct Receiver {
    pub(super) client: Client,
    pub(super) node: NodeName,
    pub(super) agent: AgentHandle,
    pub(super) shelf: Arc<Mutex<Shelf>>,
    pub(super) figures: Arc<Figures>,
    /// Grows with every complete list.
    pub(super) lists: watch::Sender<u64>,
}

type Slices = Vec<Event<api::BanSlice>>;
type Pardons = Vec<Event<api::Pardon>>;

impl Receiver {
    /// Runs until the detector ends.
    pub(super) async fn run(self) -> Result<(), Gone> {
        let pardons: Api<DeserializeGuard<api::Pardon>> = Api::all(self.client.clone());
        let slices: Api<DeserializeGuard<api::BanSlice>> = Api::all(self.client.clone());
        let mut pardons = std::pin::pin!(changes(pardons, watcher::Config::default()).ready_chunks(256));
        let mut slices = std::pin::pin!(changes(slices, watcher::Config::default()).ready_chunks(GATHER));
        // So that nobody who was pardoned is shut out for the moment between the two lists.
        let complete = self.pardoned_first(&mut pardons);
        if let Ok(outcome) = tokio::time::timeout(PARDONS_FIRST, complete).await {
            outcome?;
        }
        loop {
            tokio::select! {
                biased;
                Some(events) = pardons.next() => self.forgive(events).await?,
                Some(events) = slices.next() => self.take_in(events).await?,
                else => return Ok(()),
            }
        }
    }

    async fn pardoned_first(&self, pardons: &mut (impl Stream<Item = Pardons> + Unpin)) -> Result<(), Gone> {
        while let Some(events) = pardons.next().await {
            let complete = events.iter().any(|event| matches!(event, Event::InitDone));
            self.forgive(events).await?;
            if complete {
                break;
            }
        }
        Ok(())
    }

    async fn forgive(&self, events: Pardons) -> Result<(), Gone> {
        // That a Pardon is deleted changes nothing: what it ended has ended.
        let given = events.iter().filter_map(|event| match event {
            Event::Apply(object) | Event::InitApply(object) => read_pardon(object),
            Event::Delete(_) | Event::Init | Event::InitDone => None,
        });
        let given: Vec<Pardon> = given.collect();
        if given.is_empty() { Ok(()) } else { self.agent.receive(Vec::new(), given).await }
    }

    async fn take_in(&self, events: Slices) -> Result<(), Gone> {
        let mut bans = Vec::new();
        let mut complete = false;
        for event in &events {
            match event {
                Event::Init => self.shelf().list(),
                Event::InitDone => {
                    self.shelf().listed();
                    complete = true;
                }
                Event::Delete(object) => self.shelf_without(object),
                Event::Apply(object) | Event::InitApply(object) => bans.extend(self.read(object)),
            }
        }
        if !bans.is_empty() {
            Figures::add(&self.figures.received, bans.len());
            self.agent.receive(bans, Vec::new()).await?;
        }
        if complete {
            self.lists.send_modify(|lists| *lists += 1);
        }
        Ok(())
    }

    /// The bans of an object that this node did not just write itself.
    fn read(&self, object: &api::BanSlice) -> Vec<Ban> {
        let decoded = decode(&object.spec, self.node.as_str(), now());
        if let Some((place, fault)) = decoded.faults.first() {
            Figures::add(&self.figures.left_out, decoded.faults.len());
            tracing::warn!(
                slice = object.name_any(),
                entries = decoded.faults.len(),
                place,
                %fault,
                "entries of a BanSlice are left out; the first of them is named"
            );
        }
        let mut bans = decoded.bans;
        let mut shelf = self.shelf();
        bans.retain(|ban| !shelf.put(&Entry::from(ban)));
        bans
    }

    fn shelf_without(&self, object: &api::BanSlice) {
        let decoded = decode(&object.spec, self.node.as_str(), now());
        let mut shelf = self.shelf();
        for ban in &decoded.bans {
            shelf.take(&Entry::from(ban));
        }
        drop(shelf);
        if object.spec.node == self.node {
            // Somebody deleted what only we may write again. After a merge nothing will be missing.
            self.lists.send_modify(|lists| *lists += 1);
        }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_pardon(object: &api::Pardon) -> Option<Pardon> {
    let read = pardon(&object.spec, object.metadata.creation_timestamp.as_ref());
    read.inspect_err(|fault| tracing::warn!(pardon = object.name_any(), %fault, "a Pardon is left out")).ok()
}

pub(super) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}
