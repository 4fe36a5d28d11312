//! Pieces of lines longer than 16 KiB, which container runtimes write as several records.

use serde::{Deserialize, Serialize};

use super::MOST_BYTES;
use crate::engine::Timestamp;
use crate::engine::cri::{CriRecord, Stream};

/// The open line of each stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pieces {
    streams: [Open; 2],
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Open {
    /// When its first piece was read; `None`: no line is open.
    since: Option<Timestamp>,
    bytes: Vec<u8>,
    /// It grew beyond the cap and is dropped whole: what is left of it could say anything.
    overflown: bool,
}

/// What a record amounts to.
pub(super) enum Joined<'a> {
    /// A piece; the line goes on.
    More,
    /// A whole line that came in one record.
    Whole(&'a [u8], Timestamp),
    /// The last piece of a line.
    Last(Vec<u8>, Timestamp),
    /// The end of a line that was too long.
    TooLong,
}

impl Pieces {
    /// Whether no line is open.
    pub(super) fn is_empty(&self) -> bool {
        !self.open()
    }

    /// Whether a line is open, so that the next record of its stream belongs to it.
    pub(super) fn open(&self) -> bool {
        self.streams.iter().any(|open| open.since.is_some())
    }

    /// Takes the next record.
    pub(super) fn take<'a>(&mut self, record: &CriRecord<'a>) -> Joined<'a> {
        let [stdout, stderr] = &mut self.streams;
        let open = match record.stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        let since = match (open.since, record.partial) {
            (None, false) => return Joined::Whole(record.content, record.time),
            (since, _) => *open.since.insert(since.unwrap_or(record.time)),
        };
        if open.overflown || open.bytes.len() + record.content.len() > MOST_BYTES {
            open.overflown = true;
            open.bytes = Vec::new();
        } else {
            open.bytes.extend_from_slice(record.content);
        }
        if record.partial {
            return Joined::More;
        }
        let done = std::mem::take(open);
        if done.overflown { Joined::TooLong } else { Joined::Last(done.bytes, since) }
    }
}
