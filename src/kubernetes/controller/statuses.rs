//! Writes on each declared object what was found out about it, and on each Jail and RateLimit what all nodes say of it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::conditions::{Said, settle};
use super::judge::{Declared, Judgement, Version, name_of};
use super::pace::Pace;
use super::pen::Pen;
use super::readiness::{Known, KnownLimit, conditions, limit_conditions};
use super::totals::{Reports, latest_offenders, limit_totals, totals};
use super::verdict::{accepted, spared};
use crate::api::v1alpha1::{
    AllowList, BanList, Filter, Jail, JailMode, JailStatus, NodeAgent, RateLimit, RateLimitStatus, Status,
};
use crate::config::{ObjectName, ObjectStatus, Source};
use crate::kubernetes::cluster_time::ClusterClock;
use crate::kubernetes::mirror::Mirror;
use crate::kubernetes::raw::Raw;

/// Between two writes of one object's status.
const APART: Duration = Duration::from_secs(5);
/// What happens at once is looked at together.
const SETTLE: Duration = Duration::from_millis(200);
/// Some things change because time passes: an agent falls silent, a new jail has had its time.
const TICK: Duration = Duration::from_secs(10);
/// Writes under way at once.
const AT_ONCE: usize = 8;

/// One status to write.
struct Draft {
    name: ObjectName,
    namespace: Option<String>,
    object: String,
    uid: Option<String>,
    status: Value,
}

/// Writes statuses until it is aborted.
pub(super) async fn write(
    mut declared: Declared,
    mut agents: Mirror<NodeAgent>,
    mut verdicts: watch::Receiver<Arc<Judgement>>,
    pen: Pen,
    clock: ClusterClock,
) {
    agents.ready().await;
    // The first is empty.
    if verdicts.changed().await.is_err() {
        return;
    }
    let mut pace: Pace<ObjectName> = Pace::new(APART);
    loop {
        let judgement = Arc::clone(&verdicts.borrow_and_update());
        let drafts = drafts(&declared, &agents, &judgement, clock.stamp());
        let now = Instant::now();
        pace.forget(now);
        let mut next = TICK;
        let mut due = Vec::new();
        for draft in drafts {
            match pace.wait(draft.name.clone(), now) {
                Some(wait) => next = next.min(wait),
                None => due.push(draft),
            }
        }
        futures::stream::iter(due).for_each_concurrent(AT_ONCE, |draft| send(&pen, draft)).await;
        tokio::select! {
            () = sleep(next) => {}
            () = declared.changed() => {}
            () = agents.changed() => {}
            changed = verdicts.changed() => if changed.is_err() { return },
        }
        sleep(SETTLE).await;
    }
}

async fn send(pen: &Pen, draft: Draft) {
    let (namespace, name, uid) = (draft.namespace.as_deref(), draft.object.as_str(), draft.uid.as_deref());
    let written = match draft.name.kind {
        "Filter" => pen.status::<Filter>(namespace, name, uid, draft.status).await,
        "Jail" => pen.status::<Jail>(namespace, name, uid, draft.status).await,
        "RateLimit" => pen.status::<RateLimit>(namespace, name, uid, draft.status).await,
        "BanList" => pen.status::<BanList>(namespace, name, uid, draft.status).await,
        _ => pen.status::<AllowList>(namespace, name, uid, draft.status).await,
    };
    tracing::debug!(object = %draft.name, ?written, "status");
}

