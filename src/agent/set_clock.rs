//! What happens when somebody sets the clock, and when it turns out how far it is from the one that nodes share.
//!
//! The logs and the kernel go by this machine's clock, so all that is held is by it too. When it is set, all moments are
//! moved along: what is left of a ban stays as it was, two failures stay as far apart as they were, and a pardon stays
//! behind what it forgave. Whatever asks for the time asks [`Detector::now`], so nothing is ever judged by a clock that
//! what is held does not follow yet.

use serde::{Deserialize, Serialize};

use super::clock_setting::{ClockSetting, this_boot};
use super::court::Court;
use super::detector::Detector;
use crate::engine::{Duration, Shift, Timestamp};
use crate::firewall::enforcer::Order;

/// A clock that moved by more than this was set. Several smaller steps are one when they add up to it.
pub const STEP: Duration = Duration::from_secs(1);

/// By which clock the moments of a snapshot are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedClock {
    /// When it was taken.
    pub(super) at: Timestamp,
    /// In which run of the machine.
    #[serde(default)]
    pub(super) boot: Option<String>,
    /// How the clock was set.
    pub(super) setting: ClockSetting,
    /// How far it was ahead of the shared one.
    #[serde(default)]
    pub(super) ahead: Option<Shift>,
}

/// How the clock is set by which everything is held.
#[derive(Clone, Debug)]
pub(super) struct HeldBy {
    setting: ClockSetting,
    boot: Option<String>,
}

impl HeldBy {
    /// How it is set now, and by how much what was saved has to be moved for it.
    pub(super) fn now(saved: Option<&SavedClock>) -> (Timestamp, Self, Shift) {
        let (now, setting) = ClockSetting::read();
        let boot = this_boot();
        let shift = saved.map_or(Shift::NONE, |saved| since(saved, now, setting, boot.as_deref()));
        let kept = saved.filter(|saved| shift == Shift::NONE && boot.is_some() && saved.boot == boot);
        (now, Self { setting: kept.map_or(setting, |saved| saved.setting), boot }, shift)
    }
}

/// By how much the clock was set since a snapshot was taken, as far as that can be known.
fn since(saved: &SavedClock, now: Timestamp, setting: ClockSetting, boot: Option<&str>) -> Shift {
    if boot.is_some() && saved.boot.as_deref() == boot {
        let shift = setting.since(saved.setting);
        return if shift.size() > STEP { shift } else { Shift::NONE };
    }
    // A machine without a battery for its clock begins somewhere in the past: what is left of bans stays. Of one that
    // begins later nobody knows whether it was off for so long.
    if now < saved.at { Shift::between(saved.at, now) } else { Shift::NONE }
}

impl Detector {
    /// The time, after all that is held was moved along with the clock.
    pub(super) fn now(&mut self) -> Timestamp {
        let (now, setting) = ClockSetting::read();
        let step = setting.since(self.held_by.setting);
        if step.size() > STEP {
            tracing::warn!(
                micros = step.as_micros(),
                "the clock was set: all that is held is moved along, what is left of every ban stays"
            );
            // What was decided so far is told by the clock as it was.
            self.emit();
            self.held_by.setting = setting;
            self.started = self.started + step;
            self.court.shift(step, now);
            self.court.shift_windows(step);
            self.court.ahead = self.court.ahead.map(|ahead| ahead.then(step));
            self.follow_lists(now);
            self.saver.changed();
        }
        now
    }

