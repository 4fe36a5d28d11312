//! Whether a jail guards or a rate limit limits, and why not.

use std::time::Duration;

use crate::api::v1alpha1::{JailMode, LimitMode};

use super::conditions::{Holds, Said};
use super::totals::{LimitTotals, LimitWord, Totals, Word, special, special_of_limit};

/// How long after it was made or changed a jail may be without pods before that is told: agents find pods and report
/// them within seconds.
const GRACE: Duration = Duration::from_secs(30);

/// A jail as the controller knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) namespace: &'a str,
    pub(super) accepted: &'a Said,
    pub(super) mode: JailMode,
    /// Its pods, in kubectl's syntax; `None` where it is not in force.
    pub(super) selector: Option<&'a str>,
    /// Since it is as it is.
    pub(super) age: Duration,
    /// Agents that were heard of lately.
    pub(super) agents: usize,
}

/// `Ready` and what is special.
pub(super) fn conditions(jail: Known<'_>, words: &[Word<'_>], totals: Totals) -> Vec<Said> {
    let mut all = special(words);
    let not_ready = all.iter().position(|said| said.about == "Ready").map(|at| all.remove(at));
    let ready = |holds, reason: &str, message: String| Said::new("Ready", holds, reason, message);
    let verdict = if jail.accepted.holds != Holds::Yes {
        let message = "the declaration is refused, `Accepted` says why; agents that had accepted an earlier one go on with it";
        ready(Holds::No, "Refused", message.into())
    } else if jail.mode == JailMode::Disabled {
        ready(Holds::No, "Disabled", "`mode: Disabled`: it counts nothing and its bans are lifted".into())
    } else if totals.nodes == 0 && jail.age < GRACE {
        ready(Holds::Unknown, "Starting", "no agent has reported on it yet".into())
    } else if jail.agents == 0 {
        let message = "no agent was heard of for a quarter of an hour; fix: see whether the DaemonSet gaoler-agent runs";
        ready(Holds::No, "NoAgent", message.into())
    } else if totals.nodes == 0 {
        all.retain(|said| said.about != "SourceMissing");
        all.push(source_missing(jail, words));
        ready(Holds::No, "SourceMissing", "no log is read: `SourceMissing` says why".into())
    } else if let Some(said) = not_ready {
        said
    } else if let Some(first) = all.first() {
        let names: Vec<&str> = all.iter().map(|said| said.about.as_str()).collect();
        ready(Holds::No, &first.about, format!("see {}", names.join(", ")))
    } else {
        let observes = jail.mode == JailMode::Observe;
        let does = if observes { "observes only" } else { "guards" };
        let pods = if totals.pods == 1 { "pod" } else { "pods" };
        let nodes = if totals.nodes == 1 { "node" } else { "nodes" };
        let message = format!("{does}, reading {} {pods} on {} {nodes}", totals.pods, totals.nodes);
        ready(Holds::Yes, if observes { "Observing" } else { "Guarding" }, message)
    };
    all.push(verdict);
    all
}

/// A rate limit as the controller knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownLimit<'a> {
    pub(super) accepted: &'a Said,
    pub(super) mode: LimitMode,
    /// Since it is as it is.
    pub(super) age: Duration,
    /// Agents that were heard of lately.
    pub(super) agents: usize,
}

