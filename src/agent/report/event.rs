//! What happens, as it happens.

use serde::{Deserialize, Serialize};

use super::{BanReport, Moment};

/// A ban began, moved or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When the agent decided it.
    pub time: Moment,
    /// What.
    pub event: EventKind,
    /// The ban.
    #[serde(flatten)]
    pub ban: BanReport,
}

/// What happened to a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// It began.
    Ban,
    /// Its end moved.
    Prolong,
    /// A person or a list ended it.
    Unban,
    /// Its time was up.
    Expire,
}
