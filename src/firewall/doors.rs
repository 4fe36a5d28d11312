//! Where packets that are counted come in, and which limits are asked there.
//!
//! ```text
//! chain limits_tcp_25    fib daddr type != local return; jump limit_a; jump limit_b
//! chain limits_udp_53    fib daddr type != { local, anycast, broadcast, multicast } return; jump limit_d
//! chain limits_tcp_25_1  fib daddr type local jump limit_a; jump limit_c     an address, which may be this host's too
//! ```
//!
//! Every limit is asked once about a packet, by whichever way it comes in, and in the order of the names: the maps
//! lead to one chain and not back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nftables::batch::Batch;

use super::ban_set::Family;
use super::limit::{Counted, Limit};
use super::limits::{FAMILIES, LIMITS, limit_chain};
use super::phrase::{self, Transport};
use super::ruleset::rule;
use super::{Destination, Guard, ScopeName};

const ECHO: &str = "limits_echo";

/// All doors.
pub(super) struct Doors<'a> {
    /// The chain of each.
    at: BTreeMap<(Transport, Destination, u16), String>,
    halls: BTreeMap<Hall<'a>, String>,
    echo: BTreeSet<&'a ScopeName>,
}

/// What is asked behind doors of one port. Doors with the same questions share a chain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hall<'a> {
    transport: Transport,
    port: u16,
    /// Limits of the packet's destination, whatever that is.
    placed: BTreeSet<&'a ScopeName>,
    /// Limits of this host: asked only when it is the destination.
    here: BTreeSet<&'a ScopeName>,
}

impl<'a> Doors<'a> {
    pub(super) fn new(limits: &[&'a Limit]) -> Self {
        let mut named: BTreeMap<(Transport, u16), BTreeMap<Destination, BTreeSet<&'a ScopeName>>> =
            BTreeMap::new();
        let mut echo = BTreeSet::new();
        for limit in limits {
            let (transport, guards) = match &limit.counts {
                Counted::Tcp(guards) => (Transport::Tcp, guards),
                Counted::Udp(guards) => (Transport::Udp, guards),
                Counted::Echo => {
                    echo.insert(&limit.name);
                    continue;
                }
            };
            for Guard { destination, port } in guards {
                let at = named.entry((transport, *port)).or_default();
                at.entry(*destination).or_default().insert(&limit.name);
            }
        }
        let mut doors = Self { at: BTreeMap::new(), halls: BTreeMap::new(), echo };
        for ((transport, port), destinations) in named {
            let local = destinations.get(&Destination::Local).cloned().unwrap_or_default();
            let mut serial = 0;
            for (destination, names) in destinations {
                let (placed, here) = match destination {
                    Destination::Local => (BTreeSet::new(), names),
                    Destination::Address(_) => {
                        let here = local.difference(&names).copied().collect();
                        (names, here)
                    }
                };
                let hall = Hall { transport, port, placed, here };
                let chain = doors.halls.entry(hall).or_insert_with(|| {
                    serial += 1;
                    let word = if transport == Transport::Tcp { "tcp" } else { "udp" };
                    match serial {
                        1 => format!("limits_{word}_{port}"),
                        n => format!("limits_{word}_{port}_{}", n - 1),
                    }
                });
                doors.at.insert((transport, destination, port), chain.clone());
            }
        }
        doors
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = String> {
        let echo = (!self.echo.is_empty()).then(|| ECHO.to_owned());
        self.halls.values().cloned().chain(echo)
    }

    pub(super) fn rules(&self, batch: &mut Batch<'static>) {
        for (hall, chain) in &self.halls {
            hall.rules(chain, batch);
        }
        for transport in [Transport::Tcp, Transport::Udp] {
            self.maps(transport, batch);
        }
        if self.echo.is_empty() {
            return;
        }
        batch.add(rule(ECHO, vec![phrase::not_to_this_host_or_many(), phrase::back()]));
        for limit in &self.echo {
            batch.add(rule(ECHO, vec![phrase::jump(limit_chain(limit))]));
        }
        for family in FAMILIES {
            batch.add(rule(LIMITS, vec![phrase::echo_request(family), phrase::jump(ECHO.into())]));
        }
    }

    /// From the packets to the chains.
    fn maps(&self, transport: Transport, batch: &mut Batch<'static>) {
        let (mut v4, mut v6, mut local) = (vec![], vec![], vec![]);
        for ((_, destination, port), chain) in self.at.iter().filter(|((of, ..), _)| *of == transport) {
            match destination {
                Destination::Address(at @ IpAddr::V4(_)) => {
                    v4.push((phrase::pair(*at, *port), chain.clone()));
                }
                Destination::Address(at @ IpAddr::V6(_)) => {
                    v6.push((phrase::pair(*at, *port), chain.clone()));
                }
                Destination::Local => local.push((phrase::port(*port), chain.clone())),
            }
        }
        let maps = [
            (phrase::destination_and_port(Family::V4, transport), v4),
            (phrase::destination_and_port(Family::V6, transport), v6),
            (phrase::port_of(transport), local),
        ];
        for (key, pairs) in maps.into_iter().filter(|(_, pairs)| !pairs.is_empty()) {
            let map = phrase::branch(key, pairs);
            batch.add(match transport {
                Transport::Tcp => rule(LIMITS, vec![phrase::opens_a_connection(), map]),
                Transport::Udp => rule(LIMITS, vec![map]),
            });
        }
    }
}

impl Hall<'_> {
    fn rules(&self, chain: &str, batch: &mut Batch<'static>) {
        if self.placed.is_empty() {
            // Only here, so that other traffic never asks for the route.
            let elsewhere = match self.transport {
                Transport::Tcp => phrase::not_to_this_host(),
                // One datagram to all is answered by each.
                Transport::Udp => phrase::not_to_this_host_or_many(),
            };
            batch.add(rule(chain, vec![elsewhere, phrase::back()]));
        }
        for limit in self.placed.union(&self.here) {
            let jump = phrase::jump(limit_chain(limit));
            let asked = self.placed.is_empty() || self.placed.contains(limit);
            batch.add(rule(chain, if asked { vec![jump] } else { vec![phrase::to_this_host(), jump] }));
        }
    }
}
