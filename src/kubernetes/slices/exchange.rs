//! Both directions at work.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::publish::Publisher;
use super::receive::Receiver;
use super::shelf::Shelf;
use crate::kubernetes::agent::station::Station;

/// Shares what this node decides and takes in what others do, until the detector ends. Nothing here fails for good:
/// while the server is away, bans hold on this node and are shared afterwards.
pub async fn run(station: Station) {
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let (lists, listed) = watch::channel(0);
    // Before anything is asked of the detector, so that no event falls between.
    let events = station.agent.subscribe();
    // What is told and heard is converted from the first on.
    station.clock.measured().await;
    let publisher = Publisher::new(station.clone(), Arc::clone(&shelf));
    let receiver = Receiver::new(station, shelf, lists);
    // Either ends when the detector has ended: then nothing is left to share.
    tokio::select! {
        _ = receiver.run() => {}
        _ = publisher.run(events, listed) => {}
    }
}
