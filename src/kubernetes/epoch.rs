//! Which BanSlices a running agent watches.
//!
//! A slice is news once, when it is made. But the API server sends every watcher the whole of it again when it is
//! deleted, and what it is merged into twice as well: with all of that a ban would cost a node several times its own
//! bytes. So each slice carries the ten minutes in which it was sent as a label; agents watch those around now, each with
//! a watch of its own, and the controller touches only slices that nobody watches any more. Everything older an agent
//! lists once, when it starts.
//!
//! `kubernetes/controller/traffic.rs` counts the bytes of both ways.

use crate::engine::{Duration, Timestamp};

/// The label of a BanSlice that holds its epoch. Merged slices have none.
pub const LABEL: &str = "gaoler.dev/epoch";
/// How long an epoch lasts.
pub const LENGTH: Duration = Duration::from_secs(600);

/// A number of such lengths since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(i64);

impl Epoch {
    /// The epoch of a moment.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.as_secs().div_euclid(LENGTH.as_secs().cast_signed()))
    }

    /// Reads the label's value.
    #[must_use]
    pub fn read(label: &str) -> Option<Self> {
        label.parse().ok().map(Self)
    }

    /// The label's value.
    #[must_use]
    pub fn label(self) -> String {
        self.0.to_string()
    }

    /// The epochs an agent watches: the one before, because what began in it may still arrive, the present one, and
    /// the next, for nodes whose clock is ahead.
    #[must_use]
    pub fn watched(now: Timestamp) -> [Self; 3] {
        let Self(present) = Self::of(now);
        [Self(present - 1), Self(present), Self(present + 1)]
    }

    /// Whether there are epochs between this one and those that are watched now: what was made in them nobody here saw.
    #[must_use]
    pub fn is_parted_from(self, watched: [Self; 3]) -> bool {
        watched.iter().all(|epoch| epoch.0 > self.0.saturating_add(1))
    }

    /// Whether no agent watches it any more.
    #[must_use]
    pub fn is_closed(self, now: Timestamp) -> bool {
        self.0 < Self::of(now).0 - 1
    }

    /// The epoch of a slice that was made at `made` and says with its label that it was sent in `self`. A node's clock
    /// may be ahead, but nobody sends in a time that is far from coming: then the server's own moment counts.
    #[must_use]
    pub fn or_made(self, made: Self) -> Self {
        if self.0 <= made.0.saturating_add(1) { self } else { made }
    }

    /// The label selector of its slices.
    #[must_use]
    pub fn selector(self) -> String {
        format!("{LABEL}={}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_misses_an_epoch_knows() {
        let watched = |n: i64| Epoch::watched(Timestamp::from_secs(n * 600));
        let latest = watched(100)[2];
        for (n, missed) in [(97, false), (100, false), (101, false), (103, false), (104, true), (1000, true)]
        {
            assert_eq!(latest.is_parted_from(watched(n)), missed, "{n}");
        }
    }

    #[test]
    fn an_epoch_is_watched_until_it_is_closed() {
        let within = |n: i64| Timestamp::from_secs(n * 600 + 300);
        let epoch = Epoch::of(within(100));
        assert_eq!(Epoch::read(&epoch.label()), Some(epoch));
        assert_eq!(epoch.selector(), "gaoler.dev/epoch=100");
        for n in 90..110 {
            let watched = Epoch::watched(within(n)).contains(&epoch);
            assert_eq!(watched, (99..=101).contains(&n), "{n}");
            assert_eq!(epoch.is_closed(within(n)), n > 101, "{n}");
        }
    }
}
