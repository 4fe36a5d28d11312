//! Follows any number of files.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::pattern::Patterns;
use super::segment::new_buffer;
use super::status::{FileStatus, Status};
use super::stream::{Step, Stream};
use super::watcher::{Signal, Watcher};
use super::{Chunk, FileId, GroupId};
use crate::engine::{Duration, Timestamp};

/// How often everything is looked at, whatever inotify said.
const SCAN: Duration = Duration::from_secs(1);
/// How often files are looked at that inotify cannot watch.
const POLL: Duration = Duration::from_millis(10);
/// Checkpoints of paths that nobody follows are kept this long.
const KEEP_UNFOLLOWED: Duration = Duration::from_secs(30 * 24 * 3600);
/// And of those whose last lines count no more only so many, the newest: a path may come back, as with a remount, but
/// where pods come and go most never do.
const MOST_UNFOLLOWED: usize = 1000;
/// A rotated file that was read is remembered for this long beyond the horizon.
const KEEP_READ: Duration = Duration::from_secs(3600);

/// Rotated files are looked at for late lines at every scan until they were quiet this long, afterwards only at every
/// [`RARELY`]th.
const LATE: Duration = Duration::from_secs(600);
const RARELY: u64 = 16;

/// How long a rotated file stays open for late lines, unless told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// How files are followed.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// Rotated files last written longer ago hold nothing that counts, and are not read: the largest `findTime`.
    pub horizon: Duration,
    /// How long a rotated file stays open for late lines; afterwards it is looked at with everything else.
    pub grace: Duration,
    /// At most this many rotated files are remembered for a stream as read.
    pub remembered: usize,
    /// Do not use inotify. For file systems that do not report changes, and for tests.
    pub force_polling: bool,
}

impl Default for FilesOptions {
    fn default() -> Self {
        Self { horizon: Duration::from_secs(600), grace: GRACE, remembered: 512, force_polling: false }
    }
}

/// What one [`Files::poll`] left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes handed over.
    pub bytes: u64,
    /// The budget ended first: poll again without waiting.
    pub more: bool,
    /// Poll again after this long at the latest, even when [`Files::wake_fd`] stays quiet.
    pub next_poll: Duration,
}

/// Follows files by globs and exact paths over every kind of rotation.
pub struct Files {
    pub(super) options: FilesOptions,
    pub(super) watcher: Option<Watcher>,
    /// Why everything is polled.
    pub(super) polling: Option<String>,
    pub(super) patterns: Patterns,
    pub(super) streams: BTreeMap<FileId, Stream>,
    /// The streams by their paths, and by what these resolve to.
    pub(super) paths: HashMap<PathBuf, FileId>,
    pub(super) places: HashMap<PathBuf, FileId>,
    pub(super) ready: VecDeque<FileId>,
    /// Checkpoints of paths that are not followed (yet).
    pub(super) unfollowed: Vec<Checkpoint>,
    /// Streams that ended since the last [`Files::take_unfollowed`].
    pub(super) ended: Vec<FileId>,
    /// Directories that matter, with the time of their last change at the last look.
    pub(super) directories: HashMap<PathBuf, Timestamp>,
    pub(super) buffer: Vec<u8>,
    pub(super) expand: bool,
    pub(super) keep_all_places: bool,
    /// There are other streams or groups than at the last [`Files::regrouped`].
    pub(super) regrouped: bool,
    pub(super) next_id: u64,
    signals: Vec<Signal>,
    last_scan: Option<Timestamp>,
    last_look: Timestamp,
    scans: u64,
}

impl Files {
    /// A reader that will go on where `checkpoints` left off. Nothing is opened before [`Files::poll`].
    #[must_use]
    pub fn new(checkpoints: Vec<Checkpoint>, options: FilesOptions) -> Self {
        let (watcher, polling) = if options.force_polling {
            (None, Some("files are polled every 10 ms, as asked for".to_owned()))
        } else {
            match Watcher::new() {
                Ok(watcher) => (Some(watcher), None),
                Err(e) => {
                    (None, Some(format!("inotify is not to be had ({e}); files are polled every 10 ms")))
                }
            }
        };
        Self {
            options,
            watcher,
            polling,
            patterns: Patterns::default(),
            streams: BTreeMap::new(),
            paths: HashMap::new(),
            places: HashMap::new(),
            ready: VecDeque::new(),
            unfollowed: checkpoints,
            ended: Vec::new(),
            directories: HashMap::new(),
            buffer: new_buffer(),
            expand: true,
            keep_all_places: false,
            regrouped: false,
            next_id: 0,
            signals: Vec::new(),
            last_scan: None,
            last_look: Timestamp::MIN,
            scans: 0,
        }
    }

