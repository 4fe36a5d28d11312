//! What a rate limit is asked to be.

use std::time::Duration;

use ipnet::IpNet;

use super::{Action, Destination, Dropped, Guard, ScopeName};
use crate::engine::Source;

/// How often a source may knock on this host. Counted and answered by the kernel alone, packet by packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name; limits are asked in the order of their names.
    pub name: ScopeName,
    /// What is a hit.
    pub counts: Counted,
    /// The hit within `window` that is one too many; at least 2.
    pub hits: u32,
    /// Width of the window, in whole seconds.
    pub window: Duration,
    /// What happens to a source over the limit.
    pub penalty: Penalty,
    /// Leading bits of an IPv4 address that make a source.
    pub prefix_v4: u8,
    /// Leading bits of an IPv6 address that make a source.
    pub prefix_v6: u8,
    /// Prefixes this limit neither counts nor drops.
    pub ignore: Vec<IpNet>,
    /// How a packet over the limit is refused.
    pub action: Action,
    /// Packets over the limit are counted and pass.
    pub observe: bool,
    /// Sources of one family that can be remembered. Of more, the newcomers pass uncounted.
    pub max_sources: u32,
    /// Whether it notes sources that completed `hits` - 1 connections and go on over the limit: see
    /// [`super::Firewall::caught`]. Only with [`Counted::Tcp`], and not with `observe`.
    pub catches: bool,
}

/// What is a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A TCP packet that opens a connection to one of these.
    Tcp(Vec<Guard>),
    /// A UDP packet to one of these.
    Udp(Vec<Guard>),
    /// An ICMP or ICMPv6 echo request to this host.
    Echo,
}

impl Counted {
    /// New TCP connections to these ports of this host.
    #[must_use]
    pub fn tcp(ports: &[u16]) -> Self {
        Self::Tcp(here(ports))
    }

    /// UDP packets to these ports of this host.
    #[must_use]
    pub fn udp(ports: &[u16]) -> Self {
        Self::Udp(here(ports))
    }
}

fn here(ports: &[u16]) -> Vec<Guard> {
    ports.iter().map(|&port| Guard { destination: Destination::Local, port }).collect()
}

/// What happens to a source over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// It is refused until it was silent for a whole window.
    Silence,
    /// Only what is over the limit is refused.
    Excess,
    /// It is refused for this long, in whole seconds, whatever it does.
    Lasting(Duration),
}

/// What a rate limit did since its counters were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitCounts {
    /// Packets over the limit: refused, or with `observe` only counted.
    pub over: Dropped,
    /// Packets that passed uncounted because no further source could be remembered.
    pub uncounted: Dropped,
    /// Sources under a penalty now; with [`Penalty::Excess`] those that were refused within the last window. Without those
    /// that are never limited by now. At most [`MOST_OFFENDERS`] of a family are counted.
    pub offenders: usize,
    /// Whether there may be more than were counted.
    pub more: bool,
    /// Those of them that were refused last, or whose penalty began last; at most [`SHOWN_OFFENDERS`]. With `more` the
    /// last of those that were counted only.
    pub latest: Vec<Offender>,
    /// Why it catches nobody although it should ([`Limit::catches`]): this kernel cannot tell who completed connections.
    pub hindrance: Option<String>,
}

/// A source over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Who.
    pub source: Source,
    /// For so long it stays one, if it is not refused again meanwhile.
    pub left: Duration,
}

/// A source that a limit caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Who.
    pub source: Source,
    /// For so long it is told; [`CAUGHT`] at the moment it was caught. Whoever goes on after that is caught again.
    pub left: Duration,
}

/// How long a source that was caught is there to be read.
pub const CAUGHT: Duration = Duration::from_secs(10);

/// Sources under a penalty that are counted, of one limit and family.
pub const MOST_OFFENDERS: usize = 10_000;

/// Sources over a limit that are named.
pub const SHOWN_OFFENDERS: usize = 20;
