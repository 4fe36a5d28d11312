//! The firewall of a dry run (`--observe`): a memory of what was asked, and an eye on what an earlier run left.

use std::collections::BTreeMap;

use super::{
    Applied, Caught, Change, Dropped, Firewall, FirewallError, LimitCounts, Memory, Nftables, ScopeName,
    Skeleton,
};
use crate::engine::Timestamp;

/// Remembers what it is asked and touches nothing; tells when our table drops packets all the same.
pub struct DryRun {
    memory: Memory,
    /// To look only; `None` where the kernel cannot be asked.
    kernel: Option<Nftables>,
}

impl DryRun {
    /// One of this network namespace.
    #[must_use]
    pub fn new() -> Self {
        Self { memory: Memory::default(), kernel: Nftables::open().ok() }
    }
}

impl Default for DryRun {
    fn default() -> Self {
        Self::new()
    }
}

impl Firewall for DryRun {
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError> {
        self.memory.ensure(skeleton)
    }

    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError> {
        self.memory.apply(changes, now)
    }

    fn is_intact(&mut self) -> Result<bool, FirewallError> {
        self.memory.is_intact()
    }

    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError> {
        self.memory.counters()
    }

    fn limits(&mut self) -> Result<BTreeMap<ScopeName, LimitCounts>, FirewallError> {
        self.memory.limits()
    }

    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError> {
        self.memory.caught()
    }

    fn has_leftovers(&mut self) -> bool {
        self.kernel.as_mut().is_some_and(|kernel| kernel.holds_anything().unwrap_or(false))
    }

    fn teardown(&mut self) -> Result<(), FirewallError> {
        self.memory.teardown()
    }
}
