//! Merges small slices and removes what is of no use any more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::sleep;

use super::gone::Absences;
use super::judge::Judgement;
use super::merge::{MERGED, Merge, Part, plan};
use super::pen::{Pen, Written};
use super::tidy::{Given, Memory, Pardons, is_forgotten};
use crate::api::v1alpha1::{BanSlice, BanSliceSpec, NodeAgent, Pardon, SightingList, SlicedBan};
use crate::engine::{Subject, Timestamp};
use crate::kubernetes::epoch::Epoch;
use crate::kubernetes::mirror::{Mirror, chain};

const TICK: Duration = Duration::from_secs(30);
/// SightingLists are large and change often: only their names are asked for, and rarely.
const LISTS_EVERY: u64 = 20;
/// Merges of one round: a backlog is worked off without filling the API server.
const MERGES: usize = 64;

/// What is swept.
pub(super) struct Sweeper {
    pub(super) slices: Mirror<BanSlice>,
    pub(super) pardons: Mirror<Pardon>,
    pub(super) agents: Mirror<NodeAgent>,
    pub(super) nodes: Mirror<Node>,
    pub(super) verdicts: watch::Receiver<Arc<Judgement>>,
    pub(super) pen: Pen,
}

/// What to do about slices and pardons.
#[derive(Default)]
struct Plan {
    slices: Vec<(String, Option<String>)>,
    merges: Vec<Merge>,
    pardons: Vec<String>,
}

impl Sweeper {
    /// Sweeps until it is aborted.
    pub(super) async fn sweep(mut self) {
        self.slices.ready().await;
        self.pardons.ready().await;
        self.agents.ready().await;
        self.nodes.ready().await;
        // How long what is remembered stands in the jails.
        if self.verdicts.changed().await.is_err() {
            return;
        }
        let mut absences = Absences::default();
        let mut listed: HashSet<String> = HashSet::new();
        for round in 0_u64.. {
            if round % LISTS_EVERY == 0 {
                listed = self.sighting_lists().await;
            }
            self.gone_nodes(&mut absences, &mut listed).await;
            self.bans().await;
            sleep(TICK).await;
        }
    }

    async fn bans(&self) {
        let (slices, pardons) = (self.slices.all(), self.pardons.all());
        let judgement = Arc::clone(&self.verdicts.borrow());
        let now = Timestamp::from(jiff::Timestamp::now());
        // A hundred thousand bans take a while: the lease must be renewed meanwhile.
        let planned = tokio::task::spawn_blocking(move || {
            plan_of(&slices, &pardons, &Memory::of(&judgement.loaded.config), now)
        });
        let Ok(plan) = planned.await else { return };
        for (name, uid) in &plan.slices {
            self.pen.delete::<BanSlice>(name, uid.as_deref()).await;
        }
        let mut parts = 0;
        for merge in &plan.merges {
            parts += self.merge(merge).await;
        }
        for name in &plan.pardons {
            let pardon = self.pardons.get("", name);
            let uid = pardon.and_then(|pardon| pardon.uid());
            self.pen.delete::<Pardon>(name, uid.as_deref()).await;
        }
        if !plan.slices.is_empty() || parts > 0 || !plan.pardons.is_empty() {
            tracing::info!(
                merged = parts,
                into = plan.merges.len(),
                forgotten = plan.slices.len(),
                pardons = plan.pardons.len(),
                "bans were tidied"
            );
        }
    }

    /// Writes the merged slice, then deletes its parts. Gives how many it deleted.
    async fn merge(&self, merge: &Merge) -> usize {
        let name = merge.name();
        let spec = BanSliceSpec { node: merge.node.as_str().into(), bans: merge.bans.clone() };
        match self.pen.create(&name, &BanSlice::new(&name, spec)).await {
            Written::Done => {}
            // Somebody died between writing it and deleting its parts.
            Written::Exists
                if self.slices.get("", &name).is_some_and(|slice| merge.is_held_by(&slice.spec)) => {}
            Written::Exists => {
                tracing::warn!(name, "a slice of this name holds other bans; its parts are left as they are");
                return 0;
            }
            Written::Gone | Written::Failed => return 0,
        }
        let mut deleted = 0;
        for (name, uid) in &merge.parts {
            deleted += usize::from(self.pen.delete::<BanSlice>(name, Some(uid)).await == Written::Done);
        }
        deleted
    }

