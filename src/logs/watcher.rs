//! The one inotify instance: which files grew, which names changed in which directory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use smallvec::SmallVec;

use super::FileId;

/// What happened since the last look.
pub(super) enum Signal {
    /// A file of this stream was written.
    Data(FileId),
    /// A file of this stream was renamed, removed or changed its permissions.
    Moved(FileId),
    /// A name in this directory came, went or now means another file.
    Name(PathBuf, OsString),
    /// The directory itself went away or was renamed.
    Directory,
    /// The kernel dropped events: look at everything.
    Overflow,
}

/// One file watched for a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileWatch(WatchDescriptor);

/// Watches of files (by inode, so that they follow a rename) and of directories (for names).
pub(super) struct Watcher {
    inotify: Inotify,
    files: HashMap<WatchDescriptor, SmallVec<[FileId; 1]>>,
    directories: HashMap<WatchDescriptor, SmallVec<[PathBuf; 1]>>,
    watched: HashMap<PathBuf, WatchDescriptor>,
    buffer: Vec<u8>,
}

impl Watcher {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::init()?,
            files: HashMap::new(),
            directories: HashMap::new(),
            watched: HashMap::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches the file behind an open descriptor, so that the name cannot have changed in between.
    pub(super) fn add_file(&mut self, file: &File, id: FileId) -> io::Result<FileWatch> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mask = WatchMask::MODIFY | WatchMask::MOVE_SELF | WatchMask::ATTRIB;
        let wd = self.inotify.watches().add(path, mask)?;
        let ids = self.files.entry(wd.clone()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
        Ok(FileWatch(wd))
    }

    pub(super) fn remove_file(&mut self, watch: FileWatch, id: FileId) {
        if let Some(ids) = self.files.get_mut(&watch.0) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.files.remove(&watch.0);
                // Fails when the file is gone, and the watch with it.
                let _ = self.inotify.watches().remove(watch.0);
            }
        }
    }

    /// Watches exactly these directories. Returns whether one is new: what happened in it before now was not seen.
    pub(super) fn set_directories(&mut self, wanted: &[PathBuf]) -> io::Result<bool> {
        let mut news = false;
        let mut failure = None;
        let mut kept = HashMap::with_capacity(wanted.len());
        for path in wanted {
            match self.add_directory(path) {
                Ok(wd) => {
                    news |= self.watched.get(path) != Some(&wd);
                    kept.insert(path.clone(), wd);
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(e) => failure = Some(e),
            }
        }
        self.directories.clear();
        for (path, wd) in &kept {
            self.directories.entry(wd.clone()).or_default().push(path.clone());
        }
        for (_, wd) in std::mem::replace(&mut self.watched, kept) {
            if !self.directories.contains_key(&wd) {
                let _ = self.inotify.watches().remove(wd);
            }
        }
        failure.map_or(Ok(news), Err)
    }

    fn add_directory(&self, path: &Path) -> io::Result<WatchDescriptor> {
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        self.inotify.watches().add(path, mask)
    }

    /// Everything that happened, without waiting.
    pub(super) fn signals(&mut self, sink: &mut Vec<Signal>) -> io::Result<()> {
        loop {
            let events = match self.inotify.read_events(&mut self.buffer) {
                Ok(events) => events,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    sink.push(Signal::Overflow);
                } else if let Some(ids) = self.files.get(&event.wd) {
                    if event.mask.contains(EventMask::MODIFY) {
                        sink.extend(ids.iter().copied().map(Signal::Data));
                    } else if event.mask.contains(EventMask::IGNORED) {
                        self.files.remove(&event.wd);
                    } else {
                        sink.extend(ids.iter().copied().map(Signal::Moved));
                    }
                } else if let Some(paths) = self.directories.get(&event.wd) {
                    if event.mask.contains(EventMask::IGNORED) {
                        for path in self.directories.remove(&event.wd).unwrap_or_default() {
                            self.watched.remove(&path);
                        }
                        sink.push(Signal::Directory);
                    } else if let Some(name) = event.name {
                        sink.extend(paths.iter().map(|path| Signal::Name(path.clone(), name.to_owned())));
                    } else {
                        sink.push(Signal::Directory);
                    }
                }
            }
        }
    }
}
