//! One open file of a stream: whole lines out of it, and the place in it.

use std::io;
use std::path::{Path, PathBuf};

use memchr::{memchr, memrchr};

use super::body::{Body, Identity, Stat};
use super::checkpoint::{Checkpoint, HEAD, Inside, Mark, TAIL};
use super::days::{last_day, last_day_forwards};
use super::watcher::FileWatch;
use crate::engine::Timestamp;

/// Bytes read at once.
const BLOCK: usize = 256 * 1024;
/// A longer line, without its newline, is passed over.
pub(super) const LINE_CAP: usize = 64 * 1024;

/// Room for one block and the bytes before it. One for all files.
pub(super) fn new_buffer() -> Vec<u8> {
    vec![0; TAIL + BLOCK]
}

/// An open file and how far it was handed over.
pub(super) struct Segment {
    pub(super) watch: Option<FileWatch>,
    pub(super) body: Body,
    pub(super) identity: Identity,
    /// Where the file was seen last.
    pub(super) at: PathBuf,
    pub(super) offset: u64,
    head: Mark,
    tail: Mark,
    inside: Inside,
    /// The reader has stood at the end of this file: what comes now is appended under its eyes.
    stood_at_end: bool,
    /// Length of the text at the last look.
    pub(super) size: u64,
    pub(super) modified: Timestamp,
    /// Size and time of the last write, as stored, before the last read.
    pub(super) stored: (u64, Timestamp),
    /// There may be something to read.
    pub(super) stale: bool,
    /// No longer the file at the stream's path, since then (or since the last late line).
    pub(super) closing: Option<Timestamp>,
    /// When bytes were last handed over.
    pub(super) time: Timestamp,
}

/// What one read did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Went on by `taken` bytes, of which `lost` were not handed over; `end` when nothing more is there now.
    Advanced { taken: u64, lost: u64, end: bool },
    /// The bytes before the offset are no longer the ones that were read.
    Rewritten,
}

impl Segment {
    /// A file from its beginning.
    pub(super) fn fresh(body: Body, stat: &Stat, at: &Path, now: Timestamp) -> Self {
        Self {
            watch: None,
            body,
            identity: stat.identity,
            at: at.to_path_buf(),
            offset: 0,
            head: Mark::default(),
            tail: Mark::default(),
            inside: Inside::Start,
            stood_at_end: false,
            size: 0,
            modified: stat.modified,
            stored: (0, Timestamp::MIN),
            stale: true,
            closing: None,
            time: now,
        }
    }

    /// The open file from where `checkpoint` left it; `None` when the content is not the checkpoint's.
    pub(super) fn going_on(
        mut body: Body,
        stat: &Stat,
        at: &Path,
        checkpoint: &Checkpoint,
    ) -> io::Result<Option<Self>> {
        if !holds(&mut body, checkpoint)? {
            return Ok(None);
        }
        Ok(Some(Self {
            watch: None,
            body,
            identity: stat.identity,
            at: at.to_path_buf(),
            offset: checkpoint.offset,
            head: checkpoint.head,
            tail: checkpoint.tail,
            inside: checkpoint.inside,
            stood_at_end: false,
            size: checkpoint.size,
            modified: stat.modified,
            stored: (0, Timestamp::MIN),
            stale: true,
            closing: None,
            time: checkpoint.time,
        }))
    }

    /// Goes to the end without handing anything over, behind the last whole line.
    pub(super) fn skip_to_end(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let size = self.body.stat()?.size;
        let back = (LINE_CAP + 1).min(usize::try_from(size).unwrap_or(usize::MAX)).min(buffer.len());
        let start = size - back as u64;
        let n = self.body.read_at(start, buffer.get_mut(..back).unwrap_or_default())?;
        let found = memrchr(b'\n', buffer.get(..n).unwrap_or_default());
        (self.offset, self.inside) = match found {
            Some(i) => (start + i as u64 + 1, Inside::Lines),
            None if start == 0 => (0, Inside::Start),
            None => (start + n as u64, Inside::LongLine),
        };
        self.size = size;
        self.remember(buffer)
    }

    /// Passes over lines that show no date and are of another day than the last one.
    pub(super) fn skip_other_days(&mut self, now: Timestamp) -> io::Result<()> {
        let stat = self.body.stat()?;
        let quiet = now.since(stat.modified);
        let day = if self.body.grows() {
            last_day(&mut self.body, self.offset, stat.size, quiet)?
        } else {
            // An archive is read forwards only, hence once more from its beginning.
            let (mut again, found) = Body::open(&self.at)?;
            if found.identity != self.identity {
                return Ok(());
            }
            last_day_forwards(&mut again, self.offset, quiet)?
        };
        if let Some(day) = day {
            let before = self.offset;
            (self.offset, self.inside, self.size) = (day, Inside::Lines, self.body.text_size(&stat)?);
            let mut buffer = [0; if HEAD > TAIL { HEAD } else { TAIL }];
            if before == 0 {
                self.head = self.mark(0, HEAD.min(usize::try_from(day).unwrap_or(HEAD)), &mut buffer)?;
            }
            self.mark_tail(&mut buffer)?;
        }
        Ok(())
    }

