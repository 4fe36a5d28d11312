//! Judging one line: layout, rules, address, date, `onePer`, in this order.

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::gate::Mask;
use super::hints::Hints;
use super::report::{Report, Said, rule_ref};
use super::state::ScanState;
use super::{ScanStats, Scanner};
use crate::engine::dates::{FoundDate, judge};
use crate::engine::filter::{Accused, Filter, Miss, TextRules, TextVerdict};
use crate::engine::layout::{Layout, detect};
use crate::engine::{Duration, Event, LayoutSpec, Match, Outcome, ReadClock, Timestamp};

/// A line without a date belongs to the last one that had a date, when that is not longer before the moment it was
/// written at the latest.
const SAME_MOMENT: Duration = Duration::from_secs(60);

/// A line ready to be judged: no envelope, no colours, no line end.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    /// When it was written, if the envelope or the journal says so.
    pub(super) time: Option<Timestamp>,
    /// Whether regexes see the line with its date cut out; a journal's text has none.
    pub(super) cut: bool,
    pub(super) mask: Mask,
}

/// One line before all filters.
pub(super) struct Hearing<'a, 'l, R: Report> {
    pub(super) scanner: &'a Scanner,
    pub(super) state: &'a mut ScanState,
    pub(super) line: Line<'l>,
    pub(super) clock: ReadClock<'l>,
    pub(super) report: &'a mut R,
    pub(super) sink: &'a mut dyn FnMut(Match),
    pub(super) stats: &'a mut ScanStats,
}

/// Dates found in the line so far, by group of equal patterns.
type Dates = SmallVec<[Option<Option<FoundDate>>; 2]>;

/// A rule whose conditions hold.
struct Spoken<'t> {
    rule: usize,
    outcome: Outcome,
    weight: u32,
    accused: Accused<'t>,
    /// The date in the line, and the time that counts.
    found: Option<Timestamp>,
    time: Timestamp,
}

