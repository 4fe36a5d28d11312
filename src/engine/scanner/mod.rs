//! Blocks of lines in, matches out.
//!
//! A block is searched as a whole for what its filters could speak about. Only around a hit a line is cut, freed of
//! envelope and colours, taken apart and judged; all other lines cost the search alone.

mod anchor;
mod buckets;
mod doubt;
mod explain;
mod gate;
mod hints;
mod join;
mod judge;
mod kept;
mod literals;
mod memory;
mod once;
mod report;
mod settle;
mod split;
mod standing;
mod state;
mod survey;
#[cfg(test)]
mod tests;
mod trial;

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use super::cri;
use super::dates::DateFinder;
use super::filter::{Filter, Rule, TextRules};
use super::layout::{Layout, LayoutError, colour};
use super::{AddressPolicy, LayoutSpec, Match, ReadClock, Timestamp};
use gate::{Cursor, Gate, Mask, PIECE};
use join::Joined;
use judge::{Hearing, Line};
use report::{Report, Silent};

pub use explain::{Explanation, FilterAccount, Reason, RuleAccount, layout_name};
pub use hints::Hints;
pub use memory::ScanMemory;
pub use state::ScanState;
pub use survey::{Stretch, Survey};
pub use trial::{Trial, TrialCounts, Tried, TriedHit};

/// Longer lines are skipped and counted, never cut: what a cut leaves could name anybody.
const MOST_BYTES: usize = 64 * 1024;

/// What is around each line of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// Nothing.
    #[default]
    None,
    /// The container runtime's time, stream and tag.
    Cri,
}

/// Why a scanner cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The declared layout is broken.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// All rules together are too much for one search.
    #[error("the filters' literals are too many to search for at once")]
    TooManyLiterals,
}

/// What happened to the lines of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Lines, by their newlines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Lines that a rule could speak about and that were judged.
    pub candidates: u64,
    /// Matches given to the sink.
    pub matches: u64,
    /// Lines skipped for their length.
    pub too_long: u64,
    /// Candidates that structured rules could not judge because no layout is known, or where a regex with
    /// look-around reached its step limit.
    pub undecided: u64,
    /// Candidates for structured rules that are not of the source's layout: another program's, or the layout is wrong.
    pub misfits: u64,
}

impl std::ops::AddAssign for ScanStats {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.candidates += other.candidates;
        self.matches += other.matches;
        self.too_long += other.too_long;
        self.undecided += other.undecided;
        self.misfits += other.misfits;
    }
}

/// Some filters, made ready to search the blocks of sources of one kind.
pub struct Scanner {
    filters: Vec<Arc<Filter>>,
    plans: Vec<Plan>,
    dates: Vec<Dates>,
    fallback: DateFinder,
    gate: Gate,
    /// The bits that only successes have whose address is in the context.
    contextual: Mask,
    /// The declared layout; `None`: each source's own.
    layout: Option<Layout>,
    envelope: Envelope,
    policy: AddressPolicy,
}

/// How one filter takes part in the search.
struct Plan {
    /// The bits of each rule.
    rules: Vec<Mask>,
    /// All of them.
    any: Mask,
    /// The group of filters with the same date patterns.
    dates: Option<usize>,
}

/// Filters with the same date patterns.
struct Dates {
    /// The first of them.
    filter: usize,
    /// The bits of all of them.
    any: Mask,
}

/// What to do with a line besides judging it.
struct Work<'a, R: Report> {
    clock: ReadClock<'a>,
    report: &'a mut R,
    sink: &'a mut dyn FnMut(Match),
    stats: ScanStats,
}

