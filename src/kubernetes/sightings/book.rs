//! What is known of all lists: what is new in those of others, how many nodes count, and whether ours must be written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::form;
use crate::agent::colleagues::Account;
use crate::api::v1alpha1::{
    JailSightings, NodeName, Prefix, QualifiedName, Sighting, SightingList, SightingListSpec,
};
use crate::engine::jail::quota;
use crate::engine::{JailName, JailSpec, Timestamp};

/// The lists of all nodes, as this node last took them in.
#[derive(Debug)]
pub(super) struct Book {
    own: NodeName,
    /// By node. One whose object vanished stays: its failures age by themselves, and deleting is powerless.
    heard: BTreeMap<String, Arc<SightingList>>,
}

impl Book {
    pub(super) fn new(own: NodeName) -> Self {
        Self { own, heard: BTreeMap::new() }
    }

    /// What is new in the lists of others since the last call, by node.
    pub(super) fn hear(
        &mut self,
        lists: &[Arc<SightingList>],
        now: Timestamp,
    ) -> Vec<(Arc<str>, Vec<Account>)> {
        let mut news = Vec::new();
        for list in lists.iter().filter(|list| is_its_nodes(list) && list.spec.node != self.own) {
            let node = list.spec.node.as_str();
            let before = self.heard.get(node);
            if before.is_some_and(|before| Arc::ptr_eq(before, list)) {
                continue;
            }
            let changed = differences(before.map(|before| &before.spec), &list.spec, now);
            self.heard.insert(node.to_owned(), Arc::clone(list));
            if !changed.is_empty() {
                news.push((Arc::from(node), changed));
            }
        }
        news
    }

    /// Takes everything for new again: the jails are others.
    pub(super) fn forget(&mut self) {
        self.heard.clear();
    }

    /// From which own weight on subjects of these jails must be told, by how many nodes count for them: those that
    /// say so, and this one.
    pub(super) fn quotas(&self, jails: &[&JailSpec], lists: &[Arc<SightingList>]) -> Vec<(JailName, u32)> {
        let others = || lists.iter().filter(|list| is_its_nodes(list) && list.spec.node != self.own);
        let mut nodes: HashMap<&str, usize> = HashMap::new();
        for list in others() {
            // A node is one node, however often its list names the jail.
            let named: HashSet<&str> = list.spec.jails.iter().map(|jail| jail.jail.as_str()).collect();
            for jail in named {
                *nodes.entry(jail).or_default() += 1;
            }
        }
        let others = |jail: &JailSpec| nodes.get(jail.name.as_str()).copied().unwrap_or_default();
        jails.iter().map(|jail| (jail.name.clone(), quota(jail, others(jail) + 1))).collect()
    }
}

/// A list counts only under its node's name: that is what the admission policy ties to the node's token.
fn is_its_nodes(list: &SightingList) -> bool {
    list.metadata.name.as_deref() == Some(list.spec.node.as_str())
}

type Sightings<'a> = HashMap<(&'a QualifiedName, &'a Prefix), (&'a JailSightings, &'a Sighting)>;

fn sightings(list: &SightingListSpec) -> Sightings<'_> {
    let of = |jail: &'_ JailSightings| jail.subjects.len();
    let mut all = HashMap::with_capacity(list.jails.iter().map(of).sum());
    for jail in &list.jails {
        all.extend(jail.subjects.iter().map(|sighting| ((&jail.jail, &sighting.prefix), (jail, sighting))));
    }
    all
}

/// What a list says that it did not say before, and what it says no longer.
fn differences(before: Option<&SightingListSpec>, list: &SightingListSpec, now: Timestamp) -> Vec<Account> {
    let said = sightings(list);
    let before = before.map(sightings).unwrap_or_default();
    let same = |key: &(&QualifiedName, &Prefix), (jail, sighting): &(&JailSightings, &Sighting)| {
        before.get(key).is_some_and(|(was_in, was)| was == sighting && was_in.rules == jail.rules)
    };
    let gone = before.keys().filter(|key| !said.contains_key(*key));
    let gone = gone.filter_map(|(jail, prefix)| form::withdrawn(jail, prefix));
    let new = said.iter().filter(|(key, value)| !same(key, value));
    gone.chain(new.filter_map(|(_, (jail, sighting))| form::account(jail, sighting, now))).collect()
}

/// Whether `wanted` says something that others do not know from `published`. What slid out of all windows they know
/// by themselves, so that alone is no reason to write.
pub(super) fn says_more(published: Option<&SightingListSpec>, wanted: &SightingListSpec) -> bool {
    let Some(published) = published else { return true };
    let jails =
        |list: &SightingListSpec| list.jails.iter().map(|jail| jail.jail.clone()).collect::<HashSet<_>>();
    if jails(published) != jails(wanted) {
        return true;
    }
    let known = sightings(published);
    sightings(wanted).iter().any(|(key, (_, sighting))| {
        let Some((_, known)) = known.get(key) else { return true };
        more_failures(known, sighting)
            || sighting.successes.iter().any(|span| !known.successes.contains(span))
    })
}

fn more_failures(known: &Sighting, now: &Sighting) -> bool {
    let mut left: HashMap<(&str, u32), usize> = HashMap::new();
    for failure in &known.failures {
        *left.entry((failure.at.as_str(), failure.weight)).or_default() += 1;
    }
    now.failures.iter().any(|failure| match left.get_mut(&(failure.at.as_str(), failure.weight)) {
        Some(times) if *times > 0 => {
            *times -= 1;
            false
        }
        _ => true,
    })
}

#[cfg(test)]
#[path = "tests/book.rs"]
mod tests;
