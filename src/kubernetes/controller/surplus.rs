//! What of a node's published bans is beyond its share of the storage.

use std::collections::HashMap;

use crate::api::v1alpha1::{QualifiedName, SlicedBan};
use crate::engine::Timestamp;

use super::notices::time;

/// So many entries of one node for each ban it may keep published: a ban has several, of its earlier times and its
/// earlier ends, before they are merged.
const ENTRIES_PER_BAN: usize = 4;

/// Which of one node's slices go, by their place: those in which every ban began before the `most` bans that began
/// last, as its agent counts them; and of what is written over and over again, the oldest.
pub(super) fn surplus(slices: &[&[&SlicedBan]], most: usize) -> Vec<usize> {
    let entries: usize = slices.iter().map(|bans| bans.len()).sum();
    if entries <= most {
        return Vec::new();
    }
    // Of a beginning that cannot be read nobody can say that it is late.
    let began = |ban: &SlicedBan| time(ban.since.as_str()).unwrap_or(Timestamp::MIN);
    let mut latest: HashMap<(Option<&str>, &str), Timestamp> = HashMap::new();
    let mut newest: Vec<(Timestamp, usize)> = Vec::with_capacity(slices.len());
    for (place, bans) in slices.iter().enumerate() {
        let mut last = Timestamp::MIN;
        for ban in *bans {
            let began = began(ban);
            last = last.max(began);
            let of = (ban.jail.as_ref().map(QualifiedName::as_str), ban.prefix.as_str());
            let known = latest.entry(of).or_insert(began);
            *known = began.max(*known);
        }
        newest.push((last, place));
    }
    let mut from = Timestamp::MIN;
    if let Some(surplus) = latest.len().checked_sub(most.max(1)).filter(|surplus| *surplus > 0) {
        let mut began: Vec<Timestamp> = latest.into_values().collect();
        from = *began.select_nth_unstable(surplus).1;
    }
    newest.sort_unstable_by(|a, b| b.cmp(a));
    let mut kept = 0;
    newest.retain(|(last, place)| {
        kept += slices.get(*place).map_or(0, |bans| bans.len());
        *last < from || kept > most * ENTRIES_PER_BAN
    });
    newest.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ban(who: usize, since: usize) -> SlicedBan {
        let since = format!("2026-11-22T{:02}:{:02}:{:02}Z", since / 3600, since / 60 % 60, since % 60);
        let prefix = format!("45.0.{}.{}", who >> 8, who & 255);
        serde_json::from_value(json!({"jail": "mail/james", "prefix": prefix, "nth": 1, "since": since}))
            .unwrap()
    }

    fn dropped(slices: &[Vec<SlicedBan>], most: usize) -> Vec<usize> {
        let slices: Vec<Vec<&SlicedBan>> = slices.iter().map(|bans| bans.iter().collect()).collect();
        let slices: Vec<&[&SlicedBan]> = slices.iter().map(Vec::as_slice).collect();
        let mut places = surplus(&slices, most);
        places.sort_unstable();
        places
    }

    #[test]
    fn the_oldest_slices_go_as_soon_as_all_their_bans_are_beyond_the_share() {
        let slices: Vec<Vec<SlicedBan>> =
            (0..10).map(|i| (0..10).map(|j| ban(i * 10 + j, i * 10 + j)).collect()).collect();
        assert!(dropped(&slices, 100).is_empty());
        assert!(dropped(&slices, 91).is_empty(), "one ban of the oldest slice is within it");
        assert_eq!(dropped(&slices, 90), [0]);
        assert_eq!(dropped(&slices, 35), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_ban_that_is_published_several_times_is_one_ban_that_began_last() {
        let mut slices: Vec<Vec<SlicedBan>> = (0..4).map(|i| vec![ban(i, i), ban(9, i)]).collect();
        assert!(dropped(&slices, 5).is_empty());
        slices.push(vec![ban(9, 50)]);
        assert!(dropped(&slices, 5).is_empty());
        assert_eq!(dropped(&slices, 4), [0]);
    }

    #[test]
    fn the_same_ban_written_for_ever_fills_no_storage() {
        let slices: Vec<Vec<SlicedBan>> = (0..100).map(|i| vec![ban(1, i)]).collect();
        assert_eq!(dropped(&slices, 5), (0..80).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_read_goes_first() {
        let odd = SlicedBan { since: "yesterday".into(), ..ban(1, 0) };
        assert_eq!(dropped(&[vec![ban(2, 2)], vec![odd], vec![ban(3, 3)]], 2), [1]);
    }
}
