//! Who is over rate limits, as far as nodes told: a limit's status names the latest offenders.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt;

use super::status::moment;
use crate::agent::report::{OverLimit, UnderPenalty};
use crate::api::v1alpha1 as api;
use crate::engine::{Source, Timestamp};

/// Sources over a rate limit: under its penalty, or let in all the same.
#[derive(Debug, Default)]
pub(super) struct Penalties(Vec<Known>);

#[derive(Debug)]
struct Known {
    limit: String,
    observes: bool,
    source: Source,
    until: Timestamp,
    /// With `Excess`.
    last_over: Option<Timestamp>,
}

impl Known {
    /// Whether it is refused, and not only what is over, or nothing.
    fn is_shut_out(&self) -> bool {
        !self.observes && self.last_over.is_none()
    }
}

impl Penalties {
    /// What the statuses of these limits tell.
    pub(super) fn of(limits: &[api::RateLimit]) -> Self {
        let in_force = limits.iter().filter(|limit| limit.spec.mode != api::LimitMode::Disabled);
        let known = in_force.flat_map(|limit| {
            let observes = limit.spec.mode == api::LimitMode::Observe;
            let excess = (limit.spec.penalty == api::Penalty::Excess).then_some(limit.spec.window.0);
            let name = format!("{}/{}", limit.namespace().unwrap_or_default(), limit.name_any());
            let offenders = limit.status.iter().flat_map(|status| &status.latest_offenders);
            offenders.filter_map(move |offender| {
                let (source, until) = (offender.source.parse().ok()?, moment(&offender.until)?);
                let last_over = excess.map(|window| until - window);
                Some(Known { limit: name.clone(), observes, source, until, last_over })
            })
        });
        Self(known.collect())
    }

    /// Penalties that this address is under.
    pub(super) fn over(&self, address: IpAddr, now: Timestamp) -> Vec<UnderPenalty> {
        let mut longest: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for known in self.of_address(address, now).filter(|known| known.is_shut_out()) {
            let until = longest.entry(&known.limit).or_insert(known.until);
            *until = known.until.max(*until);
        }
        let told = |(limit, until): (&str, Timestamp)| UnderPenalty {
            limit: limit.into(),
            until: until.into(),
            source: None,
        };
        longest.into_iter().map(told).collect()
    }

    /// Limits that this address was over lately and that let it in all the same; of all nodes what lasts longest.
    pub(super) fn let_in(&self, address: IpAddr, now: Timestamp) -> Vec<OverLimit> {
        let mut longest: BTreeMap<&str, &Known> = BTreeMap::new();
        for known in self.of_address(address, now).filter(|known| !known.is_shut_out()) {
            let kept = longest.entry(&known.limit).or_insert(known);
            if known.until > kept.until {
                *kept = known;
            }
        }
        let told = |known: &Known| OverLimit {
            limit: known.limit.clone(),
            observes: known.observes,
            until: known.until.into(),
            last_over: known.last_over.map(Into::into),
            source: None,
        };
        longest.into_values().map(told).collect()
    }

    /// Limits of which a pardon of these prefixes ends a penalty, and those that forget offenders whom they let in.
    pub(super) fn ended_by(&self, pardons: &[IpNet], now: Timestamp) -> (Vec<String>, Vec<String>) {
        // Who names an address means the source that it belongs to.
        let ends = |known: &&Known| pardons.iter().any(|net| known.source.is_meant_by(*net));
        let (ended, forgotten): (Vec<_>, Vec<_>) =
            self.now(now).filter(ends).partition(|known| known.is_shut_out());
        let names = |known: Vec<&Known>| -> Vec<String> {
            let limits: BTreeSet<&str> = known.into_iter().map(|known| known.limit.as_str()).collect();
            limits.into_iter().map(str::to_owned).collect()
        };
        (names(ended), names(forgotten))
    }

    fn of_address(&self, address: IpAddr, now: Timestamp) -> impl Iterator<Item = &Known> {
        self.now(now).filter(move |known| known.source.net().contains(&address))
    }

