//! Addresses as Java prints them into messages and context.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that `text` is, in one of the forms James writes:
///
/// | text | from |
/// |---|---|
/// | `203.0.113.7`, `2001:db8:0:0:0:0:0:99`, `fe80::1%eth0`, `::ffff:1.2.3.4`, `[2001:db8::99]` | an address |
/// | `/203.0.113.7`, `host.name/203.0.113.7` | `InetAddress.toString()` |
/// | `/203.0.113.99:43210`, `host.name/[2001:db8:0:0:0:0:0:99]:43211` | `InetSocketAddress.toString()` |
/// | `/2001:db8:0:0:0:0:0:99:43211` | the same before Java 14; eight groups and a port |
///
/// Nothing else: no blanks, no list, no prefix length, no octet with leading zeros. Of `host/address` only what
/// follows the *last* slash is read: the name before it is the client's own PTR record.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    match text.rsplit_once('/') {
        None => bare(text),
        Some((_, address)) => bare(address).or_else(|| with_port(address)),
    }
}

/// An address alone, IPv6 with or without brackets and zone.
fn bare(text: &str) -> Option<IpAddr> {
    if let Some(inner) = text.strip_prefix('[') {
        return v6(inner.strip_suffix(']')?).map(IpAddr::V6);
    }
    if text.contains(':') { v6(text).map(IpAddr::V6) } else { v4(text).map(IpAddr::V4) }
}

fn with_port(text: &str) -> Option<IpAddr> {
    let (address, port) = text.rsplit_once(':')?;
    if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    port.parse::<u16>().ok()?;
    if address.starts_with('[') {
        return bare(address);
    }
    // Before Java 14 a port followed IPv6 without brackets. Java never shortens an address, so eight groups are one.
    let groups = address.bytes().filter(|&b| b == b':').count() + 1;
    match groups {
        1 => v4(address).map(IpAddr::V4),
        8 if !address.contains("::") => v6(address).map(IpAddr::V6),
        _ => None,
    }
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

fn v6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        None => text,
        Some((address, zone)) if is_zone(zone) => address,
        Some(_) => return None,
    };
    address.parse().ok()
}

/// An interface name or number.
fn is_zone(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_james_writes_is_read() {
        for (text, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("/203.0.113.7", "203.0.113.7"),
            ("/203.0.113.99:43210", "203.0.113.99"),
            ("host.name/203.0.113.7", "203.0.113.7"),
            ("127.0.1.85/127.0.1.85", "127.0.1.85"),
            ("localhost/127.0.0.1:54700", "127.0.0.1"),
            ("/[2001:db8:0:0:0:0:0:99]:43211", "2001:db8::99"),
            ("a.b/[2001:db8:0:0:0:0:0:99]:43211", "2001:db8::99"),
            ("/2001:db8:0:0:0:0:0:99:43211", "2001:db8::99"),
            ("/2001:db8:0:0:0:0:0:99", "2001:db8::99"),
            ("2001:db8:0:0:0:0:0:99", "2001:db8::99"),
            ("[2001:db8::99]", "2001:db8::99"),
            ("fe80::1%eth0", "fe80::1"),
            ("/[fe80:0:0:0:0:0:0:1%2]:25", "fe80::1"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ] {
            assert_eq!(parse_address(text), Some(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_host_name_is_never_taken_for_the_address() {
        assert_eq!(parse_address("8.8.8.8/203.0.113.7"), Some([203, 0, 113, 7].into()));
        assert_eq!(parse_address("x/8.8.8.8/203.0.113.7"), Some([203, 0, 113, 7].into()));
        assert_eq!(parse_address("/8.8.8.8:25/203.0.113.7:99"), Some([203, 0, 113, 7].into()));
        for text in ["8.8.8.8/", "8.8.8.8/host.name", "8.8.8.8/<unresolved>:25", "8.8.8.8/x:25"] {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "/",
            "localhost",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.07",
            "::ffff:01.2.3.4",
            "203.0.113.7 ",
            " 203.0.113.7",
            "203.0.113.7,",
            "203.0.113.7, 8.8.8.8",
            "203.0.113.7:25",
            "[2001:db8::1]:25",
            "203.0.113.0/24",
            "2001:db8::/64",
            "2001:db8::12345",
            "/203.0.113.7:",
            "/203.0.113.7:123456",
            "/203.0.113.7:65536",
            "/203.0.113.7:+1",
            "/2001:db8::99:43211x",
            "[203.0.113.7]",
            "[2001:db8::1",
            "2001:db8::1]",
            "fe80::1%",
            "fe80::1%eth 0",
            "1.2.3.4%eth0",
            "²03.0.113.7",
            "0x7f.0.0.1",
            "2130706433",
        ] {
            assert_eq!(parse_address(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", odd in "[0-9a-f:./%\\[\\]]{0,60}") {
            let _ = (parse_address(&text), parse_address(&odd));
        }

        #[test]
        fn any_address_comes_back_from_all_forms(v4: [u8; 4], v6: [u16; 8], port: u16, name in "[a-z0-9./:\\[\\] ]{0,20}") {
            let v4 = Ipv4Addr::from(v4);
            prop_assert_eq!(parse_address(&v4.to_string()), Some(v4.into()));
            prop_assert_eq!(parse_address(&format!("{name}/{v4}:{port}")), Some(v4.into()));
            let java = v6.map(|g| format!("{g:x}")).join(":");
            let v6 = Ipv6Addr::from(v6);
            prop_assert_eq!(parse_address(&java), Some(v6.into()));
            prop_assert_eq!(parse_address(&format!("{name}/[{java}]:{port}")), Some(v6.into()));
            prop_assert_eq!(parse_address(&format!("{name}/{java}:{port}")), Some(v6.into()));
        }
    }
}
