//! What the agent tells: the answers of the control socket, the events, and the source of the metrics.
//!
//! These types are `-o json`: fields are added, never renamed or removed. No log text is in them.

mod absent;
mod ban;
mod event;
mod moment;
mod orders;
mod rate_limit;
mod status;
mod subject;
mod why;

pub use absent::{Absence, AbsentJail};
pub use ban::{BanReport, RuleCount};
pub use event::{Event, EventKind};
pub use moment::Moment;
pub use orders::{BanOrder, Banned, Durability, Refusal, UnbanOrder, Unbanned};
pub use rate_limit::{OffenderReport, RateLimitReport};
pub use status::{
    Condition, ConditionType, FileReport, FirewallReport, FirewallState, HouseReport, JailReport,
    JournalReport, KeptList, StateReport, Status, Tallies,
};
pub use why::{Allowance, LeftOut, OverLimit, Ports, UnderPenalty, Watched, WhyReport};
