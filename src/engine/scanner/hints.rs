//! What a filter sees that is no match, but that a person must know: failures of nobody, failures behind a proxy.

use std::ops::AddAssign;

/// How often a filter of structured rules found a failure, and whether it could tell whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Failures with an address, those included that count no second time.
    pub addressed: u64,
    /// Lines that a rule speaks about and that hold no address at all in this layout.
    pub unaddressed: u64,
    /// Those of `addressed` whose client came through a proxy (`proxy.source` in the context): its packets carry the
    /// proxy's address.
    pub proxied: u64,
    /// Lines that a rule speaks about, that are not of the source's layout, and that show another one.
    pub strange: u64,
}

impl AddAssign for Hints {
    fn add_assign(&mut self, other: Self) {
        self.addressed += other.addressed;
        self.unaddressed += other.unaddressed;
        self.proxied += other.proxied;
        self.strange += other.strange;
    }
}
