//! Rate limits as nft's commands. Pure, like [`ruleset`](super::ruleset), whose transaction they are part of.
//!
//! ```text
//! chain knocks         raw + 1: after bans, before connection tracking
//!     tcp flags & (fin|syn|rst|ack) == syn  ip daddr . tcp dport vmap { 198.51.100.25 . 25 : goto limits_tcp_25_1 }
//!     tcp flags & (fin|syn|rst|ack) == syn  tcp dport vmap { 25 : goto limits_tcp_25 }
//!     udp dport vmap { … };  icmp type echo-request jump limits_echo;  icmpv6 type echo-request jump limits_echo
//! chain limits_tcp_25  jump limit_a; jump limit_b                                    see `doors`
//! chain limit_a        ip saddr { ignored } return; meta nfproto vmap { ipv4 : goto limit4_a, ipv6 : goto limit6_a }
//! chain limit4_a       ip saddr @a_pen4 goto over_a
//!                      ip saddr != @slot1 add @slot1 { ip saddr timeout 60s } return      a slot for each hit but the last
//!                      ip saddr != @slot2 add @slot2 { ip saddr timeout 60s } return
//!                      ip saddr @slot1 ip saddr @slot2 goto over_a                        every slot is taken: over
//!                      counter name uncounted_a                                           a slot's set is full
//! chain over_a         ip saddr @never4 return; update @a_pen4 { ip saddr timeout 60s }; counter name limited_a drop
//! ```
//!
//! A slot is taken for one window, so with H−1 of them the H-th hit within a window finds none: an exact sliding
//! window. For many hits that would be many look-ups; there the kernel keeps a token bucket for each source.
//!
//! The name of a set says what its elements mean, so one that is there can be kept whatever else changed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nftables::batch::Batch;
use nftables::schema::NfListObject;
use nftables::stmt::Statement;

use super::ban_set::Family;
use super::doors::Doors;
use super::inventory::{Inventory, SetShape};
use super::limit::{Limit, Penalty};
use super::proof::{self, Proofs};
use super::ruleset::{has_never, never_returns, refusals, rule, set_with_timeout};
use super::{ScopeName, Skeleton, phrase};

/// The base chain.
pub(super) const LIMITS: &str = "knocks"; // `limits` is a word of nft's own language
/// With up to so many hits every single one has its slot.
const MOST_SLOTS: u32 = 16;
/// No set of sources over a limit holds more than this: it is listed when somebody asks for the status.
const MOST_PENALTIES: u32 = 65_536;
const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The counter of packets over a limit.
pub(super) fn over_counter(limit: &ScopeName) -> String {
    format!("limited_{limit}")
}

/// The counter of packets, and of completed connections, no source could be remembered for.
pub(super) fn uncounted_counter(limit: &ScopeName) -> String {
    format!("uncounted_{limit}")
}

/// The set of sources under a penalty; `None` where the penalty needs none.
pub(super) fn penalty_set(limit: &Limit, family: Family) -> Option<String> {
    if limit.penalty == Penalty::Excess {
        return None;
    }
    let (name, bits, size) = (&limit.name, bits(limit, family), offenders(limit));
    let seconds = offence(limit).as_secs();
    Some(format!("{name}_pen{}_{bits}_{size}_{seconds}s", digit(family)))
}

/// The set of sources over the limit: those under a penalty, and where there is none those that were refused lately.
pub(super) fn offender_set(limit: &Limit, family: Family) -> String {
    let Limit { name, hits, window, .. } = limit;
    let (bits, size, window) = (bits(limit, family), offenders(limit), window.as_secs());
    penalty_set(limit, family)
        .unwrap_or_else(|| format!("{name}_over{}_{bits}_{size}_{hits}x{window}", digit(family)))
}

/// How long a source is an offender.
pub(super) fn offence(limit: &Limit) -> Duration {
    match limit.penalty {
        Penalty::Lasting(span) => span,
        Penalty::Silence | Penalty::Excess => limit.window,
    }
}

/// Offenders of a family that are remembered.
fn offenders(limit: &Limit) -> u32 {
    limit.max_sources.min(MOST_PENALTIES)
}

pub(super) fn digit(family: Family) -> char {
    if family == Family::V4 { '4' } else { '6' }
}

pub(super) fn bits(limit: &Limit, family: Family) -> u8 {
    match family {
        Family::V4 => limit.prefix_v4,
        Family::V6 => limit.prefix_v6,
    }
}

