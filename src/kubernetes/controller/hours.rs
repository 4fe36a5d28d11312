//! What the controller does about its clock: it goes by the API server's, as the nodes do whose objects it reads. Else a
//! clock that is an hour ahead would find all agents silent, no ban new, and slices that agents watch long settled.

use kube::Client;

use crate::agent::clock_setting::ClockSetting;
use crate::agent::handle::Gone;
use crate::kubernetes::clock::{self, Listener};
use crate::kubernetes::cluster_time::{ClusterClock, Reading};

/// Measures until it is aborted.
pub(super) async fn follow(client: Client, clock: ClusterClock) {
    clock::follow(&client, &clock, &Hours(clock.clone())).await;
}

struct Hours(ClusterClock);

impl Listener for Hours {
    async fn hear(&self, reading: Reading, setting: ClockSetting) -> Result<(), Gone> {
        let before = self.0.reading().complaint();
        self.0.note(reading, setting);
        match reading.complaint() {
            Some(complaint) if before.as_ref() != Some(&complaint) => {
                tracing::warn!("this machine's {complaint}");
            }
            None if before.is_some() => tracing::info!("this machine's clock is right again"),
            _ => {}
        }
        Ok(())
    }
}
