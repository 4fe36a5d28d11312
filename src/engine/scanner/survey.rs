//! Where the layout of a log changes, for who has the whole of it.
//!
//! The daemon sees lines as they come, and takes to another layout after some lines of it. Who reads a log from beginning
//! to end sees where they begin, reads all of them, and can say what stays unread.

use memchr::{memchr, memrchr};

use super::doubt::{Doubt, Weighed};
use super::gate::PIECE;
use super::settle::{CHANGED, is_json};
use super::{Envelope, MOST_BYTES, ScanState, Scanner};
use crate::engine::layout::{Layout, detect, strip_ansi};
use crate::engine::{LayoutSpec, ReadClock, cri};

/// So many lines of a block are looked at, evenly spread; only where one shows another layout all of them are. In a block
/// of 256 KiB one of twenty lines of a hundred bytes is met, and so many make a change.
const SAMPLES: usize = 128;
/// Of so many lines one is read; of the others only those that begin otherwise than a line of the known layout did. To
/// read one costs as much as to pass over a dozen.
const READ: usize = 16;

/// What was seen at the end of the last block of a source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survey {
    /// Lines of another layout since the last one of the known layout.
    run: u32,
    /// In a container's log of text: JSON since the last line of text.
    doubt: Option<Doubt>,
}

/// The beginning of a block, as far as it has one layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Where it ends, in bytes.
    pub end: usize,
    /// The layout of what comes then.
    pub change: Option<LayoutSpec>,
    /// The layout that the scanner takes to by itself with the last line.
    pub taken: Option<LayoutSpec>,
    /// Lines in it that show another layout and are not understood therefore, with the place of the first in bytes.
    pub strange: Option<(usize, u64)>,
}

/// What a line shows.
enum Shown {
    Nothing,
    Known,
    Other(LayoutSpec),
}

impl Survey {
    /// Looks for a change of layout in the whole lines of `block`. A declared layout never changes; then only the lines
    /// that show another one are told.
    #[must_use]
    pub fn stretch(
        &mut self,
        scanner: &Scanner,
        state: &ScanState,
        block: &[u8],
        clock: ReadClock<'_>,
    ) -> Stretch {
        let mut stretch = Stretch { end: block.len(), ..Stretch::default() };
        let first;
        let known = match (&scanner.layout, &state.layout) {
            (Some(declared), _) => declared,
            (None, Some(settled)) => settled,
            (None, None) if scanner.undecided(state) => {
                let shown = lines(block).find_map(|(at, end)| detect(&scanner.text(block, at, end)?));
                let Some(layout) = shown.and_then(|spec| Layout::new(&spec).ok()) else { return stretch };
                first = layout;
                &first
            }
            (None, None) => return stretch,
        };
        if *known.spec() == LayoutSpec::Text {
            return stretch;
        }
        let shown = |at: usize, end: usize| {
            if scanner.envelope == Envelope::None
                && begins_as(known.spec(), block.get(at..end).unwrap_or_default())
            {
                return Shown::Known;
            }
            scanner.text(block, at, end).map_or(Shown::Nothing, |text| shown(known, &text, clock))
        };
        let mut usual = None;
        let mut other = |(n, (at, end)): (usize, (usize, usize))| {
            let beginning = scanner.inside(block, at, end).map(beginning);
            if n % READ != 0 && beginning == usual {
                return false;
            }
            let shown = shown(at, end);
            if matches!(shown, Shown::Known) {
                usual = beginning;
            }
            matches!(shown, Shown::Other(_))
        };
        // One line of text may end JSON that is not earned yet: then no sample is enough.
        let json = scanner.layout.is_none() && is_json(known.spec());
        let sure = self.run == 0 && self.doubt.is_none() && (!json || state.standing.is_earned());
        if sure && !samples(block).enumerate().any(&mut other) {
            return stretch;
        }
        // The run may have begun in the block before; this much of it is in this one.
        let mut run: Option<Run> = None;
        for (at, end) in lines(block) {
            match shown(at, end) {
                Shown::Nothing => self.doubt = None,
                Shown::Known => {
                    (self.run, self.doubt) = (0, None);
                    // It may have been the last word on the source, so what comes behind it is looked at anew.
                    if let Some(end) = run.as_ref().and_then(|run| run.judged) {
                        return Stretch { end: (end + 1).min(block.len()), ..stretch };
                    }
                    stretch.add(run.take());
                }
                Shown::Other(spec) => {
                    self.run = self.run.saturating_add(1);
                    let run = run.get_or_insert(Run { begin: at, unread: 0, judged: None });
                    // A container's lines come to the daemon one by one, see `doubt`.
                    let whole = scanner.envelope == Envelope::None;
                    if self.run >= CHANGED && scanner.layout.is_none() && whole {
                        self.run = 0;
                        return Stretch { end: run.begin, change: Some(spec), ..stretch };
                    }
                    // Among JSON a line of text is read as what it is.
                    if !json || is_json(&spec) {
                        run.unread += 1;
                        if self.doubts(scanner, known.spec(), &spec, block, (at, end)) == Weighed::Json {
                            self.run = 0;
                            (stretch.end, stretch.taken) = ((end + 1).min(block.len()), Some(spec));
                            run.unread -= 1;
                            break;
                        }
                    } else if run.judged.is_none() && scanner.is_judged(block, at, end) {
                        run.judged = Some(end);
                    }
                }
            }
        }
        stretch.add(run);
        stretch
    }

