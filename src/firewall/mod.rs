//! Bans in the kernel: one own table, hash sets with timeouts (DESIGN §6).
//!
//! The [`Skeleton`] (table, chains, scopes, never-ban sets) changes with configuration and is applied as a whole;
//! [`Change`]s are set elements and go over netlink. A [`Firewall`] is driven by one thread.

mod attributes;
mod ban_set;
mod doors;
mod drift;
mod dry_run;
mod elements;
pub mod enforcer;
mod inventory;
mod kernel;
mod limit;
mod limits;
mod listing;
mod memory;
mod netlink;
mod nft;
mod offenders;
mod phrase;
mod plan;
pub mod probe;
mod proof;
mod ruleset;
mod wishes;

pub use dry_run::DryRun;
pub use kernel::Nftables;
pub use limit::{
    CAUGHT, Caught, Counted, Limit, LimitCounts, MOST_OFFENDERS, Offender, Penalty, SHOWN_OFFENDERS,
};
pub use memory::Memory;
pub use plan::{Action, Applied, Change, Destination, Guard, Reach, Scope, ScopeName, Skeleton};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::engine::{Source, Timestamp};

/// Why the kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// `nft` could not be started.
    #[error("cannot run nft: {0}")]
    Spawn(#[source] std::io::Error),
    /// `nft` took longer than its time limit and was ended.
    #[error("nft did not finish within {0:?}")]
    Timeout(std::time::Duration),
    /// `nft` refused the ruleset.
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
    /// Netlink failed as a whole (socket, permission).
    #[error("netlink: {0}")]
    Netlink(#[source] std::io::Error),
    /// The table or a set is gone; the skeleton must be applied again.
    #[error("the gaoler table is not as it was left: {0}")]
    Drifted(String),
    /// The table is not, or not yet, that of the skeleton asked for: one of an earlier skeleton or run may hold.
    #[error("the firewall's table is not made as configured")]
    NotMade,
}

/// Packets and bytes a scope dropped since its counter was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Something that keeps subjects out. Implemented by nftables and by a memory of what was asked (dry run, tests).
pub trait Firewall: Send {
    /// Makes table, chains, scopes and never-ban sets as described, in one transaction. Sets that hold elements
    /// and counters survive.
    ///
    /// # Errors
    /// When the kernel refuses; nothing has changed then.
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError>;

    /// Applies element changes, in order. Elements that the kernel refuses singly are in [`Applied::refused`] and
    /// hold no other back.
    ///
    /// # Errors
    /// When nothing could be applied (table gone, no permission); the caller keeps the changes.
    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError>;

    /// Whether table and skeleton are still as left. Cheap; never lists a set.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn is_intact(&mut self) -> Result<bool, FirewallError>;

    /// What each scope dropped.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError>;

    /// What each rate limit did. Lists the sets of sources over them, which are small, and nothing else.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn limits(&mut self) -> Result<BTreeMap<ScopeName, LimitCounts>, FirewallError>;

    /// Sources over limits that shall catch them ([`Limit::catches`]), if they completed connections: those of the last
    /// ten seconds.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError>;

    /// The limits of which this address is an offender, whatever that means for it, and for how long yet. None where no
    /// packets are seen.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn offences(&mut self, _of: IpAddr) -> Result<Vec<(ScopeName, Duration)>, FirewallError> {
        Ok(Vec::new())
    }

    /// Has all limits forget what they know of sources in this prefix, hits and penalties; tells those that forgot
    /// an offender. With an `age` only sources are forgotten whose penalty, or last refusal, is at least so old.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn release(&mut self, _from: Source, _age: Duration) -> Result<Vec<ScopeName>, FirewallError> {
        Ok(Vec::new())
    }

    /// Whether what an earlier run left drops packets that this one was not asked to. Only in a dry run: all others own
    /// the table.
    fn has_leftovers(&mut self) -> bool {
        false
    }

    /// Removes our table and nothing else. Succeeds when it is not there.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn teardown(&mut self) -> Result<(), FirewallError>;
}
