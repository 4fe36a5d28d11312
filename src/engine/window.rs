//! The exact sliding window of one subject.

use smallvec::SmallVec;

use super::{Duration, RuleRef, Shift, Timestamp};

/// Records kept of one subject at most. Beyond it the two oldest become one that carries both weights at the time
/// of the younger; a jail whose threshold is lower never gets there.
const MOST_HITS: usize = 1024;

/// One counted failure: 16 bytes, because a jail holds several for each of 100,000 subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When it happened, by the log's own time.
    pub time: Timestamp,
    /// How much it counts.
    pub weight: u32,
    /// The rule that matched.
    pub rule: RuleRef,
}

/// The failures of one subject that can still matter, in time order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    hits: SmallVec<[Hit; 2]>,
}

/// The earliest moment at which a window reached its threshold, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The oldest failure in the window.
    pub first: Timestamp,
    /// The deciding failure.
    pub deciding: Timestamp,
    /// Weight in the window.
    pub weight: u32,
    /// Rules and how often each matched in the window.
    pub rules: Vec<(RuleRef, u32)>,
}

impl Window {
    /// A window of these failures, whatever their order. Nothing is made one: it is for looking, not for keeping.
    pub(super) fn of(mut hits: SmallVec<[Hit; 2]>) -> Self {
        hits.sort_by_key(|hit| hit.time);
        Self { hits }
    }

    /// Inserts a failure in time order, wherever it belongs.
    pub fn insert(&mut self, hit: Hit) {
        let at = self.hits.partition_point(|h| h.time <= hit.time);
        self.hits.insert(at, hit);
        if self.hits.len() > MOST_HITS {
            let oldest = self.hits.remove(0);
            if let Some(next) = self.hits.first_mut() {
                next.weight = next.weight.saturating_add(oldest.weight);
            }
        }
    }

    /// The earliest window `[end - span, end]` that holds the failures dated `changed` and at least `needed(end)`
    /// weight. Windows without `changed` were judged when their own failures came.
    pub fn decide(
        &self,
        changed: Timestamp,
        span: Duration,
        needed: impl Fn(Timestamp) -> u32,
    ) -> Option<Decision> {
        let mut next = self.hits.partition_point(|h| h.time < changed);
        while let Some(end) = self.hits.get(next).map(|h| h.time).filter(|end| *end <= changed + span) {
            let low = self.hits.partition_point(|h| h.time < end - span);
            next = self.hits.partition_point(|h| h.time <= end);
            let within = self.hits.get(low..next).unwrap_or_default();
            let weight = sum(within);
            if weight >= needed(end) {
                let first = within.first().map_or(end, |h| h.time);
                return Some(Decision { first, deciding: end, weight, rules: by_rule(within) });
            }
        }
        None
    }

    /// Weight of the failures in `[end - span, end]`.
    #[must_use]
    pub fn weight_at(&self, end: Timestamp, span: Duration) -> u32 {
        let from = self.hits.partition_point(|h| h.time < end - span);
        let to = self.hits.partition_point(|h| h.time <= end);
        self.hits.get(from..to).map_or(0, sum)
    }

    /// The most weight in any window of this span.
    #[must_use]
    pub fn peak(&self, span: Duration) -> u32 {
        let (mut low, mut weight, mut most) = (0, 0_u64, 0_u64);
        for hit in &self.hits {
            weight += u64::from(hit.weight);
            while let Some(oldest) = self.hits.get(low).filter(|oldest| oldest.time < hit.time - span) {
                weight -= u64::from(oldest.weight);
                low += 1;
            }
            most = most.max(weight);
        }
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// Whether a failure at `time` shares some window of this span with one that is kept and not before `horizon`.
    #[must_use]
    pub fn is_near(&self, time: Timestamp, span: Duration, horizon: Timestamp) -> bool {
        self.hits.iter().any(|h| h.time >= horizon && h.time.distance(time) <= span)
    }

    /// Forgets failures at or before `time`: they are settled by a ban or a pardon.
    pub fn forget_through(&mut self, time: Timestamp) {
        self.drop_oldest(self.hits.partition_point(|h| h.time <= time));
    }

    /// Forgets failures before `time`, and the oldest of those that together weigh more than `most` without the
    /// ones after them. What is left bounds the memory of a subject.
    pub fn keep(&mut self, time: Timestamp, most: u32) {
        let mut drop = self.hits.partition_point(|h| h.time < time);
        let mut rest: u64 = self.hits.iter().skip(drop).map(|h| u64::from(h.weight)).sum();
        while let Some(oldest) = self.hits.get(drop).filter(|_| rest > u64::from(most)) {
            rest -= u64::from(oldest.weight);
            drop += 1;
        }
        self.drop_oldest(drop);
    }

    fn drop_oldest(&mut self, count: usize) {
        if count > 0 {
            self.hits.drain(..count);
            self.hits.shrink_to_fit();
        }
    }

    /// The oldest failure kept.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.hits.first().map(|h| h.time)
    }

