//! Penalties of rate limits, as far as nodes told of them: a limit's status names the latest offenders.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt;

use super::status::moment;
use crate::agent::report::UnderPenalty;
use crate::api::v1alpha1 as api;
use crate::engine::{Subject, Timestamp};

/// Sources under the penalty of a rate limit.
#[derive(Debug, Default)]
pub(super) struct Penalties(Vec<Known>);

#[derive(Debug)]
struct Known {
    limit: String,
    source: Subject,
    until: Timestamp,
}

impl Penalties {
    /// What the statuses of these limits tell. Where only the excess is refused nobody is under a penalty.
    pub(super) fn of(limits: &[api::RateLimit]) -> Self {
        let lasting = limits.iter().filter(|limit| {
            limit.spec.penalty != api::Penalty::Excess && limit.spec.mode == api::LimitMode::Enforce
        });
        let known = lasting.flat_map(|limit| {
            let name = format!("{}/{}", limit.namespace().unwrap_or_default(), limit.name_any());
            let offenders = limit.status.iter().flat_map(|status| &status.latest_offenders);
            offenders.filter_map(move |offender| {
                let (source, until) = (offender.source.parse().ok()?, moment(&offender.until)?);
                Some(Known { limit: name.clone(), source, until })
            })
        });
        Self(known.collect())
    }

    /// Those of this address.
    pub(super) fn over(&self, address: IpAddr, now: Timestamp) -> Vec<UnderPenalty> {
        let mut longest: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for known in self.now(now).filter(|known| known.source.net().contains(&address)) {
            let until = longest.entry(&known.limit).or_insert(known.until);
            *until = known.until.max(*until);
        }
        let told =
            |(limit, until): (&str, Timestamp)| UnderPenalty { limit: limit.into(), until: until.into() };
        longest.into_iter().map(told).collect()
    }

    /// Limits of which a pardon of these prefixes ends a penalty.
    pub(super) fn ended_by(&self, pardons: &[IpNet], now: Timestamp) -> Vec<String> {
        // Who names an address means the source that it belongs to.
        let ends = |known: &&Known| pardons.iter().any(|net| known.source.overlaps(*net));
        let mut limits: Vec<String> = self.now(now).filter(ends).map(|known| known.limit.clone()).collect();
        limits.sort_unstable();
        limits.dedup();
        limits
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

    fn penalties() -> Penalties {
        let offender = |source: &str, left: i64| json!({"source": source, "node": "n1", "until": at(left)});
        Penalties::of(&[
            limit(
                "mail/smtp",
                "10m",
                &json!([offender("45.1.2.3", 60), offender("45.1.2.3", 90), offender("45.1.2.4", -1)]),
            ),
            limit("mail/ping", "Silence", &json!([offender("2001:db8:bad:1::/64", 30)])),
            limit("mail/imap", "Excess", &json!([offender("45.1.2.3", 60)])),
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
        assert_eq!(ended("45.0.0.0/8"), ["mail/smtp"]);
        assert_eq!(ended("2001:db8:bad:1::77/128"), ["mail/ping"]);
        assert_eq!(ended("45.1.2.4/32"), Vec::<String>::new());
    }
}
