//! Trying a filter on a log and counting what each of its regexes does, as `fail2ban-regex` does.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Envelope, Reason, ScanError, ScanState, Scanner};
use crate::engine::dates::{DateMemory, judge};
use crate::engine::filter::{Filter, TextRules, TextVerdict};
use crate::engine::layout::strip_ansi;
use crate::engine::{AddressPolicy, LayoutSpec, ReadClock, RuleRef, Timestamp};

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Empty or a comment; not counted.
    Skipped,
    /// An `ignoreRegex` vetoed it, or it is a helper line.
    Ignored,
    /// Some regex or rule accuses somebody.
    Matched,
    /// Nothing does.
    Missed,
}

/// An address that a rule found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriedHit {
    /// The rule.
    pub rule: RuleRef,
    /// The address.
    pub address: IpAddr,
    /// When.
    pub time: Timestamp,
    /// Whether another regex matched the same line.
    pub several: bool,
}

/// A filter on trial. Unlike a scanner it asks every regex about every line.
pub struct Trial {
    filter: Arc<Filter>,
    scanner: Scanner,
    state: ScanState,
    dates: DateMemory,
    buffer: VecDeque<String>,
    /// Counts so far.
    pub counts: TrialCounts,
}

/// What a trial counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialCounts {
    /// Lines that `prefRegex` matched.
    pub prefix: u64,
    /// Hits of each rule, by [`RuleRef::rule`].
    pub rules: Vec<u64>,
    /// Vetoes of each `ignoreRegex`.
    pub ignore: Vec<u64>,
    /// How often each date form was found, by its name, in the order of first use.
    pub dates: Vec<(String, u64)>,
    /// Lines with each verdict.
    pub ignored: u64,
    /// See [`Tried::Matched`].
    pub matched: u64,
    /// See [`Tried::Missed`].
    pub missed: u64,
    /// Lines where a regex accuses a host name, which is never banned.
    pub names: u64,
    /// Lines where a regex reached its step limit.
    pub gave_up: u64,
}

impl TrialCounts {
    /// All lines but those skipped.
    #[must_use]
    pub fn tested(&self) -> u64 {
        self.ignored + self.matched + self.missed
    }
}

impl Trial {
    /// Puts `filter` on trial.
    ///
    /// # Errors
    ///
    /// As [`Scanner::new`].
    pub fn new(filter: Arc<Filter>, layout: &LayoutSpec, envelope: Envelope) -> Result<Self, ScanError> {
        let scanner = Scanner::new(&[Arc::clone(&filter)], layout, envelope, &AddressPolicy::default())?;
        let ignore = filter.text().map_or(0, |text| text.ignore().len());
        let counts =
            TrialCounts { rules: vec![0; filter.len()], ignore: vec![0; ignore], ..TrialCounts::default() };
        let (state, dates, buffer) = (ScanState::default(), DateMemory::default(), VecDeque::new());
        Ok(Self { filter, scanner, state, dates, buffer, counts })
    }

    /// The layout found, if rules needed one.
    #[must_use]
    pub fn layout(&self) -> Option<&LayoutSpec> {
        self.state.layout()
    }

    /// Tries a line without its newline. Every hit is given to `hit`.
    pub fn line(&mut self, line: &[u8], clock: ReadClock<'_>, hit: &mut dyn FnMut(TriedHit)) -> Tried {
        let line = super::without_returns(line);
        if line.is_empty() || line.starts_with(b"#") {
            return Tried::Skipped;
        }
        let filter = Arc::clone(&self.filter);
        let mut tried = Tried::Missed;
        if !filter.rules().is_empty() {
            let account = self.scanner.explain(&mut self.state, line, clock);
            let rules = account.filters.iter().flat_map(|filter| &filter.rules).take(filter.rules().len());
            for (rule, account) in rules.enumerate() {
                let (address, time) = match &account.reason {
                    Reason::Matched { address, at, .. } => (*address, *at),
                    // Loopback in a test log is a hit all the same.
                    Reason::NeverASubject { address } | Reason::Repeated { address } => (*address, clock.now),
                    _ => continue,
                };
                self.hit(rule, address, time, false, hit);
                tried = Tried::Matched;
            }
        }
        if let Some(text) = filter.text() {
            tried = match self.text(text, filter.rules().len(), line, clock, hit) {
                Tried::Missed => tried,
                other => other,
            };
        }
        match tried {
            Tried::Ignored => self.counts.ignored += 1,
            Tried::Matched => self.counts.matched += 1,
            Tried::Missed | Tried::Skipped => self.counts.missed += 1,
        }
        tried
    }

