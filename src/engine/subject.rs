//! What is counted and banned: an address or its prefix.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// An address or prefix, host bits zero, IPv4 never written as IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(IpNet);

impl Subject {
    /// The subject that covers `net`: host bits cleared, prefixes that hold IPv4 (mapped, `::ffff:0:0/96`, and
    /// translated, `64:ff9b::/96`, and longer) turned into IPv4.
    #[must_use]
    pub fn new(net: IpNet) -> Self {
        if let IpNet::V6(v6) = net
            && v6.prefix_len() >= 96
            && let Some(v4) = inside(v6.addr())
            && let Ok(net) = Ipv4Net::new(v4, v6.prefix_len() - 96)
        {
            return Self(IpNet::V4(net.trunc()));
        }
        Self(net.trunc())
    }

    /// The subject of a single address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::new(IpNet::from(address))
    }

    /// The prefix.
    #[must_use]
    pub fn net(self) -> IpNet {
        self.0
    }

    /// The network address.
    #[must_use]
    pub fn addr(self) -> IpAddr {
        self.0.addr()
    }

    /// Bits of the prefix.
    #[must_use]
    pub fn prefix_len(self) -> u8 {
        self.0.prefix_len()
    }

    /// The shortest prefix of the family that may be banned: shorter ones are a large part of the Internet.
    #[must_use]
    pub fn least_len(self) -> u8 {
        match self.0 {
            IpNet::V4(_) => 8,
            IpNet::V6(_) => 16,
        }
    }

    /// Whether it is too much of the Internet to be banned.
    #[must_use]
    pub fn is_too_wide(self) -> bool {
        self.prefix_len() < self.least_len()
    }

    /// Whether `address` lies inside.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: IpNet) -> bool {
        self.0.contains(&other.network()) || other.contains(&self.0.network())
    }

    /// Whether this subject lies wholly inside `net`.
    #[must_use]
    pub fn is_within(self, net: IpNet) -> bool {
        net.contains(&self.0)
    }
}

/// In one word for IPv4 and two for IPv6: every match looks up its subject several times.
impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpNet::V4(net) => {
                state.write_u64(u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len()));
            }
            IpNet::V6(net) => {
                state.write_u128(net.addr().to_bits());
                state.write_u8(net.prefix_len());
            }
        }
    }
}

/// The IPv4 address that an IPv6 one means, if it is IPv4-mapped or of the well-known NAT64 prefix.
fn inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let translated = || {
        let bits = u32::from(high) << 16 | u32::from(low);
        ([a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0]).then(|| Ipv4Addr::from_bits(bits))
    };
    address.to_ipv4_mapped().or_else(translated)
}

/// An address alone where the prefix is the whole address, else CIDR.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            f.pad(&self.0.addr().to_string())
        } else {
            f.pad(&self.0.to_string())
        }
    }
}

/// An address or a CIDR prefix; host bits are cleared.
impl FromStr for Subject {
    type Err = ipnet::AddrParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::host(address)),
            Err(_) => text.parse().map(Self::new),
        }
    }
}

/// Which prefix of an accused address is counted and banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixPolicy {
    /// Bits for IPv4, 1 to 32.
    pub ipv4: u8,
    /// Bits for IPv6, 1 to 128.
    pub ipv6: u8,
}

impl Default for PrefixPolicy {
    fn default() -> Self {
        Self { ipv4: 32, ipv6: 64 }
    }
}

impl PrefixPolicy {
    /// The subject of an accused address.
    #[must_use]
    pub fn subject(self, address: IpAddr) -> Subject {
        let bits = match address {
            IpAddr::V4(_) => self.ipv4.min(32),
            IpAddr::V6(_) => self.ipv6.min(128),
        };
        IpNet::new(address, bits).map_or_else(|_| Subject::host(address), Subject::new)
    }
}

/// How a parsed address becomes the one that is meant, and which ones never are a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// NAT64 prefixes of length 96 beside the well-known 64:ff9b::/96 (RFC 6052 §2.1).
    pub nat64: Vec<Ipv6Net>,
}

