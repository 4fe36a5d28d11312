//! What file each stream is now: the part of [`Files`] that compares names with what is open.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::FileId;
use super::body::{Body, Identity, Stat, is_gzip};
use super::files::Files;
use super::rotated::{readings, stem};
use super::segment::{Segment, holds};
use super::stream::{Past, Stream};
use super::survey::{Look, Sibling};
use crate::engine::Timestamp;

/// Whose file this inode is already.
pub(super) enum Claim {
    Nobody,
    /// Another path leads to the same file.
    Alias(FileId),
    /// The file was at another stream's path before.
    Rotated(FileId),
}

impl Past {
    /// Whether the file is still where it was seen last.
    pub(super) fn is_there(&self) -> bool {
        !self.homeless && Stat::of(&self.checkpoint.at).is_ok_and(|s| s.identity == self.identity())
    }

    /// Whether something was written after the file was closed.
    pub(super) fn has_grown(&self) -> bool {
        !self.homeless
            && self.stored.is_some()
            && Stat::of(&self.checkpoint.at)
                .is_ok_and(|s| s.identity == self.identity() && self.stored != Some((s.size, s.modified)))
    }
}

impl Files {
    /// Whether another stream reads or has read this file.
    pub(super) fn claim(&self, own: Option<FileId>, path: &Path, identity: Identity) -> Claim {
        for stream in self.streams.values().filter(|s| Some(s.id) != own && s.alias_of.is_none()) {
            if let Some(i) = stream.segments.iter().position(|s| s.identity == identity) {
                let is_current = stream.follows && i + 1 == stream.segments.len();
                if is_current && Stat::of(&stream.path).is_ok_and(|s| s.identity == identity) {
                    return Claim::Alias(stream.id);
                }
                return Claim::Rotated(stream.id);
            }
            let read = stream.past.iter().find(|p| !p.homeless && p.identity() == identity);
            if read.is_some_and(|p| {
                // Another file may have the name by now; then nothing speaks against what the inode says.
                Body::open(path).is_ok_and(|(mut body, opened)| {
                    opened.identity != identity || holds(&mut body, &p.checkpoint).unwrap_or(false)
                })
            }) {
                return Claim::Rotated(stream.id);
            }
        }
        Claim::Nobody
    }