/// `Ready` and what is special of a rate limit.
pub(super) fn limit_conditions(
    limit: KnownLimit<'_>,
    words: &[LimitWord<'_>],
    totals: LimitTotals,
) -> Vec<Said> {
    let mut all = special_of_limit(words);
    let not_ready = all.iter().position(|said| said.about == "Ready").map(|at| all.remove(at));
    let ready = |holds, reason: &str, message: String| Said::new("Ready", holds, reason, message);
    let verdict = if limit.accepted.holds != Holds::Yes {
        let message = "the declaration is refused, `Accepted` says why; agents that had accepted an earlier one go on with it";
        ready(Holds::No, "Refused", message.into())
    } else if limit.mode == LimitMode::Disabled {
        ready(Holds::No, "Disabled", "`mode: Disabled`: it limits nothing".into())
    } else if words.is_empty() && limit.age < GRACE {
        ready(Holds::Unknown, "Starting", "no agent has reported on it yet".into())
    } else if words.is_empty() {
        let message = match limit.agents {
            0 => {
                "no agent was heard of for a quarter of an hour; fix: see whether the DaemonSet gaoler-agent runs"
            }
            _ => "no agent reports on it; fix: see their logs",
        };
        ready(Holds::No, "NoAgent", message.into())
    } else if let Some(said) = not_ready {
        said
    } else if let Some(first) = all.first() {
        ready(Holds::No, &first.about, format!("see {}", first.about))
    } else {
        let observes = limit.mode == LimitMode::Observe;
        let does = if observes { "counts only" } else { "limits" };
        let nodes = if totals.nodes == 1 { "node" } else { "nodes" };
        let message = format!("{does}, on {} {nodes}", totals.nodes);
        ready(Holds::Yes, if observes { "Observing" } else { "Enforcing" }, message)
    };
    all.push(verdict);
    all
}

fn source_missing(jail: Known<'_>, words: &[Word<'_>]) -> Said {
    let said = special(words).into_iter().find(|said| said.about == "SourceMissing");
    said.unwrap_or_else(|| {
        let namespace = jail.namespace;
        let what = match jail.selector {
            Some("") => format!("in namespace {namespace} no agent found a pod"),
            Some(selector) => format!("in namespace {namespace} no agent found a pod that `{selector}` selects"),
            None => format!("in namespace {namespace} no agent found a pod that the jail's selector selects"),
        };
        let message = format!(
            "{what}, on {} nodes with an agent; fix: compare `spec.source.pods` with `kubectl -n {namespace} get pods \
             --show-labels -o wide`",
            jail.agents
        );
        Said::new("SourceMissing", Holds::Yes, "NoPod", message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::NodeJail;
    use crate::kubernetes::controller::totals::totals;

    fn accepted(holds: Holds) -> Said {
        Said::new("Accepted", holds, "Because", "")
    }

    fn known(accepted: &Said) -> Known<'_> {
        Known {
            namespace: "mail",
            accepted,
            mode: JailMode::Enforce,
            selector: Some("app=james"),
            age: Duration::from_secs(3600),
            agents: 3,
        }
    }

    fn told(jail: Known<'_>, jails: &[NodeJail]) -> Vec<(String, Holds, String, String)> {
        let words: Vec<Word<'_>> = jails.iter().map(|jail| Word { node: "n1", jail }).collect();
        let said = conditions(jail, &words, totals(&words));
        said.into_iter().map(|s| (s.about, s.holds, s.reason, s.message)).collect()
    }

    fn reading(conditions: &serde_json::Value) -> NodeJail {
        serde_json::from_value(json!({"name": "mail/james", "pods": 2, "conditions": conditions})).unwrap()
    }

    #[test]
    fn a_jail_that_reads_pods_and_has_nothing_special_is_ready() {
        let yes = accepted(Holds::Yes);
        let ready = |mode| told(Known { mode, ..known(&yes) }, &[reading(&json!([]))]).remove(0);
        let (about, holds, reason, message) = ready(JailMode::Enforce);
        assert_eq!((about.as_str(), holds, reason.as_str()), ("Ready", Holds::Yes, "Guarding"));
        assert_eq!(message, "guards, reading 2 pods on 1 node");
        assert_eq!(ready(JailMode::Observe).2, "Observing");
        assert_eq!(ready(JailMode::Disabled).2, "Disabled");
    }

    #[test]
    fn a_jail_whose_selector_matches_nothing_says_which() {
        let yes = accepted(Holds::Yes);
        let said = told(known(&yes), &[]);
        assert_eq!((said[0].0.as_str(), said[0].1), ("SourceMissing", Holds::Yes));
        assert!(said[0].3.contains("`app=james`") && said[0].3.contains("namespace mail"), "{}", said[0].3);
        assert_eq!((said[1].1, said[1].2.as_str()), (Holds::No, "SourceMissing"));
    }

    #[test]
    fn a_new_jail_is_given_some_time() {
        let yes = accepted(Holds::Yes);
        let young = Known { age: Duration::from_secs(5), ..known(&yes) };
        let said = told(young, &[]);
        assert_eq!((said.len(), said[0].1, said[0].2.as_str()), (1, Holds::Unknown, "Starting"));
    }

    #[test]
    fn without_agents_the_selector_is_not_blamed() {
        let yes = accepted(Holds::Yes);
        let said = told(Known { agents: 0, ..known(&yes) }, &[]);
        assert_eq!((said.len(), said[0].2.as_str()), (1, "NoAgent"));
    }

    #[test]
    fn a_refused_jail_is_not_ready_whatever_agents_say() {
        let no = accepted(Holds::No);
        let said = told(known(&no), &[reading(&json!([]))]);
        assert_eq!((said[0].1, said[0].2.as_str()), (Holds::No, "Refused"));
    }

    #[test]
    fn what_is_special_keeps_a_jail_from_being_ready() {
        let yes = accepted(Holds::Yes);
        let braking = json!([{"type": "Braking", "status": "True", "reason": "TooMany", "message": "601 bans", "lastTransitionTime": ""}]);
        let said = told(known(&yes), &[reading(&braking)]);
        assert_eq!((said[0].0.as_str(), said[0].3.as_str()), ("Braking", "on n1: 601 bans"));
        assert_eq!(
            (said[1].1, said[1].2.as_str(), said[1].3.as_str()),
            (Holds::No, "Braking", "see Braking")
        );
    }
}