    /// Remembers the first bytes and those before the offset.
    fn remember(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let head = HEAD.min(usize::try_from(self.offset).unwrap_or(HEAD));
        self.head = self.mark(0, head, buffer)?;
        self.mark_tail(buffer)
    }

    fn mark_tail(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let tail = TAIL.min(usize::try_from(self.offset).unwrap_or(TAIL));
        self.tail = self.mark(self.offset - tail as u64, tail, buffer)?;
        Ok(())
    }

    fn mark(&mut self, at: u64, len: usize, buffer: &mut [u8]) -> io::Result<Mark> {
        let n = self.body.read_at(at, buffer.get_mut(..len).unwrap_or_default())?;
        Ok(Mark::of(buffer.get(..n).unwrap_or_default()))
    }

    /// The file was truncated: begins again.
    pub(super) fn restart(&mut self) {
        self.offset = 0;
        self.head = Mark::default();
        self.tail = Mark::default();
        self.inside = Inside::Start;
        self.stood_at_end = false;
        self.size = 0;
        self.stale = true;
    }

    /// Whether the file has grown or changed since the last read; one `fstat`.
    pub(super) fn look(&mut self) {
        if let Ok(stat) = self.body.stat()
            && self.body.grows()
            && (stat.size != self.size || stat.modified != self.modified)
        {
            self.stale = true;
        }
    }

    /// Reads at most one block and hands over its whole lines: `deliver(lines, live, modified)`.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        deliver: &mut dyn FnMut(&[u8], bool, Timestamp),
    ) -> io::Result<Read> {
        let stat = self.body.stat()?;
        let before = self.tail.len();
        let start = self.offset - before as u64;
        if start > 0 && self.body.grows() && !self.head_holds()? {
            return Ok(Read::Rewritten);
        }
        let n = self.body.read_at(start, buffer)?;
        let end = n < buffer.len();
        let text = buffer.get(..n).unwrap_or_default();
        if !text.get(..before).is_some_and(|bytes| self.tail.fits(bytes)) {
            return Ok(Read::Rewritten);
        }
        let (taken, lost, inside) = {
            let live = self.stood_at_end;
            // Something may have been written between the look and the read. What comes live is of now anyway.
            let modified = if live { stat.modified } else { self.body.stat()?.modified };
            let data = text.get(before..).unwrap_or_default();
            whole_lines(data, self.inside, &mut |lines| deliver(lines, live, modified))
        };
        if taken > 0 {
            let done = before + taken;
            self.offset += taken as u64;
            self.inside = inside;
            let tail = TAIL.min(done);
            self.tail = Mark::of(text.get(done - tail..done).unwrap_or_default());
            if start == 0 {
                self.head = Mark::of(text.get(..HEAD.min(done)).unwrap_or_default());
            }
        }
        self.modified = stat.modified;
        self.stored = (stat.size, stat.modified);
        if end {
            self.stood_at_end = true;
            self.size = start + n as u64;
        } else {
            self.size = self.body.text_size(&stat)?.max(start + n as u64);
        }
        Ok(Read::Advanced { taken: taken as u64, lost, end })
    }

    /// Whether the bytes that were read are still there.
    pub(super) fn is_intact(&mut self) -> bool {
        let (head, tail, offset) = (self.head, self.tail, self.offset);
        !self.body.grows() || holds_marks(&mut self.body, head, tail, offset).unwrap_or(true)
    }

    /// Whether these bytes begin with those this file began with when it was read.
    pub(super) fn begins_like(&self, bytes: &[u8]) -> bool {
        self.head.len > 0 && bytes.get(..self.head.len()).is_some_and(|head| self.head.fits(head))
    }

    fn head_holds(&mut self) -> io::Result<bool> {
        let mut head = [0; HEAD];
        let head = head.get_mut(..self.head.len()).unwrap_or_default();
        let n = self.body.read_at(0, head)?;
        Ok(n == head.len() && self.head.fits(head))
    }

    /// Bytes behind the offset at the last look.
    pub(super) fn lag(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// The place, to be found again.
    pub(super) fn checkpoint(&self, path: &Path) -> Checkpoint {
        Checkpoint {
            path: path.to_path_buf(),
            at: self.at.clone(),
            device: self.identity.device,
            inode: self.identity.inode,
            offset: self.offset,
            size: self.size,
            head: self.head,
            tail: self.tail,
            inside: self.inside,
            time: self.time,
        }
    }
}

