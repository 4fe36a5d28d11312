//! What happens, as it happens.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BanReport, Moment};
use crate::engine::Shift;

/// A ban began, moved or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When the agent decided it.
    pub time: Moment,
    /// What.
    pub event: EventKind,
    /// How far the clock by which it is told is ahead of the one that nodes share.
    #[serde(skip)]
    pub ahead: Shift,
    /// The ban.
    #[serde(flatten)]
    pub ban: BanReport,
}

impl Event {
    /// The same by the clock that nodes share.
    #[must_use]
    pub fn shared(self: Arc<Self>) -> Arc<Self> {
        if self.ahead == Shift::NONE {
            return self;
        }
        let back = self.ahead.reversed();
        let (time, ban) = (Moment(self.time.0 + back), self.ban.clone().shifted(back));
        Arc::new(Self { time, event: self.event, ahead: Shift::NONE, ban })
    }
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
