//! `onePer`: several lines of one event count once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use smallvec::SmallVec;

use super::kept::{Kept, KeptEvent};
use crate::engine::{Duration, KeyedMap, OnePer, Outcome, Timestamp};

/// Events remembered per generation and source; beyond it the older generation is forgotten early, and an event in
/// it may count once more. As many as a table of 8192 places takes: one more would double it.
const MOST: usize = 7168;

/// The events of one filter and source that were counted lately.
///
/// Two lines of one event come from two statements of the program, hence match two rules. Lines that match the same
/// rule are two events, however close: so an event weighs as much as the rule that saw most of it. (James 3.8 speaks
/// of two failures by one statement and of the third, with the weight of all three, by another.)
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Once {
    young: KeyedMap<Key, Entry>,
    old: KeyedMap<Key, Entry>,
    /// Nobody outside can choose values that collide. Kept over restarts, with what was hashed.
    secret: u64,
    /// How far apart the lines of an event may be, as of the last one.
    within: Duration,
    /// The latest time seen, and the time when `young` was begun.
    turned: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    address: IpAddr,
    outcome: Outcome,
    values: u64,
}

/// In few words: every match looks for its key.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.address {
            IpAddr::V4(address) => state.write_u32(address.to_bits()),
            IpAddr::V6(address) => state.write_u128(address.to_bits()),
        }
        state.write_u64(self.values ^ u64::from(self.outcome == Outcome::Success));
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    first: Timestamp,
    last: Timestamp,
    counted: i64,
    seen: SmallVec<[(u16, i64); 2]>,
    /// What a rule starts from that has not spoken yet: 0, or below.
    start: i64,
}

impl Entry {
    fn at(time: Timestamp) -> Self {
        Self { first: time, last: time, ..Self::default() }
    }

    /// The entry after this one. Events whose second line is still to come may have that line in it.
    fn next(&self, time: Timestamp) -> Self {
        let owed = |seen: i64| (seen - self.counted).max(-self.counted);
        let seen = self.seen.iter().map(|(rule, seen)| (*rule, owed(*seen))).collect();
        Self { seen, start: -self.counted, ..Self::at(time) }
    }
}

impl Default for Once {
    fn default() -> Self {
        Self {
            young: KeyedMap::default(),
            old: KeyedMap::default(),
            secret: RandomState::new().hash_one(0),
            within: Duration::ZERO,
            turned: None,
        }
    }
}

impl From<&Once> for Kept {
    /// Only events that may still have a line to come.
    fn from(once: &Once) -> Self {
        let newest = once.young.values().map(|entry| entry.last).max().unwrap_or(Timestamp::MIN);
        let event = |(key, entry): (&Key, &Entry)| {
            let Key { address, outcome, values } = *key;
            let times = (entry.first, entry.last, entry.counted, entry.start);
            ((address, outcome == Outcome::Failure, values), times, entry.seen.clone())
        };
        let old = once.old.iter().filter(|(key, _)| !once.young.contains_key(key));
        let open = old.chain(&once.young).filter(|(_, entry)| entry.last.distance(newest) <= once.within);
        Self { secret: once.secret, turned: once.turned, events: open.map(event).collect() }
    }
}

impl From<Kept> for Once {
    fn from(kept: Kept) -> Self {
        let Kept { secret, turned, events } = kept;
        let entry = |((address, failure, values), (first, last, counted, start), seen): KeptEvent| {
            let outcome = if failure { Outcome::Failure } else { Outcome::Success };
            (Key { address, outcome, values }, Entry { first, last, counted, seen, start })
        };
        let young = events.iter().map(entry).collect();
        Self { young, old: KeyedMap::default(), secret, within: Duration::ZERO, turned }
    }
}

impl Once {
    /// Whether no event is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// What a line that matched `rule` with this weight adds: nothing when other lines of the event weighed as much.
    /// `value` gives the values of the keys.
    pub(super) fn adds<'v>(
        &mut self,
        settings: &OnePer,
        (rule, outcome, weight): (u16, Outcome, u32),
        address: IpAddr,
        time: Timestamp,
        value: impl Fn(&str) -> &'v str,
    ) -> u32 {
        let key = Key { address, outcome, values: self.hash(settings, value) };
        self.within = settings.within;
        self.turn(time, settings.within);
        let old = &self.old;
        let entry = self.young.entry(key).or_insert_with(|| match old.get(&key) {
            Some(entry) => entry.clone(),
            None => Entry::at(time),
        });
        if entry.first.distance(time) > settings.within {
            let goes_on = entry.last.distance(time) <= settings.within;
            *entry = if goes_on { entry.next(time) } else { Entry::at(time) };
        }
        entry.last = entry.last.max(time);
        let seen = match entry.seen.iter_mut().find(|(r, _)| *r == rule) {
            Some((_, seen)) => {
                *seen += i64::from(weight);
                *seen
            }
            None => {
                let seen = entry.start + i64::from(weight);
                entry.seen.push((rule, seen));
                seen
            }
        };
        let adds = u32::try_from(seen - entry.counted).unwrap_or(0);
        entry.counted = entry.counted.max(seen);
        adds
    }

    /// What stands for the values of the keys.
    fn hash<'v>(&self, settings: &OnePer, value: impl Fn(&str) -> &'v str) -> u64 {
        if settings.keys.is_empty() {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        for key in &settings.keys {
            value(key).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Forgets what is older than twice `within`.
    fn turn(&mut self, time: Timestamp, within: Duration) {
        let due = self.turned.is_none_or(|turned| turned.distance(time) > within);
        if due || self.young.len() >= MOST {
            let stale = self.turned.is_none_or(|turned| turned.distance(time) > within * 2);
            self.old = std::mem::take(&mut self.young);
            // As much room as was needed lately.
            self.young.reserve(self.old.len());
            if stale {
                self.old = KeyedMap::default();
            }
            self.turned = Some(time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_speaks_of_several_failures_adds_what_was_not_counted_yet() {
        let settings = OnePer { keys: vec![], within: Duration::from_secs(1) };
        let address: IpAddr = [192, 0, 2, 1].into();
        let mut once = Once::default();
        let lines = [(0, 1, 0), (0, 1, 1), (1, 3, 2), (0, 1, 3), (0, 1, 4)];
        let added = lines.map(|(rule, weight, millis)| {
            let at = Timestamp::from_micros(millis * 1000);
            once.adds(&settings, (rule, Outcome::Failure, weight), address, at, |_| "")
        });
        assert_eq!(added, [1, 1, 1, 0, 1], "three failures, the third said twice, and a fourth");
    }

    #[test]
    fn the_second_line_of_an_event_that_began_late_in_a_series_is_still_its_second_line() {
        let settings = OnePer { keys: vec![], within: Duration::from_secs(1) };
        let address: IpAddr = [192, 0, 2, 1].into();
        let mut once = Once::default();
        let mut counts = |rule, millis: i64| {
            once.adds(
                &settings,
                (rule, Outcome::Failure, 1),
                address,
                Timestamp::from_micros(millis * 1000),
                |_| "",
            )
        };
        // Two events: their first lines at 0 and 900, their second ones at 5 and 1050.
        assert_eq!([(0, 0), (1, 5), (0, 900), (1, 1050)].map(|(rule, at)| counts(rule, at)), [1, 0, 1, 0]);
        assert_eq!(counts(1, 1060), 1, "a third event");
    }
}