    /// Compares a stream with what is at its path now. `urgent`: its file was truncated.
    pub(super) fn reconcile(&mut self, id: FileId, now: Timestamp, mut urgent: bool) {
        let Some(stream) = self.streams.get(&id) else { return };
        let here = Stat::of(&stream.path);
        let current = stream.current().map(|s| s.identity);
        let found = here.as_ref().ok().filter(|stat| stat.refusal().is_none()).map(|stat| stat.identity);
        let claim = match found {
            Some(identity) if current != Some(identity) => self.claim(Some(id), &stream.path, identity),
            _ => Claim::Nobody,
        };
        let oldest = now - self.options.horizon;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.problem = match &here {
            Ok(stat) => stat.refusal().map(str::to_owned),
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                None
            }
            Err(e) => Some(format!("cannot be read: {e}")),
        };
        let was_alias = stream.alias_of.take().is_some();
        urgent |= !stream.known;
        if found.is_none() || current != found {
            urgent |= current.is_some();
            stream.retire(now);
        }
        match claim {
            Claim::Alias(other) => stream.alias_of = Some(other),
            // The other path moved on first; what this file still gets is read there.
            Claim::Rotated(other) if was_alias => stream.alias_of = Some(other),
            Claim::Rotated(_) if !stream.exact => {}
            _ if found.is_some() && current != found => {
                match stream.open_current(&mut self.unfollowed, oldest, now, &mut self.buffer) {
                    Ok(()) => urgent = true,
                    Err(e) => stream.problem = Some(format!("cannot be opened: {e}")),
                }
                if let Some(place) = stream.current().map(|s| s.at.clone()).filter(|at| *at != stream.path) {
                    self.places.insert(place, id);
                    self.expand = true;
                }
            }
            _ => {}
        }
        let alias_changed = stream.alias_of.is_some() != was_alias;
        self.expand |= alias_changed;
        self.regrouped |= alias_changed;
        stream.known = true;
        stream.segments.iter_mut().for_each(Segment::look);
        if urgent || stream.dirty {
            // What was truncated first is told from what is new among its copies.
            if stream.follows
                && let Some(i) = stream.segments.len().checked_sub(1)
                && stream.segments.get_mut(i).is_some_and(|current| !current.is_intact())
            {
                stream.rewritten(i);
            }
            self.survey(id, now);
        }
        self.attach(id);
        let stale = self.streams.get(&id).is_some_and(|s| s.segments.iter().any(|s| s.stale));
        if stale {
            self.enqueue(id);
        }
    }

    /// Looks at the rotated siblings of a stream.
    pub(super) fn survey(&mut self, id: FileId, now: Timestamp) {
        let Some(stream) = self.streams.get(&id).filter(|s| s.alias_of.is_none()) else { return };
        let siblings = self.siblings(stream);
        let remembered = self.options.remembered;
        let horizon = now - self.options.horizon;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let look = Look { now, oldest: horizon.max(stream.remembered_since(remembered)) };
        stream.note = stream.survey(siblings, look);
        let stale = stream.segments.iter().any(|s| s.stale);
        self.attach(id);
        if stale {
            self.enqueue(id);
        }
    }

    fn siblings(&self, stream: &Stream) -> Vec<Sibling> {
        let mut found = Vec::<Sibling>::new();
        let place = stream.current().map(|s| s.at.as_path()).filter(|at| *at != stream.path);
        for file in std::iter::once(stream.path.as_path()).chain(place) {
            let (Some(directory), Some(base)) = (file.parent(), file.file_name()) else { continue };
            let stem = stem(base.as_bytes());
            for entry in directory.read_dir().into_iter().flatten().flatten() {
                let name = entry.file_name();
                if !name.as_bytes().starts_with(stem) {
                    continue;
                }
                let path = directory.join(&name);
                if self.paths.contains_key(&path) || found.iter().any(|s| s.path == path) {
                    continue;
                }
                if let Some(reading) = readings(name.as_bytes()).into_iter().find(|r| r.base == base) {
                    found.push(Sibling { path, gzip: reading.gzip, numbers: reading.numbers, only: None });
                }
            }
        }
        for past in &stream.past {
            let at = &past.checkpoint.at;
            if !self.paths.contains_key(at) && !found.iter().any(|s| s.path == *at) {
                let only = Some(past.identity());
                found.push(Sibling {
                    path: at.clone(),
                    gzip: is_gzip(at),
                    numbers: Default::default(),
                    only,
                });
            }
        }
        found
    }

    /// A name came, went or changed its file.
    pub(super) fn name_changed(&mut self, directory: &Path, name: &OsStr, now: Timestamp) {
        let path = directory.join(name);
        let mut known = false;
        for id in [self.paths.get(&path).copied(), self.places.get(&path).copied()].into_iter().flatten() {
            known = true;
            self.reconcile(id, now, false);
        }
        for reading in readings(name.as_bytes()) {
            let base = directory.join(&reading.base);
            for id in [self.paths.get(&base).copied(), self.places.get(&base).copied()].into_iter().flatten()
            {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.dirty = true;
                }
                self.reconcile(id, now, false);
            }
        }
        if !known && self.patterns.concerns(&path) {
            self.expand = true;
        }
    }

    /// Without inotify (or where it does not work) changed directories are told by their time.
    pub(super) fn look_at_directories(&mut self) {
        let mut changed = Vec::new();
        for (path, seen) in &mut self.directories {
            if let Ok(stat) = Stat::of(path)
                && stat.modified != *seen
            {
                *seen = stat.modified;
                changed.push(path.clone());
            }
        }
        for directory in changed {
            for entry in directory.read_dir().into_iter().flatten().flatten() {
                for reading in readings(entry.file_name().as_bytes()) {
                    let base = directory.join(&reading.base);
                    for id in [self.paths.get(&base), self.places.get(&base)].into_iter().flatten() {
                        if let Some(stream) = self.streams.get_mut(id) {
                            stream.dirty = true;
                        }
                    }
                }
            }
        }
    }

    /// Watches every open file of the stream.
    fn attach(&mut self, id: FileId) {
        let (Some(stream), Some(watcher)) = (self.streams.get_mut(&id), &mut self.watcher) else { return };
        let mut failure = None;
        for segment in stream.segments.iter_mut().filter(|s| s.watch.is_none()) {
            if let Body::Plain(file) = &segment.body {
                match watcher.add_file(file, id) {
                    Ok(watch) => segment.watch = Some(watch),
                    Err(e) => failure = Some(e),
                }
            }
        }
        if let Some(e) = failure {
            self.degrade(&e);
        }
    }

    pub(super) fn detach(&mut self, id: FileId, segment: Segment) {
        if let (Some(watcher), Some(watch)) = (&mut self.watcher, segment.watch) {
            watcher.remove_file(watch, id);
        }
    }

    /// From now on files are polled as well.
    pub(super) fn degrade(&mut self, e: &std::io::Error) {
        self.polling = Some(format!(
            "inotify has no room for all files ({e}; see fs.inotify.max_user_watches); they are polled every 10 ms"
        ));
    }
}
