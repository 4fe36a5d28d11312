//! Small old slices into larger ones.
//!
//! Geometric: slices of about one size are merged when there are several of them, into one of the next size. So a ban
//! is written anew three times at most, however slowly bans come in, and a node has a handful of small slices and
//! otherwise slices that are at least half full.

use std::collections::BTreeMap;

use crate::api::v1alpha1::{BanSliceSpec, QualifiedName, SlicedBan};

use super::notices::time;

/// With this the names of merged slices begin; those of an agent begin with its node's.
pub(super) const MERGED: &str = "merged-";
/// What a slice holds at most.
pub(super) const FULL: usize = 256;
/// A slice with more than this is left as it is.
const LARGE: usize = FULL / 2;
/// Slices of one size that are merged together, at least; not needed where the result is large.
const TOGETHER: usize = 8;

/// A slice that may be merged: nobody watches it any more.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) node: &'a str,
    pub(super) bans: &'a [SlicedBan],
}

/// One slice to write, then its parts to delete.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Merge {
    pub(super) node: String,
    pub(super) bans: Vec<SlicedBan>,
    /// Names and uids.
    pub(super) parts: Vec<(String, String)>,
}

impl Merge {
    /// The name of the merged slice: the same for the same parts, so that a controller that died between writing and
    /// deleting is continued by the next.
    pub(super) fn name(&self) -> String {
        let mut hash = Fnv::default();
        for (name, uid) in &self.parts {
            hash.add(name);
            hash.add(uid);
        }
        format!("{MERGED}{:016x}", hash.0)
    }

    /// Whether a slice that stands under our name already holds what ours would: some bans may have been forgotten since
    /// it was written.
    pub(super) fn is_held_by(&self, spec: &BanSliceSpec) -> bool {
        spec.node.as_str() == self.node && self.bans.iter().all(|ban| spec.bans.contains(ban))
    }
}