/// Whether the file has the content up to the checkpoint's offset. Reads forwards only.
pub(super) fn holds(body: &mut Body, checkpoint: &Checkpoint) -> io::Result<bool> {
    holds_marks(body, checkpoint.head, checkpoint.tail, checkpoint.offset)
}

fn holds_marks(body: &mut Body, head: Mark, tail: Mark, offset: u64) -> io::Result<bool> {
    let mut bytes = [0; TAIL];
    // Gzip is read forwards: the second mark never begins before the first.
    for (at, mark) in [(0, head), (offset.saturating_sub(u64::from(tail.len)), tail)] {
        let Some(bytes) = bytes.get_mut(..mark.len()) else { return Ok(false) };
        if body.read_at(at, bytes)? != bytes.len() || !mark.fits(bytes) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hands over the whole lines of `data`. Returns bytes consumed, bytes lost, and where that ended.
fn whole_lines(data: &[u8], mut inside: Inside, deliver: &mut dyn FnMut(&[u8])) -> (usize, u64, Inside) {
    let mut pos = 0;
    let mut lost = 0;
    if inside == Inside::Start {
        pos = data.iter().position(|&byte| byte != 0).unwrap_or(data.len());
        if pos < data.len() {
            inside = Inside::Lines;
        }
    }
    let mut run = pos;
    loop {
        if inside == Inside::LongLine {
            let rest = data.get(pos..).unwrap_or_default();
            let passed = memchr(b'\n', rest).map_or(rest.len(), |i| i + 1);
            lost += passed as u64;
            if rest.get(passed.saturating_sub(1)) == Some(&b'\n') {
                inside = Inside::Lines;
            }
            pos += passed;
            run = pos;
            if inside == Inside::LongLine {
                break;
            }
        }
        // The last newline within reach of the cap: every line up to it is short enough.
        let reach = data.len().min(pos + LINE_CAP + 1);
        match memrchr(b'\n', data.get(pos..reach).unwrap_or_default()) {
            Some(i) => pos += i + 1,
            None if reach - pos > LINE_CAP => {
                deliver_run(data, run, pos, deliver);
                run = pos;
                inside = Inside::LongLine;
            }
            None => break,
        }
    }
    deliver_run(data, run, pos, deliver);
    (pos, lost, inside)
}

fn deliver_run(data: &[u8], from: usize, to: usize, deliver: &mut dyn FnMut(&[u8])) {
    if let Some(lines) = data.get(from..to).filter(|lines| !lines.is_empty()) {
        deliver(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(data: &[u8], inside: Inside) -> (Vec<u8>, usize, u64, Inside) {
        let mut out = Vec::new();
        let (taken, lost, inside) = whole_lines(data, inside, &mut |l| out.extend_from_slice(l));
        (out, taken, lost, inside)
    }

    #[test]
    fn the_unfinished_tail_waits() {
        assert_eq!(lines(b"a\nb\nc", Inside::Start), (b"a\nb\n".to_vec(), 4, 0, Inside::Lines));
    }

    #[test]
    fn a_line_over_the_cap_is_passed_over_and_its_neighbours_are_not() {
        let mut data = b"first\n".to_vec();
        data.extend(vec![b'x'; LINE_CAP + 1]);
        data.extend(b"\nlast\n");
        assert_eq!(
            lines(&data, Inside::Lines),
            (b"first\nlast\n".to_vec(), data.len(), LINE_CAP as u64 + 2, Inside::Lines)
        );
    }

    #[test]
    fn a_line_of_exactly_the_cap_is_handed_over() {
        let mut data = vec![b'x'; LINE_CAP];
        data.push(b'\n');
        assert_eq!(lines(&data, Inside::Lines).0.len(), LINE_CAP + 1);
    }

    #[test]
    fn a_long_line_that_goes_on_is_remembered() {
        let data = vec![b'x'; LINE_CAP + 1];
        assert_eq!(lines(&data, Inside::Lines), (vec![], data.len(), data.len() as u64, Inside::LongLine));
        assert_eq!(lines(b"xx\na\n", Inside::LongLine), (b"a\n".to_vec(), 5, 3, Inside::Lines));
    }

    #[test]
    fn the_hole_a_writer_leaves_after_a_truncation_is_skipped() {
        assert_eq!(lines(b"\0\0\0a\n", Inside::Start), (b"a\n".to_vec(), 5, 0, Inside::Lines));
        assert_eq!(lines(b"\0\0", Inside::Start), (vec![], 2, 0, Inside::Start));
        assert_eq!(lines(b"\0a\n", Inside::Lines), (b"\0a\n".to_vec(), 3, 0, Inside::Lines));
    }
}
