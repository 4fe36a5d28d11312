//! `gaoler run`: one plain Linux host, a directory of manifests, no Kubernetes.
//!
//! The detector and the enforcer have threads of their own; this one serves the control socket, HTTP and signals.

pub mod changes;
pub mod client;
pub mod config_report;
pub mod control;
pub mod daemon;
pub mod events;
pub mod protocol;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::agent::handle::Gone;
use crate::agent::state_file::{StateError, StateFile};
use crate::agent::{self, AgentError};
use crate::config::load;
use crate::firewall::Firewall;
use crate::http::Http;
use crate::service::notify::Notifier;
use crate::service::{self, ListenError};
use changes::Changes;
use control::{Control, ControlError};
use daemon::Daemon;

/// What `gaoler run` was asked for.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Manifests: files or directories.
    pub config: Vec<PathBuf>,
    /// Every jail observes only; the firewall is not touched.
    pub observe: bool,
    /// The snapshot.
    pub state: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Where HTTP listens, if at all.
    pub metrics: Option<SocketAddr>,
    /// Where events go: a file, or `-` for stdout.
    pub events: Option<PathBuf>,
}

/// Why the daemon could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is not there.
    #[error("cannot read {path}: {source}")]
    Config {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] ListenError),
    /// Events.
    #[error("cannot write events to {path}: {source}")]
    Events {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
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

/// Guards until SIGTERM or SIGINT. Bans stay in the kernel.
///
/// # Errors
/// What kept the daemon from starting, or ended it.
pub fn run(options: RunOptions, firewall: Box<dyn Firewall>) -> Result<(), RunError> {
    service::on_this_thread(guard(options, firewall)).map_err(RunError::Runtime)?
}

async fn guard(options: RunOptions, firewall: Box<dyn Firewall>) -> Result<(), RunError> {
    for path in &options.config {
        std::fs::metadata(path).map_err(|source| RunError::Config { path: path.clone(), source })?;
    }
    let notifier = Notifier::from_environment();
    let state = StateFile::open(&options.state)?;
    let control = Control::listen(&options.socket)?;
    let http = service::listen(options.metrics).await?;
    let changes = Changes::of(&options.config);
    let loaded = load(&options.config, None);
    let settings = agent::Settings { observe: options.observe, state: Some(state) };
    let (agent, detector) = agent::spawn(settings, firewall)?;
    let writer = match &options.events {
        Some(path) => Some(
            events::write(path, agent.subscribe())
                .map_err(|source| RunError::Events { path: path.clone(), source })?,
        ),
        None => None,
    };
    let daemon = Rc::new(Daemon::start(agent, notifier, options.config, loaded).await?);

    let ended = serve(&daemon, &control, http, changes).await;

    daemon.notifier.stopping();
    drop(control);
    if ended.is_ok() {
        service::end(&daemon.agent).await;
    }
    drop(daemon);
    service::join(detector, "the detector");
    if let Some(writer) = writer {
        service::join(writer, "the writer of events");
    }
    ended
}

/// Everything that goes on beside the detector, until a signal ends it.
async fn serve(
    daemon: &Rc<Daemon>,
    control: &Control,
    http: Option<Http>,
    changes: Changes,
) -> Result<(), RunError> {
    let agent = daemon.agent.clone();
    tokio::select! {
        () = control.serve(daemon.clone()) => Ok(()),
        ended = service::serve(http, agent, Arc::new(())) => ended.map_err(RunError::Runtime),
        ended = reload_on_demand(daemon, changes) => ended,
        gone = service::stay_alive(&daemon.agent, &daemon.notifier, || daemon.summary()) => Err(gone.into()),
        ended = service::until_told() => ended.map_err(RunError::Runtime),
    }
}

/// Reads the configuration again on SIGHUP and when files changed.
async fn reload_on_demand(daemon: &Daemon, mut changes: Changes) -> Result<(), RunError> {
    let mut hangup = signal(SignalKind::hangup()).map_err(RunError::Runtime)?;
    let mut ticks = interval(changes::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = hangup.recv() => tracing::info!("told to read the configuration again"),
            _ = ticks.tick() => {
                if !changes.settled() {
                    continue;
                }
                tracing::info!("the configuration changed");
            }
        }
        let report = daemon.reload().await;
        tracing::info!(
            objects = report.objects.len(),
            refused = report.refused(),
            unreadable = report.unread(),
            "the configuration was read"
        );
    }
}
