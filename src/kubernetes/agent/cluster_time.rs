//! The cluster's time is the API server's. What nodes tell each other is in it, what they hold is in their own: that is
//! what their logs and their kernels go by. Each converts at its border, so that one wrong clock harms nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::colleagues::Account;
use crate::agent::report::{BanReport, Event, Moment};
use crate::bans::{Ban, Pardon};
use crate::engine::Timestamp;

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

    /// Whether the clock was set to a later time since `before`.
    #[must_use]
    pub fn was_set_forward(self, before: Self) -> bool {
        self.correction.saturating_sub(before.correction)
            > i64::try_from(SLACK.as_micros()).unwrap_or(i64::MAX)
    }

    /// Whether the clock is so wrong that it is corrected for.
    #[must_use]
    pub fn is_skewed(self) -> bool {
        self.correction != 0
    }
}

/// This node's clock beside the cluster's. Clones share what is known.
#[derive(Clone, Debug)]
pub struct ClusterClock(Arc<watch::Sender<Option<Reading>>>);

impl Default for ClusterClock {
    /// Nothing was measured yet: nothing is converted.
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl ClusterClock {
    /// What is known; the default before anything was measured.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.0.borrow().unwrap_or_default()
    }

    /// Notes what was measured.
    pub(super) fn note(&self, reading: Reading) {
        self.0.send_if_modified(|known| known.replace(reading) != Some(reading));
    }

    /// Waits for the first measurement: for the server's first answer, before which there is nothing to exchange.
    pub async fn measured(&self) {
        // It cannot fail: the sender is ours.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Changes with every new reading.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Reading>> {
        self.0.subscribe()
    }

    /// By how much two readings of the same moment may differ.
    #[must_use]
    pub fn slack(&self) -> Duration {
        if self.reading().is_skewed() { SLACK } else { Duration::ZERO }
    }

    /// The cluster's time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.to_cluster(jiff::Timestamp::now().into())
    }

    /// The cluster's time of a moment of this node.
    #[must_use]
    pub fn to_cluster(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_micros(time.as_micros().saturating_sub(self.reading().correction))
    }

    /// This node's time of a moment of the cluster.
    #[must_use]
    pub fn to_local(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_micros(time.as_micros().saturating_add(self.reading().correction))
    }

    /// A ban of this node as the cluster is told of it.
    #[must_use]
    pub fn ban_to_cluster(&self, ban: &BanReport) -> BanReport {
        let there = |time: Moment| Moment(self.to_cluster(time.0));
        BanReport {
            since: there(ban.since),
            until: ban.until.map(there),
            first: ban.first.map(there),
            ..ban.clone()
        }
    }

    /// What happened here, its ban as the cluster is told of it.
    #[must_use]
    pub fn event_to_cluster(&self, event: Arc<Event>) -> Arc<Event> {
        if !self.reading().is_skewed() {
            return event;
        }
        Arc::new(Event { ban: self.ban_to_cluster(&event.ban), ..(*event).clone() })
    }

    /// A ban that the cluster told of, for this node.
    #[must_use]
    pub fn ban_to_local(&self, mut ban: Ban) -> Ban {
        ban.since = self.to_local(ban.since);
        ban.until = ban.until.map(|until| self.to_local(until));
        ban.evidence.first = ban.evidence.first.map(|first| self.to_local(first));
        ban
    }

    /// A pardon that the cluster told of, for this node.
    #[must_use]
    pub fn pardon_to_local(&self, pardon: Pardon) -> Pardon {
        Pardon { at: self.to_local(pardon.at), ..pardon }
    }

    /// Makes of what this node saw what the cluster is told of it.
    pub fn account_to_cluster(&self, account: &mut Account) {
        move_by(account, |time| self.to_cluster(time));
    }

    /// Makes of what another node saw what it is by this one's clock.
    pub fn account_to_local(&self, account: &mut Account) {
        move_by(account, |time| self.to_local(time));
    }
}

fn move_by(account: &mut Account, by: impl Fn(Timestamp) -> Timestamp) {
    for seen in &mut account.failures {
        seen.at = by(seen.at);
    }
    for (first, last) in &mut account.successes {
        (*first, *last) = (by(*first), by(*last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::{Evidence, Origin};

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
    fn what_goes_out_and_comes_back_is_what_it_was() {
        let clock = ClusterClock::default();
        let ban = Ban {
            jail: Some("mail/james".into()),
            subject: "203.0.113.7".parse().unwrap(),
            n: 1,
            since: millis(1_000_000),
            until: Some(millis(2_000_000)),
            origin: Origin::Jail,
            evidence: Evidence { first: Some(millis(900_000)), ..Evidence::default() },
        };
        let report = BanReport::new(&ban, true);
        assert_eq!(clock.ban_to_cluster(&report), report, "nothing was measured");
        clock.note(read(Ahead { least: 120_000_000, most: 120_000_000 }));
        let told = clock.ban_to_cluster(&report);
        assert_eq!(told.since.0, millis(880_000));
        assert_eq!(told.until.map(|until| until.0), Some(millis(1_880_000)));
        assert_eq!(told.first.map(|first| first.0), Some(millis(780_000)));
        let heard = Ban {
            since: told.since.0,
            until: told.until.map(|until| until.0),
            evidence: Evidence { first: told.first.map(|first| first.0), ..Evidence::default() },
            ..ban.clone()
        };
        assert_eq!(clock.ban_to_local(heard), ban);
        let permanent = Ban { until: None, ..ban };
        assert_eq!(clock.ban_to_local(permanent).until, None);
    }
}
