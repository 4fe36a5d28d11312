//! The kernel set that holds the banned prefixes of one scope, one family and one length.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ScopeName;
use crate::engine::Subject;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of a prefix.
    pub(super) fn of(net: IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    /// Bits of an address.
    pub(super) fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Bytes of an address.
    pub(super) fn bytes(self) -> u32 {
        u32::from(self.bits() / 8)
    }

    fn digit(self) -> char {
        match self {
            Self::V4 => '4',
            Self::V6 => '6',
        }
    }
}

/// A masked hash set: the source address cut to `bits` is looked up in it. Prefixes of different lengths live in
/// different sets, so nested ones never conflict and an element costs the same at one and at a million.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BanSet {
    pub(super) scope: ScopeName,
    pub(super) family: Family,
    pub(super) bits: u8,
}

impl BanSet {
    /// The set `subject` belongs in.
    pub(super) fn of(scope: &ScopeName, subject: Subject) -> Self {
        let family = match subject.addr() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        };
        Self { scope: scope.clone(), family, bits: subject.prefix_len() }
    }

    /// The sets every scope has from its beginning: single IPv4 addresses and IPv6 networks of 64 bits, what jails
    /// ban unless told otherwise. So the first ban never waits for a run of `nft`.
    pub(super) fn usual(scope: &ScopeName) -> [Self; 2] {
        let set = |family, bits| Self { scope: scope.clone(), family, bits };
        [set(Family::V4, 32), set(Family::V6, 64)]
    }

    /// `SCOPE_FAMILY_BITS`, for example `smtp_4_32`.
    pub(super) fn name(&self) -> String {
        format!("{}_{}_{}", self.scope, self.family.digit(), self.bits)
    }

    /// Reads back what [`BanSet::name`] wrote; `None` for any other name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (rest, bits) = name.rsplit_once('_')?;
        let (scope, family) = rest.rsplit_once('_')?;
        let family = match family {
            "4" => Family::V4,
            "6" => Family::V6,
            _ => return None,
        };
        let set = Self { scope: ScopeName::known(scope), family, bits: bits.parse().ok()? };
        (set.bits <= family.bits() && set.name() == name && !scope.is_empty()).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_scope_family_and_length_and_is_read_back() {
        for (scope, subject, name) in [
            ("smtp", "198.51.100.7", "smtp_4_32"),
            ("smtp_4", "198.51.100.0/24", "smtp_4_4_24"),
            ("imap", "2001:db8::/64", "imap_6_64"),
        ] {
            let set = BanSet::of(&ScopeName::new(scope), subject.parse().unwrap());
            assert_eq!(set.name(), name);
            assert_eq!(BanSet::parse(name), Some(set));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in
            ["never4", "guarded_local", "smtp_4_33", "smtp_5_32", "smtp_4_032", "_4_32", "4_32", "smtp_4_"]
        {
            assert_eq!(BanSet::parse(name), None, "{name}");
        }
    }
}
