//! The cluster's time is the API server's. What nodes tell each other is in it, what they hold is in their own: that is
//! what their logs and their kernels go by. Each node's detector converts at its border, so that one wrong clock harms
//! nobody; here is how far it is off.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::clock_setting::ClockSetting;
use crate::agent::set_clock::STEP;
use crate::engine::{Shift, Timestamp};

/// Beyond this a person is told, and the clock is corrected for…
const TOLERATED: i64 = 5_000_000;
/// …until it is as good as this again.
const GOOD: i64 = TOLERATED / 2;
/// Clocks drift: after a millisecond more is possible than was measured, by this part of it.
const DRIFT: u32 = 2000;
/// A correction moves only when it is wrong by more than this: whatever moves is converted otherwise from then on.
const STIFF: i64 = 50_000;
/// Of a clock that is corrected for, two readings of the same moment differ by no more than this.
const SLACK: Duration = Duration::from_secs(1);

/// How far this node's clock is ahead of the API server's: between these, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    least: i64,
    most: i64,
}

impl Ahead {
    /// What one answer tells. The server's date is cut to seconds and was written between `sent` and `received`, which
    /// are this node's times.
    #[must_use]
    pub fn of(sent: Timestamp, date: Timestamp, received: Timestamp) -> Self {
        let (sent, date, received) = (sent.as_micros(), date.as_micros(), received.as_micros());
        Self {
            least: sent.saturating_sub(date).saturating_sub(1_000_000),
            most: received.saturating_sub(date),
        }
    }

    /// What is possible when both are true. `None` when they contradict each other: a clock was set in between.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let both = Self { least: self.least.max(other.least), most: self.most.min(other.most) };
        (both.least <= both.most).then_some(both)
    }

    /// What is left of it after so long.
    #[must_use]
    pub fn after(self, elapsed: Duration) -> Self {
        let drift = i64::try_from((elapsed / DRIFT).as_micros()).unwrap_or(i64::MAX);
        Self { least: self.least.saturating_sub(drift), most: self.most.saturating_add(drift) }
    }

    /// What is left of it after the clock was set.
    #[must_use]
    pub fn set_by(self, shift: Shift) -> Self {
        let micros = shift.as_micros();
        Self { least: self.least.saturating_add(micros), most: self.most.saturating_add(micros) }
    }

    /// The middle of what is possible.
    #[must_use]
    pub fn middle(self) -> i64 {
        i64::midpoint(self.least, self.most)
    }

    /// How much it leaves open.
    #[must_use]
    pub fn width(self) -> Duration {
        Duration::from_micros(self.most.abs_diff(self.least))
    }

    /// How long to wait at `now` so that the server's next answer rules out half of what is possible: until its second
    /// ends, if the middle is the truth.
    #[must_use]
    pub fn telling_moment(self, now: Timestamp) -> Duration {
        let there = now.as_micros().saturating_sub(self.middle());
        Duration::from_micros(1_000_000 - there.rem_euclid(1_000_000).unsigned_abs())
    }
}

/// What is known of this node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// By how much it is ahead, in whole seconds; 0 where what was measured leaves that open.
    pub seconds: i64,
    /// What is taken off it, in microseconds; 0 where it is good enough.
    correction: i64,
}

impl Reading {
    /// What follows from a measurement. What was said before stays as long as it may be true.
    #[must_use]
    pub fn next(self, ahead: Ahead) -> Self {
        let middle = ahead.middle();
        let within = |value: i64, play: i64| (ahead.least - play..=ahead.most + play).contains(&value);
        let seconds = if within(0, 0) {
            0
        } else if self.seconds != 0 && within(self.seconds * 1_000_000, 500_000) {
            self.seconds
        } else {
            (middle as f64 / 1e6).round() as i64
        };
        let limit = if self.correction == 0 { TOLERATED } else { GOOD };
        let correction = match middle.abs() > limit {
            true if self.correction != 0 && within(self.correction, STIFF) => self.correction,
            true => middle,
            false => 0,
        };
        Self { seconds, correction }
    }

    /// What is taken off the clock.
    #[must_use]
    pub fn ahead(self) -> Shift {
        Shift::from_micros(self.correction)
    }

    /// What a person is to be told of the clock where it is corrected for: `clock is 120 s ahead of …`.
    #[must_use]
    pub fn complaint(self) -> Option<String> {
        let seconds = self.seconds.abs();
        let how = if self.seconds > 0 { "ahead of" } else { "behind" };
        self.is_skewed().then(|| {
            format!(
                "clock is {seconds} s {how} the API server's, which is corrected for: set it, e.g. with chrony"
            )
        })
    }

    /// Whether the clock is so wrong that it is corrected for.
    #[must_use]
    pub fn is_skewed(self) -> bool {
        self.correction != 0
    }
}

/// This node's clock beside the cluster's. Clones share what is known.
#[derive(Clone, Debug)]
pub struct ClusterClock(Arc<watch::Sender<Option<Measured>>>);

/// What is known, and how the clock was set of which it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    reading: Reading,
    setting: ClockSetting,
}

impl Default for ClusterClock {
    /// Nothing was measured yet: both are taken for the same.
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl ClusterClock {
    /// What is known; the default before anything was measured.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.0.borrow().map(|measured| measured.reading).unwrap_or_default()
    }

