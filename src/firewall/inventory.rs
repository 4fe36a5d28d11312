//! What is in our table, by name and shape. Elements of ban sets are never part of it.

use std::collections::{BTreeMap, BTreeSet};

use super::ban_set::BanSet;

/// Chains, sets and counters of our table as the kernel has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    /// Chains by name; base chains with where they hook in.
    pub(super) chains: BTreeMap<String, Option<Hook>>,
    /// Named sets and maps.
    pub(super) sets: BTreeMap<String, SetShape>,
    /// Named counters.
    pub(super) counters: BTreeSet<String>,
}

/// Where a base chain hooks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// The kernel's number of the hook; prerouting is 0.
    pub(super) number: u32,
    /// Lower runs earlier.
    pub(super) priority: i32,
}

/// What kind of set it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetShape {
    /// `NFT_SET_*`.
    pub(super) flags: u32,
    /// Bytes of a key.
    pub(super) key_bytes: u32,
}

impl SetShape {
    /// `NFT_SET_ANONYMOUS`: belongs to a rule and goes with it.
    pub(super) const ANONYMOUS: u32 = 0x1;
    const INTERVAL: u32 = 0x4;
    const MAP: u32 = 0x8;
    /// `NFT_SET_TIMEOUT`: its elements may end.
    pub(super) const TIMEOUT: u32 = 0x10;
    /// `NFT_SET_EVAL`: rules add to it.
    pub(super) const DYNAMIC: u32 = 0x20;

    /// Whether rules can put keys of so many bytes into it.
    pub(super) fn takes(self, key_bytes: u32) -> bool {
        self.key_bytes == key_bytes
            && self.flags & Self::TIMEOUT != 0
            && self.flags & Self::DYNAMIC != 0
            && self.flags & (Self::ANONYMOUS | Self::INTERVAL | Self::MAP) == 0
    }

    /// Whether it can serve as `set`. One that cannot is made anew.
    pub(super) fn suits(self, set: &BanSet) -> bool {
        self.key_bytes == set.family.bytes()
            && self.flags & Self::TIMEOUT != 0
            && self.flags & (Self::ANONYMOUS | Self::INTERVAL | Self::MAP) == 0
    }
}
