//! When to try again what failed.

use std::time::{Duration, Instant};

/// Never sooner.
const FIRST: Duration = Duration::from_millis(50);
/// Never later: a repaired kernel shall not wait long for us.
const LAST: Duration = Duration::from_secs(2);

/// Waits twice as long after each failure in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff(Option<Wait>);

#[derive(Debug)]
struct Wait {
    span: Duration,
    until: Instant,
}

impl Backoff {
    pub(super) fn failed(&mut self, now: Instant) {
        let span = self.0.as_ref().map_or(FIRST, |wait| (wait.span * 2).min(LAST));
        self.0 = Some(Wait { span, until: now + span });
    }

    pub(super) fn succeeded(&mut self) {
        self.0 = None;
    }

    pub(super) fn is_failing(&self) -> bool {
        self.0.is_some()
    }

    /// How long to wait; zero when it may be tried.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |wait| wait.until.saturating_duration_since(now))
    }

    pub(super) fn may_try(&self, now: Instant) -> bool {
        self.remaining(now).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_tried_ever_less_often_but_never_given_up() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        assert!(backoff.may_try(now));
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            backoff.failed(now);
            let wait = backoff.remaining(now);
            let expected = if last.is_zero() { FIRST } else { (2 * last).min(LAST) };
            assert_eq!(wait, expected, "after {last:?}");
            (last, now) = (wait, now + wait);
            assert!(backoff.may_try(now));
        }
        assert_eq!(last, LAST);
        backoff.succeeded();
        backoff.failed(now);
        assert_eq!(backoff.remaining(now), FIRST);
    }
}
