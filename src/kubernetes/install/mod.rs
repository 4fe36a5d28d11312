//! What installing, upgrading and removing Gaoler does beside its pods: the chart's Jobs are these, a verb each.

pub mod declare;
pub mod definitions;
pub mod farewell;
pub mod remove;

use std::time::Duration;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(1);
