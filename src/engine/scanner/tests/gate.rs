//! The search over a block finds what looking for each literal in each line finds.

use proptest::prelude::*;

use super::super::gate::{Builder, Cursor, Gate, Mask};
use crate::engine::filter::Needle;

/// Few letters, so that literals overlap, begin alike and stand in each other.
fn needle() -> impl Strategy<Value = Needle> {
    ("[abAB]{3,7}", prop::bool::weighted(0.1)).prop_map(|(text, folded)| Needle {
        text: if folded { text.to_ascii_lowercase() } else { text }.into_bytes(),
        folded,
    })
}

fn holds(line: &[u8], needle: &Needle) -> bool {
    let same = |window: &[u8]| match needle.folded {
        true => window.eq_ignore_ascii_case(&needle.text),
        false => window == needle.text,
    };
    line.windows(needle.text.len()).any(same)
}

/// Each line of `block` that the gate stops at, with its bits.
fn stops<'b>(gate: &Gate, block: &'b [u8]) -> Vec<(&'b [u8], Mask)> {
    let (mut found, mut cursor, mut at) = (Vec::new(), Cursor::default(), 0);
    while let Some((hit, bits)) = gate.next(block, at, &mut cursor) {
        let start = block[at..hit].iter().rposition(|b| *b == b'\n').map_or(at, |i| at + i + 1);
        let end = hit + block[hit..].iter().position(|b| *b == b'\n').unwrap();
        found.push((&block[start..end], gate.rest(block, hit + 1, end, bits, &mut cursor)));
        at = end + 1;
    }
    found
}

/// For one search of its own, for both packed searches, and for the search for many.
fn needles() -> impl Strategy<Value = Vec<Needle>> {
    let some = |count| prop::collection::vec(needle(), count);
    prop_oneof![8 => some(1..12), 1 => some(36..48), 1 => some(80..120)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_block_is_stopped_at_where_a_literal_stands_and_nowhere_else(
        needles in needles(),
        lines in prop::collection::vec("[abAB ]{0,60}", 0..12),
    ) {
        let mut builder = Builder::default();
        let bits: Vec<Mask> =
            needles.iter().map(|needle| builder.add(std::slice::from_ref(needle), false)).collect();
        let gate = builder.build(false).unwrap();
        let block: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        let expected: Vec<(&[u8], Mask)> = lines
            .iter()
            .map(|line| {
                let there = needles.iter().zip(&bits).filter(|(needle, _)| holds(line.as_bytes(), needle));
                (line.as_bytes(), there.fold(0, |mask, (_, bit)| mask | bit))
            })
            .filter(|(_, mask)| *mask != 0)
            .collect();
        let found = stops(&gate, &block);
        prop_assert_eq!(
            found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            expected.iter().map(|(line, _)| *line).collect::<Vec<_>>()
        );
        for ((line, found), (_, expected)) in found.iter().zip(&expected) {
            prop_assert_eq!(found & expected, *expected, "{:?}", String::from_utf8_lossy(line));
            prop_assert_eq!(gate.line(line) & expected, *expected);
        }
        if needles.iter().all(|needle| !needle.folded) {
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_literal_of_either_case_is_found_where_another_begins_or_stands_in_it() {
    for (exact, folded) in [(&["Refused"][..], &["refused by"][..]), (&[], &["fused", "refused by"])] {
        let mut builder = Builder::default();
        let mut add = |text: &&str, folded| builder.add(&[Needle { text: (*text).into(), folded }], false);
        let exact = exact.iter().fold(0, |bits, text| bits | add(text, false));
        let all = folded.iter().fold(exact, |bits, text| bits | add(text, true));
        let gate = builder.build(false).unwrap();
        assert_eq!(gate.line(b"x Refused by y"), all, "{folded:?}");
    }
}
