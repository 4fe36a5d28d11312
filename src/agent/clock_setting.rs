//! How this machine's clock is set.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::engine::{Shift, Timestamp};

/// Two readings further apart are no readings of one moment…
const MOMENT: i64 = 1_000;
/// …and are taken again, so often at most.
const TRIES: u32 = 8;

/// The time of day less the time since boot, in microseconds. Nobody can set the latter, it goes on while the machine
/// sleeps, and both go faster or slower together when a time server disciplines them. So this changes when the clock is
/// set, and only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClockSetting(i64);

impl ClockSetting {
    /// The time of day, and how the clock is set that tells it.
    #[must_use]
    pub fn read() -> (Timestamp, Self) {
        let mut best: Option<(i64, Timestamp, i64)> = None;
        for _ in 0..TRIES {
            let (before, now, after) = (since_boot(), Timestamp::from(jiff::Timestamp::now()), since_boot());
            let apart = after - before;
            if best.is_none_or(|(least, ..)| apart < least) {
                best = Some((apart, now, i64::midpoint(before, after)));
            }
            if apart <= MOMENT {
                break;
            }
        }
        let (_, now, booted) = best.unwrap_or_default();
        (now, Self(now.as_micros().saturating_sub(booted)))
    }

    /// How the clock is set now.
    #[must_use]
    pub fn now() -> Self {
        Self::read().1
    }

    /// This setting after the clock is set by `shift`.
    #[must_use]
    pub fn set_by(self, shift: Shift) -> Self {
        Self(self.0.saturating_add(shift.as_micros()))
    }

    /// By how much the clock was set since it was as `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Shift {
        Shift::from_micros(self.0.saturating_sub(before.0))
    }
}

fn since_boot() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000)
}

/// Which run of the machine this is; `None` where nobody tells. Settings of different ones say nothing about each other.
///
/// The kernel tells, and where its files are hidden (`ProcSubset=pid`) the service manager: `GAOLER_BOOT_ID`.
#[must_use]
pub fn this_boot() -> Option<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    boot_of(kernel).or_else(|| boot_of(std::env::var("GAOLER_BOOT_ID").ok()))
}

/// One writes it with dashes, the other without.
fn boot_of(told: Option<String>) -> Option<String> {
    told.map(|id| id.trim().replace('-', "")).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_the_same_whoever_tells_it() {
        let kernel = "0dfb1ad1-2b93-4a52-8a5e-5bd9b4a9a1ce\n";
        let manager = "0dfb1ad12b934a528a5e5bd9b4a9a1ce";
        assert_eq!(boot_of(Some(kernel.into())), boot_of(Some(manager.into())));
        assert_eq!([Some(String::new()), Some("\n".into()), None].map(boot_of), [None, None, None]);
    }

    #[test]
    fn a_setting_stays_as_it_is_while_nobody_sets_the_clock() {
        let (now, before) = ClockSetting::read();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (later, after) = ClockSetting::read();
        assert!(later > now);
        assert!(
            after.since(before).size() < std::time::Duration::from_millis(40),
            "{:?}",
            after.since(before)
        );
    }
}
