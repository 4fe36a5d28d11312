//! `gaoler run`: one plain Linux host, a directory of manifests, no Kubernetes.
//!
//! The detector and the enforcer have threads of their own; this one serves the control socket, HTTP and signals.

pub mod changes;
pub mod client;
pub mod config_report;
pub mod control;
pub mod daemon;
pub mod events;
pub mod notify;
pub mod protocol;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::agent::handle::{AgentHandle, Gone};
use crate::agent::report::FirewallState;
use crate::agent::state_file::{StateError, StateFile};
use crate::agent::{self, AgentError};
use crate::config::load;
use crate::firewall::Firewall;
use crate::http::Http;
use changes::Changes;
use control::{Control, ControlError};
use daemon::Daemon;
use notify::Notifier;

/// How long to wait for the firewall before saying that we are ready. Until then nobody depends on us; afterwards
/// the service counts even where the kernel refuses.
const FIREWALL_PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether the detector still turns when systemd does not ask.
const WATCH: Duration = Duration::from_secs(10);

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
    #[error("cannot listen on {address}: {source}; --metrics takes another address or off")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(256 << 10)
        .build()
        .map_err(RunError::Runtime)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, guard(options, firewall))
}

async fn guard(options: RunOptions, firewall: Box<dyn Firewall>) -> Result<(), RunError> {
    for path in &options.config {
        std::fs::metadata(path).map_err(|source| RunError::Config { path: path.clone(), source })?;
    }
    let notifier = Notifier::from_environment();
    let state = StateFile::open(&options.state)?;
    let control = Control::listen(&options.socket)?;
    let http = match options.metrics {
        Some(address) => {
            Some(Http::bind(address).await.map_err(|source| RunError::Http { address, source })?)
        }
        None => None,
    };
    if let Some(address) = http.as_ref().and_then(|http| http.address().ok()) {
        tracing::info!(%address, "probes and metrics are served");
    }
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
    if ended.is_ok()
        && let Ok(Err(problem)) = daemon.agent.stop().await
    {
        tracing::error!(problem, "the last snapshot could not be written");
    }
    drop(daemon);
    if detector.join().is_err() {
        tracing::error!("the detector ended badly");
    }
    if let Some(writer) = writer
        && writer.join().is_err()
    {
        tracing::error!("the writer of events ended badly");
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
    let web = async {
        match http {
            Some(http) => http.serve(agent).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = control.serve(daemon.clone()) => Ok(()),
        ended = web => ended.map_err(RunError::Runtime),
        ended = reload_on_demand(daemon, changes) => ended,
        gone = stay_alive(daemon) => Err(gone.into()),
        ended = until_told() => ended,
    }
}

/// Ends with SIGTERM or SIGINT.
async fn until_told() -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Runtime)?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop; bans stay in the kernel"),
        _ = interrupt.recv() => tracing::info!("interrupted; bans stay in the kernel"),
    }
    Ok(())
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
        let refused = report.objects.iter().filter(|o| !o.accepted).count();
        tracing::info!(objects = report.objects.len(), refused, "the configuration was read");
    }
}

/// Says that we are ready, then pings the watchdog as long as the detector turns. Ends when the detector does.
async fn stay_alive(daemon: &Daemon) -> Gone {
    if let Err(gone) = wait_for_firewall(&daemon.agent).await {
        return gone;
    }
    daemon.notifier.ready(&daemon.summary());
    let pinged = notify::watchdog_interval();
    let mut ticks = interval(pinged.unwrap_or(WATCH));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        ticks.tick().await;
        let turns = daemon.agent.turns();
        if last != Some(turns) {
            daemon.notifier.watchdog();
        } else if daemon.agent.is_gone() {
            return Gone;
        } else {
            tracing::error!("the detector does not turn");
        }
        last = Some(turns);
    }
}

async fn wait_for_firewall(agent: &AgentHandle) -> Result<(), Gone> {
    let until = Instant::now() + FIREWALL_PATIENCE;
    while agent.status().await?.firewall.state == FirewallState::Starting && Instant::now() < until {
        sleep_until(Instant::now() + Duration::from_millis(20)).await;
    }
    Ok(())
}
