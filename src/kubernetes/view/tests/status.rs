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

#[test]
fn a_rate_limit_is_shown_with_what_all_nodes_count_and_its_trouble_is_told() {
    let spec = json!({"protocol": "TCP", "services": ["james"], "ports": [25, 587], "hits": 61, "window": "60s", "penalty": "Excess"});
    let mut limit = object("RateLimit", "mail/smtp", spec);
    limit["status"] = json!({"nodes": 3, "offenders": 2, "droppedPackets": 70, "conditions": [condition("ServiceMissing", "True")]});
    let limits = vec![serde_json::from_value(limit).unwrap()];
    let agents = vec![agent("n1", -30, json!([condition("Ready", "True")]))];
    let status = status(Objects { limits, agents, ..Objects::default() }, NOW);
    let shown = &status.rate_limits[0];
    assert_eq!((shown.name.as_str(), shown.at.as_str()), ("mail/smtp", "TCP james 25,587"));
    assert_eq!(shown.limit, "61 in 1m, Excess");
    assert_eq!((shown.status.nodes, shown.status.offenders, shown.status.dropped_packets), (3, 2, 70));
    assert_eq!(told(&status), ["RateLimit mail/smtp ServiceMissing: a sentence"]);
}
