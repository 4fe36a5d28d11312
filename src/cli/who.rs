//! Whom a verb is about, as it stands on the command line.

use std::net::IpAddr;

use crate::agent::report::Refusal;
use crate::engine::{Subject, hides_all_of_ipv4, holds_nat64};

/// Reads an address or a prefix.
///
/// # Errors
/// What is wrong with the text, and what to write.
pub(super) fn subject(text: &str) -> Result<Subject, String> {
    let Some((address, bits)) = text.split_once('/') else { return address(text).map(Subject::host) };
    if let Some(net) = text.parse().ok().filter(|net| hides_all_of_ipv4(*net)) {
        return Err(Refusal::AllOfIpv4(net).to_string());
    }
    let most = if self::address(address)?.is_ipv4() { 32 } else { 128 };
    text.parse().map_err(|_| format!("`/{bits}` is no prefix length; write a number from 0 to {most}"))
}

/// Reads who shall be banned: what a BanList refuses as too wide, a person's typing mistake may not do either.
///
/// # Errors
/// What is wrong with the text, and what to write.
pub(super) fn bannable(text: &str) -> Result<Subject, String> {
    let subject = subject(text)?;
    match subject.prefix_len() {
        0 => Err(format!("`{text}` is everybody; write the prefix that is meant")),
        _ if subject.is_too_wide() => Err(format!(
            "`{text}` is a large part of the Internet; write prefixes of at least /{}",
            subject.least_len()
        )),
        _ if holds_nat64(subject.net()) => Err(Refusal::HoldsNat64(subject).to_string()),
        _ => Ok(subject),
    }
}

/// Reads one address.
///
/// # Errors
/// What is wrong with the text, and what to write.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| match text.split_once('/') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
            format!("a prefix is no single address; write `{address}`")
        }
        _ => format!(
            "`{text}` is no address; write one such as 203.0.113.7 or 2001:db8::7 (names are not looked up)"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_are_read() {
        assert_eq!(subject("203.0.113.7").unwrap().to_string(), "203.0.113.7");
        assert_eq!(subject("203.0.113.0/24").unwrap().to_string(), "203.0.113.0/24");
        assert_eq!(subject("2001:db8::/48").unwrap().to_string(), "2001:db8::/48");
        assert!(address("2001:db8::7").is_ok());
    }

    #[test]
    fn nobody_bans_a_large_part_of_the_internet_by_a_slip() {
        assert!(bannable("0.0.0.0/0").unwrap_err().contains("is everybody"));
        assert!(bannable("::/0").unwrap_err().contains("is everybody"));
        assert!(bannable("64.0.0.0/7").unwrap_err().contains("at least /8"));
        assert!(bannable("2000::/15").unwrap_err().contains("at least /16"));
        assert!(bannable("64.0.0.0/8").is_ok() && bannable("2001::/16").is_ok());
        // Lifting a ban may be as wide as one likes, if it is written as that.
        let told = "64:ff9b::/96 means every IPv4 address; write 0.0.0.0/0 if you mean that";
        assert_eq!(
            (subject("64:ff9b::/96").unwrap_err(), bannable("64:ff9b::/96").unwrap_err()),
            (told.into(), told.into())
        );
        for net in ["64:ff9b::/64", "64:ff9b::/32", "64:ff9b::/95"] {
            let told = bannable(net).unwrap_err();
            assert!(told.contains("through NAT64; ban the IPv4 prefix that is meant"), "{told}");
            assert!(subject(net).is_ok(), "a pardon may be so wide");
        }
        assert!(bannable("64:ff9b:1::/48").is_ok());
        assert!(subject("::ffff:0:0/96").is_err());
        assert_eq!(subject("64:ff9b::c000:200/120").unwrap().to_string(), "192.0.2.0/24");
        assert!(subject("0.0.0.0/0").is_ok());
    }

    #[test]
    fn a_mistake_is_named_with_what_to_write() {
        let told = |text| subject(text).unwrap_err();
        assert!(told("mail.example.org").contains("names are not looked up"));
        assert!(told("mail.example.org/24").contains("`mail.example.org` is no address"));
        assert_eq!(told("203.0.113.0/33"), "`/33` is no prefix length; write a number from 0 to 32");
        assert_eq!(told("2001:db8::/129"), "`/129` is no prefix length; write a number from 0 to 128");
        assert_eq!(told("203.0.113.0/x"), "`/x` is no prefix length; write a number from 0 to 32");
        assert_eq!(
            address("203.0.113.7/32").unwrap_err(),
            "a prefix is no single address; write `203.0.113.7`"
        );
    }
}
