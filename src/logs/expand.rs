//! Which streams there are: the part of [`Files`] that turns patterns into followed paths.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use smallvec::SmallVec;

use super::body::{Identity, Stat};
use super::files::Files;
use super::follow::Claim;
use super::pattern::Wanted;
use super::rotated::{is_log_name, is_unreadable, readings};
use super::stream::{Past, Stream};
use super::{FileId, GroupId};
use crate::engine::Timestamp;

impl Files {
    /// Finds out what is asked for, and follows exactly that.
    pub(super) fn expand(&mut self, now: Timestamp) {
        // A directory that is watched from now on may have changed before: look again. New ones come level by level.
        for _ in 0..16 {
            self.expand = false;
            let walk = self.patterns.walk();
            let wanted = self.without_rotated(walk.files);
            let gone: Vec<FileId> = self
                .streams
                .values()
                .filter(|s| !wanted.contains_key(&s.path) && !self.still_awaited(s))
                .map(|s| s.id)
                .collect();
            for id in gone {
                self.unfollow(id);
            }
            // Who has a history first: a new name may be that of a file it read.
            let (known, new): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|(path, _)| self.unfollowed.iter().any(|c| c.path == *path));
            for (path, wanted) in known.into_iter().chain(new) {
                self.follow(path, &wanted, now);
            }
            self.share_groups();
            let mut directories: Vec<PathBuf> = walk.directories.into_iter().collect();
            directories.extend(self.places.keys().filter_map(|place| place.parent().map(Path::to_path_buf)));
            directories.sort();
            directories.dedup();
            self.directories.retain(|path, _| directories.binary_search(path).is_ok());
            for path in &directories {
                self.directories.entry(path.clone()).or_insert(Timestamp::MIN);
            }
            let Some(watcher) = &mut self.watcher else { break };
            match watcher.set_directories(&directories) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => {
                    self.degrade(&e);
                    break;
                }
            }
        }
    }

    /// A stream whose file vanished is kept as long as a pattern asks for it and there is something to remember.
    fn still_awaited(&self, stream: &Stream) -> bool {
        (!stream.segments.is_empty() || !stream.past.is_empty())
            && !self.patterns.groups_of(&stream.path).is_empty()
    }

    /// Replaces rotated siblings that a glob happens to match (`*.log*`) by the file they came from.
    fn without_rotated(&self, files: BTreeMap<PathBuf, Wanted>) -> BTreeMap<PathBuf, Wanted> {
        let mut result = BTreeMap::<PathBuf, Wanted>::new();
        let exists = |path: &Path| files.contains_key(path) || self.paths.contains_key(path);
        let mut based = Vec::new();
        for (path, wanted) in &files {
            if !wanted.exact
                && let Some(base) = self.base_of(path, &exists)
            {
                based.push(base);
            }
        }
        let rotated: HashSet<&Path> = based.iter().map(|(from, _, _)| from.as_path()).collect();
        let readable = |path: &Path| path.file_name().is_some_and(|name| !is_unreadable(name.as_bytes()));
        result.extend(
            files
                .into_iter()
                .filter(|(path, w)| w.exact || !rotated.contains(path.as_path()) && readable(path)),
        );
        for (_, base, groups) in based {
            let wanted = result.entry(base).or_default();
            for group in groups {
                if !wanted.groups.contains(&group) {
                    wanted.groups.push(group);
                }
            }
        }
        result
    }

    fn base_of(
        &self,
        path: &Path,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Option<(PathBuf, PathBuf, SmallVec<[GroupId; 2]>)> {
        for reading in readings(path.file_name()?.as_bytes()) {
            let base = path.with_file_name(&reading.base);
            let groups = self.patterns.groups_of(&base);
            let remembered = self.unfollowed.iter().any(|c| c.path == base);
            let there = exists(&base) || remembered;
            let sure =
                reading.appended && !reading.numbers.is_empty() && is_log_name(reading.base.as_bytes());
            // `james-20260101.log` may be written to in its own right.
            let archive = reading.appended || reading.gzip;
            if !groups.is_empty() && archive && (there || sure) {
                return Some((path.to_path_buf(), base, groups));
            }
        }
        None
    }

    fn follow(&mut self, path: PathBuf, wanted: &Wanted, now: Timestamp) {
        let mut groups = wanted.groups.to_vec();
        if wanted.exact {
            // A file that is not there is found by those alone who name it, and others ask for it as well.
            groups.extend(self.patterns.groups_of(&path));
            groups.sort_unstable();
            groups.dedup();
        }
        if let Some(stream) = self.paths.get(&path).and_then(|id| self.streams.get_mut(id)) {
            stream.exact = wanted.exact;
            stream.own_groups = groups;
            if !stream.follows && stream.alias_of.is_none() {
                let id = stream.id;
                self.reconcile(id, now, false);
            }
            return;
        }
        if !wanted.exact
            && let Ok(stat) = Stat::of(&path)
            && let Claim::Rotated(owner) = self.claim(None, &path, stat.identity)
        {
            if let Some(stream) = self.streams.get_mut(&owner) {
                stream.moved_to(&path, stat.identity);
            }
            return;
        }
        let id = FileId(self.next_id);
        self.next_id += 1;
        let mut stream = Stream::new(id, path.clone());
        stream.exact = wanted.exact;
        stream.own_groups = groups;
        stream.groups.clone_from(&stream.own_groups);
        let (known, others) = std::mem::take(&mut self.unfollowed).into_iter().partition(|c| c.path == path);
        self.unfollowed = others;
        stream.past = Vec::from_iter::<Vec<_>>(known).into_iter().map(Past::of).collect();
        self.streams.insert(id, stream);
        self.paths.insert(path, id);
        self.regrouped = true;
        self.reconcile(id, now, false);
    }

    pub(super) fn unfollow(&mut self, id: FileId) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        self.ended.push(id);
        self.paths.remove(&stream.path);
        self.places.retain(|_, other| *other != id);
        self.unfollowed.extend(stream.checkpoints());
        for segment in stream.segments.drain(..) {
            self.detach(id, segment);
        }
        for other in self.streams.values_mut().filter(|s| s.alias_of == Some(id)) {
            other.alias_of = None;
            self.expand = true;
        }
    }

    /// Another path's groups get the lines of the file they share.
    fn share_groups(&mut self) {
        let aliases: Vec<(FileId, Vec<GroupId>)> =
            self.streams.values().filter_map(|s| Some((s.alias_of?, s.own_groups.clone()))).collect();
        for stream in self.streams.values_mut() {
            stream.groups.clone_from(&stream.own_groups);
            for (_, groups) in aliases.iter().filter(|(of, _)| *of == stream.id) {
                stream.groups.extend(groups);
            }
            stream.groups.sort_unstable();
            stream.groups.dedup();
        }
    }
}

impl Stream {
    /// One of its rotated files was found under another name.
    fn moved_to(&mut self, path: &Path, identity: Identity) {
        for segment in self.segments.iter_mut().filter(|s| s.identity == identity) {
            segment.at = path.to_path_buf();
        }
        for past in self.past.iter_mut().filter(|p| p.identity() == identity) {
            past.checkpoint.at = path.to_path_buf();
        }
    }
}