    /// This clock, as it was set when that was `measured`, is so far ahead of the one that nodes share. What was told and
    /// heard keeps its shared time.
    pub(super) fn set_ahead(&mut self, ahead: Shift, measured: ClockSetting, now: Timestamp) {
        let step = self.held_by.setting.since(measured);
        let ahead = if step.size() > STEP { ahead.then(step) } else { ahead };
        let Some(before) = self.court.ahead.filter(|before| *before != ahead) else {
            self.court.ahead = Some(ahead);
            self.follow_lists(now);
            return;
        };
        self.emit();
        let shift = ahead.then(before.reversed());
        self.court.ahead = Some(ahead);
        self.court.shift(shift, now);
        // A smaller one is our measure becoming better, while the logs that are counted here went by one clock.
        if shift.size() > STEP {
            tracing::warn!(
                micros = shift.as_micros(),
                "this node's clock is by so much further ahead of the API server's"
            );
            self.court.shift_windows(shift);
            if self.configured {
                self.order(Order::Restore(self.court.holds(now)));
            }
        }
        self.follow_lists(now);
        self.saver.changed();
    }

    /// What people wrote into lists ends by the shared clock. A measure that becomes better is not worth the writing.
    fn follow_lists(&mut self, now: Timestamp) {
        let ahead = self.court.ahead();
        // Before there is a configuration, none of the lists is known.
        if self.configured && ahead.then(self.house.ahead().reversed()).size() > STEP {
            self.house.go_by(ahead, now);
            self.furnish(now);
        }
    }

    /// By which clock the next snapshot is.
    pub(super) fn saved_clock(&self, at: Timestamp) -> SavedClock {
        let HeldBy { setting, boot } = self.held_by.clone();
        SavedClock { at, boot, setting, ahead: self.court.ahead }
    }
}

impl Court {
    /// Moves what is shared with other nodes, or would be.
    pub(super) fn shift(&mut self, shift: Shift, now: Timestamp) {
        self.ledger.shift(shift, now);
        let spared = std::mem::take(&mut self.spared).into_iter();
        self.spared = spared.map(|ban| ban.shifted(shift)).collect();
        for seat in &mut self.seats {
            seat.jail.shift_elsewhere(shift);
        }
    }

    /// Moves what this node counted by its own logs.
    pub(super) fn shift_windows(&mut self, shift: Shift) {
        for seat in &mut self.seats {
            seat.shift(shift);
        }
        self.waiting.values_mut().for_each(|waiting| waiting.shift(shift));
    }

    /// How far this node's clock is ahead of the one that nodes share.
    pub(super) fn ahead(&self) -> Shift {
        self.ahead.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn saved(secs: i64, boot: Option<&str>) -> (SavedClock, ClockSetting) {
        let setting = ClockSetting::now();
        (SavedClock { at: at(secs), boot: boot.map(Into::into), setting, ahead: None }, setting)
    }

    #[test]
    fn a_clock_that_was_set_while_nobody_looked_is_known_by_the_time_since_boot() {
        let (mut saved, setting) = saved(1000, Some("b1"));
        assert_eq!(since(&saved, at(90_000), setting, Some("b1")), Shift::NONE);
        for micros in [3_600_000_000, -3_600_000_000] {
            let step = Shift::from_micros(micros);
            saved.setting = setting.set_by(step.reversed());
            assert_eq!(since(&saved, at(1010) + step, setting, Some("b1")), step);
        }
        saved.setting = setting.set_by(Shift::from_micros(900_000));
        assert_eq!(since(&saved, at(1010), setting, Some("b1")), Shift::NONE, "too little to tell");
    }

    #[test]
    fn after_a_boot_only_a_clock_that_went_back_is_known_to_have_been_set() {
        let (mut saved, setting) = saved(1000, Some("b1"));
        saved.setting = setting.set_by(Shift::from_micros(77_000_000));
        for (boot, now, expected) in
            [(Some("b2"), 5000, 0), (Some("b2"), 400, -600), (None, 5000, 0), (None, 400, -600)]
        {
            let shift = since(&saved, at(now), setting, boot);
            assert_eq!(shift, Shift::from_micros(expected * 1_000_000), "{boot:?} {now}");
        }
        saved.boot = None;
        assert_eq!(since(&saved, at(5000), setting, None), Shift::NONE);
    }
}
