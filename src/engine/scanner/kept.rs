//! What a snapshot keeps of `onePer`: the events that may still have a line to come.
//!
//! Thousands of them in a storm, and in memory beside the tables they were taken of: so they are packed, some thirty
//! bytes each instead of a hundred.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::engine::Timestamp;
use crate::engine::words::{WordRow, Words, WordsError, count, relative};

/// The events of one filter and source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What values were hashed with.
    pub(super) secret: u64,
    pub(super) turned: Option<Timestamp>,
    pub(super) events: Events,
}

/// Address, whether a failure, values; first, last, counted, start; rules and how often each was seen.
pub(super) type KeptEvent =
    ((IpAddr, bool, u64), (Timestamp, Timestamp, i64, i64), SmallVec<[(u16, i64); 2]>);

/// Events, packed. As JSON they are a list of [`KeptEvent`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Events(WordRow);

const FAILURE: u8 = 1;
const V6: u8 = 2;

impl Events {
    pub(super) fn push(&mut self, event: &KeptEvent) {
        let ((address, failure, values), (first, last, counted, start), seen) = event;
        let row = &mut self.0;
        let failure = if *failure { FAILURE } else { 0 };
        match address {
            IpAddr::V4(address) => row.extend([i64::from(failure), i64::from(address.to_bits())]),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let halves = [(bits >> 64) as u64, bits as u64].map(u64::cast_signed);
                row.push(i64::from(failure | V6));
                row.extend(halves);
            }
        }
        row.extend([values.cast_signed(), first.as_micros(), relative(*last, *first), *counted, *start]);
        row.push(count(seen.len()));
        row.extend(seen.iter().flat_map(|(rule, seen)| [i64::from(*rule), *seen]));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = KeptEvent> {
        let mut words = Words::new(&self.0);
        std::iter::from_fn(move || read(&mut words).ok())
    }
}

fn read(words: &mut Words<'_>) -> Result<KeptEvent, WordsError> {
    let flags: u8 = words.number()?;
    let address = if flags & V6 == 0 {
        IpAddr::V4(Ipv4Addr::from_bits(words.number()?))
    } else {
        let [high, low] = [words.word()?, words.word()?].map(|half| u128::from(half.cast_unsigned()));
        IpAddr::V6(Ipv6Addr::from_bits(high << 64 | low))
    };
    let values = words.word()?.cast_unsigned();
    let first = words.time()?;
    let times = (first, words.time_from(first)?, words.word()?, words.word()?);
    let mut seen = SmallVec::new();
    for _ in 0..words.number::<usize>()? {
        seen.push((words.number()?, words.word()?));
    }
    Ok(((address, flags & FAILURE != 0, values), times, seen))
}

impl FromIterator<KeptEvent> for Events {
    fn from_iter<T: IntoIterator<Item = KeptEvent>>(events: T) -> Self {
        let mut packed = Self::default();
        events.into_iter().for_each(|event| packed.push(&event));
        packed
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Events;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Events, A::Error> {
                let mut events = Events::default();
                while let Some(event) = list.next_element()? {
                    events.push(&event);
                }
                Ok(events)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;

    proptest! {
        #[test]
        fn every_event_comes_back_and_is_written_as_it_always_was(
            addresses in prop::collection::vec((any::<IpAddr>(), any::<bool>(), any::<u64>()), 0..9),
            times: (i64, i64, i64, i64),
            seen in prop::collection::vec((any::<u16>(), any::<i64>()), 0..5),
        ) {
            let (first, last, counted, start) = times;
            let times = (Timestamp::from_micros(first), Timestamp::from_micros(last), counted, start);
            let event = |whose| (whose, times, SmallVec::from_vec(seen.clone()));
            let events: Vec<KeptEvent> = addresses.into_iter().map(event).collect();
            let packed: Events = events.iter().cloned().collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), &events[..]);
            let text = serde_json::to_string(&packed).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&events).unwrap());
            prop_assert_eq!(serde_json::from_str::<Events>(&text).unwrap(), packed);
        }
    }

    #[test]
    fn an_event_takes_a_third_of_what_it_takes_unpacked() {
        let at = Timestamp::from_secs(1_795_000_000);
        let events: Events = (0..1000_u32)
            .map(|i| {
                (
                    (IpAddr::V4(Ipv4Addr::from_bits(i << 20)), true, u64::MAX / 3),
                    (at, at, 1, 0),
                    smallvec![(3, 1)],
                )
            })
            .collect();
        assert!(events.0.bytes() <= 1000 * size_of::<KeptEvent>() / 3, "{} bytes", events.0.bytes());
    }
}
