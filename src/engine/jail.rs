//! One jail: counts what its filters matched and pronounces bans.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::house::{NeverBan, Why};
use super::roster::{Roster, Tracked};
use super::trust::Trust;
use super::window::{Decision, Hit};
use super::words::{Words, WordsError, count, put_subject, relative};
use super::{
    Conviction, History, JailSpec, Match, Outcome, RuleRef, Skip, Subject, Term, Timestamp, Verdict, sentence,
};

/// The windows of a jail. What it remembers of bans is the ledger's: it asks a [`History`].
///
/// Records may come late and in any order. Two rules make the answer the same as if they had been sorted:
/// - A failure is inserted where it belongs, and every window it is part of is judged; the earliest that is full
///   decides. Failures are kept for twice `findTime`, so a record that comes up to `findTime` late meets all its
///   neighbours.
/// - What a ban has settled stays settled. Failures up to the deciding one are used up, those until the ban's end
///   prolong it, and only later ones count again.
///
/// What arrival order can change: a record dated before a ban that is known already is left alone, where sorted
/// reading would have begun that ban earlier (and, when `banTime` is shorter than `findTime`, ended it earlier). And a
/// success helps only from the moment it is read. Who is banned at all does not depend on the order of failures.
#[derive(Clone, Debug)]
pub struct Jail {
    spec: JailSpec,
    ignore: NeverBan,
    roster: Roster,
}

/// The windows of a jail, for the state file: one flat row of integers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JailSnapshot {
    evicted: u64,
    swept: usize,
    row: Vec<i64>,
}

impl RuleRef {
    /// A rule that is not declared any more.
    pub const GONE: Self = Self { filter: u16::MAX, rule: u16::MAX };
}

impl Jail {
    /// A jail that has seen nothing.
    #[must_use]
    pub fn new(spec: JailSpec) -> Self {
        Self { ignore: ignored(&spec), roster: Roster::new(0, 0), spec }
    }

    /// Its settings.
    #[must_use]
    pub fn spec(&self) -> &JailSpec {
        &self.spec
    }

    /// Takes other settings and keeps the windows. They are judged by the new threshold at their next failure.
    pub fn reconfigure(&mut self, spec: JailSpec) {
        self.ignore = ignored(&spec);
        self.spec = spec;
        self.roster.bound(self.spec.max_tracked, Timestamp::MIN);
    }

    /// Gives the rules of counted failures their places in a new scanner; rules without one become
    /// [`RuleRef::GONE`].
    pub fn renumber(&mut self, place: impl Fn(RuleRef) -> Option<RuleRef>) {
        self.roster.update_all(
            |_| true,
            |tracked| {
                for hit in tracked.window.hits_mut() {
                    hit.rule = place(hit.rule).unwrap_or(RuleRef::GONE);
                }
            },
        );
    }

    /// Counts one match. `never` is the house and the allow lists, `now` the moment of reading.
    ///
    /// The caller records a [`Verdict::Ban`] and a [`Verdict::Extended`] in the ledger behind `history` before it
    /// counts the next match, or the same subject is convicted again.
    pub fn count(&mut self, m: &Match, never: &NeverBan, history: &dyn History, now: Timestamp) -> Verdict {
        let subject = self.spec.prefix.subject(m.address);
        if never.overlap(subject).is_some() || self.ignore.overlap(subject).is_some() {
            return Verdict::Skipped(Skip::NeverBan);
        }
        let pardoned = history.pardoned(subject);
        if pardoned.is_some_and(|at| m.time <= at) {
            return Verdict::Skipped(Skip::Pardoned);
        }
        self.roster.sweep(self.horizon(now));
        match m.outcome {
            Outcome::Success => self.succeeded(subject, m.time, now),
            Outcome::Failure => self.failed(subject, m, history.latest(subject), pardoned, now),
        }
    }

    fn succeeded(&mut self, subject: Subject, time: Timestamp, now: Timestamp) -> Verdict {
        let span = self.spec.find_time;
        let horizon = self.horizon(now);
        if time < now - span && self.roster.get(subject).is_none_or(|t| t.last() < horizon) {
            return Verdict::Skipped(Skip::TooOld);
        }
        if self.spec.trusted_factor > 1 {
            self.roster.update(subject, span, |tracked| {
                let trust = tracked.trust.get_or_insert_default();
                trust.keep(horizon - span);
                trust.note(time, span);
            });
            self.roster.bound(self.spec.max_tracked, now - span);
        }
        Verdict::Trusted(subject)
    }