    fn text(
        &mut self,
        rules: &TextRules,
        offset: usize,
        line: &[u8],
        clock: ReadClock<'_>,
        hit: &mut dyn FnMut(TriedHit),
    ) -> Tried {
        let (line, known) = match super::cri::parse(line) {
            Some(record) if self.scanner.envelope == Envelope::Cri => (record.content, Some(record.time)),
            _ => (line, None),
        };
        let line = String::from_utf8_lossy(line);
        let line = strip_ansi(&line);
        let date = rules.dates().find_next(&mut self.dates, &line, clock);
        if date.is_some()
            && let Some(form) = self.dates.form().and_then(|form| rules.dates().form(form))
        {
            match self.counts.dates.iter_mut().find(|(name, _)| name == form) {
                Some((_, count)) => *count += 1,
                None => self.counts.dates.push((form.to_owned(), 1)),
            }
        }
        let mut buffer = String::new();
        let left = super::judge::without(&line, date.as_ref(), &mut buffer);
        let time = known.unwrap_or_else(|| date.map_or_else(|| judge(None, clock), |date| date.time));
        if rules.max_lines() > 1 {
            return self.lines(rules, offset, left, time, hit);
        }
        let all = rules.inspect(left);
        self.counts.prefix += u64::from(all.prefix && rules.pref().is_some());
        self.counts.gave_up += u64::from(all.gave_up);
        for ignore in &all.ignored {
            if let Some(count) = self.counts.ignore.get_mut(*ignore) {
                *count += 1;
            }
        }
        let (mut found, mut named, mut helper) = (0u32, false, false);
        for (rule, groups) in all.hits {
            let accused = groups.accused();
            helper |= groups.no_failure;
            match accused {
                Some((_, Some(address))) => {
                    self.hit(offset + rule, address, time, found > 0, hit);
                    found += u32::from(!groups.no_failure);
                }
                Some((_, None)) => named = true,
                None => {}
            }
        }
        self.counts.names += u64::from(named);
        match (all.ignored.is_empty() && !helper, found) {
            (false, _) => Tried::Ignored,
            (true, 0) => Tried::Missed,
            (true, _) => Tried::Matched,
        }
    }

    fn lines(
        &mut self,
        rules: &TextRules,
        offset: usize,
        line: &str,
        time: Timestamp,
        hit: &mut dyn FnMut(TriedHit),
    ) -> Tried {
        while self.buffer.len() >= rules.max_lines() {
            self.buffer.pop_front();
        }
        self.buffer.push_back(line.to_owned());
        let mut joined = String::new();
        for line in &self.buffer {
            joined.push_str(line);
            joined.push('\n');
        }
        let judged = rules.judge_lines(&joined);
        if let Some(keep) = judged.keep {
            // Lines that were missed so far turn out to belong to the match.
            let used = (self.buffer.len() - keep.len()).saturating_sub(1) as u64;
            self.counts.matched += used;
            self.counts.missed = self.counts.missed.saturating_sub(used);
            let buffer = &mut self.buffer;
            *buffer = keep.into_iter().filter_map(|line| buffer.get_mut(line).map(std::mem::take)).collect();
        }
        match judged.verdict {
            TextVerdict::Ignored { ignore, .. } => {
                if let Some(count) = self.counts.ignore.get_mut(ignore) {
                    *count += 1;
                }
                Tried::Ignored
            }
            TextVerdict::NoFailure { .. } => Tried::Ignored,
            TextVerdict::Hit { rule, found } => match found.accused() {
                Some((_, Some(address))) => {
                    self.hit(offset + rule, address, time, false, hit);
                    Tried::Matched
                }
                Some(_) => {
                    self.counts.names += 1;
                    Tried::Missed
                }
                None => Tried::Missed,
            },
            TextVerdict::GaveUp { .. } => {
                self.counts.gave_up += 1;
                Tried::Missed
            }
            TextVerdict::Miss | TextVerdict::NoPrefix => Tried::Missed,
        }
    }

    fn hit(
        &mut self,
        rule: usize,
        address: IpAddr,
        time: Timestamp,
        several: bool,
        hit: &mut dyn FnMut(TriedHit),
    ) {
        if let Some(count) = self.counts.rules.get_mut(rule) {
            *count += 1;
        }
        hit(TriedHit { rule: super::report::rule_ref(0, rule), address, time, several });
    }
}
