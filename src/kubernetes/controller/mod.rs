//! `gaoler controller`: writes what must be written once in a cluster.
//!
//! ```text
//!  nodes, Services, API server ──► house ──► House
//!  Filters, Jails, lists ──► judge ──► verdicts ─┬─► statuses ──► conditions and totals on each object
//!  NodeAgents ───────────────────────────────────┘
//!  BanSlices ──► crier ──► events on Jails
//!  BanSlices, Pardons, nodes that are gone ──► sweeper ──► fewer, larger slices; nothing useless
//! ```
//!
//! Several replicas may run; the one that holds the Lease watches and writes, the others wait. Without any of them bans
//! fall, spread and end all the same: only status and tidying wait.

mod conditions;
mod crier;
mod gone;
mod hours;
mod house;
mod housekeeper;
mod judge;
mod lease;
mod merge;
mod notices;
mod office;
mod pace;
mod pen;
mod probes;
mod readiness;
mod statuses;
mod surplus;
mod sweeper;
mod tidy;
mod totals;
#[cfg(test)]
mod traffic;
mod verdict;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::lease::Lease;
use self::office::Office;
use self::pen::Counts;
use self::probes::Probes;
pub use self::probes::exposition as metrics;
use super::connect::{Access, ConnectError, open};

/// The Lease's name.
const LEASE: &str = "gaoler-controller";

/// How a controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which API server.
    pub access: Access,
    /// The namespace of its Lease: its own.
    pub namespace: String,
    /// What it is called in the Lease; no other process may be called the same.
    pub identity: String,
    /// How long the other replicas wait before they take over from one that is silent.
    pub lease: Duration,
    /// Where probes and metrics are served.
    pub listen: Option<SocketAddr>,
}

/// Why the controller does not run.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// No way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// HTTP.
    #[error("cannot listen on {address}: {source}; --metrics takes another address or off")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The runtime.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// A part of it ended.
    #[error("a part of the controller ended by itself")]
    Ended,
}

/// Runs until SIGTERM or SIGINT; then the Lease is given back.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(options: &Options) -> Result<(), ControllerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(ControllerError::Runtime)?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Options) -> Result<(), ControllerError> {
    let (client, _) = open(&options.access).await?;
    let mut lease = Lease::new(client.clone(), &options.namespace, LEASE, &options.identity, options.lease);
    let probes = Probes { tenure: lease.tenure(), counts: Arc::new(Counts::default()) };
    let listener = match options.listen {
        Some(address) => {
            let bound = Probes::bind(address).await;
            Some(bound.map_err(|source| ControllerError::Http { address, source })?)
        }
        None => None,
    };
    let web = probes.clone();
    let web = async {
        match listener {
            Some(listener) => web.serve(listener).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = web => ended.map_err(ControllerError::Runtime),
        ended = until_told() => ended,
        Err(ended) = lead(&client, &mut lease, &probes, &options.identity) => Err(ended),
    };
    // Everything that writes is dropped by now.
    lease.release().await;
    ended
}

/// Waits for the lease and works while it is ours, again and again.
async fn lead(
    client: &kube::Client,
    lease: &mut Lease,
    probes: &Probes,
    me: &str,
) -> Result<std::convert::Infallible, ControllerError> {
    loop {
        lease.acquire().await;
        let tenure = lease.tenure();
        let work = async {
            let mut office = Office::open(client, tenure, Arc::clone(&probes.counts), me).await;
            office.work().await;
        };
        tokio::select! {
            () = lease.keep() => {}
            () = work => return Err(ControllerError::Ended),
        }
    }
}

/// Ends with SIGTERM or SIGINT.
async fn until_told() -> Result<(), ControllerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Runtime)?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
    }
    Ok(())
}
