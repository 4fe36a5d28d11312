//! The rotated siblings of a stream: which of them hold lines that were not read yet, and in which order.
//!
//! Names only say who the siblings are. What was read is told by inode, and where the inode changed (copytruncate,
//! gzip) by content: the first bytes and the bytes before the offset.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use smallvec::SmallVec;

use super::body::{Body, Identity, Stat, is_gzip};
use super::checkpoint::Checkpoint;
use super::rotated::{Age, oldest_first};
use super::segment::{Segment, holds};
use super::stream::{Past, Stream, Waiting};
use crate::engine::{Duration, Timestamp};

/// An empty file may be a copy that is about to be written; after this long it is just empty.
const SETTLE: Duration = Duration::from_secs(2);
/// How many first bytes tell a copy of an open file.
const ALIKE: usize = 4096;

/// A file that, by its name or because it was there before, may belong to a stream.
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) gzip: bool,
    pub(super) numbers: SmallVec<[u64; 4]>,
    /// Only when it is still this file: its name says nothing.
    pub(super) only: Option<Identity>,
}

/// The circumstances of a look.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) now: Timestamp,
    /// Files last written before this hold nothing that counts.
    pub(super) oldest: Timestamp,
}

impl Stream {
    /// Opens the siblings with unread lines, before the current file. Returns what kept one from being read.
    pub(super) fn survey(&mut self, siblings: Vec<Sibling>, look: Look) -> Option<String> {
        self.dirty = false;
        let mut problem = None;
        let mut present: HashSet<Identity> = self.segments.iter().map(|s| s.identity).collect();
        let mut unsettled = Vec::new();
        let mut candidates = Vec::new();
        let plain: HashSet<PathBuf> =
            siblings.iter().filter(|s| !s.gzip && s.only.is_none()).map(|s| s.path.clone()).collect();
        for sibling in siblings {
            let Ok(stat) = Stat::of(&sibling.path) else { continue };
            if stat.refusal().is_some() || sibling.only.is_some_and(|only| only != stat.identity) {
                continue;
            }
            if let Some(open) = self.segments.iter_mut().find(|s| s.identity == stat.identity) {
                if open.closing.is_some() {
                    open.at = sibling.path;
                }
                continue;
            }
            // As long as the plain file is there the archive is being written.
            if present.insert(stat.identity)
                && !(sibling.gzip && plain.contains(&sibling.path.with_extension("")))
            {
                candidates.push((sibling, stat));
            }
        }
        oldest_first(&mut candidates, |(s, stat)| Age { numbers: &s.numbers, modified: stat.modified });
        self.tell_homeless(&candidates);
        let mut opened = Vec::new();
        for (sibling, stat) in candidates {
            match self.consider(&sibling, &stat, &present, look, &mut unsettled) {
                Ok(Some(mut segment)) => {
                    if let Err(e) = segment.skip_other_days(look.now) {
                        problem = Some(format!("{}: {e}", sibling.path.display()));
                    }
                    segment.closing = Some(look.now);
                    opened.push(segment);
                }
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.dirty = true,
                Err(e) => problem = Some(format!("{} cannot be read: {e}", sibling.path.display())),
            }
        }
        self.waiting = unsettled;
        let place = self.segments.len() - usize::from(self.follows);
        self.segments.splice(place..place, opened);
        problem
    }

    /// Finds out which of the files read before lost their content, before anything is taken for new: its copy may be
    /// older than the file that has the inode now.
    fn tell_homeless(&mut self, candidates: &[(Sibling, Stat)]) {
        for past in self.past.iter_mut().filter(|p| !p.homeless) {
            let home = candidates.iter().find(|(_, stat)| stat.identity == past.identity());
            if let Some((sibling, stat)) = home
                && past.stored != Some((stat.size, stat.modified))
                && let Ok(mut body) = open(sibling, stat)
            {
                // A removed file's inode often serves the archive that was made of its neighbour.
                let other = sibling.gzip != is_gzip(&past.checkpoint.at);
                past.homeless = other || !holds(&mut body, &past.checkpoint).unwrap_or(true);
            }
        }
    }

