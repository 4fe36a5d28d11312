//! `gaoler agent`: one node of a cluster. Guards by itself; the API server tells it what to guard and carries bans.
//!
//! ```text
//!  sources (watches) ──► picture ──► declared ──► configure ─┐
//!                           │  ╲                             ├─► detector (crate::agent)
//!                           │   pods, scopes, house ► situate ┘
//!                        storage (disk)
//! ```
//!
//! Beside it run [`TASKS`], each with a [`Station`].

pub mod claims;
pub mod clock;
pub mod declared;
pub mod farewell;
pub mod follow;
pub mod herald;
pub mod house;
pub mod limits;
pub mod nodeagent;
pub mod picture;
pub mod pods;
pub mod scopes;
pub mod sources;
pub mod station;
pub mod storage;
pub mod surroundings;
pub mod tally;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::cluster_time::ClusterClock;
use super::connect::{Access, ConnectError, open};
use super::{sightings, slices, versions};
use crate::agent::handle::Gone;
use crate::agent::state_file::{StateError, StateFile};
use crate::agent::{self, AgentError};
use crate::api::v1alpha1::NodeName;
use crate::firewall::Firewall;
use crate::service::notify::Notifier;
use crate::service::{self, ListenError};
use follow::{Follower, Parts};
use herald::{End, Herald};
use sources::Sources;
use station::{Concerns, Setup, Station};
use storage::Storage;
use tally::Tally;

/// A task beside the detector. It runs until the agent ends; it may not end earlier, and what goes wrong it logs and
/// tries again.
pub type Task = fn(Station) -> BoxFuture<'static, ()>;

/// The tasks, by name. To add one, write its line here: `("publish", |station| Box::pin(publish::run(station)))`.
pub const TASKS: &[(&str, Task)] = &[
    ("exchange of bans", |station| Box::pin(slices::run(station))),
    ("sightings", |station| Box::pin(sightings::run(station))),
];

/// How long to wait at start for the kernel to remove what must not be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `gaoler agent` was asked for.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// This node.
    pub node: NodeName,
    /// The kubelet's directory of logs.
    pub pod_logs: PathBuf,
    /// The snapshot. What the API server said last is kept beside it.
    pub state: PathBuf,
    /// Where HTTP listens, if at all.
    pub metrics: Option<SocketAddr>,
    /// Every jail observes only; the firewall is not touched.
    pub observe: bool,
    /// Which API server, as whom.
    pub access: Access,
}

/// Why the agent could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] ListenError),
    /// The agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The detector ended by itself.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The runtime.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

/// Guards this node until SIGTERM or SIGINT. Bans stay in the kernel.
///
/// # Errors
/// What kept the agent from starting, or ended it.
pub fn run(options: AgentOptions, firewall: Box<dyn Firewall>) -> Result<(), NodeError> {
    service::on_this_thread(guard(options, firewall)).map_err(NodeError::Runtime)?
}

async fn guard(options: AgentOptions, firewall: Box<dyn Firewall>) -> Result<(), NodeError> {
    let AgentOptions { node, pod_logs, state, metrics, observe, access } = options;
    let notifier = Notifier::from_environment();
    let (client, server) = open(&access).await?;
    let snapshot = StateFile::open(&state)?;
    let storage = Storage::open(&state)?;
    let http = service::listen(metrics).await?;
    let settings = agent::Settings { observe, state: Some(snapshot) };
    let (agent, detector) = agent::spawn(settings, firewall)?;
    let (setup, in_force) = watch::channel(Setup::default());
    let concerns = Concerns::default();

    let bell = Arc::new(Notify::new());
    let stored = storage.load();
    let mut follower = Follower::new(Parts {
        agent: agent.clone(),
        storage: storage.clone(),
        root: pod_logs,
        server,
        concerns: concerns.clone(),
        setup,
    });
    let recalled = stored.clone().unwrap_or_default();
    let retired = stored.as_ref().is_some_and(|stored| stored.cleaned_up);
    if retired {
        tracing::warn!(
            "this node was asked to clean up; nothing is guarded until its NodeAgent says otherwise"
        );
        // When the kernel refuses, it is tried again beside all else.
        let removed = tokio::time::timeout(PATIENCE, agent.retire()).await;
        removed.unwrap_or(Ok(()))?;
    } else if let Some(stored) = stored {
        follower.recall(stored).await?;
    }
    let sources = Sources::start(&client, &node, &bell, recalled);
    let clock = ClusterClock::default();
    let tally = Arc::new(Tally::new(clock.clone()));
    let station = Station {
        client,
        node,
        agent: agent.clone(),
        clock,
        tally: Arc::clone(&tally),
        store: state.parent().map(PathBuf::from).unwrap_or_default(),
        setup: in_force,
        concerns,
    };
    let mut tasks = JoinSet::new();
    for (name, task) in TASKS {
        tasks.spawn(run_task(name, *task, station.clone()));
    }

    tasks.spawn(clock::run(station.clone()));
    tasks.spawn(versions::run(station.client.clone()));
    let herald = Herald::new(station.clone(), storage.clone(), retired);

    let ended = tokio::select! {
        end = herald.run() => match end {
            End::Gone => Err(Gone.into()),
            End::Resume => Ok(()),
        },
        gone = follower.run(sources, bell) => Err(gone.into()),
        ended = service::serve(http, agent.clone(), tally) => ended.map_err(NodeError::Runtime),
        gone = service::stay_alive(&agent, &notifier, || "Guarding".into()) => Err(gone.into()),
        ended = service::until_told() => ended.map_err(NodeError::Runtime),
    };

    notifier.stopping();
    tasks.shutdown().await;
    if ended.is_ok() {
        service::end(&agent).await;
    }
    drop((agent, station));
    service::join(detector, "the detector");
    if ended.is_ok() && storage.load().is_some_and(|stored| stored.cleaned_up) {
        storage.discard(&state);
    }
    ended
}

/// Runs a task for ever: one that ends, which it may not, is told and begun again.
async fn run_task(name: &'static str, task: Task, station: Station) {
    loop {
        task(station.clone()).await;
        if station.agent.is_gone() {
            return;
        }
        tracing::error!(task = name, "a task ended by itself; beginning it again");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
