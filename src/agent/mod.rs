//! Wires the layers on one host: logs → engine → bans → firewall, with a snapshot beside it.
//!
//! ```text
//!  detector thread                                                        enforcer thread
//!  intake ─► pipeline ─► court (jails, ledger) ──────── changes ────────► firewall
//!    ▲                      ▲      │                                          │
//!  files, journals        orders   ├─► events (control socket, --events)      │
//!                         (handle) └─► snapshot ─► saver thread       ◄── acknowledged
//! ```
//!
//! [`spawn`] starts it; an [`AgentHandle`] is how everybody else talks to it.

mod absent;
mod census;
mod chronicle;
pub mod clock_setting;
pub mod colleagues;
mod court;
mod desk;
mod detector;
mod efficacy;
mod feed;
pub mod handle;
mod heard;
mod house;
mod intake;
pub mod interfaces;
mod kept_lists;
mod kernel;
mod left_closed;
mod limit_pardons;
mod obey;
mod offenders;
mod orders;
mod pipeline;
mod plan;
mod promotion;
mod readers;
mod receive;
pub mod replay;
pub mod report;
mod resolver;
mod saver;
mod scans;
mod seat;
pub mod set_clock;
mod sights;
pub mod situation;
mod snapshot;
mod spared;
pub mod state_file;
mod wake;

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::{broadcast, watch};

use crate::firewall::Firewall;
use crate::firewall::enforcer::Enforcer;
use detector::{Detector, Parts};
use handle::AgentHandle;
use saver::Saver;
use snapshot::Snapshot;
use state_file::{Found, StateFile};
use wake::Waker;

/// Events a slow listener may be behind before it loses the oldest: more than 5,000 bans at once.
const EVENTS: usize = 8192;

/// How the agent works.
#[derive(Debug, Default)]
pub struct Settings {
    /// Every jail observes only.
    pub observe: bool,
    /// Where the snapshot is kept; `None` forgets everything at the end.
    pub state: Option<StateFile>,
}

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The system gives no thread or descriptor.
    #[error("cannot start the agent: {0}")]
    Start(#[from] io::Error),
}

/// Starts the agent with what the last run left. It guards from the first [`AgentHandle::configure`] on; the thread
/// ends with [`AgentHandle::stop`] or when all handles are gone. Bans stay in the kernel.
///
/// # Errors
/// When the system gives no thread or descriptor.
pub fn spawn(
    settings: Settings,
    firewall: Box<dyn Firewall>,
) -> Result<(AgentHandle, JoinHandle<()>), AgentError> {
    let Settings { observe, state } = settings;
    let Found { state: snapshot, troubles } = state
        .as_ref()
        .map_or_else(|| Found { state: None, troubles: Vec::new() }, StateFile::load::<Snapshot>);
    let waker = Waker::new()?;
    let mut saver = Saver::new(state, waker.clone())?;
    for trouble in &troubles {
        tracing::error!("{trouble}");
    }
    if !troubles.is_empty() {
        let instead = if snapshot.is_some() { "the one before is used" } else { "beginning without" };
        saver.note_loss(format!("{}; {instead}", troubles.join("; ")));
    }
    let (report, kernel) = mpsc::channel();
    let ring = waker.clone();
    let enforcer = Enforcer::spawn_with(firewall, move |event| {
        if report.send(event).is_ok() {
            ring.wake();
        }
    })?;
    let (commands, inbox) = mpsc::channel();
    let (events, _) = broadcast::channel(EVENTS);
    let turns = Arc::new(AtomicU64::new(0));
    let (news, sightings) = watch::channel(0);
    let parts = Parts {
        commands: inbox,
        news,
        waker: waker.clone(),
        events: events.clone(),
        turns: Arc::clone(&turns),
        enforcer,
        kernel,
        saver,
        snapshot: snapshot.unwrap_or_default(),
        observe,
        totals: Arc::default(),
    };
    let alive = Arc::new(());
    let gone = Arc::downgrade(&alive);
    let life = alive;
    let thread = thread::Builder::new().name("detector".into()).spawn(move || {
        let _life = life;
        Detector::new(parts).run();
    })?;
    Ok((AgentHandle { commands, waker, events, sightings, turns, alive: gone }, thread))
}
