//! What this node does about its clock: the detector converts by what is measured, and the NodeAgent says it.

use super::station::Station;
use crate::agent::clock_setting::ClockSetting;
use crate::agent::handle::Gone;
use crate::agent::report::{Condition, ConditionType};
use crate::kubernetes::clock::{Listener, follow};
use crate::kubernetes::cluster_time::Reading;

/// Under which name it says what is wrong.
const NAME: &str = "clock";

/// Measures until the detector ends.
pub async fn run(station: Station) {
    follow(&station.client, &station.clock, &station).await;
}

impl Listener for Station {
    /// The detector converts by it first: who waits for it may exchange then.
    async fn hear(&self, reading: Reading, setting: ClockSetting) -> Result<(), Gone> {
        self.agent.set_ahead(reading.ahead(), setting).await?;
        self.clock.note(reading, setting);
        self.concerns.say(NAME, reading.complaint().as_deref().map(skewed).into_iter().collect());
        Ok(())
    }
}

fn skewed(complaint: &str) -> Condition {
    Condition {
        kind: ConditionType::ClockSkew,
        status: true,
        reason: "ClockSkew".into(),
        message: format!("this node's {complaint}"),
    }
}