    /// What to follow from now on: globs (`*`, `?`, `[…]`, `**`) or exact paths, per group. Replaces what was asked
    /// for before; a path asked for by several groups is read once. Files of a path that is no longer asked for are
    /// closed at the next poll and their places kept. A group that joins a path that is already followed gets what
    /// comes from now on.
    pub fn watch(&mut self, watched: impl AsRef<[(GroupId, Vec<PathBuf>)]>) {
        self.patterns = Patterns::new(watched.as_ref());
        self.expand = true;
        self.regrouped = true;
    }

    /// Every path that was read before, and who asks for it by the last [`Files::watch`].
    pub fn known(&self) -> impl Iterator<Item = (&Path, Vec<GroupId>)> {
        let followed = self.streams.values().map(|stream| stream.path.as_path());
        let known = followed.chain(self.unfollowed.iter().map(|checkpoint| checkpoint.path.as_path()));
        known.map(|path| (path, self.patterns.groups_of(path).to_vec()))
    }

    /// Every followed path and who is given its lines, when that may have changed since the last call.
    pub fn regrouped(&mut self) -> impl Iterator<Item = (&Path, &[GroupId])> {
        let changed = std::mem::take(&mut self.regrouped);
        let streams = changed.then(|| self.streams.values()).into_iter().flatten();
        streams.map(|stream| (stream.path.as_path(), stream.groups.as_slice()))
    }

    /// Forgets how far the paths that are meant were read. Who follows them begins at the next poll as at the first sight of a file.
    pub fn forget(&mut self, is_meant: impl Fn(&Path) -> bool) {
        for id in self.ids() {
            if self.streams.get(&id).is_some_and(|stream| is_meant(&stream.path)) {
                self.unfollow(id);
            }
        }
        self.unfollowed.retain(|checkpoint| !is_meant(&checkpoint.path));
        self.expand = true;
    }