    fn failed(
        &mut self,
        subject: Subject,
        m: &Match,
        last: Option<Term>,
        pardoned: Option<Timestamp>,
        now: Timestamp,
    ) -> Verdict {
        let span = self.spec.find_time;
        if let Some(term) = last
            && term.until.is_none_or(|until| m.time <= until)
        {
            return self.failed_while_banned(subject, m.time, term);
        }
        let horizon = self.horizon(now);
        let met = |t: &Tracked| t.window.is_near(m.time, span, horizon);
        if m.time < now - span && !self.roster.get(subject).is_some_and(met) {
            return Verdict::Skipped(Skip::TooOld);
        }
        let hit = Hit { time: m.time, weight: m.weight, rule: m.rule };
        let settled = last.and_then(|term| term.until).max(pardoned);
        let spec = &self.spec;
        let verdict = self.roster.update(subject, span, |tracked| {
            tracked.window.forget_through(settled.unwrap_or(Timestamp::MIN));
            judge(spec, tracked, subject, hit, last, horizon)
        });
        self.roster.bound(self.spec.max_tracked, now - span);
        verdict
    }

    /// Failures up to the beginning belong to what led to the ban; later ones move its end.
    fn failed_while_banned(&self, subject: Subject, time: Timestamp, term: Term) -> Verdict {
        let spec = &self.spec;
        let end = || sentence::end(&spec.sentence, &spec.name, subject, term.n, time);
        if time > term.since
            && let Some(until) = sentence::prolonged(term.until, end())
        {
            return Verdict::Extended { subject, n: term.n, until };
        }
        let tracked = self.roster.get(subject);
        let weight = tracked.map_or(0, |t| t.window.weight_at(time, spec.find_time));
        let trusted = tracked.is_some_and(|t| t.is_trusted(time, spec.find_time));
        Verdict::Counted { subject, weight, needed: needed(spec, trusted) }
    }

    /// Forgets failures at or before `at` in everything within `net`. Those that come later are held back by
    /// [`History::pardoned`].
    pub fn pardon(&mut self, net: IpNet, at: Timestamp) {
        let net = Subject::new(net).net();
        self.roster.update_all(|subject| subject.is_within(net), |t| t.window.forget_through(at));
    }

    /// Gives back the memory of subjects that cannot matter any more. Counting does it little by little; a jail
    /// without traffic is swept from time to time by its owner.
    pub fn sweep(&mut self, now: Timestamp) {
        self.roster.sweep_all(self.horizon(now));
    }

    /// How many subjects are tracked below the threshold.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.roster.len()
    }

    /// How many subjects gave way to others because of `max_tracked` while they could still have mattered.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.roster.evicted()
    }

    /// What is counted against `subject`: the weight within `findTime` before its last failure, and the first and
    /// the last of those failures.
    #[must_use]
    pub fn watched(&self, subject: Subject) -> Option<(u32, Timestamp, Timestamp)> {
        let window = &self.roster.get(subject)?.window;
        let last = window.last()?;
        let from = last - self.spec.find_time;
        let first = window.hits().map(|h| h.time).find(|time| *time >= from)?;
        Some((window.weight_at(last, self.spec.find_time), first, last))
    }

    /// Bytes the windows hold, heap included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.roster.bytes()
    }

    /// A failure that comes `findTime` late reaches this far back.
    fn horizon(&self, now: Timestamp) -> Timestamp {
        now - self.spec.find_time - self.spec.find_time
    }

    /// The windows, for the state file.
    #[must_use]
    pub fn snapshot(&self) -> JailSnapshot {
        let mut row = Vec::new();
        for (subject, tracked) in self.roster.iter() {
            put_subject(&mut row, subject);
            let mut base = Timestamp::default();
            row.push(count(tracked.window.hits().len()));
            for hit in tracked.window.hits() {
                let rule = i64::from(hit.rule.filter) << 16 | i64::from(hit.rule.rule);
                row.extend([relative(hit.time, base), i64::from(hit.weight), rule]);
                base = hit.time;
            }
            let clusters = tracked.trust.iter().flat_map(|t| t.clusters());
            row.push(count(tracked.trust.as_ref().map_or(0, |t| t.clusters().len())));
            for (first, last) in clusters {
                row.extend([relative(first, base), relative(last, first)]);
                base = last;
            }
        }
        JailSnapshot { evicted: self.evicted(), swept: self.roster.swept(), row }
    }

    /// A jail with these settings and the windows of a snapshot.
    ///
    /// # Errors
    /// When the snapshot is damaged.
    pub fn restore(spec: JailSpec, snapshot: &JailSnapshot) -> Result<Self, WordsError> {
        let span = spec.find_time;
        let mut roster = Roster::new(snapshot.evicted, snapshot.swept);
        let mut words = Words::new(&snapshot.row);
        while !words.is_done() {
            let subject = words.subject()?;
            let tracked = read_tracked(&mut words)?;
            roster.update(subject, span, |t| *t = tracked);
        }
        roster.bound(spec.max_tracked, Timestamp::MIN);
        Ok(Self { ignore: ignored(&spec), roster, spec })
    }
}

