//! When somebody behind a subject logged in.

use smallvec::SmallVec;

use super::{Duration, Shift, Timestamp};

/// Clusters of successes kept at most; more cannot lie within the time that matters.
const MOST_CLUSTERS: usize = 8;

/// The successes of one subject, as clusters `(first, last)` whose members are no more than `findTime` apart. That
/// is all it takes to say exactly whether a moment has a success within `findTime` before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Nearly everybody has one.
    clusters: Clusters,
}

type Clusters = SmallVec<[(Timestamp, Timestamp); 1]>;

impl Trust {
    /// Notes a success.
    pub fn note(&mut self, time: Timestamp, span: Duration) {
        // In order of time, as nearly all of them come.
        match self.clusters.last_mut() {
            None => return self.clusters.push((time, time)),
            Some((first, last)) if *first <= time && time <= *last + span => {
                *last = time.max(*last);
                return;
            }
            Some(_) => {}
        }
        let at = self.clusters.partition_point(|(first, _)| *first <= time);
        self.clusters.insert(at, (time, time));
        let mut merged = Clusters::with_capacity(self.clusters.len());
        for &(first, last) in &self.clusters {
            match merged.last_mut() {
                Some(open) if first <= open.1 + span => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        let excess = merged.len().saturating_sub(MOST_CLUSTERS);
        merged.drain(..excess);
        self.clusters = merged;
    }

    /// Whether a success happened at `time` or at most `span` before it.
    #[must_use]
    pub fn covers(&self, time: Timestamp, span: Duration) -> bool {
        self.clusters.iter().any(|&(first, last)| first <= time && time <= last + span)
    }

    /// Forgets clusters that ended before `time`.
    pub fn keep(&mut self, time: Timestamp) {
        self.clusters.retain(|(_, last)| *last >= time);
    }

    /// The clock was set: so are the times of what is kept.
    pub(super) fn shift(&mut self, shift: Shift) {
        for (first, last) in &mut self.clusters {
            (*first, *last) = (*first + shift, *last + shift);
        }
    }

    /// The latest success.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.clusters.last().map(|(_, last)| *last)
    }

    /// Whether no success is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// First and last success of each cluster, oldest first.
    pub fn clusters(&self) -> impl ExactSizeIterator<Item = (Timestamp, Timestamp)> {
        self.clusters.iter().copied()
    }

    /// Trust with these clusters, as [`Trust::clusters`] gave them.
    pub(super) fn from_clusters(clusters: Vec<(Timestamp, Timestamp)>) -> Self {
        Self { clusters: clusters.into_iter().collect() }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        if self.clusters.spilled() {
            self.clusters.capacity() * size_of::<(Timestamp, Timestamp)>()
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(100);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_success_covers_what_follows_within_the_span_and_nothing_before() {
        let mut t = Trust::default();
        t.note(at(1000), SPAN);
        assert!(!t.covers(at(999), SPAN));
        assert!(t.covers(at(1000), SPAN));
        assert!(t.covers(at(1100), SPAN));
        assert!(!t.covers(at(1101), SPAN));
    }

    #[test]
    fn successes_in_any_order_answer_like_a_list_of_all_of_them() {
        let successes = [500, 100, 310, 90, 505, 900, 205, 410];
        let mut t = Trust::default();
        for &s in &successes {
            t.note(at(s), SPAN);
        }
        for moment in 0..1200 {
            let expected = successes.iter().any(|s| (0..=100).contains(&(moment - s)));
            assert_eq!(t.covers(at(moment), SPAN), expected, "at {moment}");
        }
        assert_eq!(t.clusters().len(), 4, "only gaps are remembered");
    }
}
