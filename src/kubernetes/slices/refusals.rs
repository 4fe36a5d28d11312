//! Bans that the API server will not take: an admission policy of somebody's refuses them, or a definition that is
//! older than this program.
//!
//! What refuses them may be mended, so each is tried again, after a pause that grows. Meanwhile nobody asks for it, so
//! that however many there are, they hold back no other ban.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// After the first refusal; doubled with each one.
const RETRY: Duration = Duration::from_secs(5);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(300);
/// How many are tried again at once.
const PORTION: usize = 256;

/// Refused bans, by the number of their identity.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<u64, Refusal>);

#[derive(Clone, Copy, Debug)]
struct Refusal {
    pause: Duration,
    /// When to try again; `None` while it is being tried.
    again: Option<Instant>,
}

impl Refusals {
    /// The server refused it, alone and not for its neighbours. Whether for the first time.
    pub(super) fn refuse(&mut self, key: u64, now: Instant) -> bool {
        let before = self.0.get(&key).map(|refusal| refusal.pause);
        let pause = before.map_or(RETRY, |pause| RETRY_MOST.min(pause * 2));
        self.0.insert(key, Refusal { pause, again: Some(now + pause) });
        before.is_none()
    }

    /// Not tried alone, as too many beside it were refused.
    pub(super) fn put_off(&mut self, key: u64, now: Instant) {
        let refusal = self.0.entry(key).or_insert(Refusal { pause: RETRY, again: None });
        refusal.again = Some(now + refusal.pause);
    }

    /// The server took it, or nobody holds it any more.
    pub(super) fn forget(&mut self, key: u64) {
        self.0.remove(&key);
    }

    /// Whether it is not to be tried now.
    pub(super) fn wait(&self, key: u64) -> bool {
        self.0.get(&key).is_some_and(|refusal| refusal.again.is_some())
    }

    /// Whether it was refused before.
    pub(super) fn know(&self, key: u64) -> bool {
        self.0.contains_key(&key)
    }

    /// When the next one is to be tried again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(|refusal| refusal.again).min()
    }

    /// Lets those be tried again whose pause is over, not all at once. Answers with them.
    pub(super) fn release(&mut self, now: Instant) -> Vec<u64> {
        let over = |(_, refusal): &(&u64, &mut Refusal)| refusal.again.is_some_and(|again| again <= now);
        let mut released = Vec::new();
        for (key, refusal) in self.0.iter_mut().filter(over).take(PORTION) {
            refusal.again = None;
            released.push(*key);
        }
        released
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_ban_is_tried_again_after_pauses_that_grow_up_to_a_most() {
        let (mut refusals, mut now) = (Refusals::default(), Instant::now());
        assert!(refusals.refuse(1, now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let due = refusals.due().unwrap();
            assert!(refusals.wait(1));
            assert!(refusals.release(due - Duration::from_millis(1)).is_empty());
            assert_eq!(refusals.release(due), [1]);
            assert!(!refusals.wait(1) && refusals.due().is_none(), "it is being tried");
            pauses.push((due - now).as_secs());
            now = due;
            assert!(!refusals.refuse(1, now), "it is known");
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        refusals.forget(1);
        assert_eq!((refusals.due(), refusals.len()), (None, 0));
    }

    #[test]
    fn one_that_was_only_put_off_waits_no_longer_for_it() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for _ in 0..3 {
            refusals.put_off(1, now);
            assert_eq!(refusals.due(), Some(now + RETRY));
        }
    }

    #[test]
    fn of_many_a_portion_is_tried_at_once() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for key in 0..600 {
            refusals.refuse(key, now);
        }
        let later = now + RETRY;
        let portions: Vec<usize> = (0..4).map(|_| refusals.release(later).len()).collect();
        assert_eq!(portions, [256, 256, 88, 0]);
        assert_eq!(refusals.len(), 600);
    }
}
