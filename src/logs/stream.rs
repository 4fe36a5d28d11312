//! One followed path: the file that is there now, the rotated ones still to be read, and those read before.

use std::io;
use std::path::{Path, PathBuf};

use super::body::{Body, Identity, Stat};
use super::checkpoint::Checkpoint;
use super::segment::{Read, Segment};
use super::{Chunk, FileId, GroupId};
use crate::engine::{Duration, Timestamp};

/// A file of the stream that was read and closed.
pub(super) struct Past {
    pub(super) checkpoint: Checkpoint,
    /// Stored size and time of the last write when it was closed; `None` after a start.
    pub(super) stored: Option<(u64, Timestamp)>,
    /// The file of this inode no longer has this content (it was truncated, or the inode serves another file). A
    /// copy may have it.
    pub(super) homeless: bool,
}

impl Past {
    pub(super) fn of(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, stored: None, homeless: false }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity { device: self.checkpoint.device, inode: self.checkpoint.inode }
    }
}

/// A rotated file that may be a copy in the making: nothing to read in it yet.
pub(super) struct Waiting {
    pub(super) identity: Identity,
    pub(super) since: Timestamp,
}

/// A followed path.
pub(super) struct Stream {
    pub(super) id: FileId,
    pub(super) path: PathBuf,
    pub(super) exact: bool,
    /// Groups that asked for this path.
    pub(super) own_groups: Vec<GroupId>,
    /// And for its other names.
    pub(super) groups: Vec<GroupId>,
    /// The same file under another name; read there.
    pub(super) alias_of: Option<FileId>,
    /// Oldest first.
    pub(super) segments: Vec<Segment>,
    /// Whether the last segment is the file at the path.
    pub(super) follows: bool,
    pub(super) past: Vec<Past>,
    pub(super) waiting: Vec<Waiting>,
    /// What kept a rotated file from being read at the last look.
    pub(super) note: Option<String>,
    /// Why the path cannot be read.
    pub(super) problem: Option<String>,
    /// Bytes passed over: lines over the cap, unfinished ends of rotated files.
    pub(super) lost: u64,
    /// Has been looked at before.
    pub(super) known: bool,
    /// Rotated siblings have to be looked at.
    pub(super) dirty: bool,
    /// Is in the queue of those with something to read.
    pub(super) queued: bool,
}

/// What one turn of a stream did.
pub(super) enum Step {
    /// Handed over or passed over this much; `more` when another turn is needed.
    Took { bytes: u64, more: bool },
    /// The file at this index no longer has the content that was read.
    Rewritten(usize),
}

impl Stream {
    pub(super) fn new(id: FileId, path: PathBuf) -> Self {
        Self {
            id,
            path,
            exact: false,
            own_groups: Vec::new(),
            groups: Vec::new(),
            alias_of: None,
            segments: Vec::new(),
            follows: false,
            past: Vec::new(),
            waiting: Vec::new(),
            note: None,
            problem: None,
            lost: 0,
            known: false,
            dirty: false,
            queued: false,
        }
    }

    /// The file at the path, when it is open.
    pub(super) fn current(&self) -> Option<&Segment> {
        self.segments.last().filter(|_| self.follows)
    }

    /// The file at the path is another one now, or none.
    pub(super) fn retire(&mut self, now: Timestamp) {
        if self.follows
            && let Some(current) = self.segments.last_mut()
        {
            current.closing = Some(now);
            current.stale = true;
        }
        self.follows = false;
    }

    /// Opens the file at the path, at the place where it was left or at its beginning. `elsewhere` are checkpoints of
    /// paths that are followed no more.
    pub(super) fn open_current(
        &mut self,
        elsewhere: &mut Vec<Checkpoint>,
        oldest: Timestamp,
        now: Timestamp,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let (body, stat) = Body::open(&self.path)?;
        let at = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        if let Some(i) = self.segments.iter().position(|s| s.identity == stat.identity) {
            // It was renamed away and back.
            let mut segment = self.segments.remove(i);
            segment.closing = None;
            segment.at = at;
            segment.stale = true;
            self.segments.push(segment);
        } else {
            let first = !self.known && self.past.is_empty();
            let mut segment = match self.resume(&body, &stat, &at, elsewhere)? {
                Some(segment) => segment,
                None => {
                    let mut segment = Segment::fresh(body, &stat, &at, now);
                    if first && stat.modified < oldest && segment.body.grows() {
                        // Every line in it was written before anything that counts.
                        segment.skip_to_end(buffer)?;
                    }
                    segment
                }
            };
            segment.skip_other_days(now)?;
            self.segments.push(segment);
        }
        self.follows = true;
        Ok(())
    }

