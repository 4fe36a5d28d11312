//! Colour codes that hide a literal from the search.
//!
//! Literals of regexes may span fields of a layout, between which colour codes stand. Such a line is looked at, too.

use memchr::memchr_iter;

use crate::engine::layout::colour;

/// What stands on both sides of a colour code in a literal.
pub(super) struct Split {
    /// One bit per pair of bytes that stand next to each other in a literal.
    pairs: Vec<u64>,
    /// The first bytes of these pairs.
    left: [bool; 256],
}

impl Split {
    /// `None`: there are no literals.
    pub(super) fn new(literals: &[Vec<u8>]) -> Option<Self> {
        let mut split = Self { pairs: vec![0u64; 1024], left: [false; 256] };
        for pair in literals.iter().flat_map(|text| text.windows(2)) {
            let [a, b] = pair else { continue };
            for a in [a.to_ascii_lowercase(), a.to_ascii_uppercase(), *a] {
                if let Some(slot) = split.left.get_mut(usize::from(a)) {
                    *slot = true;
                }
                for b in [b.to_ascii_lowercase(), b.to_ascii_uppercase(), *b] {
                    let (word, bit) = pair_bit(a, b);
                    if let Some(slot) = split.pairs.get_mut(word) {
                        *slot |= bit;
                    }
                }
            }
        }
        (!literals.is_empty()).then_some(split)
    }

    /// The first colour code at or after `from` that stands where it may hide a literal.
    pub(super) fn find(&self, block: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        for escape in memchr_iter(0x1b, block.get(from..)?).map(|offset| from + offset) {
            let Some(before) = escape.checked_sub(1).and_then(|i| block.get(i)) else { continue };
            if escape < at
                || self.left.get(usize::from(*before)) != Some(&true)
                || self.is_apart(*before, block, escape)
            {
                continue;
            }
            let end = after_codes(block, escape);
            if end > escape && block.get(end).is_some_and(|after| self.is_pair(*before, *after)) {
                return Some(escape);
            }
            at = end.max(escape + 1);
        }
        None
    }

    /// Whether no literal goes on behind the code, seen at one glance: a code ends with its first `m`. False is no
    /// answer.
    fn is_apart(&self, before: u8, block: &[u8], escape: usize) -> bool {
        const ONES: u64 = u64::MAX / 0xff;
        let Some((word, _)) = block.get(escape + 2..).and_then(|code| code.split_first_chunk::<8>()) else {
            return false;
        };
        // The high bit of each byte that is an `m`; those above the lowest may be set in error.
        let unlike = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'm'));
        let ends = unlike.wrapping_sub(ONES) & !unlike & (ONES << 7);
        let end = escape + 2 + ends.trailing_zeros() as usize / 8;
        let after = block.get(end + 1).copied().unwrap_or(0x1b);
        ends != 0 && after != 0x1b && !self.is_pair(before, after)
    }

    fn is_pair(&self, before: u8, after: u8) -> bool {
        let (word, bit) = pair_bit(before, after);
        self.pairs.get(word).is_some_and(|slot| slot & bit != 0)
    }
}

/// Where the colour codes end of which the first is at `escape`; `escape` itself when it is none.
fn after_codes(block: &[u8], escape: usize) -> usize {
    let mut end = escape;
    loop {
        match block.get(end..).map_or(0, colour) {
            0 => return end,
            length => end += length,
        }
    }
}

fn pair_bit(a: u8, b: u8) -> (usize, u64) {
    let index = usize::from(a) << 8 | usize::from(b);
    (index >> 6, 1 << (index & 63))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_found_where_a_literal_goes_on_behind_them(
            block in "([ab\\[m]|\\x1b\\[[0-9;]{0,12}m|\\x1b\\[?|a\\x1b\\[1mb){0,20}",
            from in 0usize..20,
        ) {
            let split = Split::new(&[b"xab".to_vec()]).unwrap();
            let block = block.as_bytes();
            let hides = |at: &usize| {
                let end = after_codes(block, *at);
                end > *at && *at > 0 && block[*at - 1] == b'a' && block.get(end) == Some(&b'b')
            };
            prop_assert_eq!(split.find(block, from), (from..block.len()).find(hides));
        }
    }
}
