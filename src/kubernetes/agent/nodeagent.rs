//! What the agent says of itself and of this node's jails: from its own status to the NodeAgent's.

use k8s_openapi::jiff::Timestamp as Moment;

use super::station::Setup;
use crate::agent::report::{self, FirewallState, JailReport, OffenderReport, RateLimitReport, Status};
use crate::api::v1alpha1::{
    Condition, NodeAgentStatus, NodeJail, NodeOffender, NodeRateLimit, QualifiedName,
};

/// The most the schema takes.
const MOST_JAILS: usize = 512;
const MOST_LIMITS: usize = 512;
/// Offenders named of one rate limit, and of all: so that the object stays small.
const NAMED_OF_ONE: usize = 10;
const NAMED_OF_ALL: usize = 500;
const MOST_CONDITIONS: usize = 16;
const LONGEST_MESSAGE: usize = 1024;

/// What stands beside the detector's own status.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// What is in force.
    pub setup: &'a Setup,
    /// What tasks have to say.
    pub concerns: &'a [report::Condition],
    /// How far this node's clock is ahead of the API server's, in milliseconds.
    pub clock_ahead: i64,
}

/// The status to be written. `before` is the last one, for the moments at which conditions changed.
#[must_use]
pub fn status_of(
    status: &Status,
    beside: Beside<'_>,
    before: Option<&NodeAgentStatus>,
    now: Moment,
) -> NodeAgentStatus {
    let Beside { setup, concerns, clock_ahead } = beside;
    let jails: Vec<NodeJail> = status
        .jails
        .iter()
        .filter_map(|jail| {
            let pods = *setup.pods.get(&jail.name)?;
            let before = before.and_then(|b| b.jails.iter().find(|j| j.name.as_str() == jail.name.as_str()));
            Some(node_jail(jail, pods, before, now))
        })
        .take(MOST_JAILS)
        .collect();
    let mut room = NAMED_OF_ALL;
    let in_force = status.rate_limits.iter().filter(|limit| limit.is_in_force());
    let limits = in_force.take(MOST_LIMITS).map(|limit| {
        let before =
            before.and_then(|b| b.rate_limits.iter().find(|of| of.name.as_str() == limit.name.as_str()));
        let limit = node_limit(limit, before, room.min(NAMED_OF_ONE), now);
        room -= limit.latest_offenders.len();
        limit
    });
    let mut conditions = vec![ready(status, setup)];
    if status.firewall.state == FirewallState::Removed {
        conditions.push(report::Condition {
            kind: report::ConditionType::CleanedUp,
            status: true,
            reason: "CleanedUp".into(),
            message: "the table is removed as `cleanUp` asks; nothing is guarded on this node".into(),
        });
    }
    conditions.extend(status.conditions.iter().chain(concerns).cloned());
    let mut files: Vec<_> = status.jails.iter().flat_map(|jail| &jail.files).collect();
    // Several jails may read one file.
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    NodeAgentStatus {
        version: status.version.clone(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        reported: now.to_string(),
        pods: u32::try_from(setup.read).unwrap_or(u32::MAX),
        bans: small(status.bans),
        lag_bytes: files.iter().map(|file| file.lag_bytes).sum(),
        lost_bytes: files.iter().map(|file| file.lost_bytes).sum(),
        clock_ahead_millis: clock_ahead,
        jails,
        rate_limits: limits.collect(),
        conditions: stamped(&conditions, before.map_or(&[], |before| &before.conditions), now),
    }
}

/// Whether somebody should be told at once: something begins or ends, not only a number moved. That the node holds bans
/// is nothing of that kind: every node holds those of all others, and with the first one all would write at once.
#[must_use]
pub fn differs_in_kind(a: &NodeAgentStatus, b: &NodeAgentStatus) -> bool {
    let kinds = |status: &NodeAgentStatus| {
        let of = |conditions: &[Condition]| -> Vec<(String, String, String)> {
            conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect()
        };
        let jail = |jail: &NodeJail| {
            (jail.name.clone(), jail.pods, jail.watched > 0, jail.banned > 0, of(&jail.conditions))
        };
        let jails: Vec<_> = status.jails.iter().map(jail).collect();
        let limit = |limit: &NodeRateLimit| (limit.name.clone(), limit.offenders > 0, of(&limit.conditions));
        let limits: Vec<_> = status.rate_limits.iter().map(limit).collect();
        let clock = status.clock_ahead_millis;
        (status.version.clone(), status.pods, clock, jails, limits, of(&status.conditions))
    };
    kinds(a) != kinds(b)
}

/// Whether the numbers of jails or rate limits moved.
#[must_use]
pub fn differs_in_number(a: &NodeAgentStatus, b: &NodeAgentStatus) -> bool {
    let numbers = |status: &NodeAgentStatus| {
        let jail = |jail: &NodeJail| (jail.watched, jail.banned, jail.failures, jail.bans);
        let limit = |limit: &NodeRateLimit| (limit.offenders, limit.dropped_packets, limit.uncounted_packets);
        let limits: Vec<_> = status.rate_limits.iter().map(limit).collect();
        (status.lost_bytes, status.jails.iter().map(jail).collect::<Vec<_>>(), limits)
    };
    numbers(a) != numbers(b)
}

fn ready(status: &Status, setup: &Setup) -> report::Condition {
    let (holds, reason, message) = match status.firewall.state {
        FirewallState::Enforcing => (true, "Guarding", String::new()),
        FirewallState::Observing => (true, "Observing", "nothing is dropped, as asked".into()),
        FirewallState::Starting if setup.turn == 0 => {
            (false, "Starting", "waiting for the API server to say what is declared".into())
        }
        FirewallState::Starting => (false, "Starting", "the table is being made".into()),
        FirewallState::Removed => (false, "CleanedUp", "nothing is guarded, as asked".into()),
        FirewallState::Failing => {
            (false, "FirewallFailing", status.firewall.problem.clone().unwrap_or_default())
        }
    };
    report::Condition { kind: report::ConditionType::Ready, status: holds, reason: reason.into(), message }
}

fn node_jail(jail: &JailReport, pods: u32, before: Option<&NodeJail>, now: Moment) -> NodeJail {
    NodeJail {
        name: QualifiedName::from(jail.name.as_str()),
        pods,
        watched: small(jail.watched),
        banned: small(jail.banned),
        failures: jail.counters.failures,
        bans: jail.counters.bans,
        dropped_packets: jail.counters.dropped_packets,
        conditions: stamped(&jail.conditions, before.map_or(&[], |before| &before.conditions), now),
    }
}

fn node_limit(
    limit: &RateLimitReport,
    before: Option<&NodeRateLimit>,
    named: usize,
    now: Moment,
) -> NodeRateLimit {
    let latest = limit.latest_offenders.iter().take(named);
    let offender = |offender: &OffenderReport| NodeOffender {
        source: offender.source.to_string(),
        until: offender.until.to_string(),
        last_over: offender.last_over.map(|last| last.to_string()),
    };
    NodeRateLimit {
        name: QualifiedName::from(limit.name.as_str()),
        offenders: small(limit.offenders),
        latest_offenders: latest.map(offender).collect(),
        dropped_packets: limit.limited_packets,
        uncounted_packets: limit.uncounted_packets,
        conditions: stamped(&limit.conditions, before.map_or(&[], |before| &before.conditions), now),
    }
}

/// Conditions in the form of Kubernetes, each with the moment since when it is as it is; one of each type.
fn stamped(conditions: &[report::Condition], before: &[Condition], now: Moment) -> Vec<Condition> {
    let mut stamped: Vec<Condition> = Vec::new();
    for condition in conditions {
        let type_ = format!("{:?}", condition.kind);
        let message = cut(&condition.message);
        if let Some(known) = stamped.iter_mut().find(|known| known.type_ == type_) {
            known.message = cut(&format!("{}; {message}", known.message));
            continue;
        }
        let status = if condition.status { "True" } else { "False" };
        let since = before.iter().find(|before| before.type_ == type_ && before.status == status);
        stamped.push(Condition {
            type_,
            status: status.into(),
            reason: if condition.reason.is_empty() { "Observed".into() } else { condition.reason.clone() },
            message,
            last_transition_time: since.map_or_else(|| now.to_string(), |s| s.last_transition_time.clone()),
            observed_generation: None,
        });
    }
    stamped.truncate(MOST_CONDITIONS);
    stamped
}

fn cut(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).collect()
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::report::ConditionType;

    fn said(kind: ConditionType, status: bool, message: &str) -> report::Condition {
        report::Condition { kind, status, reason: "Why".into(), message: message.into() }
    }

    fn at(second: i64) -> Moment {
        Moment::from_second(second).unwrap()
    }

    #[test]
    fn a_condition_keeps_the_moment_since_when_it_is_as_it_is() {
        let first = stamped(&[said(ConditionType::Ready, true, "")], &[], at(0));
        let same = stamped(&[said(ConditionType::Ready, true, "still")], &first, at(60));
        assert_eq!(same[0].last_transition_time, first[0].last_transition_time);
        let other = stamped(&[said(ConditionType::Ready, false, "")], &same, at(120));
        assert_eq!(other[0].last_transition_time, at(120).to_string());
    }

    #[test]
    fn of_a_type_there_is_one_with_all_that_is_said() {
        let both = [
            said(ConditionType::Disconnected, true, "bans are not shared"),
            said(ConditionType::Disconnected, true, "jails are not listed"),
        ];
        let found = stamped(&both, &[], at(0));
        let messages: Vec<&str> = found.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(messages, ["bans are not shared; jails are not listed"]);
    }

    #[test]
    fn moving_numbers_are_no_news_but_a_first_ban_is() {
        let jail = |banned, failures| NodeAgentStatus {
            jails: vec![NodeJail {
                name: "mail/james".into(),
                pods: 1,
                watched: 0,
                banned,
                failures,
                bans: 0,
                dropped_packets: 0,
                conditions: vec![],
            }],
            ..NodeAgentStatus::default()
        };
        assert!(differs_in_kind(&jail(0, 5), &jail(1, 5)));
        assert!(!differs_in_kind(&jail(1, 5), &jail(2, 9)));
        let elsewhere = NodeAgentStatus { bans: 7, ..NodeAgentStatus::default() };
        assert!(!differs_in_kind(&NodeAgentStatus::default(), &elsewhere), "all nodes would write at once");
        assert!(differs_in_number(&jail(1, 5), &jail(2, 9)));
        assert!(!differs_in_number(&jail(1, 5), &jail(1, 5)));
    }

    #[test]
    fn a_first_offender_is_news_and_dropped_packets_are_a_number() {
        let limit = |offenders, dropped_packets| NodeAgentStatus {
            rate_limits: vec![NodeRateLimit {
                name: "mail/smtp".into(),
                offenders,
                latest_offenders: vec![],
                dropped_packets,
                uncounted_packets: 0,
                conditions: vec![],
            }],
            ..NodeAgentStatus::default()
        };
        assert!(differs_in_kind(&limit(0, 5), &limit(1, 5)));
        assert!(!differs_in_kind(&limit(1, 5), &limit(2, 9)));
        assert!(differs_in_number(&limit(1, 5), &limit(1, 9)));
    }
}
