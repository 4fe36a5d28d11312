//! What a ban costs each node in bytes of its watch, merges included: the slices of some hours, played through.
//!
//! The API server sends an object whole when it is made and whole again when it is deleted. The sizes here are of the
//! JSON that goes over the wire; `tests/cluster/checks/controller.py` holds them against a real server.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::merge::{Merge, Part, plan};
use crate::api::v1alpha1::SlicedBan;
use crate::engine::{Duration, Timestamp};
use crate::kubernetes::epoch::{Epoch, LABEL, LENGTH};

const START: i64 = 1_795_000_000;
const NODES: usize = 10;

#[derive(Clone, Debug)]
struct Slice {
    node: String,
    bans: Vec<SlicedBan>,
    made: Timestamp,
    epoch: Option<Epoch>,
}

/// Bytes of the event that tells of this slice.
fn bytes(name: &str, slice: &Slice) -> u64 {
    let mut managed = json!({"f:spec": {".": {}, "f:bans": {}, "f:node": {}}});
    let mut metadata = json!({
        "creationTimestamp": "2026-11-22T20:00:00Z", "generation": 1, "name": name, "resourceVersion": "12345678",
        "uid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    });
    if let Some(epoch) = slice.epoch {
        metadata["labels"] = json!({LABEL: epoch.label()});
        managed["f:metadata"] = json!({"f:labels": {".": {}, "f:gaoler.dev/epoch": {}}});
    }
    metadata["managedFields"] = json!([{
        "apiVersion": "gaoler.dev/v1alpha1", "fieldsType": "FieldsV1", "fieldsV1": managed,
        "manager": "gaoler-controller", "operation": "Update", "time": "2026-11-22T20:00:00Z",
    }]);
    let event = json!({"type": "DELETED", "object": {
        "apiVersion": "gaoler.dev/v1alpha1", "kind": "BanSlice", "metadata": metadata,
        "spec": {"bans": slice.bans, "node": slice.node},
    }});
    event.to_string().len() as u64 + 1
}

/// A ban as an agent writes it when three nodes saw the failures.
fn ban(number: usize, at: Timestamp) -> SlicedBan {
    let (high, low) = (number / 256, number % 256);
    serde_json::from_value(json!({
        "jail": "mail/james-auth", "prefix": format!("45.129.{high}.{low}"), "nth": 1, "since": at.to_string(),
        "until": (at + LENGTH).to_string(), "weight": 5, "first": at.to_string(),
        "rules": [{"rule": "james-smtp-auth/rules[0]", "times": 5}], "with": ["worker-02", "worker-03"],
    }))
    .unwrap()
}

/// What was sent to one watcher of everything, and to one of the epochs around now; how often each ban was written.
#[derive(Debug, Default)]
struct Sent {
    everything: u64,
    epochs: u64,
    writes: HashMap<String, u32>,
    slices: usize,
}

/// One ban each `pause` seconds for some hours, by turns of so many nodes; merged as the controller does it.
fn played(nodes: usize, hours: usize, pause: usize) -> Sent {
    let mut sent = Sent::default();
    let mut slices: BTreeMap<String, Slice> = BTreeMap::new();
    // Then everybody falls silent, and what is left is merged.
    let silence = 3600;
    for second in 0..hours * 3600 + silence {
        let now = Timestamp::from_secs(START) + Duration::from_secs(second as u64);
        if second % pause == 0 && second < hours * 3600 {
            let node = format!("worker-{:02}", second / pause % nodes);
            let name = format!("{node}-{second:013x}");
            let bans = vec![ban(second / pause, now)];
            let slice = Slice { node, bans, made: now, epoch: Some(Epoch::of(now)) };
            *sent.writes.entry(slice.bans[0].prefix.as_str().to_owned()).or_default() += 1;
            let bytes = bytes(&name, &slice);
            (sent.everything, sent.epochs) = (sent.everything + bytes, sent.epochs + bytes);
            slices.insert(name, slice);
        }
        if second % 300 == 0 {
            for merge in merges(&slices, now) {
                apply(&merge, now, &mut slices, &mut sent);
            }
        }
    }
    sent.slices = slices.len();
    sent
}

fn merges(slices: &BTreeMap<String, Slice>, now: Timestamp) -> Vec<Merge> {
    let settled = slices.iter().filter(|(_, slice)| slice.epoch.is_none_or(|epoch| epoch.is_closed(now)));
    let parts: Vec<Part<'_>> =
        settled.map(|(name, slice)| Part { name, uid: name, node: &slice.node, bans: &slice.bans }).collect();
    plan(&parts)
}

fn apply(merge: &Merge, now: Timestamp, slices: &mut BTreeMap<String, Slice>, sent: &mut Sent) {
    let merged = Slice { node: merge.node.clone(), bans: merge.bans.clone(), made: now, epoch: None };
    for ban in &merged.bans {
        *sent.writes.entry(ban.prefix.as_str().to_owned()).or_default() += 1;
    }
    sent.everything += bytes(&merge.name(), &merged);
    for (name, _) in &merge.parts {
        let part = slices.remove(name).unwrap();
        assert!(part.made < now);
        sent.everything += bytes(name, &part);
        let watched = part.epoch.is_some_and(|epoch| Epoch::watched(now).contains(&epoch));
        sent.epochs += if watched { bytes(name, &part) } else { 0 };
    }
    slices.insert(merge.name(), merged);
}

#[test]
fn at_one_ban_a_second_a_ban_costs_a_node_less_than_a_kibibyte_with_all_merges() {
    let sent = played(NODES, 6, 1);
    let bans = sent.writes.len() as u64;
    assert_eq!(bans, 6 * 3600);
    let (everything, epochs) = (sent.everything / bans, sent.epochs / bans);
    assert!(epochs <= 1024, "{epochs} bytes a ban");
    // Why agents do not simply watch everything.
    assert!(everything > 2 * epochs, "{everything} and {epochs}");
    println!(
        "watch bytes a ban: {epochs} of the epochs around now, {everything} of everything; {} slices",
        sent.slices
    );
}

#[test]
fn a_ban_is_written_anew_three_times_at_most_however_slowly_they_come() {
    // A slice is merged with its own node's alone: one node shows the same as ten at ten times the pace.
    for (hours, pause) in [(6, 10), (24, 70), (72, 600)] {
        let sent = played(1, hours, pause);
        let most = sent.writes.values().max().copied().unwrap_or_default();
        assert!(most <= 4, "{most} writes at one ban each {pause} s");
    }
    // All three times are seen, so that the bound is not met by merging less.
    assert_eq!(played(1, 72, 600).writes.values().max(), Some(&4));
}

#[test]
fn merged_slices_are_few() {
    let sent = played(NODES, 6, 1);
    let fewest = 6 * 3600 / 256;
    assert!(sent.slices <= 2 * fewest + NODES * 16, "{} slices", sent.slices);
}
