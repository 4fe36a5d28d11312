//! Both directions at work.

use std::sync::{Arc, Mutex};

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::figures::{Figures, Tally};
use super::publish::Publisher;
use super::receive::Receiver;
use super::shelf::Shelf;
use crate::agent::handle::AgentHandle;
use crate::api::v1alpha1::NodeName;

/// The exchange of bans with the API server. Ends when it is dropped, or with the detector.
#[derive(Debug)]
pub struct Exchange {
    figures: Arc<Figures>,
    lists: watch::Receiver<u64>,
    tasks: [JoinHandle<()>; 2],
}

/// Starts to share what this node decides and to take in what others do. Never fails: while the server is away, bans
/// hold here and are shared afterwards.
#[must_use]
pub fn spawn(client: Client, node: NodeName, agent: AgentHandle) -> Exchange {
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let figures = Arc::new(Figures::default());
    let (lists, listed) = watch::channel(0);
    // Before anything is asked of the detector, so that no event falls between.
    let events = agent.subscribe();
    let publisher =
        Publisher::new(client.clone(), node.clone(), agent.clone(), Arc::clone(&shelf), Arc::clone(&figures));
    let receiver = Receiver::new(client, node, agent, shelf, Arc::clone(&figures), lists);
    let waiting = listed.clone();
    // Both end when the detector has ended: then nothing is left to share.
    let tasks = [
        tokio::spawn(async move {
            let _ = receiver.run().await;
        }),
        tokio::spawn(async move {
            let _ = publisher.run(events, waiting).await;
        }),
    ];
    Exchange { figures, lists: listed, tasks }
}

impl Exchange {
    /// What it counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.figures.tally()
    }

    /// Whether all that the API server held at some moment since the start was taken in.
    #[must_use]
    pub fn has_listed(&self) -> bool {
        *self.lists.borrow() > 0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
