//! What all agents together say of a jail or a rate limit.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::v1alpha1::{Condition, LimitOffender, NodeAgent, NodeJail, NodeRateLimit};

use super::conditions::{Holds, LONGEST, Said, shortened};

/// Agents say something every five minutes at the latest. One that is silent for three times as long reads nothing.
const SILENT: SignedDuration = SignedDuration::from_mins(15);
/// Offenders named in a rate limit's status.
const MOST_OFFENDERS: usize = 20;
/// Nodes named in one condition.
const NAMED: usize = 10;

/// One agent's words on one jail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) node: &'a str,
    pub(super) jail: &'a NodeJail,
}

/// One agent's words on one rate limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitWord<'a> {
    pub(super) node: &'a str,
    pub(super) limit: &'a NodeRateLimit,
}

/// What the agents say, by jail and by rate limit (`namespace/name`).
#[derive(Debug, Default)]
pub(super) struct Reports<'a> {
    jails: BTreeMap<&'a str, Vec<Word<'a>>>,
    limits: BTreeMap<&'a str, Vec<LimitWord<'a>>>,
    /// Agents that were heard of lately.
    pub(super) agents: usize,
}

impl<'a> Reports<'a> {
    pub(super) fn of(agents: impl Iterator<Item = &'a NodeAgent>, now: Timestamp) -> Self {
        let mut reports = Self::default();
        for agent in agents {
            let Some(status) = &agent.status else { continue };
            let node = agent.metadata.name.as_deref().unwrap_or_default();
            let reported = status.reported.parse::<Timestamp>();
            if !reported.is_ok_and(|reported| now.duration_since(reported) < SILENT) {
                continue;
            }
            reports.agents += 1;
            for jail in &status.jails {
                reports.jails.entry(jail.name.as_str()).or_default().push(Word { node, jail });
            }
            for limit in &status.rate_limits {
                reports.limits.entry(limit.name.as_str()).or_default().push(LimitWord { node, limit });
            }
        }
        for words in reports.limits.values_mut() {
            words.sort_by_key(|word| word.node);
        }
        for words in reports.jails.values_mut() {
            words.sort_by_key(|word| word.node);
        }
        reports
    }

    /// The words on one rate limit, by node.
    pub(super) fn on_limit(&self, limit: &str) -> &[LimitWord<'a>] {
        self.limits.get(limit).map_or(&[], Vec::as_slice)
    }

    /// The words on one jail, by node.
    pub(super) fn on(&self, jail: &str) -> &[Word<'a>] {
        self.jails.get(jail).map_or(&[], Vec::as_slice)
    }
}

/// What a jail's status counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) nodes: u32,
    pub(super) pods: u32,
    pub(super) failing: u32,
    pub(super) banned: u32,
}

/// Pods are added up. Bans and, where nodes count together, failing subjects are the same on all nodes: of these the
/// largest number counts.
pub(super) fn totals(words: &[Word<'_>]) -> Totals {
    let mut totals = Totals::default();
    for Word { jail, .. } in words {
        totals.nodes += u32::from(jail.pods > 0);
        totals.pods = totals.pods.saturating_add(jail.pods);
        totals.failing = totals.failing.max(jail.watched);
        totals.banned = totals.banned.max(jail.banned);
    }
    totals
}

/// What a rate limit's status counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LimitTotals {
    /// Nodes on which it is in force.
    pub(super) nodes: u32,
    pub(super) offenders: u32,
    pub(super) dropped: u64,
    pub(super) uncounted: u64,
}

