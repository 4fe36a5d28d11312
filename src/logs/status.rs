//! What the reader says about itself.

use std::path::PathBuf;

use super::stream::Stream;
use super::{FileId, GroupId};

/// The state of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why files are polled instead of watched, or another degradation of the whole; `None` when all is well.
    pub notice: Option<String>,
    /// Globs that match nothing yet, with the group that gave them.
    pub awaited: Vec<(GroupId, PathBuf)>,
    /// Every followed path, in the order they were found.
    pub files: Vec<FileStatus>,
}

/// The state of one followed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// The stream.
    pub file: FileId,
    /// Its path.
    pub path: PathBuf,
    /// Who asked for it.
    pub groups: Vec<GroupId>,
    /// Bytes of the file at the path that were handed over.
    pub offset: u64,
    /// Bytes that are there and were not handed over yet, rotated files included. The unfinished last line is one of
    /// them.
    pub lag: u64,
    /// Bytes passed over since the start: lines over 64 KiB, unfinished ends of rotated files.
    pub lost: u64,
    /// What is going on.
    pub state: FileState,
    /// What kept a rotated file of it from being read, if anything.
    pub note: Option<String>,
}

/// What is going on with a followed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Everything that is there was handed over.
    Following,
    /// Behind.
    Reading,
    /// Not there (yet); waited for.
    Missing,
    /// The same file as another followed path, and read there.
    SameAs(FileId),
    /// Cannot be read; tried again every second. The text says why.
    Refused(String),
}

impl FileStatus {
    pub(super) fn of(stream: &Stream) -> Self {
        let state = match (&stream.problem, stream.alias_of) {
            (Some(problem), _) => FileState::Refused(problem.clone()),
            (None, Some(other)) => FileState::SameAs(other),
            (None, None) if stream.segments.iter().any(|s| s.stale) => FileState::Reading,
            (None, None) if stream.follows => FileState::Following,
            (None, None) => FileState::Missing,
        };
        Self {
            file: stream.id,
            path: stream.path.clone(),
            groups: stream.groups.clone(),
            offset: stream.current().map_or(0, |s| s.offset),
            lag: stream.segments.iter().map(super::segment::Segment::lag).sum(),
            lost: stream.lost,
            state,
            note: stream.note.clone(),
        }
    }
}
