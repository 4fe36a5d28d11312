//! One event that accused (or cleared) one address.

use std::net::IpAddr;

use super::Timestamp;

/// Whether the event was a failure or a successful login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Counts against the address.
    Failure,
    /// Shows that somebody behind the address knows a password.
    Success,
}

/// Which rule of a scanner's filters matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// Index into the scanner's filters, in the order they were given.
    pub filter: u16,
    /// Index of the rule within the filter: `rules`, then `successes`, then `failRegex`.
    pub rule: u16,
}

/// One event, one address, one weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The rule that spoke.
    pub rule: RuleRef,
    /// Failure or success.
    pub outcome: Outcome,
    /// The address as parsed and canonical (IPv4-mapped and NAT64 already unwrapped). Never from a regex alone.
    pub address: IpAddr,
    /// When it happened, after the rules on dates (DESIGN §5, Time).
    pub time: Timestamp,
    /// How much it counts; 1 unless the rule says otherwise.
    pub weight: u32,
    /// Which of the lines that were scanned together it was found in. Several filters may match one line.
    pub line: u64,
}
