//! A cluster's bans as a person sees them: read once from the API server, judged with the agents' own code.
//!
//! ```text
//!  Jails, Filters, BanLists, AllowLists ── config ──► Config ─┐
//!  BanSlices, Pardons ── slices ──► Ledger ───────────────────┼──► View ──► reports, plans of orders
//!  House, SightingLists, NodeAgents ──────────────────────────┘
//! ```
//!
//! [`View`] is pure; [`read`] and [`orders`] talk to the API server.

mod ask;
mod look;
mod news;
pub mod orders;
mod penalties;
mod plan;
mod read;
mod report;
#[cfg(test)]
#[path = "tests/samples.rs"]
mod samples;
mod status;
pub mod support;

pub(in crate::kubernetes) use ask::answer;
pub use ask::{AskError, REACH};
pub use look::View;
pub use news::follow;
pub use plan::{Lift, NoJail, meant};
pub use read::{Objects, Scope, configuration, read, readable};
pub use report::{ClusterWhy, Saw, SeenBan};
pub use status::{AgentReport, ClusterStatus, JailOverview, LimitOverview, Trouble, status};
