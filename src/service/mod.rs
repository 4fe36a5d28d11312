//! What every long-running verb does around the detector: one thread for all that waits, signals, probes, the
//! service manager, an orderly end.

pub mod notify;
pub mod resident;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::agent::handle::{AgentHandle, Gone};
use crate::agent::report::FirewallState;
use crate::http::Http;
use crate::metrics::Families;
use notify::Notifier;

/// How long to wait for the firewall before saying that we are ready. Until then nobody depends on us; afterwards
/// the service counts even where the kernel refuses.
const FIREWALL_PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether the detector still turns when the service manager does not ask.
const WATCH: Duration = Duration::from_secs(10);

/// How long after a start everything that belongs to it has run.
const SETTLED: Duration = Duration::from_secs(1);

/// Nobody can be served there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; --metrics takes another address or off")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Runs a service on this thread until it ends. Detector and enforcer have threads of their own.
///
/// # Errors
/// When the system gives no runtime.
pub fn on_this_thread<T>(service: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(256 << 10)
        .build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, service))
}

/// Listens for probes and scrapes, if at all.
///
/// # Errors
/// When somebody else has the address.
pub async fn listen(address: Option<SocketAddr>) -> Result<Option<Http>, ListenError> {
    let Some(address) = address else { return Ok(None) };
    let http = Http::bind(address).await.map_err(|source| ListenError { address, source })?;
    if let Ok(address) = http.address() {
        tracing::info!(%address, "probes and metrics are served");
    }
    Ok(Some(http))
}

/// Serves them until dropped; `more` families beside those of the agent's status.
///
/// # Errors
/// When the listener fails.
pub async fn serve(http: Option<Http>, agent: AgentHandle, more: Arc<dyn Families>) -> io::Result<()> {
    match http {
        Some(http) => http.serve(agent, more).await,
        None => std::future::pending().await,
    }
}

/// Ends with SIGTERM or SIGINT.
///
/// # Errors
/// When signals cannot be had.
pub async fn until_told() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop; bans stay in the kernel"),
        _ = interrupt.recv() => tracing::info!("interrupted; bans stay in the kernel"),
    }
    Ok(())
}

/// Says that we are ready, then pings the watchdog as long as the detector turns. Ends when the detector does.
pub async fn stay_alive(agent: &AgentHandle, notifier: &Notifier, summary: impl FnOnce() -> String) -> Gone {
    if let Err(gone) = wait_for_firewall(agent).await {
        return gone;
    }
    notifier.ready(&summary());
    sleep(SETTLED).await;
    match resident::unmap_program() {
        Ok(bytes) => tracing::debug!(bytes, "what only starting needed of the program is unmapped"),
        Err(error) => tracing::debug!(%error, "what only starting needed of the program stays mapped"),
    }
    let mut ticks = interval(notify::watchdog_interval().unwrap_or(WATCH));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        ticks.tick().await;
        let turns = agent.turns();
        if last != Some(turns) {
            notifier.watchdog();
        } else if agent.is_gone() {
            return Gone;
        } else {
            tracing::error!("the detector does not turn");
        }
        last = Some(turns);
    }
}

/// Ends the detector: what was decided is in the kernel and on disk.
pub async fn end(agent: &AgentHandle) {
    if let Ok(Err(problem)) = agent.stop().await {
        tracing::error!(problem, "the last snapshot could not be written");
    }
}

/// Waits for a thread that is about to end.
pub fn join(thread: JoinHandle<()>, what: &str) {
    if thread.join().is_err() {
        tracing::error!("{what} ended badly");
    }
}

async fn wait_for_firewall(agent: &AgentHandle) -> Result<(), Gone> {
    let until = Instant::now() + FIREWALL_PATIENCE;
    while agent.status().await?.firewall.state == FirewallState::Starting && Instant::now() < until {
        sleep_until(Instant::now() + Duration::from_millis(20)).await;
    }
    Ok(())
}
