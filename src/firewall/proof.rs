//! Who completed connections: what must be known before a rate limit may lead to a ban.
//!
//! Anybody can write anybody's address into a SYN. So a limit that may lead to bans watches what servers answer:
//!
//! ```text
//! chain answers   postrouting, before sources are translated: the client is who sent the SYN
//!     ct direction reply  tcp flags & (fin|psh) != 0  tcp flags & (syn|rst) == 0  ct original proto-dst vmap { 25 : goto met_25 }
//! chain met_25    ct original ip daddr { 198.51.100.25 } jump met_a;  ct original ip daddr { this host's } jump met_b
//! chain met_a     ip daddr . tcp dport @met4 update @met4 { … timeout 1h } return                    known already
//!                 add @met4 { … timeout 1h }  update @real4 { ip daddr limit rate over 2/minute burst 2 packets }
//!                     update @busy4 { ip daddr timeout 60s }
//! chain over_a    ip saddr @busy4 add @caught4 { ip saddr timeout 10s };  …refused
//! ```
//!
//! A server pushes data or says goodbye only in a connection whose client named the server's own random number: that
//! client got the server's answer. What it sends to a forger's victim are SYN-ACKs, bare ACKs (to a second SYN, say) and
//! resets. Connection tracking alone would not do: it takes any ACK within some 66,000 of the right one for the
//! client's. `real` counts connections, each once, in a bucket of `hits` - 2: the connection that finds it empty is
//! at least the last that the limit grants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use nftables::batch::Batch;

use super::ban_set::Family;
use super::limit::{Counted, Limit};
use super::limits::{FAMILIES, Kept, bits, digit, idle_of};
use super::ruleset::rule;
use super::{Destination, Guard, phrase};

/// The base chain.
pub(super) const ANSWERS: &str = "answers";
/// For so long after its last word an open connection is not taken for another.
const CONNECTION: Duration = Duration::from_secs(3600);
/// How long a source that was caught is there to be read.
const CAUGHT: Duration = Duration::from_secs(10);
/// Sources of one family that can be caught within that time.
pub(super) const MOST_CAUGHT: u32 = 4096;

fn met_set(limit: &Limit, family: Family) -> String {
    format!("{}_met{}_{}", limit.name, digit(family), limit.max_sources)
}

fn busy_set(limit: &Limit, family: Family) -> String {
    format!("{}_busy{}_{}_{}", limit.name, digit(family), bits(limit, family), limit.max_sources)
}

/// Sources that were caught.
pub(super) fn caught_set(limit: &Limit, family: Family) -> String {
    format!("{}_caught{}_{}_{MOST_CAUGHT}", limit.name, digit(family), bits(limit, family))
}

/// Where real connections are counted; none when the limit grants but one.
fn real_set(limit: &Limit, family: Family) -> Option<String> {
    let Limit { name, max_sources, hits, window, .. } = limit;
    let window = window.as_secs();
    (*hits > 2).then(|| {
        format!("{name}_real{}_{}_{max_sources}_{hits}x{window}", digit(family), bits(limit, family))
    })
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
    /// This host's addresses.
    own: &'a [IpAddr],
}

impl<'a> Proofs<'a> {
    pub(super) fn new(limits: &[&'a Limit], own: &'a [IpAddr]) -> Self {
        Self { limits: limits.iter().copied().filter(|limit| limit.catches).collect(), own }
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
                let size = limit.max_sources;
                let source = |size| Kept { family, size, connections: false };
                let real = real_set(limit, family).map(|name| (name, source(size)));
                [
                    (met_set(limit, family), Kept { connections: true, ..source(size) }),
                    (busy_set(limit, family), source(size)),
                    (caught_set(limit, family), source(MOST_CAUGHT)),
                ]
                .into_iter()
                .chain(real)
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
            Destination::Local => self.own.to_vec(),
            Destination::Address(at) => vec![*at],
        };
        destinations.iter().flat_map(of).collect()
    }

    pub(super) fn rules(&self, batch: &mut Batch<'static>) {
        for limit in &self.limits {
            for family in FAMILIES {
                note(limit, family, batch);
            }
        }
        let ports = self.ports();
        for (port, limits) in &ports {
            for (chain, destinations) in limits {
                lead(&port_chain(*port), chain, &self.addresses(destinations), batch);
            }
        }
        if !ports.is_empty() {
            let pairs = ports.keys().map(|port| (phrase::port(*port), port_chain(*port))).collect();
            let mut statements = phrase::server_speaks();
            statements.push(phrase::branch(phrase::original_port(), pairs));
            batch.add(rule(ANSWERS, statements));
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
            batch.add(rule(from, vec![phrase::originally_to(family, &addresses), jump]));
        }
    }
}

/// Counts a connection that is not counted yet.
fn note(limit: &Limit, family: Family, batch: &mut Batch<'static>) {
    let (chain, met, bits) = (met_chain(limit), met_set(limit, family), bits(limit, family));
    let known = phrase::client_and_port_in(family, &met);
    let again = phrase::update_client_and_port(family, CONNECTION, &met);
    batch.add(rule(&chain, vec![known, again, phrase::back()]));
    let mut count = vec![phrase::add_client_and_port(family, CONNECTION, &met)];
    if let Some(real) = real_set(limit, family) {
        let rate = phrase::Rate { tokens: limit.hits.saturating_sub(2), window: limit.window };
        count.extend(phrase::client_over_rate((family, bits), idle_of(limit), &real, rate));
    }
    count.push(phrase::update_client((family, bits), limit.window, &busy_set(limit, family)));
    batch.add(rule(&chain, count));
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