/// Each node counts by itself, so all is added up.
pub(super) fn limit_totals(words: &[LimitWord<'_>]) -> LimitTotals {
    let mut totals = LimitTotals::default();
    for LimitWord { limit, .. } in words {
        let ready = |c: &Condition| c.type_ == "Ready" && c.status == "True";
        totals.nodes += u32::from(limit.conditions.iter().any(ready));
        totals.offenders = totals.offenders.saturating_add(limit.offenders);
        totals.dropped = totals.dropped.saturating_add(limit.dropped_packets);
        totals.uncounted = totals.uncounted.saturating_add(limit.uncounted_packets);
    }
    totals
}

/// Of the offenders that the nodes name, those that end last.
pub(super) fn latest_offenders(words: &[LimitWord<'_>]) -> Vec<LimitOffender> {
    let named = words.iter().flat_map(|LimitWord { node, limit }| {
        limit.latest_offenders.iter().map(|offender| LimitOffender {
            source: offender.source.clone(),
            node: (*node).to_owned(),
            until: offender.until.clone(),
            last_over: offender.last_over.clone(),
        })
    });
    let mut named: Vec<LimitOffender> = named.collect();
    let end = |offender: &LimitOffender| std::cmp::Reverse(offender.until.parse::<Timestamp>().ok());
    named.sort_by_cached_key(end);
    named.truncate(MOST_OFFENDERS);
    named
}

/// What is special on any node about a rate limit.
pub(super) fn special_of_limit(words: &[LimitWord<'_>]) -> Vec<Said> {
    told(words.iter().map(|word| (word.node, word.limit.conditions.as_slice())))
}

/// What is special on any node, by type. `Ready` is there where a node says that the jail is not.
pub(super) fn special(words: &[Word<'_>]) -> Vec<Said> {
    told(words.iter().map(|word| (word.node, word.jail.conditions.as_slice())))
}

fn told<'a>(words: impl Iterator<Item = (&'a str, &'a [Condition])>) -> Vec<Said> {
    let mut found: BTreeMap<&str, Vec<(&str, &Condition)>> = BTreeMap::new();
    for (node, conditions) in words {
        for condition in conditions {
            let about = condition.type_.as_str();
            let trouble = match about {
                // The controller's own verdict is the one that is told.
                "Accepted" => continue,
                "Ready" => condition.status == "False",
                _ => condition.status == "True",
            };
            if trouble {
                found.entry(about).or_default().push((node, condition));
            }
        }
    }
    found.into_iter().map(|(about, nodes)| merged(about, &nodes)).collect()
}

/// One condition of those of several nodes: who says the same is named together.
fn merged(about: &str, nodes: &[(&str, &Condition)]) -> Said {
    let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
    for (node, condition) in nodes {
        match texts.iter_mut().find(|(text, _)| *text == condition.message) {
            Some((_, same)) => same.push(node),
            None => texts.push((&condition.message, vec![node])),
        }
    }
    let lines: Vec<String> =
        texts.iter().map(|(text, nodes)| format!("on {}: {text}", named(nodes))).collect();
    let holds = if about == "Ready" { Holds::No } else { Holds::Yes };
    let reason = nodes.first().map_or("Reported", |(_, condition)| condition.reason.as_str());
    Said::new(about, holds, reason, shortened(lines.join("\n"), LONGEST))
}

/// `n1, n2 and 7 more`
pub(super) fn named(nodes: &[&str]) -> String {
    let shown = nodes[..nodes.len().min(NAMED)].join(", ");
    match nodes.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-22T20:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn agent(node: &str, reported: &str, jail: &serde_json::Value) -> NodeAgent {
        serde_json::from_value(json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": node}, "spec": {},
            "status": {"reported": reported, "jails": [jail]},
        }))
        .unwrap()
    }

    fn condition(about: &str, status: &str, message: &str) -> serde_json::Value {
        json!({"type": about, "status": status, "reason": "Seen", "message": message, "lastTransitionTime": NOW})
    }

    #[test]
    fn pods_are_added_up_and_of_what_all_nodes_share_the_most_counts() {
        let agents = [
            agent("n1", NOW, &json!({"name": "mail/james", "pods": 2, "watched": 5, "banned": 9})),
            agent("n2", NOW, &json!({"name": "mail/james", "pods": 1, "watched": 7, "banned": 8})),
            agent("n3", NOW, &json!({"name": "mail/james", "pods": 0, "watched": 0, "banned": 9})),
        ];
        let reports = Reports::of(agents.iter(), now());
        let totals = totals(reports.on("mail/james"));
        assert_eq!(totals, Totals { nodes: 2, pods: 3, failing: 7, banned: 9 });
        assert_eq!(reports.on("mail/other").len(), 0);
    }

    #[test]
    fn an_agent_that_was_silent_for_a_quarter_of_an_hour_reads_nothing() {
        let agents = [agent("n1", "2026-11-22T19:44:00Z", &json!({"name": "mail/james", "pods": 2}))];
        let reports = Reports::of(agents.iter(), now());
        assert_eq!((reports.agents, reports.on("mail/james").len()), (0, 0));
    }

    #[test]
    fn what_nodes_count_of_a_rate_limit_is_added_up() {
        let agent = |node: &str, reported: &str, ready: &str, offenders: u32| -> NodeAgent {
            let limit = json!({"name": "mail/smtp", "offenders": offenders, "droppedPackets": 10, "uncountedPackets": 1,
                               "conditions": [condition("Ready", ready, "nft fails")]});
            serde_json::from_value(json!({
                "apiVersion": "gaoler.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": node}, "spec": {},
                "status": {"reported": reported, "rateLimits": [limit]},
            }))
            .unwrap()
        };
        let agents = [
            agent("n1", NOW, "True", 2),
            agent("n2", NOW, "False", 1),
            agent("gone", "2026-11-22T19:00:00Z", "True", 50),
        ];
        let reports = Reports::of(agents.iter(), now());
        let words = reports.on_limit("mail/smtp");
        let totals = LimitTotals { nodes: 1, offenders: 3, dropped: 20, uncounted: 2 };
        assert_eq!(limit_totals(words), totals);
        let said = special_of_limit(words);
        assert_eq!((said.len(), said[0].message.as_str()), (1, "on n2: nft fails"));
    }

    #[test]
    fn of_the_offenders_of_all_nodes_the_latest_are_named_with_their_nodes() {
        let agent = |node: &str, from: usize| -> NodeAgent {
            let offender = |n: usize| json!({"source": format!("198.51.100.{n}"), "until": format!("2026-11-22T20:{n:02}:00Z")});
            let latest: Vec<_> = (from..from + 20).step_by(2).map(offender).collect();
            let limit = json!({"name": "mail/smtp", "offenders": 12, "latestOffenders": latest});
            serde_json::from_value(json!({
                "apiVersion": "gaoler.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": node}, "spec": {},
                "status": {"reported": NOW, "rateLimits": [limit]},
            }))
            .unwrap()
        };
        let agents = [agent("n1", 10), agent("n2", 11), agent("n3", 30)];
        let reports = Reports::of(agents.iter(), now());
        let latest = latest_offenders(reports.on_limit("mail/smtp"));
        assert_eq!(latest.len(), 20);
        let told: Vec<(&str, &str)> =
            latest.iter().map(|one| (one.source.as_str(), one.node.as_str())).collect();
        assert_eq!(
            (told[0], told[10], told[19]),
            (("198.51.100.48", "n3"), ("198.51.100.29", "n2"), ("198.51.100.20", "n1"))
        );
    }

    #[test]
    fn nodes_that_say_the_same_are_named_together() {
        let lost = |text: &str| json!({"name": "mail/james", "pods": 1, "conditions": [condition("SourceAddressLost", "True", text)]});
        let fine = json!({"name": "mail/james", "pods": 1, "conditions": [condition("SourceAddressLost", "False", "")]});
        let agents = [
            agent("n2", NOW, &lost("Service james")),
            agent("n1", NOW, &lost("Service james")),
            agent("n3", NOW, &lost("Service smtp")),
            agent("n4", NOW, &fine),
        ];
        let reports = Reports::of(agents.iter(), now());
        let special = special(reports.on("mail/james"));
        assert_eq!(special.len(), 1);
        assert_eq!(special[0].message, "on n1, n2: Service james\non n3: Service smtp");
        assert_eq!((special[0].about.as_str(), special[0].holds), ("SourceAddressLost", Holds::Yes));
    }

    #[test]
    fn a_node_that_is_not_ready_is_told_and_the_verdict_of_agents_is_not() {
        let agents = [agent(
            "n1",
            NOW,
            &json!({"name": "mail/james", "pods": 1, "conditions": [
                condition("Ready", "False", "nft fails"), condition("Accepted", "True", ""),
            ]}),
        )];
        let reports = Reports::of(agents.iter(), now());
        let special = special(reports.on("mail/james"));
        assert_eq!(special.len(), 1);
        assert_eq!((special[0].about.as_str(), special[0].holds), ("Ready", Holds::No));
    }

    #[test]
    fn of_many_nodes_ten_are_named() {
        let nodes: Vec<String> = (0..12).map(|i| format!("n{i}")).collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        assert_eq!(named(&nodes), "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more");
    }
}
