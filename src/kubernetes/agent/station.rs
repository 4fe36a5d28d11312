//! What every task beside the detector is given: who we are, whom to talk to, and what is in force.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use tokio::sync::watch;

use super::picture::NodeSeen;
use super::tally::Tally;
use crate::agent::handle::AgentHandle;
use crate::agent::report::Condition;
use crate::agent::situation::Situation;
use crate::api::v1alpha1::NodeName;
use crate::config::Config;
use crate::engine::JailName;
use crate::kubernetes::cluster_time::ClusterClock;

/// What a task of this node's agent works with. Shared by all of them.
#[derive(Clone)]
pub struct Station {
    /// The API server.
    pub client: Client,
    /// This node.
    pub node: NodeName,
    /// The detector.
    pub agent: AgentHandle,
    /// How far this node's clock is from the cluster's.
    pub clock: ClusterClock,
    /// What is counted of the exchange.
    pub tally: Arc<Tally>,
    /// The directory of the state file, where a task may keep a file of its own.
    pub store: PathBuf,
    /// What is in force. Waiting for it to change is how a task follows the jails.
    pub setup: watch::Receiver<Setup>,
    /// What a person should know of a task; it stands on the NodeAgent.
    pub concerns: Concerns,
}

impl std::fmt::Debug for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Station")
            .field("node", &self.node)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What is in force on this node.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Which turn this is; 0 before there is any configuration.
    pub turn: u64,
    /// The accepted jails, limits and lists. Names are `namespace/name`.
    pub config: Arc<Config>,
    /// Where the jails' lines lie on this node, what their bans close, who belongs to the house.
    pub situation: Arc<Situation>,
    /// How many pods of this node each jail reads. A jail without any is not here.
    pub pods: BTreeMap<JailName, u32>,
    /// Pods of this node that any jail reads.
    pub read: usize,
    /// This node's object.
    pub node: NodeSeen,
}

/// What tasks have to say about themselves, each under a name of its own.
#[derive(Clone, Debug)]
pub struct Concerns {
    held: Arc<Mutex<BTreeMap<&'static str, Vec<Condition>>>>,
    turn: Arc<watch::Sender<u64>>,
}

impl Default for Concerns {
    fn default() -> Self {
        Self { held: Arc::default(), turn: Arc::new(watch::channel(0).0) }
    }
}

impl Concerns {
    /// Replaces what the task of this name said before. No conditions: all is well.
    pub fn say(&self, task: &'static str, conditions: Vec<Condition>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(task).map_or(&[][..], Vec::as_slice) == conditions {
            return;
        }
        held.insert(task, conditions);
        self.turn.send_modify(|turn| *turn += 1);
    }

    /// All that is said now.
    #[must_use]
    pub fn all(&self) -> Vec<Condition> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().flatten().cloned().collect()
    }

    /// Changes whenever something else is said.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.turn.subscribe()
    }
}
