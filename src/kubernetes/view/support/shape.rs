//! What of an object goes into the bundle.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::api::v1alpha1::{GROUP, NodeAgentStatus};
use crate::kubernetes::view::read::Objects;

/// In place of a line of a log.
const LINE: &str = "(a line of a log, left out)";

/// An object of ours, without annotations (which may repeat all of it) and without lines of logs.
pub(super) fn object(mut value: Value) -> Value {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["annotations", "managedFields"] {
            metadata.remove(field);
        }
    }
    let examples = value.pointer_mut("/spec/examples").and_then(Value::as_array_mut);
    for example in examples.into_iter().flatten().filter_map(Value::as_object_mut) {
        for field in ["line", "lines"] {
            if example.contains_key(field) {
                example.insert(field.into(), LINE.into());
            }
        }
    }
    value
}

/// A pod of ours: where and how it runs. No environment, no arguments.
pub(super) fn pod(pod: &Pod) -> Value {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    let container = |c: &k8s_openapi::api::core::v1::ContainerStatus| {
        let last = c.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        json!({
            "name": c.name, "image": c.image, "ready": c.ready, "restarts": c.restart_count,
            "lastEnd": last.map(|end| json!({"code": end.exit_code, "reason": end.reason, "at": end.finished_at})),
        })
    };
    json!({
        "namespace": pod.namespace(),
        "name": pod.name_any(),
        "node": spec.and_then(|spec| spec.node_name.as_ref()),
        "phase": status.and_then(|status| status.phase.as_ref()),
        "containers": containers.map(container).collect::<Vec<_>>(),
    })
}

/// An event about one of our objects, or about one of our pods.
pub(super) fn event(event: &Event) -> Option<Value> {
    let about = event.regarding.as_ref()?;
    let ours = about.api_version.as_deref().is_some_and(|version| version.starts_with(GROUP))
        || about.name.as_deref().is_some_and(|name| name.starts_with("gaoler-"));
    ours.then(|| {
        json!({
            "at": event.event_time.as_ref().map(|at| json!(at)).or_else(|| event.deprecated_last_timestamp.as_ref().map(|at| json!(at))),
            "type": event.type_, "reason": event.reason, "note": event.note,
            "about": {"kind": about.kind, "namespace": about.namespace, "name": about.name},
            "times": event.series.as_ref().map(|series| series.count).or(event.deprecated_count),
        })
    })
}

/// How much there is of what, over all and by node.
pub(super) fn numbers(objects: &Objects) -> Value {
    let bans: usize = objects.slices.iter().map(|slice| slice.spec.bans.len()).sum();
    let node = |status: &NodeAgentStatus| {
        let sum = |of: fn(&crate::api::v1alpha1::NodeJail) -> u64| status.jails.iter().map(of).sum::<u64>();
        json!({
            "pods": status.pods, "bans": status.bans, "lagBytes": status.lag_bytes, "lostBytes": status.lost_bytes,
            "clockAheadMillis": status.clock_ahead_millis, "jails": status.jails.len(),
            "failures": sum(|jail| jail.failures), "bansPronounced": sum(|jail| jail.bans),
            "droppedPackets": sum(|jail| jail.dropped_packets),
        })
    };
    let agents = objects.agents.iter();
    let nodes: serde_json::Map<String, Value> =
        agents.map(|a| (a.name_any(), node(&a.status.clone().unwrap_or_default()))).collect();
    json!({
        "jails": objects.jails.len(), "banSlices": objects.slices.len(), "bansInSlices": bans,
        "pardons": objects.pardons.len(), "sightingLists": objects.sightings.len(),
        "houseMembers": objects.house.len(), "nodes": nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_annotations_and_its_examples_lines_stay_behind() {
        let filter = json!({
            "kind": "Filter",
            "metadata": {"name": "mine", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{…}"}},
            "spec": {"failRegex": ["<HOST>"], "examples": [{"line": "secret", "match": true}]},
        });
        let shaped = object(filter);
        assert!(
            !shaped.to_string().contains("secret") && !shaped.to_string().contains("last-applied"),
            "{shaped}"
        );
        assert_eq!(shaped["spec"]["examples"][0], json!({"line": LINE, "match": true}));
        assert_eq!(shaped["spec"]["failRegex"], json!(["<HOST>"]));
    }

    #[test]
    fn a_pods_environment_stays_behind() {
        let given = json!({
            "metadata": {"name": "gaoler-agent-x", "namespace": "gaoler"},
            "spec": {"nodeName": "n1", "containers": [{"name": "agent", "env": [{"name": "TOKEN", "value": "secret"}]}]},
            "status": {"phase": "Running"},
        });
        let shaped = pod(&serde_json::from_value(given).unwrap());
        assert!(!shaped.to_string().contains("secret"), "{shaped}");
        assert_eq!((&shaped["node"], &shaped["phase"]), (&json!("n1"), &json!("Running")));
    }

    #[test]
    fn events_of_others_stay_behind() {
        let of = |version: &str, name: &str| {
            let given = json!({
                "metadata": {"name": "e"}, "reason": "Banned", "note": "n", "eventTime": "2026-01-01T00:00:00.000000Z",
                "regarding": {"apiVersion": version, "kind": "K", "name": name},
            });
            event(&serde_json::from_value(given).unwrap()).is_some()
        };
        assert!(of("gaoler.dev/v1alpha1", "james") && of("v1", "gaoler-agent-x"));
        assert!(!of("v1", "james-0"));
    }
}