    /// Files that are no longer followed, each told once. One that is followed again is another [`FileId`].
    pub fn take_unfollowed(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.ended)
    }

    /// Rotated files last written longer ago are not read: the largest `findTime` of all groups.
    pub fn set_horizon(&mut self, horizon: Duration) {
        self.options.horizon = horizon;
    }

    /// Whether every place in a path that nobody follows is kept, however old: who asks for it may not be known yet.
    pub fn keep_all_places(&mut self, all: bool) {
        self.keep_all_places = all;
    }

    /// Readable when something happened; `None` when files are polled.
    #[must_use]
    pub fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        self.watcher.as_ref().map(Watcher::fd)
    }

    /// Hands over what is there, at most about `budget` bytes (whole blocks), fair between the files.
    pub fn poll(&mut self, now: Timestamp, budget: u64, sink: &mut dyn FnMut(Chunk<'_>)) -> Progress {
        self.take_signals(now);
        let scan_due = self.last_scan.is_none_or(|last| now < last || now.since(last) >= SCAN);
        if scan_due {
            self.last_scan = Some(now);
            self.scan(now);
        } else if self.polling.is_some() && (now < self.last_look || now.since(self.last_look) >= POLL) {
            self.look_at_all(now);
        }
        if scan_due || self.polling.is_some() {
            self.last_look = now;
        }
        if self.expand {
            self.expand(now);
        }
        if scan_due {
            self.tidy(now);
        }
        let mut bytes = 0;
        while bytes < budget {
            let Some(id) = self.ready.pop_front() else { break };
            bytes += self.turn(id, now, sink);
        }
        let since_scan = self.last_scan.map_or(Duration::ZERO, |last| now.since(last));
        let next_poll = if self.polling.is_some() { POLL } else { SCAN.saturating_sub(since_scan) };
        Progress { bytes, more: !self.ready.is_empty(), next_poll }
    }

    /// The places up to which bytes were handed over, of all files. To be saved together with what was made of them.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        let followed = self.streams.values().flat_map(Stream::checkpoints);
        self.unfollowed.iter().cloned().chain(followed).collect()
    }

    /// Every followed path with its place, lag and losses.
    #[must_use]
    pub fn status(&self) -> Status {
        let awaited = self.patterns.globs().filter(|(group, glob)| !self.matched(*group, glob));
        Status {
            notice: self.polling.clone(),
            awaited: awaited.map(|(group, glob)| (group, glob.to_path_buf())).collect(),
            files: self.streams.values().map(FileStatus::of).collect(),
        }
    }

    fn matched(&self, group: GroupId, glob: &Path) -> bool {
        let one = Patterns::new(&[(group, vec![glob.to_path_buf()])]);
        self.paths.keys().any(|path| !one.groups_of(path).is_empty())
    }

    /// One turn of one stream.
    fn turn(&mut self, id: FileId, now: Timestamp, sink: &mut dyn FnMut(Chunk<'_>)) -> u64 {
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        stream.queued = false;
        match stream.step(&mut self.buffer, now, sink) {
            Step::Took { bytes, more } => {
                if more {
                    self.enqueue(id);
                }
                bytes
            }
            Step::Rewritten(index) => {
                let closed = stream.rewritten(index);
                if let Some(segment) = closed {
                    self.detach(id, segment);
                }
                self.reconcile(id, now, true);
                0
            }
        }
    }

    pub(super) fn enqueue(&mut self, id: FileId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.queued
        {
            stream.queued = true;
            self.ready.push_back(id);
        }
    }

    fn take_signals(&mut self, now: Timestamp) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut signals = std::mem::take(&mut self.signals);
        if let Err(e) = watcher.signals(&mut signals) {
            self.polling = Some(format!("inotify failed ({e}); files are polled every 10 ms"));
            self.watcher = None;
        }
        for signal in signals.drain(..) {
            match signal {
                Signal::Data(id) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.segments.iter_mut().for_each(|s| s.stale = true);
                    }
                    self.enqueue(id);
                }
                Signal::Moved(id) => self.reconcile(id, now, false),
                Signal::Name(directory, name) => self.name_changed(&directory, &name, now),
                Signal::Directory | Signal::Overflow => self.last_scan = None,
            }
        }
        self.signals = signals;
    }

    /// The slow look at everything, which finds what inotify did not tell.
    fn scan(&mut self, now: Timestamp) {
        self.expand = true;
        self.look_at_directories();
        self.look_at_all(now);
        let oldest = now - self.options.horizon - KEEP_READ;
        let lately = now - LATE;
        self.scans += 1;
        for id in self.ids() {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let all = self.scans % RARELY == id.0 % RARELY;
            if all {
                stream.forget(oldest, self.options.remembered);
            }
            let closed = stream.close_quiet(now, self.options.grace);
            let late = stream.past.iter().any(|p| (all || p.checkpoint.time >= lately) && p.has_grown());
            let dirty = stream.dirty || late || !stream.waiting.is_empty();
            for segment in closed {
                self.detach(id, segment);
            }
            if dirty {
                self.survey(id, now);
            }
        }
    }

    /// Forgets places that nobody will ask for. After [`Self::expand`]: at the start all places are among them.
    fn tidy(&mut self, now: Timestamp) {
        self.unfollowed.retain(|c| c.time + KEEP_UNFOLLOWED >= now);
        let excess = self.unfollowed.len().saturating_sub(MOST_UNFOLLOWED);
        if excess > 0 && !self.keep_all_places {
            let oldest = now - self.options.horizon - KEEP_READ;
            self.unfollowed.sort_by_key(|c| c.time);
            let outdated = self.unfollowed.partition_point(|c| c.time < oldest);
            self.unfollowed.drain(..excess.min(outdated));
        }
    }

    fn look_at_all(&mut self, now: Timestamp) {
        for id in self.ids() {
            self.reconcile(id, now, false);
        }
    }

    pub(super) fn ids(&self) -> Vec<FileId> {
        self.streams.keys().copied().collect()
    }
}
