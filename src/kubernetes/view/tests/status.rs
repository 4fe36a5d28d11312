#![allow(clippy::needless_pass_by_value)] // json!(…) stands in the calls

use serde_json::json;

use super::*;
use crate::kubernetes::view::samples::{NOW, at, ban, declared, jail, object, slice};

fn agent(node: &str, reported: i64, conditions: serde_json::Value) -> api::NodeAgent {
    let mut value = object("NodeAgent", node, json!({}));
    value["status"] = json!({"version": "0.1.0", "reported": at(reported), "conditions": conditions});
    serde_json::from_value(value).unwrap()
}

fn condition(kind: &str, status: &str) -> serde_json::Value {
    json!({"type": kind, "status": status, "reason": "Because", "message": "a sentence", "lastTransitionTime": at(0)})
}

fn of(jails: Vec<serde_json::Value>, agents: Vec<api::NodeAgent>) -> ClusterStatus {
    let typed = jails.iter().filter_map(|jail| serde_json::from_value(jail.clone()).ok()).collect();
    let slices = vec![slice("n1", json!([ban("45.129.14.30", -60, 540)]))];
    status(Objects { loaded: declared(jails), jails: typed, slices, agents, ..Objects::default() }, NOW)
}

fn told(status: &ClusterStatus) -> Vec<String> {
    status.troubles.iter().map(|trouble| format!("{} {}", trouble.who, trouble.what)).collect()
}

#[test]
fn a_cluster_without_troubles_is_well_and_counts_its_bans() {
    let status =
        of(vec![jail("mail/james", json!({}))], vec![agent("n1", -30, json!([condition("Ready", "True")]))]);
    assert!(status.is_well(), "{:?}", told(&status));
    assert_eq!((status.bans, status.jails[0].banned, status.jails[0].name.as_str()), (1, 1, "mail/james"));
}

#[test]
fn conditions_that_are_bad_by_their_kind_are_troubles() {
    let mut james = jail("mail/james", json!({}));
    james["status"] = json!({"conditions": [condition("Ready", "False"), condition("SourceAddressLost", "True"), condition("Braking", "False")]});
    let status = of(vec![james], vec![agent("n1", -30, json!([condition("ClockSkew", "True")]))]);
    assert_eq!(
        told(&status),
        [
            "Jail mail/james not Ready: a sentence",
            "Jail mail/james SourceAddressLost: a sentence",
            "agent on n1 ClockSkew: a sentence"
        ]
    );
}

#[test]
fn an_agent_that_missed_two_reports_is_silent_and_no_agents_are_a_trouble() {
    let status = of(vec![], vec![agent("n1", -661, json!([])), agent("n2", -659, json!([]))]);
    assert_eq!(status.agents.iter().map(|agent| agent.silent).collect::<Vec<_>>(), [true, false]);
    assert!(told(&status)[0].starts_with("agent on n1 is silent"), "{:?}", told(&status));
    assert!(told(&of(vec![], vec![]))[0].contains("nobody guards anything"));
}

#[test]
fn a_refused_object_is_a_trouble_with_its_first_problem() {
    let status =
        of(vec![jail("mail/james", json!({"filters": ["nonsense"]}))], vec![agent("n1", 0, json!([]))]);
    assert_eq!(told(&status), ["Jail mail/james is refused: there is no filter `nonsense`"]);
}