fn read_tracked(words: &mut Words<'_>) -> Result<Tracked, WordsError> {
    let mut tracked = Tracked::default();
    let mut base = Timestamp::default();
    for _ in 0..words.number::<usize>()? {
        let time = words.time_from(base)?;
        let weight = words.number()?;
        let rule: u32 = words.number()?;
        let rule = RuleRef { filter: (rule >> 16) as u16, rule: rule as u16 };
        tracked.window.insert(Hit { time, weight, rule });
        base = time;
    }
    let mut clusters = Vec::new();
    for _ in 0..words.number::<usize>()? {
        let first = words.time_from(base)?;
        base = words.time_from(first)?;
        clusters.push((first, base));
    }
    if !clusters.is_empty() {
        tracked.trust = Some(Box::new(Trust::from_clusters(clusters)));
    }
    Ok(tracked)
}

fn ignored(spec: &JailSpec) -> NeverBan {
    NeverBan::new(spec.ignore.iter().map(|net| (*net, Why::JailIgnore)))
}

fn needed(spec: &JailSpec, trusted: bool) -> u32 {
    let factor = if trusted { spec.trusted_factor.max(1) } else { 1 };
    spec.max_retry.max(1).saturating_mul(factor)
}

/// Inserts `hit` and decides.
fn judge(
    spec: &JailSpec,
    tracked: &mut Tracked,
    subject: Subject,
    hit: Hit,
    last: Option<Term>,
    horizon: Timestamp,
) -> Verdict {
    let span = spec.find_time;
    if hit.weight > 0 {
        tracked.window.insert(hit);
    }
    let needed_at = |end| needed(spec, tracked.is_trusted(end, span));
    if let Some(decision) = tracked.window.decide(hit.time, span, needed_at) {
        return Verdict::Ban(convict(spec, tracked, subject, decision, last));
    }
    // Twice the threshold is more than any two neighbouring windows below it can hold.
    tracked.window.keep(horizon, needed(spec, true).saturating_mul(2));
    let end = tracked.window.last().unwrap_or(hit.time);
    let weight = tracked.window.weight_at(end, span);
    Verdict::Counted { subject, weight, needed: needed(spec, tracked.is_trusted(end, span)) }
}

fn convict(
    spec: &JailSpec,
    tracked: &mut Tracked,
    subject: Subject,
    decision: Decision,
    last: Option<Term>,
) -> Conviction {
    let Decision { first, deciding: since, weight, rules } = decision;
    let n = sentence::next_n(&spec.sentence, last, since);
    let end = |from| sentence::end(&spec.sentence, &spec.name, subject, n, from);
    let mut until = end(since);
    tracked.window.forget_through(since);
    // Failures that were read before a late one decided: during the ban they do what they would have done had they
    // come after it.
    while let Some(time) = tracked.window.first().filter(|time| until.is_none_or(|until| *time <= until)) {
        until = sentence::prolonged(until, end(time)).unwrap_or(until);
        tracked.window.forget_through(time);
    }
    Conviction { subject, n, since, until, weight, first, rules }
}

#[cfg(test)]
#[path = "tests/jail.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/jail_bounds.rs"]
mod bounds;