    /// Goes on in the file that was opened, where a checkpoint left it.
    pub(super) fn resume(
        &mut self,
        body: &Body,
        stat: &Stat,
        at: &Path,
        elsewhere: &mut Vec<Checkpoint>,
    ) -> io::Result<Option<Segment>> {
        let mut best: Option<Segment> = None;
        let known =
            self.past.iter().filter(|p| !p.homeless && p.identity() == stat.identity).map(|p| &p.checkpoint);
        let foreign =
            elsewhere.iter().filter(|c| c.device == stat.identity.device && c.inode == stat.identity.inode);
        for checkpoint in known.chain(foreign) {
            if best.as_ref().is_none_or(|b| b.offset < checkpoint.offset)
                && let Some(segment) = Segment::going_on(body.again(&self.path)?, stat, at, checkpoint)?
            {
                best = Some(segment);
            }
        }
        if let Some(segment) = &best {
            let offset = segment.offset;
            self.past.retain(|p| p.identity() != stat.identity || p.checkpoint.offset != offset);
            elsewhere.retain(|c| (c.device, c.inode) != (stat.identity.device, stat.identity.inode));
        }
        for past in self.past.iter_mut().filter(|p| p.identity() == stat.identity) {
            past.homeless = true;
        }
        Ok(best)
    }

    /// One turn: the oldest file with something to read hands over at most one block.
    pub(super) fn step(
        &mut self,
        buffer: &mut [u8],
        now: Timestamp,
        sink: &mut dyn FnMut(Chunk<'_>),
    ) -> Step {
        let Self { segments, groups, path, id, lost, problem, .. } = self;
        let mut bytes = 0;
        for (i, segment) in segments.iter_mut().enumerate().filter(|(_, s)| s.stale) {
            let read = segment.read(buffer, &mut |lines, live, modified| {
                sink(Chunk { file: *id, path, groups, bytes: lines, live, modified });
            });
            match read {
                Ok(Read::Advanced { taken, lost: passed, end }) => {
                    *lost += passed;
                    bytes += taken;
                    if taken > 0 {
                        segment.time = now;
                        segment.closing = segment.closing.map(|_| now);
                    }
                    if !end {
                        return Step::Took { bytes, more: true };
                    }
                    segment.stale = false;
                }
                Ok(Read::Rewritten) => return Step::Rewritten(i),
                Err(e) => {
                    // The next look tries again.
                    *problem = Some(format!("cannot be read: {e}"));
                    segment.stale = false;
                }
            }
        }
        Step::Took { bytes, more: false }
    }

    /// The content of this segment is gone from its file. A copy may hold what was not read yet. A rotated file is
    /// returned for its watch to be removed: the look at the siblings opens it again.
    pub(super) fn rewritten(&mut self, index: usize) -> Option<Segment> {
        let is_current = self.follows && index + 1 == self.segments.len();
        let segment = self.segments.get_mut(index)?;
        if segment.offset > 0 {
            let checkpoint = segment.checkpoint(&self.path);
            self.past.push(Past { checkpoint, stored: None, homeless: true });
        }
        self.dirty = true;
        if is_current {
            segment.restart();
            return None;
        }
        Some(self.segments.remove(index))
    }

    /// Closes rotated files that have been quiet for long enough. Returns them for the watches to be removed.
    pub(super) fn close_quiet(&mut self, now: Timestamp, grace: Duration) -> Vec<Segment> {
        let mut closed = Vec::new();
        let mut kept = Vec::with_capacity(self.segments.len());
        for mut segment in self.segments.drain(..) {
            match segment.closing {
                Some(since) if since > now => segment.closing = Some(now),
                Some(since) if !segment.stale && now.since(since) >= grace => {
                    closed.push(segment);
                    continue;
                }
                _ => {}
            }
            kept.push(segment);
        }
        self.segments = kept;
        for segment in &closed {
            self.lost += segment.lag();
            if segment.offset > 0 || segment.size > 0 {
                let checkpoint = segment.checkpoint(&self.path);
                self.past.push(Past { checkpoint, stored: Some(segment.stored), homeless: false });
            }
            self.dirty = true;
        }
        closed
    }

    /// Forgets rotated files that are gone since `oldest`, and the oldest beyond `at_most`. One that is still there is
    /// remembered however old it is: after a step of the clock it must not look new.
    pub(super) fn forget(&mut self, oldest: Timestamp, at_most: usize) {
        self.past.retain(|past| past.checkpoint.time >= oldest || past.is_there());
        let excess = self.past.len().saturating_sub(at_most);
        if excess > 0 {
            self.past.sort_by_key(|past| past.checkpoint.time);
            self.past.drain(..excess);
        }
    }

    /// Up to when everything was read, as far as it is remembered: with more rotated files than are remembered, the
    /// forgotten ones must not look new.
    pub(super) fn remembered_since(&self, at_most: usize) -> Timestamp {
        if self.past.len() < at_most {
            return Timestamp::MIN;
        }
        self.past.iter().map(|past| past.checkpoint.time).min().unwrap_or(Timestamp::MIN)
    }

    /// Everything that has to be known to read nothing twice.
    pub(super) fn checkpoints(&self) -> impl Iterator<Item = Checkpoint> {
        let open = self.segments.iter().filter(|s| s.offset > 0).map(|s| s.checkpoint(&self.path));
        let past = self.past.iter().filter(|past| past.checkpoint.offset > 0);
        past.map(|past| past.checkpoint.clone()).chain(open)
    }
}
