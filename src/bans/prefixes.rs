//! A map from prefixes that also finds every entry around a given one.

use std::hash::{Hash, Hasher};

use ipnet::{IpNet, Ipv4Net};

use crate::engine::{KeyedMap, Subject};

/// Values by prefix. Looking for the entries that cover a subject costs one look-up per prefix length in use, of
/// which there are two or three.
///
/// Each family has its table: a key that could be either takes 24 bytes beside a value, one of IPv4 alone takes 8.
#[derive(Clone, Debug)]
pub(super) struct Prefixes<T> {
    v4: KeyedMap<Narrow, T>,
    v6: KeyedMap<Subject, T>,
    v4_lengths: Lengths,
    v6_lengths: Lengths,
}

/// Prefix lengths in use and how often, shortest first.
type Lengths = Vec<(u8, u32)>;

/// A subject of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Narrow(Ipv4Net);

impl Narrow {
    fn subject(self) -> Subject {
        Subject::new(IpNet::V4(self.0))
    }
}

/// In one word, as [`Subject`] has it.
impl Hash for Narrow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0.addr().to_bits()) << 8 | u64::from(self.0.prefix_len()));
    }
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self {
            v4: KeyedMap::default(),
            v6: KeyedMap::default(),
            v4_lengths: Vec::new(),
            v6_lengths: Vec::new(),
        }
    }
}

impl<T> Prefixes<T> {
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn get(&self, subject: Subject) -> Option<&T> {
        match subject.net() {
            IpNet::V4(net) => self.v4.get(&Narrow(net)),
            IpNet::V6(_) => self.v6.get(&subject),
        }
    }

    pub(super) fn get_mut(&mut self, subject: Subject) -> Option<&mut T> {
        match subject.net() {
            IpNet::V4(net) => self.v4.get_mut(&Narrow(net)),
            IpNet::V6(_) => self.v6.get_mut(&subject),
        }
    }

    pub(super) fn insert(&mut self, subject: Subject, value: T) -> Option<T> {
        let old = match subject.net() {
            IpNet::V4(net) => self.v4.insert(Narrow(net), value),
            IpNet::V6(_) => self.v6.insert(subject, value),
        };
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
        let old = match subject.net() {
            IpNet::V4(net) => take_out(&mut self.v4, &Narrow(net)),
            IpNet::V6(_) => take_out(&mut self.v6, &subject),
        };
        if old.is_some() {
            let len = subject.prefix_len();
            let lengths = self.lengths_mut(subject);
            if let Ok(at) = lengths.binary_search_by_key(&len, |(l, _)| *l) {
                lengths[at].1 -= 1;
                if lengths[at].1 == 0 {
                    lengths.remove(at);
                }
            }
        }
        old
    }

    /// The entries whose prefix holds all of `subject`, widest first.
    pub(super) fn covering(&self, subject: Subject) -> impl Iterator<Item = (Subject, &T)> {
        let lengths = if subject.addr().is_ipv4() { &self.v4_lengths } else { &self.v6_lengths };
        lengths.iter().take_while(move |(len, _)| *len <= subject.prefix_len()).filter_map(move |(len, _)| {
            let wider = Subject::new(IpNet::new(subject.addr(), *len).ok()?);
            self.get(wider).map(|value| (wider, value))
        })
    }

    /// The subjects that lie within `net`.
    pub(super) fn within(&self, net: IpNet) -> Vec<Subject> {
        let exact = Subject::new(net);
        if exact.prefix_len() == exact.net().max_prefix_len() {
            return self.get(exact).map(|_| exact).into_iter().collect();
        }
        self.iter().map(|(subject, _)| subject).filter(|subject| subject.is_within(exact.net())).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Subject, &T)> {
        let v4 = self.v4.iter().map(|(narrow, value)| (narrow.subject(), value));
        v4.chain(self.v6.iter().map(|(subject, value)| (*subject, value)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.v4.values().chain(self.v6.values())
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.v4.values_mut().chain(self.v6.values_mut())
    }

    /// Bytes held, without what values have on the heap themselves.
    pub(super) fn bytes(&self) -> usize {
        table_bytes(&self.v4) + table_bytes(&self.v6)
    }

    fn lengths_mut(&mut self, subject: Subject) -> &mut Lengths {
        if subject.addr().is_ipv4() { &mut self.v4_lengths } else { &mut self.v6_lengths }
    }
}

/// Removes an entry, and gives back room that most of the table does not need any more.
fn take_out<K: Eq + Hash, T>(map: &mut KeyedMap<K, T>, key: &K) -> Option<T> {
    let old = map.remove(key);
    if old.is_some() && map.len() * 8 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
    old
}

/// A table of std's map: seven of eight places are usable, each with one byte of control.
fn table_bytes<K, T>(map: &KeyedMap<K, T>) -> usize {
    map.capacity().div_ceil(7) * 8 * (size_of::<(K, T)>() + 1)
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