    /// The youngest failure kept.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.hits.last().map(|h| h.time)
    }

    /// The failures, oldest first.
    pub fn hits(&self) -> impl ExactSizeIterator<Item = &Hit> {
        self.hits.iter()
    }

    /// The failures, to change what their rules are called.
    pub(super) fn hits_mut(&mut self) -> impl Iterator<Item = &mut Hit> {
        self.hits.iter_mut()
    }

    /// The clock was set: so are the times of what is kept.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.hits.iter_mut().for_each(|hit| hit.time = hit.time + shift);
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Bytes on the heap beside the value itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        if self.hits.spilled() { self.hits.capacity() * size_of::<Hit>() } else { 0 }
    }
}

fn sum(hits: &[Hit]) -> u32 {
    hits.iter().fold(0, |sum, h| sum.saturating_add(h.weight))
}

fn by_rule(hits: &[Hit]) -> Vec<(RuleRef, u32)> {
    let mut rules: Vec<(RuleRef, u32)> = Vec::new();
    for hit in hits {
        match rules.iter_mut().find(|(rule, _)| *rule == hit.rule) {
            Some((_, times)) => *times = times.saturating_add(1),
            None => rules.push((hit.rule, 1)),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(100);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn window(times: &[i64]) -> Window {
        let mut window = Window::default();
        for &t in times {
            window.insert(hit(t, 1));
        }
        window
    }

    fn hit(secs: i64, weight: u32) -> Hit {
        Hit { time: at(secs), weight, rule: RuleRef { filter: 0, rule: weight as u16 } }
    }

    fn decided(w: &Window, changed: i64, needed: u32) -> Option<(i64, i64, u32)> {
        w.decide(at(changed), SPAN, |_| needed).map(|d| (d.first.as_secs(), d.deciding.as_secs(), d.weight))
    }

    #[test]
    fn failures_exactly_the_span_apart_share_a_window() {
        assert_eq!(decided(&window(&[0, 100]), 100, 2), Some((0, 100, 2)));
        assert_eq!(decided(&window(&[0, 101]), 101, 2), None);
    }

    #[test]
    fn a_late_record_completes_a_window_that_ends_after_it() {
        assert_eq!(decided(&window(&[0, 90, 40]), 40, 3), Some((0, 90, 3)));
        assert_eq!(decided(&window(&[50, 150, 60]), 60, 3), Some((50, 150, 3)));
        assert_eq!(decided(&window(&[50, 151, 60]), 60, 3), None);
    }

    #[test]
    fn the_earliest_end_decides() {
        assert_eq!(decided(&window(&[10, 30, 40, 20]), 20, 3), Some((10, 30, 3)));
    }

    #[test]
    fn failures_of_one_moment_count_together() {
        assert_eq!(decided(&window(&[5, 5, 5]), 5, 3), Some((5, 5, 3)));
    }

    #[test]
    fn weights_add_up_and_rules_are_told_apart() {
        let mut w = Window::default();
        w.insert(hit(1, 2));
        w.insert(hit(2, 3));
        w.insert(hit(3, 2));
        let d = w.decide(at(3), SPAN, |_| 7).unwrap();
        assert_eq!(
            (d.weight, d.rules),
            (7, vec![(RuleRef { filter: 0, rule: 2 }, 2), (RuleRef { filter: 0, rule: 3 }, 1)])
        );
    }

    #[test]
    fn the_peak_is_the_heaviest_of_all_windows_wherever_it_is() {
        assert_eq!(window(&[]).peak(SPAN), 0);
        assert_eq!(window(&[0, 100, 101, 900]).peak(SPAN), 2);
        assert_eq!(window(&[0, 50, 100, 900, 901]).peak(SPAN), 3, "both ends included");
    }

    #[test]
    fn enormous_weights_do_not_wrap_around() {
        let mut w = Window::default();
        w.insert(Hit { weight: u32::MAX, ..hit(1, 1) });
        w.insert(Hit { weight: u32::MAX, ..hit(2, 1) });
        assert_eq!(w.decide(at(2), SPAN, |_| u32::MAX).map(|d| d.weight), Some(u32::MAX));
        w.keep(at(0), u32::MAX);
        assert_eq!(w.hits().len(), 1);
    }

    #[test]
    fn the_ends_of_time_are_in_no_window_with_now() {
        let mut w = window(&[0]);
        w.insert(Hit { time: Timestamp::MAX, ..hit(0, 1) });
        w.insert(Hit { time: Timestamp::MIN, ..hit(0, 1) });
        assert_eq!(w.decide(Timestamp::MAX, SPAN, |_| 2), None);
        assert_eq!(w.decide(Timestamp::MIN, SPAN, |_| 2), None);
    }

    #[test]
    fn settled_failures_are_forgotten_with_their_moment() {
        let mut w = window(&[1, 2, 2, 3, 4]);
        w.forget_through(at(2));
        assert_eq!(w.first(), Some(at(3)));
        assert_eq!(w.heap_bytes(), 0, "two hits need no heap");
    }

    #[test]
    fn a_subject_keeps_at_most_so_many_records() {
        let mut w = Window::default();
        for t in 0..5_000 {
            w.insert(hit(t, 1));
        }
        assert_eq!(w.hits().len(), MOST_HITS);
        assert_eq!(w.weight_at(at(5_000), Duration::from_secs(5_000)), 5_000, "no weight is lost");
    }
}
