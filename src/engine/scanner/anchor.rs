//! Which few bytes of each literal to look for.
//!
//! The packed search is fastest with few short texts: it looks at four bytes at a time, reads twice as much at once
//! when there are at most 32 texts, and errs less the fewer there are. So of each literal only four bytes are looked
//! for, its anchor: such as ordinary lines do not hold, and such as many literals have in common.

use std::collections::HashMap;

/// Bytes of an anchor; as many as the packed search tells apart.
const LENGTH: usize = 4;
/// With more literals than this no choice makes them few.
const MOST: usize = 512;

/// Lines of a mail server on an ordinary day, in every layout of James, and of other programs on its host. What is
/// counted in them decides how many places are looked at in vain, never what is found.
pub(super) const ORDINARY: &[u8] = include_bytes!("ordinary.log");

/// Where in each of `literals` its anchor begins, and how long all anchors are. `None`: there are too many literals.
pub(super) fn choose(literals: &[Vec<u8>]) -> Option<(Vec<usize>, usize)> {
    let length = literals.iter().map(Vec::len).min()?.min(LENGTH);
    if length == 0 || literals.len() > MOST {
        return None;
    }
    let mut ordinary: HashMap<&[u8], u32> = HashMap::new();
    for window in ORDINARY.windows(length) {
        *ordinary.entry(window).or_default() += 1;
    }
    // By anchor, the literals it could stand for and where in them it begins first.
    let mut offers: HashMap<&[u8], Vec<(usize, usize)>> = HashMap::new();
    for (literal, text) in literals.iter().enumerate() {
        let count = |window: &[u8]| ordinary.get(window).copied().unwrap_or_default();
        let least = text.windows(length).map(count).min().unwrap_or_default();
        for (offset, window) in text.windows(length).enumerate().filter(|(_, window)| count(window) == least)
        {
            let offer = offers.entry(window).or_default();
            if offer.last().is_none_or(|(last, _)| *last != literal) {
                offer.push((literal, offset));
            }
        }
    }
    let mut offers: Vec<(&[u8], Vec<(usize, usize)>)> = offers.into_iter().collect();
    // Of equally good ones always the same is taken.
    offers.sort_unstable();
    let mut chosen: Vec<Option<usize>> = vec![None; literals.len()];
    while chosen.contains(&None) {
        let open = |literal: &usize| chosen.get(*literal) == Some(&None);
        let worth = |(text, stands): &&(&[u8], Vec<(usize, usize)>)| {
            (stands.iter().filter(|(literal, _)| open(literal)).count(), rarity(text))
        };
        let (_, stands) = offers.iter().max_by_key(worth)?;
        for (literal, offset) in stands {
            if let Some(slot) = chosen.get_mut(*literal) {
                slot.get_or_insert(*offset);
            }
        }
    }
    Some((chosen.into_iter().flatten().collect(), length))
}

/// How unlike ordinary text an anchor is, among those that ordinary lines do not hold.
fn rarity(text: &[u8]) -> usize {
    text.iter().filter(|b| !b.is_ascii_lowercase()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(literals: &[&str]) -> Vec<String> {
        let literals: Vec<Vec<u8>> = literals.iter().map(|text| text.as_bytes().to_vec()).collect();
        let (offsets, length) = choose(&literals).unwrap();
        let text = |(literal, offset): (&Vec<u8>, &usize)| literal[*offset..*offset + length].to_vec();
        literals.iter().zip(&offsets).map(text).map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn what_literals_have_in_common_is_their_one_anchor() {
        let found = anchors(&["AUTH method PLAIN failed", "AUTH method LOGIN failed", "AUTH method "]);
        assert!(found.iter().all(|anchor| *anchor == found[0]), "{found:?}");
    }

    #[test]
    fn no_anchor_stands_in_ordinary_lines_when_the_literal_has_another() {
        for anchor in anchors(&["SMTP Authentication failed.", "Connection from nowhere", "[preauth]"]) {
            assert!(!ORDINARY.windows(4).any(|window| window == anchor.as_bytes()), "{anchor}");
        }
    }

    #[test]
    fn all_anchors_are_as_long_as_the_shortest_literal_allows() {
        assert_eq!(anchors(&["PUT", "restricted by"]).iter().map(String::len).collect::<Vec<_>>(), [3, 3]);
    }
}
