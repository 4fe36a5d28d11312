//! Jails that are not in force while bans of theirs last.

use std::collections::BTreeMap;

use super::court::Court;
use super::report::{Absence, AbsentJail};
use crate::config::Config;
use crate::engine::JailName;

/// What a configuration tells of jails that are not in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Roll {
    disabled: Vec<JailName>,
    refused: Vec<JailName>,
    unread: bool,
}

impl Roll {
    /// What this one tells.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            disabled: config.disabled_jails.clone(),
            refused: config.refused_jails.clone(),
            unread: config.unread,
        }
    }

    /// Why a jail that is not in force is not.
    fn absence(&self, jail: &JailName) -> Absence {
        if self.disabled.contains(jail) {
            Absence::Disabled
        } else if self.refused.contains(jail) {
            Absence::Refused
        } else if self.unread {
            Absence::Unread
        } else {
            Absence::Gone
        }
    }
}

impl Court {
    /// Why this jail is not in force; `None` when it is.
    pub(super) fn absence(&self, jail: &JailName) -> Option<Absence> {
        self.seat(jail).is_none().then(|| self.roll.absence(jail))
    }

    /// Whether its declaration, and not its absence, keeps this jail from being in force.
    pub(super) fn is_broken(&self, jail: &JailName) -> bool {
        match self.absence(jail) {
            Some(Absence::Refused) => true,
            Some(Absence::Unread) => self.left_closed.contains_key(jail),
            Some(Absence::Disabled | Absence::Gone) | None => false,
        }
    }

    /// Jails that are not in force and of which there is something to tell. `banned`: how many bans each jail has.
    pub(super) fn absent(&self, banned: &BTreeMap<Option<&JailName>, usize>) -> Vec<AbsentJail> {
        let mut names: Vec<&JailName> = banned.keys().copied().flatten().collect();
        names.extend(self.left_closed.keys());
        names.sort_unstable();
        names.dedup();
        let told = |name: &JailName| {
            let why = self.absence(name)?;
            let closed = self.ports(Some(name));
            Some(AbsentJail {
                name: name.clone(),
                why,
                banned: banned.get(&Some(name)).copied().unwrap_or(0),
                enforced: self.enforces(Some(name)),
                ports: closed.ports,
                all_ports: closed.all,
            })
        };
        names.into_iter().filter_map(told).collect()
    }
}