    fn now(&self, now: Timestamp) -> impl Iterator<Item = &Known> {
        self.0.iter().filter(move |known| known.until > now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::view::samples::{NOW, at, object};

    fn limit(name: &str, penalty: &str, offenders: &serde_json::Value) -> api::RateLimit {
        let spec = json!({"protocol": "TCP", "ports": [25], "hits": 4, "window": "60s", "penalty": penalty});
        let mut value = object("RateLimit", name, spec);
        value["status"] = json!({"nodes": 2, "latestOffenders": offenders});
        serde_json::from_value(value).unwrap()
    }

    fn observing(limit: api::RateLimit) -> api::RateLimit {
        let spec = api::RateLimitSpec { mode: api::LimitMode::Observe, ..limit.spec };
        api::RateLimit { spec, ..limit }
    }

    fn penalties() -> Penalties {
        let offender = |source: &str, left: i64| json!({"source": source, "node": "n1", "until": at(left)});
        Penalties::of(&[
            limit(
                "mail/smtp",
                "10m",
                &json!([offender("45.1.2.3", 60), offender("45.1.2.3", 90), offender("45.1.2.4", -1)]),
            ),
            limit("mail/ping", "Silence", &json!([offender("2001:db8:bad:1::/64", 30)])),
            limit("mail/imap", "Excess", &json!([offender("45.1.2.3", 50), offender("45.1.2.3", 20)])),
            observing(limit("mail/sieve", "10m", &json!([offender("45.1.2.3", 70)]))),
        ])
    }

    #[test]
    fn an_address_is_under_the_penalties_that_last_and_the_longest_of_all_nodes_counts() {
        let over = |address: &str| -> Vec<(String, Timestamp)> {
            let found = penalties().over(address.parse().unwrap(), NOW);
            found.into_iter().map(|penalty| (penalty.limit, penalty.until.0)).collect()
        };
        assert_eq!(over("45.1.2.3"), [("mail/smtp".to_owned(), moment(&at(90)).unwrap())]);
        assert_eq!(over("45.1.2.4"), [], "it is over");
        assert_eq!(over("2001:db8:bad:1::77").len(), 1);
    }

    #[test]
    fn a_pardon_ends_those_of_sources_in_it_or_around_it() {
        let ended = |net: &str| penalties().ended_by(&[net.parse().unwrap()], NOW);
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ended("45.0.0.0/8"), (texts(&["mail/smtp"]), texts(&["mail/imap", "mail/sieve"])));
        assert_eq!(ended("2001:db8:bad:1::77/128"), (texts(&["mail/ping"]), vec![]));
        assert_eq!(ended("45.1.2.4/32"), (vec![], vec![]));
    }

    #[test]
    fn where_only_the_excess_or_nothing_is_refused_an_offender_is_told_without_a_penalty() {
        let told = |address: &str| -> Vec<(String, bool, Option<Timestamp>)> {
            let found = penalties().let_in(address.parse().unwrap(), NOW);
            found.into_iter().map(|one| (one.limit, one.observes, one.last_over.map(|last| last.0))).collect()
        };
        // Refused last a window of sixty seconds before it is forgotten.
        let last = moment(&at(-10));
        assert_eq!(told("45.1.2.3"), [("mail/imap".into(), false, last), ("mail/sieve".into(), true, None)]);
        assert_eq!(told("2001:db8:bad:1::77"), []);
    }

    #[test]
    fn a_source_behind_nat64_is_told_by_its_packets_form_and_a_pardon_of_its_ipv4_address_ends_it() {
        let (node, until) = ("n1", at(60));
        let offender = json!([{"source": "64:ff9b::2d01:203", "node": node, "until": until}]);
        let known = Penalties::of(&[limit("mail/smtp", "10m", &offender)]);
        let over = |address: &str| known.over(address.parse().unwrap(), NOW).len();
        assert_eq!((over("64:ff9b::2d01:203"), over("45.1.2.3")), (1, 0));
        let ended = |net: &str| known.ended_by(&[net.parse().unwrap()], NOW).0.len();
        assert_eq!((ended("45.1.2.3/32"), ended("45.0.0.0/8"), ended("45.1.2.4/32")), (1, 1, 0));
        let all = json!([{"source": "64:ff9b::/64", "node": node, "until": until}]);
        let known = Penalties::of(&[limit("mail/smtp", "10m", &all)]);
        let ended = |net: &str| known.ended_by(&[net.parse().unwrap()], NOW).0.len();
        assert_eq!((ended("45.1.2.3/32"), ended("64:ff9b::/64")), (0, 1), "of all who come through it");
    }
}
