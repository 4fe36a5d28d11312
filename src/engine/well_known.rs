//! Address ranges with a fixed meaning.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits))
}

const fn v6(a: u16, b: u16, c: u16, d: u16, bits: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), bits))
}

const GOOGLE: &str = "Google Cloud load balancer";
const AZURE: &str = "Azure load balancer";

/// From where the operators of load balancers probe health, as they document it. A probe is a connection without a
/// login and looks like an attacker to many a filter; a banned probe takes the whole service away.
///
/// - Google Cloud: <https://cloud.google.com/load-balancing/docs/health-check-concepts> (probe ranges; the last two of
///   IPv4 are those of passthrough load balancers) and <https://cloud.google.com/load-balancing/docs/firewall-rules>
/// - Azure: <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>
///
/// AWS probes from the load balancer's own addresses in the network (private ranges).
pub const HEALTH_CHECKS: [(IpNet, &str); 8] = [
    (v4(35, 191, 0, 0, 16), GOOGLE),
    (v4(130, 211, 0, 0, 22), GOOGLE),
    (v4(209, 85, 152, 0, 22), GOOGLE),
    (v4(209, 85, 204, 0, 22), GOOGLE),
    (v6(0x2600, 0x2d00, 0x1, 0xb029, 64), GOOGLE),
    (v6(0x2600, 0x2d00, 0x1, 0x1, 64), GOOGLE),
    (v6(0x2600, 0x1901, 0x8001, 0, 48), GOOGLE),
    (v4(168, 63, 129, 16, 32), AZURE),
];

/// Addresses that are not of the Internet: RFC 1918, RFC 6598 (shared address space), RFC 4193 (ULA).
pub const PRIVATE: [IpNet; 5] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(100, 64, 0, 0, 10),
    v6(0xfc00, 0, 0, 0, 7),
];