    /// What a line of another layout makes of a container's.
    fn doubts(
        &mut self,
        scanner: &Scanner,
        known: &LayoutSpec,
        shown: &LayoutSpec,
        block: &[u8],
        (at, end): (usize, usize),
    ) -> Weighed {
        let time = || Some(cri::parse(block.get(at..end)?)?.time);
        let Some(time) = Some(()).filter(|()| scanner.is_doubtful(known, shown)).and_then(|()| time()) else {
            self.doubt = None;
            return Weighed::Stays;
        };
        let Some(doubt) = &mut self.doubt else {
            self.doubt = scanner.is_judged(block, at, end).then(|| Doubt::at(time));
            return Weighed::Stays;
        };
        let weighed = doubt.weigh(known, shown, time);
        if weighed != Weighed::Stays {
            self.doubt = None;
        }
        weighed
    }
}

/// Lines of another layout, and none of the known one between them.
struct Run {
    begin: usize,
    /// Those that are not understood.
    unread: u64,
    /// Where the first ends that is text among JSON, and that a rule is asked about.
    judged: Option<usize>,
}

impl Stretch {
    fn add(&mut self, run: Option<Run>) {
        if let Some(Run { begin, unread, .. }) = run.filter(|run| run.unread > 0) {
            self.strange.get_or_insert((begin, 0)).1 += unread;
        }
    }
}

impl Scanner {
    /// Takes to another layout, which `first` shows.
    pub fn adopt(&self, state: &mut ScanState, layout: &LayoutSpec, first: &[u8]) {
        let end = memchr(b'\n', first).unwrap_or(first.len());
        let Some(text) = self.text(first, 0, end) else { return };
        if let (None, Ok(layout)) = (&self.layout, Layout::new(layout)) {
            state.settled = true;
            state.take_to(layout, &text);
        }
    }

    /// Whether some rule may be asked about a line.
    fn is_judged(&self, block: &[u8], at: usize, end: usize) -> bool {
        self.gate.line(block.get(at..end).unwrap_or_default()) & !PIECE != 0
    }

    /// A line without envelope and colours; `None`: there is no line in it.
    pub(super) fn text(&self, block: &[u8], at: usize, end: usize) -> Option<String> {
        let content = self.inside(block, at, end)?;
        Some(strip_ansi(&String::from_utf8_lossy(content)).into_owned())
    }

    /// A line without envelope.
    fn inside<'b>(&self, block: &'b [u8], at: usize, end: usize) -> Option<&'b [u8]> {
        let line = block.get(at..end.min(at + MOST_BYTES))?;
        match self.envelope {
            Envelope::None => Some(line),
            Envelope::Cri => Some(cri::parse(line)?.content),
        }
    }
}

/// How a line begins, whatever its digits: dates of one form begin alike.
fn beginning(line: &[u8]) -> [u8; 12] {
    let mut first = [0; 12];
    for (to, byte) in first.iter_mut().zip(line) {
        *to = if byte.is_ascii_digit() { b'0' } else { *byte };
    }
    first
}

/// Whether a line begins as those of a layout do and of no other that is found by itself: a few bytes decide for most.
fn begins_as(layout: &LayoutSpec, line: &[u8]) -> bool {
    match layout {
        LayoutSpec::JamesDefault => matches!(line, [b'0'..=b'9', b'0'..=b'9', b':', _, _, b':', ..]),
        LayoutSpec::JsonEncoder => line.starts_with(b"{\"sequenceNumber\":"),
        LayoutSpec::JsonLayout => line.starts_with(b"{\"timestamp\":\""),
        LayoutSpec::Logstash => line.starts_with(b"{\"@timestamp\":"),
        LayoutSpec::Auto | LayoutSpec::Text | LayoutSpec::Pattern(_) => false,
    }
}

fn shown(known: &Layout, text: &str, clock: ReadClock<'_>) -> Shown {
    // One encoder may make sense of another's lines, but not all of it.
    if !is_json(known.spec()) && known.event(text, clock).is_some() {
        return Shown::Known;
    }
    match detect(text) {
        None => Shown::Nothing,
        Some(spec) if spec == *known.spec() => Shown::Known,
        Some(spec) => Shown::Other(spec),
    }
}

/// Every line of a block.
fn lines(block: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = block.get(at..).filter(|rest| !rest.is_empty())?;
        let line = (at, at + memchr(b'\n', rest).unwrap_or(rest.len()));
        at = line.1 + 1;
        Some(line)
    })
}

/// Some lines of a block, the first and the last among them.
fn samples(block: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let step = block.len() / SAMPLES + 1;
    let last = block.len().saturating_sub(2);
    (0..last).step_by(step).chain([last]).map(|near| {
        let at = memrchr(b'\n', block.get(..near).unwrap_or_default()).map_or(0, |newline| newline + 1);
        let rest = block.get(at..).unwrap_or_default();
        (at, at + memchr(b'\n', rest).unwrap_or(rest.len()))
    })
}
