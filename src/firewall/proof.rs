//! Who completed connections: what must be known before a rate limit may lead to a ban.
//!
//! Anybody can write anybody's address into a SYN. So a limit that may lead to bans watches what servers answer:
//!
//! ```text
//! chain answers   postrouting, before sources are translated: the client is who sent the SYN
//!     ct direction reply  tcp flags & (fin|psh) != 0  tcp flags & (syn|rst) == 0  ct original proto-dst vmap { 25 : goto met_25 }
//! chain met_25    ct label 113 return                                                              counted already
//!                 ct label set 113
//!                 ct label 113  ct original ip daddr { 198.51.100.25 } jump met_a
//!                 ct label 113  ct original ip daddr { this host's } jump met_b
//! chain met_a     ip daddr { ignored } return;  ip daddr @never4 return
//!                 update @real4 { ip daddr limit rate over 2/minute burst 2 packets }  update @busy4 { ip daddr timeout 60s }
//!                 ip daddr != @real4 counter name uncounted_a                                      the set is full
//! chain over_a    ip saddr @busy4 add @caught4 { ip saddr timeout 10s };  …refused
//! ```
//!
//! A server pushes data or says goodbye only in a connection whose client named the server's own random number: that
//! client got the server's answer. What it sends to a forger's victim are SYN-ACKs, bare ACKs (to a second SYN, say) and
//! resets. Connection tracking alone would not do: it takes any ACK within some 66,000 of the right one for the
//! client's. `real` counts connections, each once, in a bucket of `hits` - 2: the connection that finds it empty is
//! at least the last that the limit grants.
//!
//! That a connection was counted stands in its own entry of connection tracking, as a label, and goes with it. An
//! address and a port would not do: whoever always uses the same port would open one connection for ever. Nor would
//! anything that a forged packet can begin anew: a SYN replaces an entry only after both sides have ended the
//! connection or one has reset it, and then the server has nothing more to say in it. A reset ends an entry only with
//! the exact number that is awaited. A connection older than the first such limit may have no room for labels; it is
//! not counted, and so the label is asked for again after it was set.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nftables::batch::Batch;

use super::ban_set::Family;
use super::limit::{CAUGHT, Counted, Limit};
use super::limits::{FAMILIES, Kept, bits, digit, idle_of, ignored, uncounted_counter};
use super::ruleset::{has_never, never_name, rule};
use super::{Destination, Guard, Skeleton, phrase};

/// The base chain.
pub(super) const ANSWERS: &str = "answers";
/// The label of connections that were counted. Any will do that nobody else uses; low ones have names on some systems.
pub(super) const COUNTED: u8 = 113;
/// Sources of one family that can be caught within that time.
pub(super) const MOST_CAUGHT: u32 = 4096;

/// Room for sources of one family: also for those that a full set of slots let pass, and for some time after these.
fn room(limit: &Limit) -> u32 {
    limit.max_sources.saturating_mul(2)
}

fn busy_set(limit: &Limit, family: Family) -> String {
    let Limit { name, window, .. } = limit;
    let (bits, room, window) = (bits(limit, family), room(limit), window.as_secs());
    format!("{name}_busy{}_{bits}_{room}_{window}s", digit(family))
}

/// Sources that were caught.
pub(super) fn caught_set(limit: &Limit, family: Family) -> String {
    format!("{}_caught{}_{}_{MOST_CAUGHT}", limit.name, digit(family), bits(limit, family))
}

/// Where real connections are counted; none when the limit grants but one.
fn real_set(limit: &Limit, family: Family) -> Option<String> {
    let Limit { name, hits, window, .. } = limit;
    let (window, room) = (window.as_secs(), room(limit));
    (*hits > 2)
        .then(|| format!("{name}_real{}_{}_{room}_{hits}x{window}", digit(family), bits(limit, family)))
}

/// The sets of sources that completed connections; none where that is not watched.
pub(super) fn sets_of_sources(limit: &Limit, family: Family) -> Vec<String> {
    let sets = limit.catches.then(|| [Some(busy_set(limit, family)), real_set(limit, family)]);
    sets.into_iter().flatten().flatten().collect()
}

fn met_chain(limit: &Limit) -> String {
    format!("met_{}", limit.name)
}

fn port_chain(port: u16) -> String {
    // No limit's name begins with a digit.
    format!("met_{port}")
}

