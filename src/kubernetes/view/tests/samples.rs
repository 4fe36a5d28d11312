//! Objects for tests.

#![allow(clippy::needless_pass_by_value)] // json!(…) stands in the calls

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::api::v1alpha1 as api;
use crate::config::resources::{Object, assemble};
use crate::config::{Loaded, Surroundings};
use crate::engine::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_366_800);

/// `2026-11-22T17:00:00Z` and so many seconds.
pub(super) fn at(offset: i64) -> String {
    jiff::Timestamp::from_second(NOW.as_secs() + offset).unwrap().to_string()
}

pub(super) fn declared(objects: Vec<serde_json::Value>) -> Loaded {
    let around = Surroundings { cluster: true, ..Surroundings::default() };
    let objects = objects.into_iter().map(|value| Object::from_json("test", value)).collect();
    assemble(objects, &[], None, &around)
}

pub(super) fn object(kind: &str, name: &str, spec: serde_json::Value) -> serde_json::Value {
    let mut metadata = json!({"name": name});
    if let Some((namespace, name)) = name.split_once('/') {
        metadata = json!({"namespace": namespace, "name": name});
    }
    json!({"apiVersion": "gaoler.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

pub(super) fn jail(name: &str, more: serde_json::Value) -> serde_json::Value {
    let mut spec = json!({"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object("Jail", name, spec)
}

pub(super) fn slice(node: &str, bans: serde_json::Value) -> api::BanSlice {
    serde_json::from_value(object("BanSlice", &format!("{node}-1"), json!({"node": node, "bans": bans})))
        .unwrap()
}

pub(super) fn ban(prefix: &str, since: i64, until: i64) -> serde_json::Value {
    json!({"jail": "mail/james", "prefix": prefix, "nth": 1, "since": at(since), "until": at(until), "weight": 5,
           "rules": [{"rule": "james-smtp-auth/rules[0]", "times": 5}]})
}

pub(super) fn pardon(prefix: &str, at: i64) -> api::Pardon {
    let mut pardon: api::Pardon =
        serde_json::from_value(object("Pardon", "p", json!({"prefix": prefix}))).unwrap();
    let made = jiff::Timestamp::from_second(NOW.as_secs() + at).unwrap();
    pardon.metadata.creation_timestamp = Some(Time(made));
    pardon
}