const NAT64_WELL_KNOWN: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

impl AddressPolicy {
    /// The address that is meant: IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) and NAT64 (RFC 6052) count as the IPv4
    /// inside. `None` for what can never be a remote attacker: unspecified, loopback, link-local, multicast,
    /// broadcast.
    #[must_use]
    pub fn canonical(&self, address: IpAddr) -> Option<IpAddr> {
        let address = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => self.embedded(v6).unwrap_or(address),
        };
        let never = match address {
            IpAddr::V4(a) => {
                a.is_unspecified()
                    || a.is_loopback()
                    || a.is_link_local()
                    || a.is_multicast()
                    || a.is_broadcast()
                    || a.octets()[0] == 0
            }
            IpAddr::V6(a) => {
                a.is_unspecified() || a.is_loopback() || a.is_unicast_link_local() || a.is_multicast()
            }
        };
        (!never).then_some(address)
    }

    fn embedded(&self, v6: Ipv6Addr) -> Option<IpAddr> {
        if let Some(v4) = v6.to_ipv4_mapped() {
            return Some(v4.into());
        }
        let well_known = v6.segments()[..6] == NAT64_WELL_KNOWN;
        if well_known || self.nat64.iter().any(|net| net.prefix_len() == 96 && net.contains(&v6)) {
            let [.., a, b, c, d] = v6.octets();
            return Some(std::net::Ipv4Addr::new(a, b, c, d).into());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        let policy = AddressPolicy { nat64: vec!["2001:db8:64::/96".parse().unwrap()] };
        policy.canonical(text.parse().unwrap()).map(|a| a.to_string())
    }

    #[test]
    fn mapped_and_translated_addresses_count_as_the_ipv4_inside() {
        for text in ["::ffff:203.0.113.7", "64:ff9b::203.0.113.7", "2001:db8:64::203.0.113.7", "203.0.113.7"]
        {
            assert_eq!(canonical(text).as_deref(), Some("203.0.113.7"), "{text}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_remote_are_never_a_subject() {
        for text in [
            "127.0.0.1",
            "::1",
            "::",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.1.1",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "64:ff9b::127.0.0.1",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn ipv6_is_counted_by_its_64_unless_told_otherwise() {
        let a = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(PrefixPolicy::default().subject(a).to_string(), "2001:db8:1:2::/64");
        assert_eq!(PrefixPolicy { ipv4: 24, ipv6: 128 }.subject(a).to_string(), "2001:db8:1:2:3:4:5:6");
        assert_eq!(
            PrefixPolicy { ipv4: 24, ipv6: 48 }.subject("198.51.100.7".parse().unwrap()).to_string(),
            "198.51.100.0/24"
        );
    }

    #[test]
    fn a_mapped_prefix_is_the_ipv4_prefix() {
        let s: Subject = "::ffff:198.51.100.0/120".parse().unwrap();
        assert_eq!(s.to_string(), "198.51.100.0/24");
    }

    #[test]
    fn a_translated_prefix_is_the_ipv4_prefix_also_where_a_person_writes_it() {
        for (text, expected) in [
            ("64:ff9b::203.0.113.7", "203.0.113.7"),
            ("64:ff9b::198.51.100.0/120", "198.51.100.0/24"),
            ("64:ff9b::/96", "0.0.0.0/0"),
            ("64:ff9b::/95", "64:ff9b::/95"),
            ("64:ff9b:1::1", "64:ff9b:1::1"),
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let wide: Subject = "10.0.0.0/8".parse().unwrap();
        assert!(wide.overlaps("10.1.2.3/32".parse().unwrap()));
        assert!("10.1.2.3".parse::<Subject>().unwrap().overlaps("10.0.0.0/8".parse().unwrap()));
        assert!(!wide.overlaps("11.0.0.0/8".parse().unwrap()));
        assert!(!wide.overlaps("2001:db8::/32".parse().unwrap()));
    }
}
