//! Merges small slices and removes what is of no use any more.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::sleep;

use super::gone::Absences;
use super::judge::Judgement;
use super::merge::{MERGED, Merge, Part, plan};
use super::pen::{Pen, Written};
use super::surplus::surplus;
use super::tidy::{Given, Memory, Pardons, is_forgotten};
use crate::api::v1alpha1::{BanSlice, BanSliceSpec, NodeAgent, Pardon, SightingList, SlicedBan};
use crate::engine::{Subject, Timestamp};
use crate::kubernetes::cluster_time::ClusterClock;
use crate::kubernetes::epoch::{self, Epoch};
use crate::kubernetes::mirror::{Mirror, chain};
use crate::kubernetes::slices::MOST_PER_NODE;

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
    pub(super) clock: ClusterClock,
}

/// What to do about slices and pardons.
#[derive(Default)]
struct Plan {
    slices: Vec<(String, Option<String>)>,
    /// How many of the slices go because their node has too many.
    surplus: usize,
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
        let now = self.clock.now();
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
                forgotten = plan.slices.len() - plan.surplus,
                surplus = plan.surplus,
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
        for name in absences.over(&nodes, &named, Instant::now()) {
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
    let mut of_nodes: BTreeMap<&str, Vec<(&BanSlice, Vec<&SlicedBan>)>> = BTreeMap::new();
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
        } else {
            of_nodes.entry(slice.spec.node.as_str()).or_default().push((slice, alive));
        }
    }
    let mut kept: Vec<(&BanSlice, Vec<SlicedBan>)> = Vec::new();
    for slices in of_nodes.values() {
        let bans: Vec<&[&SlicedBan]> = slices.iter().map(|(_, bans)| bans.as_slice()).collect();
        let beyond: HashSet<usize> = surplus(&bans, MOST_PER_NODE).into_iter().collect();
        for (place, (slice, bans)) in slices.iter().enumerate().filter(|(_, (s, _))| is_settled(s, now)) {
            if beyond.contains(&place) {
                plan_made.surplus += 1;
                plan_made.slices.push((slice.name_any(), slice.uid()));
            } else {
                kept.push((slice, bans.iter().copied().cloned().collect()));
            }
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
    let label = slice.labels().get(epoch::LABEL);
    // A node may be called `merged`: what it sends has a label.
    if label.is_none() && slice.name_any().starts_with(MERGED) {
        return true;
    }
    // A label is whatever its writer says: one that cannot be, or cannot be read, must not keep a slice for ever.
    let Some(made) = &slice.metadata.creation_timestamp else { return false };
    let made = Epoch::of(made.0.into());
    let sent = label.and_then(|label| Epoch::read(label));
    sent.map_or(made, |sent| sent.or_made(made)).is_closed(now)
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Within the epoch of this moment the slices are made.
    const MADE: &str = "2026-11-22T20:05:00Z";

    fn slice(name: &str, label: Option<&str>) -> BanSlice {
        let labels: Value = label.map_or(json!({}), |label| json!({epoch::LABEL: label}));
        let ban = json!({"jail": "mail/james", "prefix": "45.1.2.3", "nth": 1, "since": MADE});
        serde_json::from_value(json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "BanSlice",
            "metadata": {"name": name, "labels": labels, "creationTimestamp": MADE},
            "spec": {"node": "n1", "bans": [ban]},
        }))
        .unwrap()
    }

    /// So many epochs later, within it as [`MADE`] is in its own.
    fn later(epochs: i64) -> Timestamp {
        let made: jiff::Timestamp = MADE.parse().unwrap();
        Timestamp::from_secs(made.as_second() + 600 * epochs)
    }

    fn label(epochs: i64) -> String {
        Epoch::of(later(epochs)).label()
    }

    /// After how many epochs nobody watches it any more.
    fn settles_after(name: &str, label: Option<&str>) -> Option<i64> {
        (0..10_000).find(|epochs| is_settled(&slice(name, label), later(*epochs)))
    }

    #[test]
    fn a_slice_is_settled_when_no_agent_watches_the_epoch_of_its_label() {
        assert_eq!(settles_after("n1-0", Some(&label(0))), Some(2));
        // Sent late, and sent by a clock that is ahead.
        assert_eq!(settles_after("n1-0", Some(&label(-1))), Some(1));
        assert_eq!(settles_after("n1-0", Some(&label(1))), Some(3));
    }

    #[test]
    fn no_label_keeps_a_slice_for_ever() {
        for odd in [label(2), label(9_000), i64::MAX.to_string(), "soon".into(), String::new(), "1e9".into()]
        {
            assert_eq!(settles_after("n1-0", Some(&odd)), Some(2), "{odd}");
        }
        assert_eq!(settles_after("n1-0", Some(&i64::MIN.to_string())), Some(0));
        assert_eq!(settles_after("n1-0", None), Some(2));
    }

    #[test]
    fn merged_slices_are_watched_by_nobody_but_those_of_a_node_called_merged_are() {
        assert_eq!(settles_after("merged-00aa", None), Some(0));
        assert_eq!(settles_after("merged-00aa", Some(&label(0))), Some(2));
    }

    #[test]
    fn of_a_node_with_too_many_bans_the_oldest_slices_go() {
        let old: Vec<Arc<BanSlice>> = (0..=MOST_PER_NODE / 256 + 3)
            .map(|i| {
                let mut slice = slice(&format!("n1-{i:05}"), Some(&label(-9)));
                let since =
                    |j| format!("2026-11-2{}T{:02}:{:02}:{:02}Z", i / 200, i % 200 / 60, i % 60, j / 8);
                let ban = |j: usize| SlicedBan {
                    prefix: format!("45.{}.{}.{j}", i / 256, i % 256).as_str().into(),
                    since: since(j).as_str().into(),
                    ..slice.spec.bans[0].clone()
                };
                slice.spec.bans = (0..256).map(ban).collect();
                Arc::new(slice)
            })
            .collect();
        let plan = plan_of(&old, &[], &Memory::default(), later(0));
        let gone: Vec<&str> = plan.slices.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((gone, plan.surplus), (vec!["n1-00000", "n1-00001", "n1-00002"], 3));
    }
}
