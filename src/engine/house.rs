//! Who is never banned.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Subject;
use super::well_known::{HEALTH_CHECKS, PRIVATE};

/// Why a prefix is never banned. Printed, it completes the sentence "never banned: …".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// An address of this machine; the name of its interface or what it is.
    OwnAddress(String),
    /// An AllowList of this name.
    AllowList(String),
    /// Part of the cluster: a node, pods, a Service, a load balancer, the API server.
    Cluster(String),
    /// The jail's own `ignore`.
    JailIgnore,
    /// An operator probes health from there.
    HealthCheck(&'static str),
    /// A private range, and the jail does not ban those.
    Private,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnAddress(what) => write!(f, "an address of this machine ({what})"),
            Self::AllowList(name) => write!(f, "on the allow list {name}"),
            Self::Cluster(what) => write!(f, "part of the cluster ({what})"),
            Self::JailIgnore => f.write_str("in the ignore list of the jail"),
            Self::HealthCheck(who) => write!(f, "health checks come from there ({who})"),
            Self::Private => f.write_str("a private address, and the jail has banPrivate: false"),
        }
    }
}

/// Prefixes that are never banned. A subject that shares a single address with one of them is spared whole.
///
/// Prefixes are nested or apart, never crossing; inside an outer one an inner one changes nothing. So the outer ones
/// alone, sorted, answer every question with one binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeverBan {
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range<A> {
    first: A,
    last: A,
    net: IpNet,
    why: Why,
}

impl NeverBan {
    /// From prefixes and reasons, in any order. Of equal prefixes the first one's reason is told.
    #[must_use]
    pub fn new(prefixes: impl IntoIterator<Item = (IpNet, Why)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (net, why) in prefixes {
            match Subject::new(net).net() {
                net @ IpNet::V4(n) => {
                    v4.push(Range { first: n.network().to_bits(), last: n.broadcast().to_bits(), net, why });
                }
                net @ IpNet::V6(n) => {
                    v6.push(Range { first: n.network().to_bits(), last: n.broadcast().to_bits(), net, why });
                }
            }
        }
        Self { v4: outermost(v4), v6: outermost(v6) }
    }

    /// The built-in health-check ranges, with their reasons.
    pub fn health_checks() -> impl Iterator<Item = (IpNet, Why)> {
        HEALTH_CHECKS.iter().map(|&(net, who)| (net, Why::HealthCheck(who)))
    }

    /// The private ranges, for jails with `banPrivate: false`.
    pub fn private() -> impl Iterator<Item = (IpNet, Why)> {
        PRIVATE.iter().map(|&net| (net, Why::Private))
    }

    /// Why `subject` must be spared: something in it is never banned.
    #[must_use]
    pub fn overlap(&self, subject: Subject) -> Option<&Why> {
        match subject.net() {
            IpNet::V4(n) => within(&self.v4, n.network().to_bits(), n.broadcast().to_bits()),
            IpNet::V6(n) => {
                let (first, last) = (n.network().to_bits(), n.broadcast().to_bits());
                within(&self.v6, first, last).or_else(|| self.mapped(first, last))
            }
        }
    }

    /// Why this address is never banned.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> Option<&Why> {
        self.overlap(Subject::host(address))
    }

    /// The prefixes, without those inside another, IPv4 first, sorted.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpNet, &Why)> {
        let v4 = self.v4.iter().map(|r| (r.net, &r.why));
        v4.chain(self.v6.iter().map(|r| (r.net, &r.why)))
    }

    /// Whether nobody is spared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// An IPv6 prefix so short that it holds all of `::ffff:0:0/96` holds every IPv4 address too.
    fn mapped(&self, first: u128, last: u128) -> Option<&Why> {
        let low = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
        let high = Ipv4Addr::BROADCAST.to_ipv6_mapped();
        let covers = first <= Ipv6Addr::to_bits(low) && Ipv6Addr::to_bits(high) <= last;
        self.v4.first().filter(|_| covers).map(|r| &r.why)
    }
}

fn outermost<A: Ord + Copy>(mut ranges: Vec<Range<A>>) -> Vec<Range<A>> {
    // Stable: of equal ranges the first given stays first. Wider before narrower where both begin together.
    ranges.sort_by(|a, b| a.first.cmp(&b.first).then(b.last.cmp(&a.last)));
    let mut covered = None;
    ranges.retain(|range| {
        let inside = covered.is_some_and(|last| range.last <= last);
        covered = covered.max(Some(range.last));
        !inside
    });
    ranges.shrink_to_fit();
    ranges
}

