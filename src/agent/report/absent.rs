//! Jails that are not in force and whose bans are known all the same.

use serde::{Deserialize, Serialize};

use crate::engine::JailName;

/// A jail that is not in force and whose bans are known all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbsentJail {
    /// Its name.
    pub name: JailName,
    /// Why it is not in force.
    pub why: Absence,
    /// How many of its bans have not ended.
    pub banned: usize,
    /// Whether the kernel is asked to drop whom they name.
    pub enforced: bool,
    /// TCP ports that they close.
    pub ports: Vec<u16>,
    /// Or everything.
    pub all_ports: bool,
}

/// Why a jail is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Absence {
    /// Its manifest is refused. Its bans go on until they end.
    Refused,
    /// Something cannot be read, and may declare it. Its bans go on until they end.
    Unread,
    /// It is `Disabled`. Its bans drop nothing.
    Disabled,
    /// Nothing declares it. Its bans drop nothing.
    Gone,
}

impl Absence {
    /// Whether somebody has to mend a manifest.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Refused | Self::Unread)
    }
}
