//! Bytes on disk (or in the journal) to blocks of lines, with offsets that survive a restart.
//!
//! ```text
//!  globs, paths ──► pattern ──► stream: rotated files, oldest first, then the file at the path
//!                                 │        survey finds them by name, tells them by inode and content
//!  inotify ──► watcher ──► ready ─┘
//!                                 ▼
//!                      segment: one open file ──► whole lines (Chunk) ──► the caller's sink
//!                                 │
//!                                 └──► Checkpoint: inode, offset, hashes of first and last bytes
//! ```
//!
//! Synchronous, without a thread of its own: the caller waits on [`Files::wake_fd`] and [`Journal::fd`] and calls
//! `poll`. Time is an argument. Back-pressure is not calling `poll`.

mod body;
mod checkpoint;
mod days;
mod expand;
mod files;
mod follow;
mod journal;
mod pattern;
mod rotated;
mod segment;
mod status;
mod stream;
mod survey;
mod watcher;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use checkpoint::{Checkpoint, Inside, Mark};
pub use files::{Files, FilesOptions, Progress};
pub use journal::{Journal, JournalOptions, JournalRecord, JournalSource, JournalStatus};
pub use status::{FileState, FileStatus, Status};

use crate::engine::Timestamp;

/// Who wants a file's lines: the caller's number, for instance one per jail or per scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u32);

/// A followed path, as long as it is followed in this process. Stays the same over every rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Whole lines of one file.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The stream.
    pub file: FileId,
    /// The path that is followed, also when the lines come from a rotated sibling.
    pub path: &'a Path,
    /// Who asked for it.
    pub groups: &'a [GroupId],
    /// Lines, each with its newline, never empty.
    pub bytes: &'a [u8],
    /// Appended while the reader stood at the end of this very file.
    pub live: bool,
    /// When the file was last written; none of the lines was written later.
    pub modified: Timestamp,
}