    /// Whether something is to be read from this sibling.
    fn consider(
        &mut self,
        sibling: &Sibling,
        stat: &Stat,
        present: &HashSet<Identity>,
        look: Look,
        unsettled: &mut Vec<Waiting>,
    ) -> io::Result<Option<Segment>> {
        let stored = (stat.size, stat.modified);
        let by_inode = self.past.iter().position(|p| !p.homeless && p.identity() == stat.identity);
        if let Some(past) = by_inode.and_then(|i| self.past.get_mut(i)) {
            past.checkpoint.at.clone_from(&sibling.path);
            if past.stored == Some(stored) {
                return Ok(None);
            }
        }
        if stat.modified < look.oldest {
            return Ok(None);
        }
        if let Some(i) = by_inode
            && let Some(past) = self.past.get_mut(i)
        {
            match resumed(sibling, stat, &past.checkpoint)? {
                // Nothing behind the offset: read to its end before the agent started.
                Some(s) if s.body.grows() && stat.size == past.checkpoint.offset => {
                    past.stored = Some(stored);
                    return Ok(None);
                }
                Some(segment) => {
                    self.past.remove(i);
                    return Ok(Some(segment));
                }
                None => past.homeless = true,
            }
        }
        if let Some(found) = self.recognise(sibling, stat, present)? {
            return Ok(found);
        }
        let likeness = self.likeness(&mut open(sibling, stat)?)?;
        let since = self.waiting.iter().find(|w| w.identity == stat.identity).map_or(look.now, |w| w.since);
        match likeness {
            Likeness::New => Ok(Some(Segment::fresh(open(sibling, stat)?, stat, &sibling.path, look.now))),
            Likeness::Empty if look.now.since(since) >= SETTLE => Ok(None),
            Likeness::Empty | Likeness::Copy => {
                unsettled.push(Waiting { identity: stat.identity, since: since.min(look.now) });
                Ok(None)
            }
        }
    }

    /// Finds the file that was read before and whose content this is. `Some(None)`: and it was read to its end.
    fn recognise(
        &mut self,
        sibling: &Sibling,
        stat: &Stat,
        present: &HashSet<Identity>,
    ) -> io::Result<Option<Option<Segment>>> {
        for i in 0..self.past.len() {
            let Some(past) = self.past.get(i) else { break };
            let homeless = past.homeless || !present.contains(&past.identity());
            if !homeless || past.checkpoint.head.len == 0 {
                continue;
            }
            let mut body = open(sibling, stat)?;
            let mut head = vec![0; past.checkpoint.head.len()];
            if body.read_at(0, &mut head)? != head.len() || !past.checkpoint.head.fits(&head) {
                continue;
            }
            // The length says it without decompressing everything.
            let checkpoint = &past.checkpoint;
            let complete = checkpoint.offset == checkpoint.size
                && if body.grows() {
                    stat.size == checkpoint.size && holds(&mut body, checkpoint)?
                } else {
                    body.text_size(stat)? == checkpoint.size & u64::from(u32::MAX)
                };
            let mut checkpoint = checkpoint.clone();
            checkpoint.device = stat.identity.device;
            checkpoint.inode = stat.identity.inode;
            checkpoint.at.clone_from(&sibling.path);
            if complete {
                let moved = Past { checkpoint, stored: Some((stat.size, stat.modified)), homeless: false };
                self.past.push(moved);
                self.past.swap_remove(i);
                return Ok(Some(None));
            }
            if let Some(segment) = resumed(sibling, stat, &checkpoint)? {
                self.past.remove(i);
                return Ok(Some(Some(segment)));
            }
        }
        Ok(None)
    }

    /// Whether the file may be a copy of one that is open. What copytruncate is about to make begins like the file we
    /// read, and is nothing new before that one is truncated.
    fn likeness(&mut self, body: &mut Body) -> io::Result<Likeness> {
        let mut bytes = vec![0; ALIKE];
        let n = body.read_at(0, &mut bytes)?;
        if n == 0 {
            return Ok(Likeness::Empty);
        }
        let mut other = vec![0; ALIKE];
        for open in self.segments.iter_mut().filter(|s| s.body.grows()) {
            let m = open.body.read_at(0, &mut other)?;
            let common = n.min(m);
            // No copy is longer than what it is made of.
            let longer = body.grows() && body.stat()?.size > open.body.stat()?.size;
            let alike = common > 0 && bytes.get(..common) == other.get(..common);
            // The marks too: that it was truncated may not have been noticed yet.
            if (alike && !longer) || open.begins_like(&bytes) {
                return Ok(Likeness::Copy);
            }
        }
        Ok(Likeness::New)
    }
}

/// Opens the file that was looked at. In the midst of a rotation another one may have its name by now: that is
/// `NotFound`, and the siblings are looked at again.
fn open(sibling: &Sibling, stat: &Stat) -> io::Result<Body> {
    let (body, opened) = Body::open(&sibling.path)?;
    if opened.identity == stat.identity { Ok(body) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The same for a file that goes on at its checkpoint; `None` when its content is not the checkpoint's.
fn resumed(sibling: &Sibling, stat: &Stat, checkpoint: &Checkpoint) -> io::Result<Option<Segment>> {
    Segment::going_on(open(sibling, stat)?, stat, &sibling.path, checkpoint)
}

enum Likeness {
    /// Nothing in it yet.
    Empty,
    /// Begins like an open file.
    Copy,
    /// Nothing we know.
    New,
}
