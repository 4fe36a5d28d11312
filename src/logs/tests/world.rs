//! A directory with log files, and a reader that is polled, dropped and restored.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::engine::{Duration, Timestamp};
use crate::logs::{Checkpoint, Chunk, FileId, FileState, Files, FilesOptions, GroupId, Status};

/// What a reader was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) file: FileId,
    pub(super) path: PathBuf,
    pub(super) groups: Vec<GroupId>,
    pub(super) line: String,
    pub(super) live: bool,
}

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) files: Files,
    pub(super) now: Timestamp,
    watched: Vec<(GroupId, Vec<PathBuf>)>,
    options: FilesOptions,
}

pub(super) fn clock() -> Timestamp {
    jiff::Timestamp::now().into()
}

impl World {
    /// Follows `patterns`, relative to a new directory, as group 1.
    pub(super) fn new(patterns: &[&str]) -> Self {
        Self::with(patterns, FilesOptions::default())
    }

    pub(super) fn with(patterns: &[&str], options: FilesOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let watched = vec![(GroupId(1), patterns.iter().map(|p| dir.path().join(p)).collect())];
        let mut files = Files::new(Vec::new(), options.clone());
        files.watch(&watched);
        Self { dir, files, now: clock(), watched, options }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn append(&self, name: &str, text: &str) {
        append(&self.path(name), text);
    }

    pub(super) fn open(&self, name: &str) -> File {
        OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap()
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(super) fn gzip(&self, name: &str) {
        gzip(&self.path(name));
    }

    pub(super) fn watch(&mut self, watched: Vec<(GroupId, Vec<PathBuf>)>) {
        self.files.watch(&watched);
        self.watched = watched;
    }

    /// Everything there is to read, without waiting.
    pub(super) fn got(&mut self) -> Vec<Got> {
        let mut got = Vec::new();
        while self.poll(&mut got, u64::MAX) {}
        got
    }

    /// One poll. Returns whether there is more.
    pub(super) fn poll(&mut self, got: &mut Vec<Got>, budget: u64) -> bool {
        let mut sink = |chunk: Chunk<'_>| {
            assert_eq!(chunk.bytes.last(), Some(&b'\n'), "whole lines only");
            for line in String::from_utf8_lossy(chunk.bytes).lines() {
                got.push(Got {
                    file: chunk.file,
                    path: chunk.path.to_path_buf(),
                    groups: chunk.groups.to_vec(),
                    line: line.to_owned(),
                    live: chunk.live,
                });
            }
        };
        self.files.poll(self.now, budget, &mut sink).more
    }

    pub(super) fn lines(&mut self) -> Vec<String> {
        self.got().into_iter().map(|g| g.line).collect()
    }

    /// Lets time pass, in steps of the slow look.
    pub(super) fn pass(&mut self, span: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        let end = self.now + span;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_secs(1));
            lines.extend(self.lines());
        }
        lines
    }

    /// The agent stops.
    pub(super) fn stop(&mut self) -> Vec<Checkpoint> {
        let checkpoints = self.files.checkpoints();
        self.files = Files::new(Vec::new(), self.options.clone());
        checkpoints
    }

    /// And starts again, with what was saved.
    pub(super) fn start(&mut self, checkpoints: &[Checkpoint]) {
        let text = serde_json::to_string(checkpoints).unwrap();
        self.files = Files::new(serde_json::from_str(&text).unwrap(), self.options.clone());
        self.files.watch(&self.watched);
    }

    pub(super) fn restart(&mut self) {
        let checkpoints = self.stop();
        self.start(&checkpoints);
    }

    pub(super) fn status(&self) -> Status {
        self.files.status()
    }

    pub(super) fn state(&self, name: &str) -> FileState {
        let path = self.path(name);
        let status = self.status();
        let found = status.files.into_iter().find(|f| f.path == path);
        found.unwrap_or_else(|| panic!("{} is not followed", path.display())).state
    }
}

pub(super) fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Like gzip: the archive appears beside the file, with its time, then the file goes.
pub(super) fn gzip(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let text = fs::read(path).unwrap();
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut encoder =
        flate2::write::GzEncoder::new(File::create(&name).unwrap(), flate2::Compression::fast());
    encoder.write_all(&text).unwrap();
    encoder.finish().unwrap().set_modified(modified).unwrap();
    fs::remove_file(path).unwrap();
}

/// Numbered lines with a stamp, as a writer would produce them.
pub(super) fn numbered(range: std::ops::Range<u32>) -> String {
    range
        .map(|n| format!("12:00:{n:05} WARN login failed from 203.0.113.7 {}\n", "x".repeat(n as usize % 90)))
        .collect()
}

pub(super) fn as_lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
