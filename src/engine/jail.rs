//! One jail: counts what its filters matched and pronounces bans.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::elsewhere::Elsewhere;
use super::house::{NeverBan, Why};
use super::roster::{Roster, Tracked};
use super::trust::Trust;
use super::window::Hit;
use super::words::{WordRow, Words, WordsError, count, put_subject, relative};
use super::{
    History, JailSpec, Match, Outcome, RuleRef, Shift, Skip, Subject, Term, Timestamp, Verdict, sentence,
};
use judge::{judge, needed, settled};
use sharing::Sharing;

mod judge;
mod sharing;

pub use sharing::{Shared, quota};

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
///
/// Where failures are added up over several nodes, what the others tell ([`Jail::hear`]) counts like records that come
/// late.
#[derive(Clone, Debug)]
pub struct Jail {
    spec: JailSpec,
    ignore: NeverBan,
    roster: Roster,
    elsewhere: Elsewhere,
    sharing: Option<Sharing>,
}

/// The windows of a jail, for the state file: one flat row of integers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JailSnapshot {
    evicted: u64,
    swept: usize,
    /// By how much the clock was set since.
    #[serde(skip_serializing_if = "is_none")]
    shift: Shift,
    row: WordRow,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks like this.
fn is_none(shift: &Shift) -> bool {
    *shift == Shift::NONE
}

impl JailSnapshot {
    /// The clock was set after this was taken.
    pub fn shift(&mut self, shift: Shift) {
        self.shift = self.shift.then(shift);
    }
}

impl RuleRef {
    /// A rule that is not declared any more.
    pub const GONE: Self = Self { filter: u16::MAX, rule: u16::MAX };
}

impl Jail {
    /// A jail that has seen nothing.
    #[must_use]
    pub fn new(spec: JailSpec) -> Self {
        Self::with(spec, Roster::new(0, 0))
    }

    fn with(spec: JailSpec, roster: Roster) -> Self {
        Self { ignore: ignored(&spec), roster, elsewhere: Elsewhere::default(), sharing: None, spec }
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
        for hit in self.elsewhere.hits_mut() {
            hit.rule = place(hit.rule).unwrap_or(RuleRef::GONE);
        }
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
        if self.spares(subject, never) {
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

    fn spares(&self, subject: Subject, never: &NeverBan) -> bool {
        never.overlap(subject).is_some() || self.ignore.overlap(subject).is_some()
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
            self.note_for_others(subject, horizon);
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
        if m.time < now - span
            && !self.roster.get(subject).is_some_and(met)
            && !self.elsewhere.is_near(subject, m.time, span, horizon)
        {
            return Verdict::Skipped(Skip::TooOld);
        }
        let hit = Hit { time: m.time, weight: m.weight, rule: m.rule };
        let settled = settled(last, pardoned);
        let (spec, others) = (&self.spec, self.elsewhere.of(subject));
        let verdict = self.roster.update(subject, span, |tracked| {
            tracked.window.forget_through(settled);
            judge(spec, tracked, others, subject, hit, last, settled, horizon)
        });
        self.roster.bound(self.spec.max_tracked, now - span);
        self.note_for_others(subject, horizon);
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

    /// The clock was set: what was counted here happened at other times by it.
    pub fn shift(&mut self, shift: Shift) {
        self.roster.update_all(|_| true, |tracked| tracked.shift(shift));
    }

    /// What others told is at other times by this clock.
    pub fn shift_elsewhere(&mut self, shift: Shift) {
        self.elsewhere.shift(shift);
    }

    /// Gives back the memory of subjects that cannot matter any more. Counting does it little by little; a jail
    /// without traffic is swept from time to time by its owner.
    pub fn sweep(&mut self, now: Timestamp) {
        let horizon = self.horizon(now);
        self.roster.sweep_all(horizon);
        self.elsewhere.sweep(horizon, horizon - self.spec.find_time);
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
        self.roster.bytes() + self.elsewhere.bytes()
    }

    /// A failure that comes `findTime` late reaches this far back.
    fn horizon(&self, now: Timestamp) -> Timestamp {
        now - self.spec.find_time - self.spec.find_time
    }

    /// The windows, for the state file.
    #[must_use]
    pub fn snapshot(&self) -> JailSnapshot {
        let mut row = WordRow::default();
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
        JailSnapshot { evicted: self.evicted(), swept: self.roster.swept(), shift: Shift::NONE, row }
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
            let mut tracked = read_tracked(&mut words)?;
            tracked.shift(snapshot.shift);
            roster.update(subject, span, |t| *t = tracked);
        }
        roster.bound(spec.max_tracked, Timestamp::MIN);
        Ok(Self::with(spec, roster))
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

#[cfg(test)]
#[path = "tests/jail.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/jail_bounds.rs"]
mod bounds;

#[cfg(test)]
#[path = "tests/jail_trust.rs"]
mod trust_tests;