/// FNV-1a: the same on every machine and in every version.
pub(super) struct Fnv(pub(super) u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(super) fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Sizes: below 8, below 64, up to half full.
fn size(bans: usize) -> Option<usize> {
    match bans {
        0..8 => Some(0),
        8..64 => Some(1),
        64..=LARGE => Some(2),
        _ => None,
    }
}

/// What to merge, given the parts in any order.
pub(super) fn plan(parts: &[Part<'_>]) -> Vec<Merge> {
    let mut groups: BTreeMap<(&str, usize), Vec<&Part<'_>>> = BTreeMap::new();
    for part in parts.iter().filter(|part| !part.bans.is_empty()) {
        if let Some(size) = size(part.bans.len()) {
            groups.entry((part.node, size)).or_default().push(part);
        }
    }
    let mut merges = Vec::new();
    for group in groups.values_mut() {
        // Names begin with their time or are hashes; either way the order is the same on every run.
        group.sort_by_key(|part| part.name);
        let mut chosen: Vec<&Part<'_>> = Vec::new();
        let mut bans = 0;
        for &part in group.iter() {
            if bans + part.bans.len() > FULL {
                merges.extend(merge(&chosen, bans));
                (chosen, bans) = (Vec::new(), 0);
            }
            chosen.push(part);
            bans += part.bans.len();
        }
        merges.extend(merge(&chosen, bans));
    }
    merges
}

fn merge(parts: &[&Part<'_>], bans: usize) -> Option<Merge> {
    if parts.len() < 2 || (parts.len() < TOGETHER && bans <= LARGE) {
        return None;
    }
    Some(Merge {
        node: parts[0].node.to_owned(),
        bans: union(parts.iter().flat_map(|part| part.bans)),
        parts: parts.iter().map(|part| (part.name.to_owned(), part.uid.to_owned())).collect(),
    })
}

/// Of the same ban the latest end counts. In the order in which they fell.
fn union<'a>(bans: impl Iterator<Item = &'a SlicedBan>) -> Vec<SlicedBan> {
    let mut known: BTreeMap<(Option<&str>, &str, u32), &SlicedBan> = BTreeMap::new();
    for ban in bans {
        let identity = (ban.jail.as_ref().map(QualifiedName::as_str), ban.prefix.as_str(), ban.n);
        known
            .entry(identity)
            .and_modify(|known| {
                if later(ban, known) {
                    *known = ban;
                }
            })
            .or_insert(ban);
    }
    let mut bans: Vec<SlicedBan> = known.into_values().cloned().collect();
    bans.sort_by_cached_key(|ban| time(ban.since.as_str()));
    bans
}

fn later(ban: &SlicedBan, than: &SlicedBan) -> bool {
    match (&ban.until, &than.until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(ban), Some(than)) => time(ban.as_str()) > time(than.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ban(i: usize) -> SlicedBan {
        serde_json::from_value(json!({
            "jail": "mail/james", "prefix": format!("45.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255), "nth": 1,
            "since": "2026-11-22T20:00:00Z", "until": "2026-11-22T20:10:00Z",
        }))
        .unwrap()
    }

    /// Slices of these sizes, of one node, with bans that are all different.
    fn slices(node: &str, sizes: &[usize]) -> Vec<(String, String, Vec<SlicedBan>)> {
        let mut next = 0;
        let mut take = |n: usize| {
            let bans = (next..next + n).map(ban).collect();
            next += n;
            bans
        };
        sizes.iter().enumerate().map(|(i, &n)| (node.to_owned(), format!("{node}-{i:05}"), take(n))).collect()
    }

    fn planned(slices: &[(String, String, Vec<SlicedBan>)]) -> Vec<Merge> {
        let parts: Vec<Part<'_>> =
            slices.iter().map(|(node, name, bans)| Part { name, uid: name, node, bans }).collect();
        plan(&parts)
    }

    #[test]
    fn a_few_small_slices_wait_for_more() {
        assert!(planned(&slices("n1", &[1; 7])).is_empty());
        let merges = planned(&slices("n1", &[1; 8]));
        assert_eq!((merges.len(), merges[0].bans.len(), merges[0].parts.len()), (1, 8, 8));
    }

    #[test]
    fn slices_of_different_nodes_and_sizes_are_not_mixed() {
        let mut all = slices("n1", &[1; 7]);
        all.extend(slices("n2", &[1; 7]));
        all.extend(slices("n3", &[1, 1, 1, 1, 20, 20, 20, 20]));
        assert!(planned(&all).is_empty());
    }

    #[test]
    fn a_merged_slice_is_never_too_large_and_nothing_is_lost() {
        let all = slices("n1", &(0..400).map(|i| 1 + i * 37 % 128).collect::<Vec<_>>());
        let merges = planned(&all);
        let merged: usize = merges.iter().map(|merge| merge.bans.len()).sum();
        let taken: Vec<&String> = merges.iter().flat_map(|m| m.parts.iter().map(|(name, _)| name)).collect();
        let expected: usize =
            all.iter().filter(|(_, name, _)| taken.contains(&name)).map(|(_, _, bans)| bans.len()).sum();
        assert_eq!(merged, expected);
        assert!(merges.iter().all(|merge| merge.bans.len() <= FULL));
        assert!(taken.len() > 300, "{}", taken.len());
    }

    #[test]
    fn of_the_same_ban_the_latest_end_counts_and_permanent_is_latest() {
        let until = |text: Option<&str>| SlicedBan { until: text.map(Into::into), ..ban(1) };
        let early = until(Some("2026-11-22T20:10:00Z"));
        let late = until(Some("2026-11-22T21:10:00+01:00"));
        let later = until(Some("2026-11-22T20:10:00.5Z"));
        assert_eq!(union([&early, &late].into_iter()).len(), 1);
        assert_eq!(union([&later, &early].into_iter())[0].until, later.until);
        assert_eq!(union([&early, &until(None), &later].into_iter())[0].until, None);
    }

    #[test]
    fn a_slice_that_somebody_wrote_before_is_taken_for_ours_when_it_holds_at_least_as_much() {
        let merge = planned(&slices("n1", &[1; 8])).remove(0);
        let spec = |node: &str, bans: Vec<SlicedBan>| BanSliceSpec { node: node.into(), bans };
        let mut more = merge.bans.clone();
        more.push(ban(99));
        assert!(merge.is_held_by(&spec("n1", more.clone())));
        assert!(!merge.is_held_by(&spec("n2", more)));
        assert!(!merge.is_held_by(&spec("n1", merge.bans[1..].to_vec())));
    }

    #[test]
    fn the_name_depends_on_the_parts_alone() {
        let all = slices("n1", &[1; 9]);
        let (a, b) = (planned(&all).remove(0), planned(&all[1..]).remove(0));
        assert_eq!(a.name(), planned(&all).remove(0).name());
        assert_ne!(a.name(), b.name());
    }
}
