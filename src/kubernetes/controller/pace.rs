//! At most one write of an object within some time; what comes sooner waits and is written as it is then.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// When each object was written last.
#[derive(Debug)]
pub(super) struct Pace<K> {
    apart: Duration,
    written: HashMap<K, Instant>,
}

impl<K: Hash + Eq> Pace<K> {
    pub(super) fn new(apart: Duration) -> Self {
        Self { apart, written: HashMap::new() }
    }

    /// How long the object must wait; `None`: it may be written now, and counts as written.
    pub(super) fn wait(&mut self, key: K, now: Instant) -> Option<Duration> {
        if let Some(&last) = self.written.get(&key) {
            let since = now.saturating_duration_since(last);
            if since < self.apart {
                return Some(self.apart - since);
            }
        }
        self.written.insert(key, now);
        None
    }

    /// Forgets what need not wait any more.
    pub(super) fn forget(&mut self, now: Instant) {
        let apart = self.apart;
        self.written.retain(|_, last| now.saturating_duration_since(*last) < apart);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_written_at_once_and_the_next_after_the_pause() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.wait("a", at(0)), None);
        assert_eq!(pace.wait("a", at(1)), Some(Duration::from_secs(4)));
        assert_eq!(pace.wait("b", at(1)), None);
        assert_eq!(pace.wait("a", at(5)), None);
        assert_eq!(pace.wait("a", at(6)), Some(Duration::from_secs(4)));
        pace.forget(at(60));
        assert!(pace.written.is_empty());
    }
}
