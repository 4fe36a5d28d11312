//! What AllowLists said that are broken when the program starts, or moved while it runs to where they cannot be read:
//! whom they spared stays spared until they are mended or gone.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::report::KeptList;
use crate::config::{AllowEntry, Allowed, Config};
use crate::engine::Timestamp;

/// One entry as it is kept over a restart. Its end is a date that a person wrote: it does not move with the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptEntry {
    who: KeptWho,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum KeptWho {
    Prefix(IpNet),
    Host(String),
}

/// The last good entries of AllowLists, by the name of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct KeptLists(BTreeMap<String, Vec<KeptEntry>>);

impl KeptLists {
    /// Takes another configuration after the one `before`: what it declares well or not at all is not kept any more. All
    /// entries that are in force then.
    pub(super) fn complete(&mut self, before: &Config, config: &Config) -> Vec<AllowEntry> {
        *self = self.with(before);
        self.0.retain(|list, _| config.may_lack_list(list));
        for (list, entries) in &self.0 {
            let entries = entries.len();
            tracing::warn!(%list, entries, "the AllowList cannot be used: whom it spared when it was good stays spared");
        }
        config.allowed.iter().cloned().chain(self.entries()).collect()
    }

    /// What the snapshot keeps: these, and those of lists that are in force.
    pub(super) fn with(&self, config: &Config) -> Self {
        let mut all = self.clone();
        for AllowEntry { list, who, until } in &config.allowed {
            let who = match who {
                Allowed::Prefix(net) => KeptWho::Prefix(*net),
                Allowed::Host(name) => KeptWho::Host(name.clone()),
            };
            all.0.entry(list.clone()).or_default().push(KeptEntry { who, until: *until });
        }
        all
    }

    /// What `status` tells.
    pub(super) fn report(&self, config: &Config) -> Vec<KeptList> {
        let told = |(name, entries): (&String, &Vec<KeptEntry>)| KeptList {
            name: name.clone(),
            refused: config.refused_lists.contains(name),
            entries: entries.len(),
        };
        self.0.iter().map(told).collect()
    }

    fn entries(&self) -> impl Iterator<Item = AllowEntry> {
        self.0.iter().flat_map(|(list, entries)| {
            entries.iter().map(|KeptEntry { who, until }| AllowEntry {
                list: list.clone(),
                who: match who {
                    KeptWho::Prefix(net) => Allowed::Prefix(*net),
                    KeptWho::Host(name) => Allowed::Host(name.clone()),
                },
                until: *until,
            })
        })
    }
}
