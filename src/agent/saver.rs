//! When the snapshot is written, and who waits for it.
//!
//! The detector takes the snapshot, because only between two reads do offsets, windows and ledger fit together; a
//! thread of its own makes bytes of it and waits for the disk, so that no line does.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::report::{Moment, StateReport};
use super::snapshot::Snapshot;
use super::state_file::{Staged, StateFile};
use super::wake::Waker;
use crate::engine::Timestamp;

/// Least time between two snapshots.
const PAUSE: Duration = Duration::from_secs(1);
/// The same where only offsets moved: reading those lines again after a crash changes nothing.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
/// Writing takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// After a failure.
const RETRY: Duration = Duration::from_secs(3);

/// The file is free for others as soon as the saver is gone.
impl Drop for Saver {
    fn drop(&mut self) {
        self.work = None;
        if let Some(writer) = self.writer.take() {
            // It ends with its inbox; a panic there was told already.
            let _ = writer.join();
        }
    }
}

/// Told whether the state it waits for is on disk.
pub(super) type Waiting = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Writes snapshots.
pub(super) struct Saver {
    file: Option<Arc<StateFile>>,
    work: Option<Sender<Snapshot>>,
    writer: Option<JoinHandle<()>>,
    done: Receiver<Result<(), String>>,
    in_flight: Option<(Instant, Timestamp)>,
    /// Waiting for the snapshot that is being written.
    aboard: Vec<Waiting>,
    /// Waiting for the next one.
    waiting: Vec<Waiting>,
    not_before: Instant,
    offsets_moved: Option<Instant>,
    changed: bool,
    report: StateReport,
}

impl std::fmt::Debug for Saver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saver").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Saver {
    /// A saver into `file`; without one everything is forgotten at the end. Rings `waker` when a snapshot is on disk.
    pub(super) fn new(file: Option<StateFile>, waker: Waker) -> std::io::Result<Self> {
        let file = file.map(Arc::new);
        let (work, inbox) = mpsc::channel::<Snapshot>();
        let (outbox, done) = mpsc::channel();
        let write = |file: Arc<StateFile>| {
            thread::Builder::new().name("saver".into()).stack_size(256 << 10).spawn(move || {
                for snapshot in inbox {
                    let outcome = file.stage(&snapshot).and_then(Staged::commit);
                    let outcome = outcome.map_err(|error| error.to_string());
                    if outbox.send(outcome).is_err() {
                        return;
                    }
                    waker.wake();
                }
            })
        };
        let writer = file.clone().map(write).transpose()?;
        let path = file.as_ref().map(|file| file.path().to_path_buf());
        Ok(Self {
            work: file.is_some().then_some(work),
            file,
            writer,
            done,
            in_flight: None,
            aboard: Vec::new(),
            waiting: Vec::new(),
            not_before: Instant::now(),
            offsets_moved: None,
            changed: false,
            report: StateReport { path, ..StateReport::default() },
        })
    }

    /// Something changed that must not be lost.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    /// Lines were read that changed nothing.
    pub(super) fn moved(&mut self) {
        self.offsets_moved.get_or_insert_with(Instant::now);
    }

    /// Writes as soon as the disk is free, and tells.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// What the last run left could not be read.
    pub(super) fn note_loss(&mut self, notice: String) {
        self.report.notice = Some(notice);
    }

    /// When [`Self::is_due`] will be true; `None`: not by itself.
    pub(super) fn due_at(&self) -> Option<Instant> {
        if self.file.is_none() || self.in_flight.is_some() {
            return None;
        }
        if !self.waiting.is_empty() {
            return Some(Instant::now());
        }
        let quiet = self.offsets_moved.map(|since| (since + IDLE_PAUSE).max(self.not_before));
        if self.changed { Some(self.not_before) } else { quiet }
    }

    /// Whether a snapshot should be taken now.
    pub(super) fn is_due(&self) -> bool {
        self.due_at().is_some_and(|at| at <= Instant::now())
    }

    /// Writes a snapshot taken now.
    pub(super) fn save(&mut self, snapshot: Snapshot, now: Timestamp) {
        self.aboard.append(&mut self.waiting);
        let Some(work) = &self.work else {
            return self.finish(&Ok(()), Duration::ZERO);
        };
        self.changed = false;
        self.offsets_moved = None;
        if work.send(snapshot).is_ok() {
            self.in_flight = Some((Instant::now(), now));
        } else {
            self.finish(&Err("the thread that writes it has ended".into()), Duration::ZERO);
        }
    }

    /// Takes up what the disk said.
    pub(super) fn collect(&mut self) {
        while let Ok(outcome) = self.done.try_recv() {
            self.landed(&outcome);
        }
    }

    /// Waits until the snapshot that is being written is on disk.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        if self.in_flight.is_some() {
            match self.done.recv() {
                Ok(outcome) => self.landed(&outcome),
                Err(_) => self.finish(&Err("the thread that writes it has ended".into()), Duration::ZERO),
            }
        }
        self.report.problem.clone().map_or(Ok(()), Err)
    }

    fn landed(&mut self, outcome: &Result<(), String>) {
        let Some((started, taken)) = self.in_flight.take() else { return };
        if outcome.is_ok() {
            self.report.saved = Some(Moment(taken));
        }
        self.finish(outcome, started.elapsed());
    }

    fn finish(&mut self, outcome: &Result<(), String>, took: Duration) {
        self.report.took_millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => {
                if let Some(problem) = self.report.problem.take() {
                    tracing::info!(problem, "the snapshot is written again");
                }
                self.not_before = Instant::now() + PAUSE.max(took * SHARE);
            }
            Err(problem) => {
                if self.report.problem.is_none() {
                    tracing::error!(
                        problem,
                        "the snapshot cannot be written; guarding goes on, a crash now would forget"
                    );
                }
                self.report.problem = Some(problem.clone());
                self.changed = true;
                self.not_before = Instant::now() + RETRY;
            }
        }
        for waiting in self.aboard.drain(..) {
            waiting(outcome.clone());
        }
    }

    /// Whether a file is kept at all.
    pub(super) fn keeps(&self) -> bool {
        self.file.is_some()
    }

    /// What `status` tells.
    pub(super) fn report(&self) -> &StateReport {
        &self.report
    }
}