fn within<A: Ord + Copy>(ranges: &[Range<A>], first: A, last: A) -> Option<&Why> {
    let after = ranges.partition_point(|r| r.first <= last);
    let candidate = ranges.get(after.checked_sub(1)?)?;
    (candidate.last >= first).then_some(&candidate.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allow(texts: &[&str]) -> NeverBan {
        NeverBan::new(texts.iter().map(|t| (t.parse().unwrap(), Why::AllowList((*t).into()))))
    }

    fn spared(never: &NeverBan, subject: &str) -> Option<String> {
        never.overlap(subject.parse().unwrap()).map(ToString::to_string)
    }

    #[test]
    fn a_single_protected_address_spares_the_whole_prefix_around_it() {
        let never = allow(&["2001:db8:1:2::53/128", "192.0.2.9/32"]);
        assert!(spared(&never, "2001:db8:1:2::/64").is_some());
        assert!(spared(&never, "192.0.2.0/24").is_some());
        assert!(spared(&never, "192.0.2.8").is_none());
        assert!(spared(&never, "2001:db8:1:3::/64").is_none());
    }

    #[test]
    fn inner_prefixes_change_nothing_and_the_outer_reason_is_told() {
        let never = allow(&["10.1.0.0/16", "10.0.0.0/8", "10.2.3.4/32", "11.0.0.0/8"]);
        assert_eq!(never.prefixes().count(), 2);
        assert_eq!(spared(&never, "10.2.3.4").as_deref(), Some("on the allow list 10.0.0.0/8"));
    }

    #[test]
    fn a_mapped_prefix_protects_the_ipv4_addresses_it_means() {
        assert!(spared(&allow(&["::ffff:192.0.2.0/120"]), "192.0.2.77").is_some());
        assert!(spared(&allow(&["192.0.2.0/24"]), "::/0").is_some());
    }

    #[test]
    fn everything_and_nothing_are_prefixes_too() {
        let all = allow(&["0.0.0.0/0", "::/0"]);
        assert!(spared(&all, "255.255.255.255").is_some());
        assert!(spared(&all, "ffff::").is_some());
        assert!(spared(&NeverBan::default(), "0.0.0.0/0").is_none());
        assert!(NeverBan::default().is_empty());
    }

    #[test]
    fn the_house_of_every_jail_holds_probes_and_may_hold_private_ranges() {
        let never = NeverBan::new(NeverBan::health_checks().chain(NeverBan::private()));
        for address in ["35.191.3.4", "168.63.129.16", "10.9.8.7", "100.64.0.1", "fd00::1", "172.31.255.255"]
        {
            assert!(never.covers(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in ["168.63.129.17", "172.32.0.1", "100.128.0.1", "203.0.113.7", "2001:db8::1"] {
            assert!(never.covers(address.parse().unwrap()).is_none(), "{address}");
        }
    }

    proptest! {
        #[test]
        fn overlap_is_what_comparing_with_every_prefix_says(
            nets in prop::collection::vec((any::<bool>(), any::<u8>(), 0..=12_u8), 0..40),
            probe in (any::<bool>(), any::<u8>(), 0..=12_u8),
        ) {
            // Few distinct high bits, so that prefixes nest and meet.
            let net = |&(six, bits, len): &(bool, u8, u8)| if six {
                IpNet::new(Ipv6Addr::from_bits(u128::from(bits) << 120 | 1 << 115).into(), len)
            } else {
                IpNet::new(Ipv4Addr::from_bits(u32::from(bits) << 24 | 1 << 19).into(), len)
            }.unwrap().trunc();
            let never = NeverBan::new(nets.iter().map(|n| (net(n), Why::JailIgnore)));
            let subject = Subject::new(net(&probe));
            // A prefix that holds all mapped addresses is the one case that crosses families.
            prop_assume!(!(subject.contains("::ffff:1.2.3.4".parse().unwrap())));
            let expected = nets.iter().any(|n| subject.overlaps(net(n)));
            prop_assert_eq!(never.overlap(subject).is_some(), expected);
        }
    }
}