impl Scanner {
    /// Makes the filters ready. The order of `filters` is that of [`super::RuleRef::filter`].
    ///
    /// # Errors
    ///
    /// [`ScanError`] when the layout is broken or the filters are too many.
    pub fn new(
        filters: &[Arc<Filter>],
        layout: &LayoutSpec,
        envelope: Envelope,
        policy: &AddressPolicy,
    ) -> Result<Self, ScanError> {
        let layout = if *layout == LayoutSpec::Auto { None } else { Some(Layout::new(layout)?) };
        let mut builder = gate::Builder::default();
        let mut plans = Vec::with_capacity(filters.len());
        let mut dates: Vec<Dates> = Vec::new();
        let (mut contextual, mut others): (Mask, Mask) = (0, 0);
        for (index, filter) in filters.iter().enumerate() {
            let several_lines = filter.text().is_some_and(|text| text.max_lines() > 1);
            let rules: Vec<Mask> = (0..filter.len())
                .map(|rule| match filter.required(rule) {
                    Some(required) if !several_lines => {
                        builder.add(&required.needles, rule >= filter.structured_rules())
                    }
                    _ => builder.add_every_line(),
                })
                .collect();
            for (rule, mask) in rules.iter().enumerate() {
                match filter.rules().get(rule).is_some_and(Rule::needs_context) {
                    true => contextual |= mask,
                    false => others |= mask,
                }
            }
            let any = rules.iter().fold(0, |all, mask| all | mask);
            let group = filter.text().map(|text| {
                let same = |known: &Dates| {
                    filters.get(known.filter).and_then(|f| f.text()).map(TextRules::date_patterns)
                        == Some(text.date_patterns())
                };
                match dates.iter().position(same) {
                    Some(group) => group,
                    None => {
                        dates.push(Dates { filter: index, any: 0 });
                        dates.len() - 1
                    }
                }
            });
            if let Some(known) = group.and_then(|group| dates.get_mut(group)) {
                known.any |= any;
            }
            plans.push(Plan { rules, any, dates: group });
        }
        let gate = builder.build(envelope == Envelope::Cri).ok_or(ScanError::TooManyLiterals)?;
        Ok(Self {
            filters: filters.to_vec(),
            plans,
            dates,
            fallback: DateFinder::new(&[]).map_err(|_| ScanError::TooManyLiterals)?,
            gate,
            contextual: contextual & !others,
            layout,
            envelope,
            policy: policy.clone(),
        })
    }

    /// The filters, in the order of [`super::RuleRef::filter`].
    #[must_use]
    pub fn filters(&self) -> &[Arc<Filter>] {
        &self.filters
    }

    /// Judges the whole lines of `block`, each ending in a newline, and gives every match to `sink` in the order of
    /// the lines.
    pub fn scan(
        &self,
        state: &mut ScanState,
        block: &[u8],
        clock: ReadClock<'_>,
        sink: &mut dyn FnMut(Match),
    ) -> ScanStats {
        let mut work = Work { clock, report: &mut Silent, sink, stats: ScanStats::default() };
        self.reconsider(state, block);
        let mut cursor = Cursor::default();
        let mut at = 0;
        while at < block.len() {
            let (start, end, mask);
            if self.line_by_line(state) {
                start = at;
                end = line_end(block, at);
                mask = None;
            } else {
                let Some((hit, bits)) = self.gate.next(block, at, &mut cursor) else { break };
                start = memrchr(b'\n', block.get(at..hit).unwrap_or_default()).map_or(at, |i| at + i + 1);
                end = line_end(block, hit);
                mask = Some((hit, bits));
            }
            let line = block.get(start..end).unwrap_or_default();
            if line.len() > MOST_BYTES {
                self.too_long(state, line, &mut work);
            } else {
                let mask = match mask {
                    None => self.gate.line(line),
                    Some((hit, bits)) => self.gate.rest(block, hit + 1, end, bits, &mut cursor),
                };
                self.line(state, line, mask, &mut work);
            }
            at = end + 1;
        }
        work.stats.bytes = block.len() as u64;
        work.stats.lines = memchr_iter(b'\n', block).count() as u64;
        work.stats
    }

    /// Judges one record that comes without envelope; `time` is when it was written, if that is known. Nothing is
    /// then cut out of its text.
    pub fn record(
        &self,
        state: &mut ScanState,
        text: &[u8],
        time: Option<Timestamp>,
        clock: ReadClock<'_>,
        sink: &mut dyn FnMut(Match),
    ) -> ScanStats {
        let mut work = Work { clock, report: &mut Silent, sink, stats: ScanStats::default() };
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.len() > MOST_BYTES {
            work.stats.too_long = 1;
        } else {
            self.content(state, text, time, time.is_none(), self.gate.line(text), &mut work);
        }
        work.stats.bytes = text.len() as u64;
        work.stats.lines = 1;
        work.stats
    }