    /// Notes what was measured of a clock that is set like this.
    pub(super) fn note(&self, reading: Reading, setting: ClockSetting) {
        self.0.send_if_modified(|known| {
            let news = known.map(|known| known.reading) != Some(reading);
            *known = Some(Measured { reading, setting });
            news
        });
    }

    /// Waits for the first measurement: for the server's first answer, before which there is nothing to exchange.
    pub async fn measured(&self) {
        // It cannot fail: the sender is ours.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Changes with every new reading.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Measured>> {
        self.0.subscribe()
    }

    /// By how much two readings of the same moment may differ.
    #[must_use]
    pub fn slack(&self) -> Duration {
        if self.reading().is_skewed() { SLACK } else { Duration::ZERO }
    }

    /// The cluster's time now, whether or not the clock was set since it was measured.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let (now, setting) = ClockSetting::read();
        match *self.0.borrow() {
            Some(measured) => measured.to_cluster(now, setting),
            None => now,
        }
    }

    /// The same, as the API writes it.
    #[must_use]
    pub fn stamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.now().as_micros()).unwrap_or_default()
    }
}

impl Measured {
    fn to_cluster(self, now: Timestamp, setting: ClockSetting) -> Timestamp {
        let step = setting.since(self.setting);
        let step = if step.size() > STEP { step } else { Shift::NONE };
        now + self.reading.ahead().then(step).reversed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn answer(sent: i64, date: i64, received: i64) -> Ahead {
        Ahead::of(millis(sent), millis(date), millis(received))
    }

    fn read(ahead: Ahead) -> Reading {
        Reading::default().next(ahead)
    }

    #[test]
    fn what_an_answer_leaves_open_is_no_skew() {
        // Cut to seconds, an honest answer is up to a second late.
        for (sent, date, received) in
            [(10_999, 10_000, 11_010), (10_000, 10_000, 10_001), (9_999, 10_000, 10_002)]
        {
            assert_eq!(read(answer(sent, date, received)), Reading::default());
        }
    }

    #[test]
    fn a_clock_that_is_off_is_told_in_whole_seconds_and_corrected_for_beyond_five() {
        for (sent, date, received, seconds, skewed) in [
            (130_000, 10_000, 130_020, 120, true),
            (10_000, 130_000, 10_020, -120, true),
            (17_500, 10_000, 17_510, 7, true),
            (14_500, 10_000, 14_510, 4, false),
        ] {
            let reading = read(answer(sent, date, received));
            assert_eq!((reading.seconds, reading.is_skewed()), (seconds, skewed));
        }
    }

    #[test]
    fn answers_at_telling_moments_find_the_truth_within_milliseconds() {
        for truth in [120_000_000, -119_499_700, 7_300_123] {
            let mut now = 1_795_366_800_123_456_i64;
            let ask = |now: i64| {
                let date = (now + 300 - truth).div_euclid(1_000_000) * 1_000_000;
                let at = Timestamp::from_micros;
                Ahead::of(at(now), at(date), at(now + 600))
            };
            let mut known = ask(now);
            assert!(known.width() >= Duration::from_secs(1));
            for _ in 0..8 {
                now += i64::try_from(known.telling_moment(Timestamp::from_micros(now)).as_micros()).unwrap();
                known = known.and(ask(now)).unwrap();
            }
            assert!(known.width() < Duration::from_millis(8), "{known:?}");
            assert!((known.least..=known.most).contains(&truth), "{known:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_contradicts_what_was_known() {
        let before = answer(130_000, 10_000, 130_020);
        let after = answer(70_000, 70_000, 70_020);
        assert_eq!(before.and(after), None);
        // So long ago that clocks may have drifted as far, it does not.
        assert!(before.after(Duration::from_secs(400_000)).and(after).is_some());
    }

    #[test]
    fn a_correction_stays_as_it_is_while_it_may_be_true() {
        let first = read(answer(130_000, 10_000, 130_020));
        let narrower = Ahead { least: 119_400_000, most: 119_600_000 };
        assert_eq!(first.next(narrower), first);
        let beside = Ahead { least: 119_700_000, most: 119_720_000 };
        assert_eq!(first.next(beside).correction, 119_710_000);
        // Nearly set right by hand, then by chrony.
        let nearly = first.next(Ahead { least: 3_990_000, most: 4_010_000 });
        assert!(nearly.is_skewed());
        assert!(!nearly.next(Ahead { least: 1_990_000, most: 2_010_000 }).is_skewed());
    }

    #[test]
    fn the_clusters_time_goes_on_when_the_clock_is_set() {
        let (now, setting) = (millis(1_000_000), ClockSetting::now());
        for (ahead, there) in [(0, 1_000_000), (120_000_000, 880_000)] {
            let reading = read(Ahead { least: ahead, most: ahead });
            let measured = Measured { reading, setting };
            assert_eq!(measured.to_cluster(now, setting), millis(there));
            for hour in [3_600_000_000, -3_600_000_000].map(Shift::from_micros) {
                assert_eq!(measured.to_cluster(now + hour, setting.set_by(hour)), millis(there));
            }
        }
    }

    #[test]
    fn what_was_known_of_a_clock_is_known_of_it_after_it_was_set() {
        let hour = Shift::from_micros(3_600_000_000);
        let before = answer(10_400, 10_000, 10_410);
        let after = answer(3_612_600, 12_000, 3_612_610);
        assert_eq!(before.and(after), None);
        let both = before.set_by(hour).and(after).unwrap();
        assert!(both.width() <= before.width().min(after.width()), "{both:?}");
    }
}