/// What watches answers for those limits that may lead to bans.
pub(super) struct Proofs<'a> {
    limits: Vec<&'a Limit>,
    skeleton: &'a Skeleton,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(limits: &[&'a Limit], skeleton: &'a Skeleton) -> Self {
        Self { limits: limits.iter().copied().filter(|limit| limit.catches).collect(), skeleton }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = String> {
        let ports: Vec<String> = self.ports().into_keys().map(port_chain).collect();
        self.limits.iter().map(|limit| met_chain(limit)).chain(ports)
    }

    pub(super) fn sets(&self) -> impl Iterator<Item = (String, Kept)> {
        self.limits.iter().flat_map(|limit| {
            FAMILIES.into_iter().flat_map(move |family| {
                let source = |size| Kept { family, size };
                let real = real_set(limit, family).map(|name| (name, source(room(limit))));
                let busy = (busy_set(limit, family), source(room(limit)));
                [busy, (caught_set(limit, family), source(MOST_CAUGHT))].into_iter().chain(real)
            })
        })
    }

    /// The limits at each port, with the destinations they mean.
    fn ports(&self) -> BTreeMap<u16, BTreeMap<String, BTreeSet<Destination>>> {
        let mut ports: BTreeMap<u16, BTreeMap<String, BTreeSet<Destination>>> = BTreeMap::new();
        for limit in &self.limits {
            let Counted::Tcp(guards) = &limit.counts else { continue };
            for Guard { destination, port } in guards {
                let at = ports.entry(*port).or_default();
                at.entry(met_chain(limit)).or_default().insert(*destination);
            }
        }
        ports
    }

    /// Where the connections that count were opened to. Behind a host port it is a pod that answers, so the packet's own
    /// addresses do not tell.
    fn addresses(&self, destinations: &BTreeSet<Destination>) -> BTreeSet<IpAddr> {
        let of = |destination: &Destination| match destination {
            Destination::Local => self.skeleton.own.clone(),
            Destination::Address(at) => vec![*at],
        };
        destinations.iter().flat_map(of).collect()
    }

    pub(super) fn rules(&self, batch: &mut Batch<'static>) {
        for limit in &self.limits {
            for family in FAMILIES {
                self.spare(limit, family, batch);
                note(limit, family, batch);
            }
        }
        let ports = self.ports();
        for (port, limits) in &ports {
            let chain = port_chain(*port);
            batch.add(rule(&chain, vec![phrase::labelled(COUNTED), phrase::back()]));
            batch.add(rule(&chain, vec![phrase::label(COUNTED)]));
            for (to, destinations) in limits {
                lead(&chain, to, &self.addresses(destinations), batch);
            }
        }
        if !ports.is_empty() {
            let pairs = ports.keys().map(|port| (phrase::port(*port), port_chain(*port))).collect();
            let mut statements = phrase::server_speaks();
            statements.push(phrase::branch(phrase::original_port(), pairs));
            batch.add(rule(ANSWERS, statements));
        }
    }

    /// Passes over those whom the limit never catches, so that they take nobody's room.
    fn spare(&self, limit: &Limit, family: Family, batch: &mut Batch<'static>) {
        let chain = met_chain(limit);
        let ignored = ignored(limit, family);
        if !ignored.is_empty() {
            batch.add(rule(&chain, vec![phrase::client_among(family, &ignored), phrase::back()]));
        }
        if has_never(self.skeleton, family) {
            let never = phrase::client_in(family, family.bits(), &never_name(family));
            batch.add(rule(&chain, vec![never, phrase::back()]));
        }
    }
}

/// From a port to a limit.
fn lead(from: &str, to: &str, addresses: &BTreeSet<IpAddr>, batch: &mut Batch<'static>) {
    for family in FAMILIES {
        let is_of = |address: &IpAddr| address.is_ipv4() == (family == Family::V4);
        let addresses: Vec<IpAddr> = addresses.iter().copied().filter(is_of).collect();
        if !addresses.is_empty() {
            let jump = phrase::jump(to.to_owned());
            let counted = phrase::labelled(COUNTED);
            batch.add(rule(from, vec![counted, phrase::originally_to(family, &addresses), jump]));
        }
    }
}

/// Counts a connection.
fn note(limit: &Limit, family: Family, batch: &mut Batch<'static>) {
    let (chain, bits, busy) = (met_chain(limit), bits(limit, family), busy_set(limit, family));
    let mut count = Vec::new();
    if let Some(real) = real_set(limit, family) {
        let rate = phrase::Rate { tokens: limit.hits.saturating_sub(2), window: limit.window };
        count.extend(phrase::client_over_rate((family, bits), idle_of(limit), &real, rate));
    }
    count.push(phrase::update_client((family, bits), limit.window, &busy));
    batch.add(rule(&chain, count));
    let first = real_set(limit, family).unwrap_or(busy);
    let missing = phrase::client_not_in(family, bits, &first);
    batch.add(rule(&chain, vec![missing, phrase::count(uncounted_counter(&limit.name))]));
}

/// Catches who is over the limit and has used it up with connections.
pub(super) fn catch(limit: &Limit, family: Family, over: &str, batch: &mut Batch<'static>) {
    if !limit.catches {
        return;
    }
    let bits = bits(limit, family);
    let busy = phrase::source_in(family, bits, &busy_set(limit, family));
    let catch = phrase::add_source((family, bits), CAUGHT, &caught_set(limit, family));
    batch.add(rule(over, vec![busy, catch]));
}