    async fn gone_nodes(&self, absences: &mut Absences, listed: &mut HashSet<String>) {
        let nodes: HashSet<String> = self.nodes.all().iter().map(|node| node.name_any()).collect();
        let mut named = listed.clone();
        named.extend(self.agents.all().iter().map(|agent| agent.name_any()));
        let now = Timestamp::from(jiff::Timestamp::now());
        for name in absences.over(&nodes, &named, now) {
            let agent = self.pen.delete::<NodeAgent>(&name, None).await;
            let list = self.pen.delete::<SightingList>(&name, None).await;
            if agent != Written::Failed && list != Written::Failed {
                listed.remove(&name);
                tracing::info!(node = name, "the node is gone: its NodeAgent and SightingList are removed");
            }
        }
    }

    /// The nodes that have a SightingList: it is of the node's name.
    async fn sighting_lists(&self) -> HashSet<String> {
        let api: Api<PartialObjectMeta<SightingList>> = Api::all(self.pen.client().clone());
        match api.list(&ListParams::default()).await {
            Ok(lists) => lists.items.iter().map(ResourceExt::name_any).collect(),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot list SightingLists");
                HashSet::new()
            }
        }
    }
}

fn plan_of(slices: &[Arc<BanSlice>], pardons: &[Arc<Pardon>], memory: &Memory, now: Timestamp) -> Plan {
    let given: Vec<Given> = pardons.iter().filter_map(|pardon| given(pardon)).collect();
    let mut pardons = Pardons::new(&given);
    let mut plan_made = Plan::default();
    let mut kept: Vec<(&BanSlice, Vec<SlicedBan>)> = Vec::new();
    for slice in slices {
        let mut alive = Vec::new();
        let mut forgotten = 0;
        for ban in &slice.spec.bans {
            if is_forgotten(ban, memory, &mut pardons, now) {
                forgotten += 1;
            } else {
                alive.push(ban);
            }
        }
        if alive.is_empty() && forgotten > 0 {
            plan_made.slices.push((slice.name_any(), slice.uid()));
        } else if is_settled(slice, now) {
            kept.push((slice, alive.into_iter().cloned().collect()));
        }
    }
    let named: Vec<(String, String)> =
        kept.iter().map(|(slice, _)| (slice.name_any(), slice.uid().unwrap_or_default())).collect();
    let parts: Vec<Part<'_>> = kept
        .iter()
        .zip(&named)
        .map(|((slice, bans), (name, uid))| Part { name, uid, node: slice.spec.node.as_str(), bans })
        .collect();
    plan_made.merges = plan(&parts);
    plan_made.merges.truncate(MERGES);
    plan_made.pardons = pardons.useless(&given, memory, now);
    plan_made
}

/// Whether no running agent watches the slice: then neither merging nor deleting it costs anybody a byte.
fn is_settled(slice: &BanSlice, now: Timestamp) -> bool {
    if slice.name_any().starts_with(MERGED) {
        return true;
    }
    let made = slice.metadata.creation_timestamp.as_ref().map(|made| Epoch::of(made.0.into()));
    let labelled = slice.labels().get(crate::kubernetes::epoch::LABEL).and_then(|label| Epoch::read(label));
    labelled.or(made).is_some_and(|epoch| epoch.is_closed(now))
}

fn given(pardon: &Pardon) -> Option<Given> {
    Some(Given {
        name: pardon.name_any(),
        prefix: pardon.spec.prefix.as_str().parse::<Subject>().ok()?.net(),
        jail: pardon
            .spec
            .jail
            .as_ref()
            .map(|jail| format!("{}/{}", jail.namespace.as_str(), jail.name.as_str())),
        at: crate::kubernetes::slices::moment(pardon.metadata.creation_timestamp.as_ref()?),
    })
}