    /// Whether the next line must be looked at, literal or not.
    fn line_by_line(&self, state: &ScanState) -> bool {
        let doubted = state.doubt.is_some();
        self.gate.every_line() || state.templates || state.pieces.open() || doubted || self.undecided(state)
    }

    /// The bits of rules from which nothing follows in the source's layout.
    fn mute(&self, state: &ScanState) -> Mask {
        let layout = self.layout.as_ref().or(state.layout.as_deref());
        if layout.is_some_and(|layout| !layout.has_context()) { self.contextual } else { 0 }
    }

    fn too_long<R: Report>(&self, state: &mut ScanState, line: &[u8], work: &mut Work<'_, R>) {
        Self::unseen(state, work);
        if self.envelope == Envelope::Cri
            && let Some(record) = cri::parse(line)
        {
            // It still begins or ends a line of several pieces.
            let _ = state.pieces.take(&record);
        }
    }

    /// A line as it stands in the source, without its newline.
    fn line<R: Report>(&self, state: &mut ScanState, line: &[u8], mask: Mask, work: &mut Work<'_, R>) {
        if self.envelope == Envelope::None {
            self.content(state, line, None, true, mask & !PIECE, work);
            return;
        }
        let Some(record) = cri::parse(line) else { return };
        match state.pieces.take(&record) {
            Joined::More => {}
            Joined::TooLong => Self::unseen(state, work),
            Joined::Whole(content, time) => {
                self.content(state, content, Some(time), true, mask & !PIECE, work);
            }
            Joined::Last(content, time) => {
                let mask = self.gate.line(&content) & !PIECE;
                self.content(state, &content, Some(time), true, mask, work);
            }
        }
    }

    /// A line without its envelope.
    fn content<R: Report>(
        &self,
        state: &mut ScanState,
        content: &[u8],
        time: Option<Timestamp>,
        cut: bool,
        mask: Mask,
        work: &mut Work<'_, R>,
    ) {
        let undecided = self.undecided(state);
        let mask = if R::ALL { mask } else { mask & !self.mute(state) };
        let doubted = state.doubt.is_some();
        if mask == 0 && !undecided && !doubted && !state.templates && !R::ALL {
            return;
        }
        let content = without_returns(content);
        // Faster than asking for a lossy copy at once.
        let text =
            std::str::from_utf8(content).map_or_else(|_| String::from_utf8_lossy(content), Cow::Borrowed);
        let mut plain = std::mem::take(&mut state.scratch.plain);
        let text = without_colours(&text, &mut plain);
        if undecided {
            self.settle_layout(state, text);
        }
        if doubted {
            self.weigh(state, text, time);
        }
        let mask = if state.templates { mask | self.gate.all() } else { mask };
        if mask != 0 || R::ALL {
            work.stats.candidates += u64::from(mask != 0);
            let hearing = Hearing {
                scanner: self,
                state,
                line: Line { text, time, cut, mask },
                clock: work.clock,
                report: work.report,
                sink: work.sink,
                stats: &mut work.stats,
            };
            hearing.hear();
        }
        state.scratch.plain = plain;
    }
}

/// `text` without colour codes, as [`super::layout::strip_ansi`] has it; in `buffer` when there are any.
fn without_colours<'t>(text: &'t str, buffer: &'t mut String) -> &'t str {
    let mut kept = 0;
    buffer.clear();
    for escape in memchr_iter(0x1b, text.as_bytes()) {
        let length = colour(text.as_bytes().get(escape..).unwrap_or_default());
        if length > 0 {
            buffer.push_str(text.get(kept..escape).unwrap_or_default());
            kept = escape + length;
        }
    }
    if kept == 0 {
        return text;
    }
    buffer.push_str(text.get(kept..).unwrap_or_default());
    buffer
}

/// Where the line that holds `at` ends.
fn line_end(block: &[u8], at: usize) -> usize {
    memchr(b'\n', block.get(at..).unwrap_or_default()).map_or(block.len(), |i| at + i)
}

/// `content` without the carriage returns at its end, as fail2ban reads lines.
fn without_returns(content: &[u8]) -> &[u8] {
    let end = content.iter().rposition(|b| *b != b'\r').map_or(0, |i| i + 1);
    content.get(..end).unwrap_or_default()
}
