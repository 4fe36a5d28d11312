//! The brake of a jail: beyond so many bans a minute it observes only.

use std::collections::VecDeque;

use crate::engine::{Duration, Shift, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);

/// A ban is let through when fewer than `per_minute` of the latest bans, let through or not, were decided within 60
/// seconds of it. So a jail that goes wild (a broken filter, a proxy that lost the client's address) stops after
/// `per_minute` bans and stays stopped until a minute has seen fewer decisions than that, not merely until the next
/// minute begins. With 0 nothing is ever let through.
///
/// Moments may come in any order: convictions by the log's time do when several files are read, and clocks are set
/// back.
#[derive(Clone, Debug)]
pub struct Brake {
    per_minute: usize,
    /// The latest decisions in the order they fell, at most `per_minute` of them.
    decided: VecDeque<Timestamp>,
    held_back: u64,
}

impl Brake {
    /// A brake that has seen no ban.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute as usize, decided: VecDeque::new(), held_back: 0 }
    }

    /// Takes another limit and remembers the last minute.
    pub fn reconfigure(&mut self, per_minute: u32) {
        self.per_minute = per_minute as usize;
        let excess = self.decided.len().saturating_sub(self.per_minute);
        self.decided.drain(..excess);
    }

    /// Counts a ban that falls now; whether it may be set.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        let admitted = !self.is_engaged(now);
        self.held_back += u64::from(!admitted);
        if self.per_minute > 0 {
            if self.decided.len() >= self.per_minute {
                self.decided.pop_front();
            }
            self.decided.push_back(now);
        }
        admitted
    }

    /// The clock was set: so are the moments of the latest decisions.
    pub fn shift(&mut self, shift: Shift) {
        self.decided.iter_mut().for_each(|at| *at = *at + shift);
    }

    /// Whether a ban that fell now would be held back.
    #[must_use]
    pub fn is_engaged(&self, now: Timestamp) -> bool {
        // Fewer than the limit ever were decided: nothing to look through, however high it is.
        if self.decided.len() < self.per_minute {
            return false;
        }
        self.decided.iter().all(|at| at.distance(now) < MINUTE)
    }

    /// How many bans were held back.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn so_many_bans_a_minute_pass_and_the_next_does_not() {
        let mut brake = Brake::new(3);
        assert_eq!([0, 1, 2, 3].map(|s| brake.admit(at(s))), [true, true, true, false]);
        assert_eq!(brake.held_back(), 1);
    }

    #[test]
    fn a_storm_is_held_back_until_a_minute_with_fewer() {
        let mut brake = Brake::new(3);
        let admitted: Vec<bool> = (0..200).map(|s| brake.admit(at(s))).collect();
        assert_eq!(admitted.iter().filter(|a| **a).count(), 3, "one a second is more than three a minute");
        assert!(brake.is_engaged(at(199 + 57)), "three decisions lie in the minute before");
        assert!(!brake.is_engaged(at(199 + 58)), "only two are left");
        assert!(brake.admit(at(300)));
    }

    #[test]
    fn the_limit_itself_may_go_on_for_ever() {
        let mut brake = Brake::new(3);
        assert!((0..100).all(|i| brake.admit(at(i * 20))), "exactly three a minute");
    }

    #[test]
    fn zero_observes_only_and_memory_is_bounded_by_the_limit() {
        let mut off = Brake::new(0);
        assert!(!off.admit(at(1)));
        let mut brake = Brake::new(5);
        for _ in 0..1000 {
            brake.admit(at(1));
        }
        assert_eq!(brake.decided.len(), 5);
        brake.reconfigure(2);
        assert_eq!(brake.decided.len(), 2);
    }

    #[test]
    fn decisions_of_two_files_that_are_read_in_turn_add_up() {
        let mut brake = Brake::new(4);
        let admitted: Vec<bool> = (0..20).map(|i| brake.admit(at(1000 + i - 30 * (i % 2)))).collect();
        assert_eq!(admitted.iter().filter(|a| **a).count(), 4);
    }

    #[test]
    fn a_clock_set_back_does_not_hold_bans_back_for_an_hour() {
        let mut brake = Brake::new(2);
        brake.admit(at(4000));
        brake.admit(at(4000));
        assert!(brake.admit(at(400)));
    }
}
