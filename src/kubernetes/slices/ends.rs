//! Published bans by the number of their identity: the latest end of each.

use std::collections::HashMap;

use crate::engine::Timestamp;

/// Latest ends and how many objects hold them. Nearly always it is one, so that is not noted: 17 bytes a ban.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// [`Timestamp::MAX`] is permanent.
    latest: HashMap<u64, Timestamp>,
    /// How many more objects hold the ban with this end, where there are any. Merging writes the merged one before it
    /// deletes its parts.
    more: HashMap<u64, u32>,
}

impl Ends {
    /// The latest end of a ban.
    pub(super) fn get(&self, key: u64) -> Option<Timestamp> {
        self.latest.get(&key).copied()
    }

    /// So many objects hold a ban with this end.
    pub(super) fn put(&mut self, key: u64, until: Timestamp, objects: u32) {
        let before = match self.latest.get_mut(&key) {
            Some(known) if *known > until => return,
            Some(known) if *known == until => 1 + self.more.get(&key).copied().unwrap_or(0),
            Some(known) => {
                *known = until;
                0
            }
            None => {
                self.latest.insert(key, until);
                0
            }
        };
        self.set_objects(key, before.saturating_add(objects));
    }

    /// An object that held a ban with this end is gone.
    pub(super) fn take(&mut self, key: u64, until: Timestamp) {
        if self.get(key) != Some(until) {
            return;
        }
        match self.more.get(&key).copied() {
            Some(more) => self.set_objects(key, more),
            None => {
                self.latest.remove(&key);
            }
        }
    }

    /// These objects too, which are others. The larger table stays: a hundred thousand are not put into a second one.
    pub(super) fn add(&mut self, mut others: Self) {
        if self.latest.len() < others.latest.len() {
            std::mem::swap(self, &mut others);
        }
        for (key, until, objects) in others.iter() {
            self.put(key, until, objects);
        }
    }

    /// All bans: number, end, objects.
    fn iter(&self) -> impl Iterator<Item = (u64, Timestamp, u32)> {
        let objects = |key| 1 + self.more.get(key).copied().unwrap_or(0);
        self.latest.iter().map(move |(key, until)| (*key, *until, objects(key)))
    }

    fn set_objects(&mut self, key: u64, objects: u32) {
        if objects > 1 {
            self.more.insert(key, objects - 1);
        } else if !self.more.is_empty() {
            self.more.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ban_is_there_as_long_as_an_object_has_its_latest_end(
            steps in prop::collection::vec((any::<bool>(), 0..3_u64, 0..3_i64, 1..3_u32), 0..40),
        ) {
            let mut ends = Ends::default();
            let mut plain: BTreeMap<u64, (Timestamp, u32)> = BTreeMap::new();
            for (put, key, until, objects) in steps {
                let until = Timestamp::from_secs(until);
                let known = plain.entry(key).or_insert((until, 0));
                if put {
                    ends.put(key, until, objects);
                    if until > known.0 {
                        *known = (until, objects);
                    } else if until == known.0 {
                        known.1 += objects;
                    }
                } else {
                    ends.take(key, until);
                    known.1 -= u32::from(until == known.0 && known.1 > 0);
                }
                plain.retain(|_, (_, objects)| *objects > 0);
            }
            let found: BTreeMap<u64, (Timestamp, u32)> = ends.iter().map(|(key, until, n)| (key, (until, n))).collect();
            prop_assert_eq!(&found, &plain);
            for (key, (until, _)) in plain {
                prop_assert_eq!(ends.get(key), Some(until));
            }
        }
    }

    #[test]
    fn two_tables_become_one_whichever_is_larger() {
        let ends = |bans: &[(u64, i64)]| {
            let mut ends = Ends::default();
            bans.iter().for_each(|(key, until)| ends.put(*key, Timestamp::from_secs(*until), 1));
            ends
        };
        let (small, large) = (ends(&[(1, 10), (2, 10)]), ends(&[(1, 10), (2, 20), (3, 10)]));
        for (mut one, other) in [(small.clone(), large.clone()), (large, small)] {
            one.add(other);
            let mut all: Vec<_> = one.iter().map(|(key, until, n)| (key, until.as_secs(), n)).collect();
            all.sort_unstable();
            assert_eq!(all, [(1, 10, 2), (2, 20, 1), (3, 10, 1)]);
        }
    }
}
