//! Decides over one subject's failures, those that other nodes saw included.

use std::borrow::Cow;

use crate::engine::elsewhere::{self, Account};
use crate::engine::roster::Tracked;
use crate::engine::window::{Decision, Hit, Window};
use crate::engine::{Conviction, Duration, JailSpec, Subject, Term, Timestamp, Verdict, sentence};

pub(super) fn needed(spec: &JailSpec, trusted: bool) -> u32 {
    let factor = if trusted { spec.trusted_factor.max(1) } else { 1 };
    spec.max_retry.max(1).saturating_mul(factor)
}

/// Inserts `hit` and decides.
#[allow(clippy::too_many_arguments)] // Parts of one jail that are borrowed apart, and what is known of the subject.
pub(super) fn judge(
    spec: &JailSpec,
    tracked: &mut Tracked,
    others: &[Account],
    subject: Subject,
    hit: Hit,
    last: Option<Term>,
    settled: Timestamp,
    horizon: Timestamp,
) -> Verdict {
    let span = spec.find_time;
    if hit.weight > 0 {
        tracked.window.insert(hit);
    }
    if let Some(conviction) = judge_added(spec, tracked, others, subject, &[hit.time], last, settled, horizon)
    {
        return Verdict::Ban(conviction);
    }
    // Twice the threshold is more than any two neighbouring windows below it can hold.
    tracked.window.keep(horizon, needed(spec, true).saturating_mul(2));
    let all = view(tracked, others, settled, horizon);
    let end = all.last().unwrap_or(hit.time);
    let weight = all.weight_at(end, span);
    Verdict::Counted { subject, weight, needed: needed(spec, is_trusted(tracked, others, end, span)) }
}

/// Decides after failures of these moments came to be known: the earliest full window that holds one of them.
#[allow(clippy::too_many_arguments)] // As above.
pub(super) fn judge_added(
    spec: &JailSpec,
    tracked: &mut Tracked,
    others: &[Account],
    subject: Subject,
    added: &[Timestamp],
    last: Option<Term>,
    settled: Timestamp,
    horizon: Timestamp,
) -> Option<Conviction> {
    let span = spec.find_time;
    let all = view(tracked, others, settled, horizon);
    let needed_at = |end| needed(spec, is_trusted(tracked, others, end, span));
    let decisions = added.iter().filter_map(|time| all.decide(*time, span, needed_at));
    let Decision { first, deciding: since, weight, rules } = decisions.min_by_key(|d| d.deciding)?;
    let n = sentence::next_n(&spec.sentence, last, since);
    let end = |from| sentence::end(&spec.sentence, &spec.name, subject, n, from);
    // Failures that were read before a late one decided: during the ban they do what they would have done had they
    // come after it.
    let until = serve(&mut all.into_owned(), since, end(since), end);
    tracked.window.forget_through(until.unwrap_or(Timestamp::MAX));
    let nodes = elsewhere::witnesses(others, first, since);
    Some(Conviction { subject, n, since, until, weight, first, rules, nodes })
}

/// What is known of a subject here and elsewhere.
fn view<'a>(
    tracked: &'a Tracked,
    others: &[Account],
    settled: Timestamp,
    horizon: Timestamp,
) -> Cow<'a, Window> {
    if others.is_empty() {
        Cow::Borrowed(&tracked.window)
    } else {
        Cow::Owned(elsewhere::merge(&tracked.window, others, settled, horizon))
    }
}

/// Takes the failures up to the end of a ban out of a window; those during the ban move its end. `end` is where a
/// failure moves it. Answers with the end.
pub(super) fn serve(
    window: &mut Window,
    since: Timestamp,
    mut until: Option<Timestamp>,
    end: impl Fn(Timestamp) -> Option<Timestamp>,
) -> Option<Timestamp> {
    window.forget_through(since);
    while let Some(time) = window.first().filter(|time| until.is_none_or(|until| *time <= until)) {
        until = sentence::prolonged(until, end(time)).unwrap_or(until);
        window.forget_through(time);
    }
    until
}

/// Up to when failures are settled by a ban or a pardon.
pub(super) fn settled(last: Option<Term>, pardoned: Option<Timestamp>) -> Timestamp {
    let ban = last.map_or(Timestamp::MIN, |term| term.until.unwrap_or(Timestamp::MAX));
    ban.max(pardoned.unwrap_or(Timestamp::MIN))
}

/// Whether somebody logged in within `find_time` before `at`, here or elsewhere.
fn is_trusted(tracked: &Tracked, others: &[Account], at: Timestamp, span: Duration) -> bool {
    tracked.is_trusted(at, span) || elsewhere::is_trusted(others, at, span)
}
