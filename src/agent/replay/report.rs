//! What a replay tells: whom the filters accused, whom the jail would have banned.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::layouts::{LayoutReport, Layouts, UnreadReport};
use crate::agent::court::Court;
use crate::agent::report::{BanReport, EventKind, Moment, Tallies};
use crate::config::JailConfig;
use crate::engine::scanner::{Hints, layout_name};
use crate::engine::{FilterName, JailName, KeyedMap, LayoutSpec, Match, Outcome, Subject, Timestamp};

/// What would have happened. This is `-o json`: fields are added, never renamed or removed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// The jail.
    pub jail: JailName,
    /// Lines read.
    pub lines: u64,
    /// Matches of the jail's filters, successes included.
    pub matched: u64,
    /// The time of the earliest match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// The time of the latest match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Moment>,
    /// What became of the matches.
    pub tallies: Tallies,
    /// Whom each filter accused or cleared, and how often.
    pub addresses: Vec<AddressReport>,
    /// What filters saw besides.
    pub blind: Vec<BlindReport>,
    /// Where the log has another layout than before; the lines from there on were read so.
    pub layouts: Vec<LayoutReport>,
    /// Lines of another layout that were not understood, being too few for a change, or with a layout declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<UnreadReport>,
    /// Lines that rules speak about and none could judge: their layout was not recognised, or is not the declared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<UnjudgedReport>,
    /// Every ban that would have fallen, each with the end that later failures gave it; by its beginning.
    pub bans: Vec<BanReport>,
}

/// What one filter said of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressReport {
    /// The address.
    pub address: IpAddr,
    /// The filter.
    pub filter: FilterName,
    /// Failures.
    pub failures: u64,
    /// What they weigh together.
    pub weight: u64,
    /// Successful logins.
    pub successes: u64,
}

/// Failures that one filter understood but could blame on nobody, or only through a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlindReport {
    /// The filter.
    pub filter: FilterName,
    /// Lines without an address.
    pub unaddressed: u64,
    /// Failures of clients behind a proxy.
    pub proxied: u64,
}

/// Lines that no rule could judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnjudgedReport {
    /// How many.
    pub lines: u64,
    /// The declared layout, which fits none of them; absent: none is declared and none was recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
}

/// What the court told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) lines: u64,
    pub(super) matched: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    bans: BTreeMap<(Option<Moment>, Subject), BanReport>,
    /// By address, as the subject of its own, and filter.
    addresses: KeyedMap<(Subject, u16), Said>,
    pub(super) hints: BTreeMap<u16, Hints>,
    /// Lines for rules while no layout was known.
    pub(super) undecided: u64,
    /// Lines for rules that are not of the known layout.
    pub(super) misfits: u64,
}

/// What a filter said of an address.
#[derive(Clone, Copy, Default)]
struct Said {
    failures: u64,
    weight: u64,
    successes: u64,
}

impl Told {
    /// Takes note of what a filter said.
    pub(super) fn count(&mut self, m: &Match) {
        let said = self.addresses.entry((Subject::host(m.address), m.rule.filter)).or_default();
        match m.outcome {
            Outcome::Failure => {
                said.failures += 1;
                said.weight += u64::from(m.weight);
            }
            Outcome::Success => said.successes += 1,
        }
    }

    /// Takes note of what the court decided.
    pub(super) fn listen(&mut self, court: &mut Court) {
        court.outcome.changes.clear();
        for event in court.outcome.events.drain(..) {
            if matches!(event.event, EventKind::Ban | EventKind::Prolong) {
                self.bans.insert((event.ban.since, event.ban.subject), event.ban);
            }
        }
    }

    /// A declared layout is wrong when it fits no line that rules speak about. Lines that show another one are told as
    /// such.
    fn unjudged(&self, jail: &JailConfig, seen: &Layouts) -> Option<UnjudgedReport> {
        let declared = &jail.layout;
        if *declared == LayoutSpec::Auto {
            return (self.undecided > 0).then_some(UnjudgedReport { lines: self.undecided, layout: None });
        }
        let understood =
            self.matched > 0 || self.hints.values().any(|hints| hints.addressed + hints.unaddressed > 0);
        let wrong = self.misfits > 0 && !understood && seen.unread.is_none();
        wrong.then(|| UnjudgedReport { lines: self.misfits, layout: Some(layout_name(declared)) })
    }

    /// All of it, of this jail.
    pub(super) fn report(self, jail: &JailConfig, tallies: Tallies, seen: Layouts) -> ReplayReport {
        let unjudged = self.unjudged(jail, &seen);
        let Told { lines, matched, first, last, bans, addresses, hints, .. } = self;
        let name = |place: u16| match jail.filters.get(usize::from(place)) {
            Some(filter) => filter.name.clone(),
            None => FilterName::new(""),
        };
        let mut addresses: Vec<_> = addresses.into_iter().collect();
        addresses.sort_unstable_by_key(|((subject, filter), _)| (in_order(*subject), *filter));
        let addresses = addresses.into_iter().map(|((subject, filter), said)| {
            let address = subject.addr();
            let Said { failures, weight, successes } = said;
            AddressReport { address, filter: name(filter), failures, weight, successes }
        });
        let blind = hints.into_iter().map(|(filter, Hints { unaddressed, proxied, .. })| BlindReport {
            filter: name(filter),
            unaddressed,
            proxied,
        });
        ReplayReport {
            jail: jail.name().clone(),
            lines,
            matched,
            first: first.map(Moment),
            last: last.map(Moment),
            tallies,
            addresses: addresses.collect(),
            blind: blind.filter(|blind| blind.unaddressed + blind.proxied > 0).collect(),
            layouts: seen.changes,
            unread: seen.unread,
            unjudged,
            bans: bans.into_values().collect(),
        }
    }
}

/// Sorts as the subject itself does, by numbers: addresses are compared byte by byte.
fn in_order(subject: Subject) -> (bool, u128, u8) {
    let (v6, bits) = match subject.addr() {
        IpAddr::V4(address) => (false, u128::from(address.to_bits())),
        IpAddr::V6(address) => (true, address.to_bits()),
    };
    (v6, bits, subject.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_in_the_order_of_subjects() {
        let texts = [
            "192.0.2.1/32",
            "10.0.0.0/8",
            "10.0.0.0/9",
            "2.0.0.0/32",
            "::/0",
            "2001:db8::/64",
            "255.0.0.0/8",
        ];
        let mut subjects = texts.map(|text| Subject::new(text.parse().unwrap()));
        subjects.sort_unstable_by_key(|subject| in_order(*subject));
        assert!(subjects.is_sorted(), "{subjects:?}");
    }
}