impl<'l, R: Report> Hearing<'_, 'l, R> {
    /// Asks every filter; each matches at most once.
    pub(super) fn hear(mut self) {
        let (text, clock) = (self.line.text, self.clock);
        let cell = OnceCell::new();
        let mut own = self.state.layout.take();
        let mut alone = None;
        if let Some(known) = own.take_if(|_| self.is_about_rules(R::ALL)) {
            let believed = self.believed(known);
            let _ = cell.set(believed.event);
            (own, alone) = (Some(believed.layout), believed.alone);
        }
        let layout = self.scanner.layout.as_ref().or(alone.as_deref()).or(own.as_deref());
        let event = || cell.get_or_init(|| layout?.event(text, clock)).as_ref();
        if R::ALL {
            self.report.event(layout.map(Layout::spec), event());
        }
        let mut dates: Dates = SmallVec::from_elem(None, self.scanner.dates.len());
        let mut waiting = false;
        for (index, plan) in self.scanner.plans.iter().enumerate() {
            if !R::ALL && plan.any & self.line.mask == 0 {
                continue;
            }
            let Some(filter) = self.scanner.filters.get(index) else { continue };
            let mut decided = false;
            if !filter.rules().is_empty() {
                if layout.is_some() {
                    decided = self.structured(index, filter, &event);
                } else {
                    waiting = true;
                    self.report.said(index, None, Said::NoLayout);
                }
            }
            if !decided && let Some(rules) = filter.text() {
                self.text(index, filter, rules, &mut dates, &event);
            }
        }
        self.stats.undecided += u64::from(waiting);
        let misfit = layout.filter(|_| matches!(cell.get(), Some(None)));
        self.stats.misfits += u64::from(misfit.is_some());
        let counts = !R::ALL || self.is_about_rules(false);
        let shown =
            misfit.filter(|_| counts).and_then(|known| detect(text).filter(|shown| shown != known.spec()));
        self.state.layout = own;
        if let Some(shown) = shown {
            self.strange(&shown);
        }
    }

    /// A line that rules speak about and that shows another layout than the source's.
    fn strange(&mut self, shown: &LayoutSpec) {
        self.scanner.doubt(self.state, shown, self.line.time);
        for (index, (plan, filter)) in self.scanner.plans.iter().zip(&self.scanner.filters).enumerate() {
            if plan.any & self.line.mask != 0 && !filter.rules().is_empty() {
                self.hint(index, Hints { strange: 1, ..Hints::default() });
            }
        }
    }

    /// Whether some structured rule may be asked about the line; with `all`, whether there is one.
    pub(super) fn is_about_rules(&self, all: bool) -> bool {
        let filters = self.scanner.plans.iter().zip(&self.scanner.filters);
        self.scanner.layout.is_none()
            && filters
                .filter(|(plan, _)| all || plan.any & self.line.mask != 0)
                .any(|(_, filter)| !filter.rules().is_empty())
    }

    /// Whether the line has the literals of a rule.
    fn eligible(&self, filter: usize, rule: usize) -> bool {
        let plan = self.scanner.plans.get(filter);
        plan.and_then(|plan| plan.rules.get(rule)).is_some_and(|mask| mask & self.line.mask != 0)
    }

    /// Rules of `filter` from `first` on that are to be asked.
    fn wanted(&self, filter: usize, first: usize, count: usize) -> SmallVec<[usize; 8]> {
        let masks = self.scanner.plans.get(filter).and_then(|plan| plan.rules.get(first..first + count));
        let masks = masks.unwrap_or_default().iter().enumerate();
        masks.filter(|(_, mask)| R::ALL || **mask & self.line.mask != 0).map(|(rule, _)| rule).collect()
    }

    /// Asks the structured rules. True: one of them holds, and no other rule of the filter is asked.
    fn structured<'e, 't: 'e>(
        &mut self,
        index: usize,
        filter: &Filter,
        event: &impl Fn() -> Option<&'e Event<'t>>,
    ) -> bool {
        let (scanner, present) = (self.scanner, self.line.mask);
        let masks = scanner.plans.get(index).map(|plan| plan.rules.as_slice()).unwrap_or_default();
        let rules = filter.rules().iter().zip(masks).enumerate();
        let mut wanted = rules.filter(|(_, (_, mask))| R::ALL || *mask & present != 0).peekable();
        if wanted.peek().is_none() {
            return false;
        }
        let Some(known) = event() else {
            self.report.said(index, None, Said::OtherLayout);
            return false;
        };
        let mut nobody = false;
        for (rule, (compiled, _)) in wanted {
            let judged = compiled.judge(known);
            nobody |= judged == Err(Miss::NoAddress) && compiled.outcome == Outcome::Failure;
            match judged {
                Err(miss) => self.report.said(index, Some(rule), Said::Miss(miss)),
                Ok(_) if R::ALL && !self.eligible(index, rule) => {
                    self.report.said(index, Some(rule), Said::Hidden);
                }
                Ok(accused) => {
                    let found = known.time.or_else(|| {
                        let search = || self.scanner.fallback.find(self.line.text, self.clock);
                        if self.line.time.is_some() { None } else { search().map(|found| found.time) }
                    });
                    let time = self.line.time.unwrap_or_else(|| judge(found, self.clock));
                    let (outcome, weight) = (compiled.outcome, compiled.weight);
                    if outcome == Outcome::Failure {
                        let proxied = u64::from(known.context.get("proxy.source").is_some());
                        self.hint(index, Hints { addressed: 1, proxied, ..Hints::default() });
                    }
                    self.settle(
                        index,
                        filter,
                        &Spoken { rule, outcome, weight, accused, found, time },
                        event,
                    );
                    return true;
                }
            }
        }
        if nobody {
            self.hint(index, Hints { unaddressed: 1, ..Hints::default() });
        }
        false
    }

    /// Remembers what is no match. Explaining a line changes nothing.
    fn hint(&mut self, index: usize, hints: Hints) {
        if R::ALL {
            return;
        }
        if self.state.hints.len() <= index {
            self.state.hints.resize_with(index + 1, Hints::default);
        }
        if let Some(known) = self.state.hints.get_mut(index) {
            *known += hints;
        }
    }

    /// Asks fail2ban's regexes about the text without its date.
    fn text<'e, 't: 'e>(
        &mut self,
        index: usize,
        filter: &Filter,
        rules: &TextRules,
        dates: &mut Dates,
        event: &impl Fn() -> Option<&'e Event<'t>>,
    ) {
        let offset = filter.rules().len();
        let wanted = self.wanted(index, offset, rules.fail().len());
        if wanted.is_empty() {
            return;
        }
        let date = self.date(index, dates);
        let mut buffer = std::mem::take(&mut self.state.scratch.cut);
        let left = without(self.line.text, date.as_ref(), &mut buffer);
        self.report.cut(date.as_ref(), left);
        let mut joined = String::new();
        let verdict = if rules.max_lines() > 1 {
            self.judge_lines(index, rules, left, &mut joined)
        } else {
            rules.judge(left, &wanted)
        };
        let at = |rule: usize| Some(offset + rule);
        match verdict {
            TextVerdict::Miss => self.report.said(index, None, Said::NoRegex),
            TextVerdict::NoPrefix => self.report.said(index, None, Said::NoPrefix),
            TextVerdict::Ignored { rule, ignore } => self.report.said(index, at(rule), Said::Ignored(ignore)),
            TextVerdict::NoFailure { rule } => self.report.said(index, at(rule), Said::NoFailure),
            TextVerdict::GaveUp { rule } => {
                self.stats.undecided += 1;
                self.report.said(index, rule.and_then(at), Said::Miss(Miss::GaveUp));
            }
            TextVerdict::Hit { rule, found } => match found.accused() {
                None => self.report.said(index, at(rule), Said::Session),
                Some((text, address)) => {
                    let spoken = Spoken {
                        rule: offset + rule,
                        outcome: Outcome::Failure,
                        weight: 1,
                        accused: Accused { key: None, text, address },
                        found: date.as_ref().map(|date| date.time),
                        time: self.time(date.as_ref()),
                    };
                    self.settle(index, filter, &spoken, event);
                }
            },
        }
        self.state.scratch.cut = buffer;
    }

    /// Asks regexes that look at several lines, this one being the last.
    fn judge_lines<'j>(
        &mut self,
        index: usize,
        rules: &TextRules,
        line: &str,
        joined: &'j mut String,
    ) -> TextVerdict<'j> {
        if self.state.buffers.len() <= index {
            self.state.buffers.resize_with(index + 1, Default::default);
        }
        let Some(buffer) = self.state.buffers.get_mut(index) else { return TextVerdict::Miss };
        while buffer.len() >= rules.max_lines() {
            buffer.pop_front();
        }
        buffer.push_back(line.to_owned());
        for line in buffer.iter() {
            joined.push_str(line);
            joined.push('\n');
        }
        let judged = rules.judge_lines(joined);
        if let Some(keep) = judged.keep {
            *buffer = keep.into_iter().filter_map(|line| buffer.get_mut(line).map(std::mem::take)).collect();
        }
        judged.verdict
    }

    /// The line's date as the filter's patterns find it.
    fn date(&mut self, index: usize, dates: &mut Dates) -> Option<FoundDate> {
        if !self.line.cut {
            return None;
        }
        let group = self.scanner.plans.get(index)?.dates?;
        let slot = dates.get_mut(group)?;
        if let Some(known) = slot {
            return known.clone();
        }
        let dates = self.scanner.dates.get(group)?;
        let finder = self.scanner.filters.get(dates.filter)?.text()?.dates();
        if self.state.memories.len() <= group {
            self.state.memories.resize_with(group + 1, Default::default);
        }
        let found = match self.state.memories.get_mut(group) {
            // Only lines that scanning looks at are remembered, so that explaining other lines changes nothing.
            Some(memory) if dates.any & self.line.mask != 0 => {
                finder.find_next(memory, self.line.text, self.clock)
            }
            _ => finder.find(self.line.text, self.clock),
        };
        *slot = Some(found.clone());
        found
    }

    /// The time that counts for a line with this date.
    fn time(&mut self, date: Option<&FoundDate>) -> Timestamp {
        if let Some(time) = self.line.time {
            return time;
        }
        let newest = self.clock.newest;
        match (date, self.state.last_date) {
            (None, Some(last)) if last <= newest && newest.since(last) <= SAME_MOMENT => last,
            (None, _) => judge(None, self.clock),
            (Some(date), _) => {
                let time = judge(Some(date.time), self.clock);
                self.state.last_date = Some(time);
                time
            }
        }
    }

    /// Makes a match of a rule that holds, if it accuses somebody who can be counted and was not counted for this
    /// event already.
    fn settle<'e, 't: 'e>(
        &mut self,
        index: usize,
        filter: &Filter,
        spoken: &Spoken<'_>,
        event: &impl Fn() -> Option<&'e Event<'t>>,
    ) {
        let Accused { key, text, address } = spoken.accused;
        let Some(address) = address else {
            self.report.said(index, Some(spoken.rule), Said::NotAnAddress(key, text));
            return;
        };
        let Some(canonical) = self.scanner.policy.canonical(address) else {
            self.report.said(index, Some(spoken.rule), Said::NeverASubject(address));
            return;
        };
        let rule = rule_ref(index, spoken.rule);
        let mut weight = spoken.weight;
        if let Some(settings) = filter.one_per() {
            if self.state.once.len() <= index {
                self.state.once.resize_with(index + 1, Default::default);
            }
            let value = |key: &str| event().and_then(|event| event.context.get(key)).unwrap_or_default();
            if let Some(once) = self.state.once.get_mut(index)
                && weight > 0
            {
                weight =
                    once.adds(settings, (rule.rule, spoken.outcome, weight), canonical, spoken.time, value);
                if weight == 0 {
                    self.report.said(index, Some(spoken.rule), Said::Repeated(canonical));
                    return;
                }
            }
        }
        let (outcome, time, line) = (spoken.outcome, spoken.time, self.stats.candidates);
        let matched = Match { rule, outcome, address: canonical, time, weight, line };
        self.report.said(index, Some(spoken.rule), Said::Matched(key, text, matched, spoken.found));
        self.stats.matches += 1;
        (self.sink)(matched);
    }
}

/// `text` with its date cut out, the rest not trimmed.
pub(super) fn without<'t>(text: &'t str, date: Option<&FoundDate>, buffer: &'t mut String) -> &'t str {
    let Some(range) = date.map(|date| &date.range) else { return text };
    let (before, after) =
        (text.get(..range.start).unwrap_or_default(), text.get(range.end..).unwrap_or_default());
    if before.is_empty() {
        return after;
    }
    if after.is_empty() {
        return before;
    }
    buffer.clear();
    buffer.push_str(before);
    buffer.push_str(after);
    buffer
}