fn slot_set(limit: &Limit, family: Family, n: u32) -> String {
    let Limit { name, max_sources, window, .. } = limit;
    let (bits, window) = (bits(limit, family), window.as_secs());
    format!("{name}_slot{}_{bits}_{max_sources}_{window}s_{n}", digit(family))
}

/// An element keeps the rate, and any the end, that it was made with: another rate, window or penalty is another set.
fn rate_set(limit: &Limit, family: Family) -> String {
    let Limit { name, max_sources, hits, window, .. } = limit;
    let window = window.as_secs();
    format!("{name}_rate{}_{}_{max_sources}_{hits}x{window}", digit(family), bits(limit, family))
}

/// All sets of a family that hold sources of this limit, in the order in which a source is let go: that of offenders comes
/// last. A packet that arrived between it and those that count would find every slot taken and be an offence anew.
pub(super) fn sets_of_sources(limit: &Limit, family: Family) -> Vec<String> {
    let mut sets: Vec<String> = match has_slots(limit) {
        true => (1..limit.hits).map(|n| slot_set(limit, family, n)).collect(),
        false => vec![rate_set(limit, family)],
    };
    sets.extend(proof::sets_of_sources(limit, family));
    sets.push(offender_set(limit, family));
    sets
}

fn has_slots(limit: &Limit) -> bool {
    limit.hits <= MOST_SLOTS
}

pub(super) fn limit_chain(limit: &ScopeName) -> String {
    format!("limit_{limit}")
}

fn family_chain(limit: &ScopeName, family: Family) -> String {
    format!("limit{}_{limit}", digit(family))
}

fn over_chain(limit: &ScopeName) -> String {
    format!("over_{limit}")
}

/// What of the table belongs to rate limits.
pub(super) struct Limits<'a> {
    /// By name: that is the order in which they are asked.
    limits: Vec<&'a Limit>,
    doors: Doors<'a>,
    proofs: Proofs<'a>,
    skeleton: &'a Skeleton,
}

/// A set that rules add to. Its elements are sources.
pub(super) struct Kept {
    pub(super) family: Family,
    pub(super) size: u32,
}

