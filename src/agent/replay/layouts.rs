//! Where the layout of the logs changes, and what was not understood for it.

use memchr::memchr_iter;
use serde::Serialize;

use crate::engine::LayoutSpec;
use crate::engine::scanner::layout_name;

/// A change of layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutReport {
    /// The log; empty where it has no name.
    pub log: String,
    /// The first line of the new layout, from 1.
    pub line: u64,
    /// The layout.
    pub layout: String,
}

/// Lines of another layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadReport {
    /// How many.
    pub lines: u64,
    /// The log that holds the first; empty where it has no name.
    pub log: String,
    /// The first, from 1.
    pub line: u64,
}

/// What was seen of layouts up to a place in a log.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    log: String,
    /// Lines of that log that were read.
    lines: u64,
    pub(super) changes: Vec<LayoutReport>,
    pub(super) unread: Option<UnreadReport>,
}

impl Layouts {
    /// Another log begins.
    pub(super) fn begin(&mut self, log: &str) {
        (self.log, self.lines) = (log.to_owned(), 0);
    }

    /// Lines of a block stay unread; the first begins at this byte of it.
    pub(super) fn leave(&mut self, block: &[u8], at: usize, lines: u64) {
        let line = self.line(block, at);
        let report = || UnreadReport { lines: 0, log: self.log.clone(), line };
        self.unread.get_or_insert_with(report).lines += lines;
    }

    /// From this byte of a block on the layout is another one.
    pub(super) fn change(&mut self, block: &[u8], at: usize, layout: &LayoutSpec) {
        let line = self.line(block, at);
        self.changes.push(LayoutReport { log: self.log.clone(), line, layout: layout_name(layout) });
    }

    /// A block was read.
    pub(super) fn read(&mut self, lines: u64) {
        self.lines += lines;
    }

    fn line(&self, block: &[u8], at: usize) -> u64 {
        let before = block.get(..at).unwrap_or_default();
        self.lines + memchr_iter(b'\n', before).count() as u64 + 1
    }
}
