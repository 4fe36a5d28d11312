//! A map from prefixes that also finds every entry around a given one.

use std::collections::hash_map::{Iter, Values};

use ipnet::IpNet;

use crate::engine::{KeyedMap, Subject};

/// Values by prefix. Looking for the entries that cover a subject costs one look-up per prefix length in use, of
/// which there are two or three.
#[derive(Clone, Debug)]
pub(super) struct Prefixes<T> {
    map: KeyedMap<Subject, T>,
    v4: Lengths,
    v6: Lengths,
}

/// Prefix lengths in use and how often, shortest first.
type Lengths = Vec<(u8, u32)>;

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { map: KeyedMap::default(), v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T> Prefixes<T> {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn get(&self, subject: Subject) -> Option<&T> {
        self.map.get(&subject)
    }

    pub(super) fn get_mut(&mut self, subject: Subject) -> Option<&mut T> {
        self.map.get_mut(&subject)
    }

    pub(super) fn insert(&mut self, subject: Subject, value: T) -> Option<T> {
        let old = self.map.insert(subject, value);
        if old.is_none() {
            let len = subject.prefix_len();
            let lengths = self.lengths_mut(subject);
            match lengths.binary_search_by_key(&len, |(l, _)| *l) {
                Ok(at) => lengths[at].1 += 1,
                Err(at) => lengths.insert(at, (len, 1)),
            }
        }
        old
    }

    pub(super) fn remove(&mut self, subject: Subject) -> Option<T> {
        let old = self.map.remove(&subject);
        if old.is_some() {
            let len = subject.prefix_len();
            let lengths = self.lengths_mut(subject);
            if let Ok(at) = lengths.binary_search_by_key(&len, |(l, _)| *l) {
                lengths[at].1 -= 1;
                if lengths[at].1 == 0 {
                    lengths.remove(at);
                }
            }
            if self.map.len() * 8 < self.map.capacity() {
                self.map.shrink_to(self.map.len() * 2);
            }
        }
        old
    }

    /// The entries whose prefix holds all of `subject`, widest first.
    pub(super) fn covering(&self, subject: Subject) -> impl Iterator<Item = (Subject, &T)> {
        let lengths = if subject.addr().is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.iter().take_while(move |(len, _)| *len <= subject.prefix_len()).filter_map(move |(len, _)| {
            let wider = Subject::new(IpNet::new(subject.addr(), *len).ok()?);
            self.map.get(&wider).map(|value| (wider, value))
        })
    }

    /// The subjects that lie within `net`.
    pub(super) fn within(&self, net: IpNet) -> Vec<Subject> {
        let exact = Subject::new(net);
        if exact.prefix_len() == exact.net().max_prefix_len() {
            return self.map.contains_key(&exact).then_some(exact).into_iter().collect();
        }
        self.map.keys().copied().filter(|subject| subject.is_within(exact.net())).collect()
    }

    pub(super) fn iter(&self) -> Iter<'_, Subject, T> {
        self.map.iter()
    }

    pub(super) fn values(&self) -> Values<'_, Subject, T> {
        self.map.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.map.values_mut()
    }

    /// Bytes held, without what values have on the heap themselves.
    pub(super) fn bytes(&self) -> usize {
        // A table of std's map: seven of eight places are usable, each with one byte of control.
        self.map.capacity().div_ceil(7) * 8 * (size_of::<(Subject, T)>() + 1)
    }

    fn lengths_mut(&mut self, subject: Subject) -> &mut Lengths {
        if subject.addr().is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    proptest! {
        #[test]
        fn covering_and_within_are_what_comparing_with_every_entry_says(
            steps in prop::collection::vec((any::<bool>(), any::<u8>(), 0..=32_u8), 0..60),
            probe in (any::<u8>(), 0..=32_u8),
        ) {
            let subject = |bits: u8, len| {
                Subject::new(IpNet::new(Ipv4Addr::from_bits(u32::from(bits) << 24).into(), len).unwrap())
            };
            let mut prefixes = Prefixes::default();
            let mut plain = std::collections::BTreeSet::new();
            for (add, bits, len) in steps {
                let s = subject(bits & 0xc3, len);
                if add {
                    prop_assert_eq!(prefixes.insert(s, ()).is_none(), plain.insert(s));
                } else {
                    prop_assert_eq!(prefixes.remove(s).is_some(), plain.remove(&s));
                }
            }
            let probe = subject(probe.0 & 0xc3, probe.1);
            let covering: Vec<_> = prefixes.covering(probe).map(|(s, ())| s).collect();
            let mut expected: Vec<_> = plain.iter().copied().filter(|s| probe.is_within(s.net())).collect();
            expected.sort_by_key(|s| s.prefix_len());
            prop_assert_eq!(covering, expected);
            let mut within = prefixes.within(probe.net());
            within.sort();
            let expected: Vec<_> = plain.iter().copied().filter(|s| s.is_within(probe.net())).collect();
            prop_assert_eq!(within, expected);
        }
    }
}