impl<'a> Limits<'a> {
    pub(super) fn new(skeleton: &'a Skeleton) -> Self {
        let mut limits: Vec<&Limit> = skeleton.limits.iter().collect();
        limits.sort_by(|a, b| a.name.cmp(&b.name));
        let (doors, proofs) = (Doors::new(&limits), Proofs::new(&limits, skeleton));
        Self { limits, doors, proofs, skeleton }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Whether what servers answer is watched too.
    pub(super) fn watches_answers(&self) -> bool {
        !self.proofs.is_empty()
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = String> {
        let own = self.limits.iter().flat_map(|limit| {
            let Limit { name, .. } = limit;
            [limit_chain(name), over_chain(name)].into_iter().chain(FAMILIES.map(|f| family_chain(name, f)))
        });
        own.chain(self.doors.chains()).chain(self.proofs.chains())
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = String> {
        self.limits.iter().flat_map(|limit| [over_counter(&limit.name), uncounted_counter(&limit.name)])
    }

    /// Whether the set that is there stays.
    pub(super) fn keeps(&self, name: &str, shape: SetShape) -> bool {
        self.sets().get(name).is_some_and(|kept| shape.takes(kept.family.bytes()))
    }

    /// Adds the sets that are not there. (nft marks a set as one that rules add to only when it comes with such a
    /// rule in the same transaction; adding one that is there again would seem another.)
    pub(super) fn add_sets(&self, existing: Option<&Inventory>, batch: &mut Batch<'static>) {
        for (name, kept) in self.sets() {
            let there = existing.and_then(|inventory| inventory.sets.get(&name));
            if !there.is_some_and(|shape| shape.takes(kept.family.bytes())) {
                batch.add(NfListObject::Set(set_with_timeout(name, kept.family, Some(kept.size)).into()));
            }
        }
    }

    fn sets(&self) -> BTreeMap<String, Kept> {
        let mut sets: BTreeMap<String, Kept> = self.proofs.sets().collect();
        for limit in &self.limits {
            for family in FAMILIES {
                let sources = |size| Kept { family, size };
                let size = limit.max_sources;
                sets.insert(offender_set(limit, family), sources(offenders(limit)));
                if has_slots(limit) {
                    let slots = (1..limit.hits).map(|n| slot_set(limit, family, n));
                    sets.extend(slots.map(|name| (name, sources(size))));
                } else {
                    sets.insert(rate_set(limit, family), sources(size));
                }
            }
        }
        sets
    }

    pub(super) fn rules(&self, batch: &mut Batch<'static>) {
        for limit in &self.limits {
            self.rules_of(limit, batch);
        }
        self.doors.rules(batch);
        self.proofs.rules(batch);
    }

    fn rules_of(&self, limit: &Limit, batch: &mut Batch<'static>) {
        let entry = limit_chain(&limit.name);
        for family in FAMILIES {
            let ignored = ignored(limit, family);
            if !ignored.is_empty() {
                let ignored = phrase::source_among(family, &ignored);
                batch.add(rule(&entry, vec![ignored, phrase::back()]));
            }
        }
        let families = FAMILIES.map(|family| (family, family_chain(&limit.name, family)));
        batch.add(rule(&entry, vec![phrase::by_family(families)]));
        for family in FAMILIES {
            count(limit, family, batch);
        }
        self.answer(limit, batch);
    }

    /// What happens to a packet over the limit.
    fn answer(&self, limit: &Limit, batch: &mut Batch<'static>) {
        let over = over_chain(&limit.name);
        for family in FAMILIES.into_iter().filter(|family| has_never(self.skeleton, *family)) {
            batch.add(rule(&over, never_returns(family)));
        }
        // This host talks to itself by more loopback addresses than its interface names.
        for net in LOOPBACK {
            batch.add(rule(&over, vec![phrase::source_among(Family::of(net), &[net]), phrase::back()]));
        }
        for family in FAMILIES {
            let (source, set, span) =
                ((family, bits(limit, family)), offender_set(limit, family), offence(limit));
            // A rule of its own: a full set holds back no refusal.
            let note = match limit.penalty {
                Penalty::Lasting(_) => phrase::add_source(source, span, &set),
                Penalty::Silence | Penalty::Excess => phrase::update_source(source, span, &set),
            };
            batch.add(rule(&over, vec![note]));
        }
        for family in FAMILIES {
            proof::catch(limit, family, &over, batch);
        }
        let counter = over_counter(&limit.name);
        if limit.observe {
            batch.add(rule(&over, vec![phrase::count(counter)]));
        } else {
            for refusal in refusals(limit.action, &counter) {
                batch.add(rule(&over, refusal));
            }
        }
    }
}

/// What the limit ignores of a family.
pub(super) fn ignored(limit: &Limit, family: Family) -> Vec<IpNet> {
    let nets: Vec<_> = limit.ignore.iter().copied().filter(|net| Family::of(*net) == family).collect();
    IpNet::aggregate(&nets)
}

/// How long a bucket is kept: a source that was not seen for so long has a full one again in any case.
pub(super) fn idle_of(limit: &Limit) -> Duration {
    limit.window + Duration::from_secs(1)
}

/// The rules that find out whether a packet is over the limit.
fn count(limit: &Limit, family: Family, batch: &mut Batch<'static>) {
    let chain = family_chain(&limit.name, family);
    let over = || phrase::goto(over_chain(&limit.name));
    let source = (family, bits(limit, family));
    let uncounted = phrase::count(uncounted_counter(&limit.name));
    let held = |set: &str| phrase::source_in(family, source.1, set);
    if let Some(pen) = penalty_set(limit, family) {
        batch.add(rule(&chain, vec![held(&pen), over()]));
    }
    if has_slots(limit) {
        let slots: Vec<String> = (1..limit.hits).map(|n| slot_set(limit, family, n)).collect();
        for slot in &slots {
            let free = phrase::source_not_in(family, source.1, slot);
            let take = phrase::add_source(source, limit.window, slot);
            batch.add(rule(&chain, vec![free, take, phrase::back()]));
        }
        let mut taken: Vec<Statement<'static>> = slots.iter().map(|slot| held(slot)).collect();
        taken.push(over());
        batch.add(rule(&chain, taken));
        batch.add(rule(&chain, vec![uncounted]));
    } else {
        let set = rate_set(limit, family);
        let rate = phrase::Rate { tokens: limit.hits.saturating_sub(1), window: limit.window };
        let [draw, beyond] = phrase::over_rate(source, idle_of(limit), &set, rate);
        batch.add(rule(&chain, vec![draw, beyond, over()]));
        // Asked the other way round: finding an element draws a token too.
        batch.add(rule(&chain, vec![phrase::source_not_in(family, source.1, &set), uncounted]));
    }
}

#[cfg(test)]
#[path = "tests/limits.rs"]
mod tests;