/// The statuses that are not as they should be.
fn drafts(
    declared: &Declared,
    agents: &Mirror<NodeAgent>,
    judgement: &Judgement,
    now: Timestamp,
) -> Vec<Draft> {
    let verdicts: BTreeMap<&ObjectName, &ObjectStatus> =
        judgement.loaded.objects.iter().map(|status| (&status.name, status)).collect();
    let spared = spared(&judgement.loaded, &judgement.house, now.into());
    let none = |_: &str| Vec::new();
    let of_list = |list: &str| spared.get(list).cloned().into_iter().collect::<Vec<Said>>();
    let mut drafts = Vec::new();
    simple("Filter", &declared.filters, &verdicts, judgement, now, &none, &mut drafts);
    simple("BanList", &declared.ban_lists, &verdicts, judgement, now, &of_list, &mut drafts);
    simple("AllowList", &declared.allow_lists, &verdicts, judgement, now, &none, &mut drafts);

    let agents = agents.all();
    let reports = Reports::of(agents.iter().map(AsRef::as_ref), now);
    let selectors: BTreeMap<&str, String> = judgement
        .loaded
        .config
        .jails
        .iter()
        .filter_map(|jail| match &jail.source {
            Source::Pods { selector, .. } => Some((jail.name().as_str(), selector.to_string())),
            Source::Files(_) | Source::Journal(_) => None,
        })
        .collect();
    for limit in declared.rate_limits.all() {
        let Some((name, verdict)) = judged("RateLimit", &*limit, &verdicts, judgement) else { continue };
        let accepted = accepted(verdict);
        let words = reports.on_limit(&name.name);
        let totals = limit_totals(words);
        let known = KnownLimit {
            accepted: &accepted,
            mode: mode(&limit).unwrap_or_default(),
            age: age(&*limit, now),
            agents: reports.agents,
        };
        let mut said = limit_conditions(known, words, totals);
        said.push(accepted);
        draft(name, &limit, &mut drafts, |before: &RateLimitStatus, generation| RateLimitStatus {
            observed_generation: generation,
            nodes: totals.nodes,
            offenders: totals.offenders,
            latest_offenders: latest_offenders(words),
            dropped_packets: totals.dropped,
            uncounted_packets: totals.uncounted,
            conditions: settle(said, &before.conditions, generation, now),
        });
    }
    for jail in declared.jails.all() {
        let Some((name, verdict)) = judged("Jail", &*jail, &verdicts, judgement) else { continue };
        let accepted = accepted(verdict);
        let words = reports.on(&name.name);
        let totals = totals(words);
        let known = Known {
            namespace: jail.metadata.namespace.as_deref().unwrap_or_default(),
            accepted: &accepted,
            mode: mode(&jail).unwrap_or(JailMode::Enforce),
            selector: selectors.get(name.name.as_str()).map(String::as_str),
            age: age(&*jail, now),
            agents: reports.agents,
        };
        let mut said = conditions(known, words, totals);
        said.push(accepted);
        draft(name, &jail, &mut drafts, |before: &JailStatus, generation| JailStatus {
            observed_generation: generation,
            nodes: totals.nodes,
            pods: totals.pods,
            failing: totals.failing,
            banned: totals.banned,
            conditions: settle(said, &before.conditions, generation, now),
        });
    }
    drafts
}

/// Kinds of which only the verdict is told, and for each list what else is to be said of it.
fn simple<K>(
    kind: &'static str,
    mirror: &Mirror<Raw<K>>,
    verdicts: &BTreeMap<&ObjectName, &ObjectStatus>,
    judgement: &Judgement,
    now: Timestamp,
    more: &dyn Fn(&str) -> Vec<Said>,
    drafts: &mut Vec<Draft>,
) where
    K: Resource<DynamicType = ()> + Debug,
    Raw<K>: DeserializeOwned,
{
    for object in mirror.all() {
        let Some((name, verdict)) = judged(kind, &*object, verdicts, judgement) else { continue };
        let mut said = more(&name.name);
        said.push(accepted(verdict));
        draft(name, &object, drafts, |before: &Status, generation| Status {
            observed_generation: generation,
            conditions: settle(said, &before.conditions, generation, now),
        });
    }
}

/// The verdict on the object, if it is on the state in which it is now.
fn judged<'a, K: Resource<DynamicType = ()>>(
    kind: &'static str,
    object: &Raw<K>,
    verdicts: &BTreeMap<&ObjectName, &'a ObjectStatus>,
    judgement: &Judgement,
) -> Option<(ObjectName, &'a ObjectStatus)> {
    let name = name_of(kind, object);
    let version = Version { uid: object.metadata.uid.clone(), generation: object.metadata.generation };
    if judgement.versions.get(&name) != Some(&version) {
        return None;
    }
    let verdict = verdicts.get(&name).copied()?;
    Some((name, verdict))
}

/// Drafts what the status is `after` what it was, at this generation of the object, where that is something else.
fn draft<K, S>(
    name: ObjectName,
    object: &Raw<K>,
    drafts: &mut Vec<Draft>,
    after: impl FnOnce(&S, Option<i64>) -> S,
) where
    K: Resource<DynamicType = ()>,
    S: DeserializeOwned + Default + PartialEq + Serialize,
{
    let before = object.status();
    let status = after(&before, object.metadata.generation);
    if before == status {
        return;
    }
    // A status of ours can always be written as JSON.
    let Ok(status) = serde_json::to_value(status) else { return };
    drafts.push(Draft {
        name,
        namespace: object.namespace(),
        object: object.name_any(),
        uid: object.metadata.uid.clone(),
        status,
    });
}

/// What the object says of its mode.
fn mode<K, M: DeserializeOwned>(object: &Raw<K>) -> Option<M> {
    serde_json::from_value(object.fields.get("spec")?.get("mode")?.clone()).ok()
}

fn age<K: Resource<DynamicType = ()>>(object: &Raw<K>, now: Timestamp) -> Duration {
    let made = object.metadata.creation_timestamp.as_ref().map(|made| made.0);
    made.and_then(|made| now.duration_since(made).try_into().ok()).unwrap_or_default()
}
