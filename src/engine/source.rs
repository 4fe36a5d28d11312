//! Where packets come from, as the kernel sees it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Subject;

/// The well-known prefix of addresses that NAT64 made of IPv4 ones (RFC 6052 §2.1).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96);

/// An address or prefix that packets come from, host bits zero. Unlike a [`Subject`] one with an IPv4 address in it is
/// IPv6: so its packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(IpNet);

impl Source {
    /// The source of these addresses.
    #[must_use]
    pub fn new(net: IpNet) -> Self {
        Self(net.trunc())
    }

    /// The prefix.
    #[must_use]
    pub fn net(self) -> IpNet {
        self.0
    }

    /// What a ban of it would be about; `None` where that is an IPv4 address within, which closes nothing to its packets.
    #[must_use]
    pub fn subject(self) -> Option<Subject> {
        let subject = Subject::new(self.0);
        (subject.net() == self.0).then_some(subject)
    }

    /// The sources of whoever this prefix means: packets of an IPv4 address may come as NAT64 makes them.
    pub fn forms(meant: IpNet) -> impl Iterator<Item = Self> {
        let meant = Subject::new(meant).net();
        [Some(Self(meant)), Self::translated(meant)].into_iter().flatten()
    }

    /// Whether it is whom this prefix means. One that holds many who come through NAT64 is not meant by the IPv4 address
    /// of one of them.
    #[must_use]
    pub fn is_meant_by(self, prefix: IpNet) -> bool {
        let meant = Subject::new(prefix).net();
        let translated = || Self::translated(meant).is_some_and(|made| made.0.contains(&self.0));
        meant.contains(&self.0) || self.0.contains(&meant) || translated()
    }

    /// Whether all of it comes through NAT64.
    #[must_use]
    pub fn is_translated(self) -> bool {
        IpNet::V6(NAT64).contains(&self.0)
    }

    /// The source of packets that NAT64 makes of those of this IPv4 prefix.
    #[must_use]
    pub fn translated(net: IpNet) -> Option<Self> {
        let IpNet::V4(net) = net else { return None };
        let inside = NAT64.addr().to_bits() | u128::from(net.network().to_bits());
        let net = Ipv6Net::new(Ipv6Addr::from_bits(inside), 96 + net.prefix_len()).ok()?;
        Some(Self(IpNet::V6(net)))
    }
}

/// Whether it is written as IPv6 and means every IPv4 address.
#[must_use]
pub fn hides_all_of_ipv4(net: IpNet) -> bool {
    [NAT64, MAPPED].contains(&match net.trunc() {
        IpNet::V6(net) => net,
        IpNet::V4(_) => return false,
    })
}

/// Whether it is wider than the prefix of NAT64 and holds it: packets of every IPv4 address may come from it.
#[must_use]
pub fn holds_nat64(net: IpNet) -> bool {
    net.prefix_len() < NAT64.prefix_len() && net.contains(&IpNet::V6(NAT64))
}

/// An address alone where the prefix is the whole address, else CIDR.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            f.pad(&self.0.addr().to_string())
        } else {
            f.pad(&self.0.to_string())
        }
    }
}

impl FromStr for Source {
    type Err = ipnet::AddrParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self(address.into())),
            Err(_) => text.parse().map(Self::new),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_behind_nat64_is_told_as_its_packets_come_and_is_nobody_whom_a_ban_would_close_out() {
        for (text, subject) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("2001:db8::/64", Some("2001:db8::/64")),
            ("64:ff9b::/64", Some("64:ff9b::/64")),
            ("64:ff9b::c000:207", None),
            ("64:ff9b::c000:200/120", None),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(source.subject().map(|subject| subject.to_string()).as_deref(), subject, "{text}");
        }
        assert_eq!("198.51.100.7/24".parse::<Source>().unwrap().to_string(), "198.51.100.0/24");
    }

    #[test]
    fn an_ipv4_prefix_has_a_translated_one() {
        let translated =
            |net: &str| Source::translated(net.parse().unwrap()).map(|source| source.to_string());
        assert_eq!(translated("192.0.2.7/32").as_deref(), Some("64:ff9b::c000:207"));
        assert_eq!(translated("192.0.2.0/24").as_deref(), Some("64:ff9b::c000:200/120"));
        assert_eq!(translated("2001:db8::/32"), None);
    }

    #[test]
    fn an_ipv4_address_does_not_mean_everybody_who_comes_through_nat64() {
        let is_meant =
            |source: &str, by: &str| source.parse::<Source>().unwrap().is_meant_by(by.parse().unwrap());
        for (source, by, meant) in [
            ("64:ff9b::/64", "192.0.2.7/32", false),
            ("64:ff9b::/64", "64:ff9b::/64", true),
            ("64:ff9b::c000:200/120", "192.0.2.7/32", false),
            ("64:ff9b::c000:200/120", "192.0.0.0/16", true),
            ("64:ff9b::c000:207", "192.0.2.7/32", true),
            ("64:ff9b::c000:207", "64:ff9b::c000:207/128", true),
            ("192.0.2.0/24", "192.0.2.7/32", true),
            ("2001:db8::/64", "2001:db8::7/128", true),
            ("2001:db8::/64", "2001:db9::7/128", false),
        ] {
            assert_eq!(is_meant(source, by), meant, "{source} {by}");
        }
    }

    #[test]
    fn two_prefixes_hide_all_of_ipv4() {
        for (net, hides) in [
            ("64:ff9b::/96", true),
            ("64:ff9b::7/96", true),
            ("::ffff:0:0/96", true),
            ("64:ff9b::/97", false),
            ("64:ff9b::/95", false),
            ("0.0.0.0/0", false),
        ] {
            assert_eq!(hides_all_of_ipv4(net.parse().unwrap()), hides, "{net}");
        }
    }
}
