//! Notices that somebody else changed our table.
//!
//! Every committed transaction on the machine raises the kernel's generation number by one. Ours are counted; as
//! long as the number is what they add up to, nothing else happened, and that costs one small question. When it is
//! not, our table alone is looked at: its fingerprint, and of each ban set one element that must be in it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::ban_set::BanSet;
use super::elements::{self, Element};
use super::listing::{self, Listing};
use super::netlink::Netlink;
use crate::engine::Timestamp;

/// An element that ends sooner than this proves nothing by being gone.
const MARGIN: Duration = Duration::from_secs(2);

/// Our table as we left it.
#[derive(Debug)]
pub(super) struct Watch {
    generation: u32,
    fingerprint: u64,
    witnesses: HashMap<BanSet, Witness>,
}

/// An element that must be in its set: when it is not, the set was flushed.
#[derive(Clone, Copy, Debug)]
struct Witness {
    key: IpAddr,
    until: Option<Timestamp>,
}

impl Watch {
    pub(super) fn new(left: &Listing) -> Self {
        Self { generation: left.generation, fingerprint: left.fingerprint, witnesses: HashMap::new() }
    }

    /// Begins anew after a skeleton of ours. Elements stay.
    pub(super) fn skeleton_left(&mut self, left: &Listing) {
        self.generation = left.generation;
        self.fingerprint = left.fingerprint;
        self.witnesses.retain(|set, _| left.inventory.sets.contains_key(&set.name()));
    }

    /// Transactions of ours that changed elements only.
    pub(super) fn elements_left(&mut self, transactions: u32) {
        for _ in 0..transactions {
            // The kernel never uses zero.
            self.generation = self.generation.wrapping_add(1).max(1);
        }
    }

    /// An element of ours is in the kernel until then.
    pub(super) fn put_in(&mut self, element: &Element, until: Option<Timestamp>) {
        let later = |known: &Witness| match (known.until, until) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(known), Some(until)) => until > known,
        };
        match self.witnesses.get_mut(&element.set) {
            Some(known) if known.key == element.key || later(known) => {
                *known = Witness { key: element.key, until };
            }
            Some(_) => {}
            None => {
                self.witnesses.insert(element.set.clone(), Witness { key: element.key, until });
            }
        }
    }

    /// We took an element out.
    pub(super) fn taken_out(&mut self, element: &Element) {
        if self.witnesses.get(&element.set).is_some_and(|witness| witness.key == element.key) {
            self.witnesses.remove(&element.set);
        }
    }

    /// Asks those no longer who may be gone by now, or before the kernel answers.
    fn dismiss(&mut self, now: Timestamp) {
        self.witnesses.retain(|_, witness| witness.until.is_none_or(|until| until > now + MARGIN));
    }

    /// Whether our table is as we left it.
    pub(super) fn is_intact(&mut self, netlink: &mut Netlink, now: Timestamp) -> io::Result<bool> {
        if listing::generation(netlink)? == self.generation {
            return Ok(true);
        }
        let Some(found) = listing::read(netlink)? else { return Ok(false) };
        if found.fingerprint != self.fingerprint {
            return Ok(false);
        }
        self.dismiss(now);
        for (set, witness) in &self.witnesses {
            if !elements::contains(netlink, set, witness.key)? {
                return Ok(false);
            }
        }
        self.generation = found.generation;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Subject;
    use crate::firewall::ScopeName;
    use crate::firewall::elements::Wish;
    use crate::firewall::inventory::Inventory;

    fn element(net: &str) -> Element {
        let subject = Subject::new(net.parse().unwrap());
        let set = BanSet::of(&ScopeName::new("mail"), subject);
        Element { key: subject.addr(), set, wish: Wish::In(None) }
    }

    fn watch() -> Watch {
        Watch::new(&Listing { generation: 1, fingerprint: 0, inventory: Inventory::default() })
    }

    #[test]
    fn an_element_that_may_end_while_the_kernel_is_asked_is_no_witness() {
        let now = Timestamp::from_secs(1_000_000);
        for (left, believed) in [(0, false), (1_999, false), (2_000, false), (2_001, true), (60_000, true)] {
            let mut watch = watch();
            watch.put_in(&element("203.0.113.7/32"), Some(now + Duration::from_millis(left)));
            watch.dismiss(now);
            assert_eq!(!watch.witnesses.is_empty(), believed, "{left} ms left");
        }
        let mut watch = watch();
        watch.put_in(&element("203.0.113.7/32"), None);
        watch.dismiss(now);
        assert_eq!(watch.witnesses.len(), 1, "one without an end is always a witness");
    }

    #[test]
    fn of_a_set_the_element_that_stays_longest_is_the_witness_until_it_is_taken_out() {
        let (short, long) = (element("203.0.113.7/32"), element("203.0.113.8/32"));
        let now = Timestamp::from_secs(1_000_000);
        let mut watch = watch();
        watch.put_in(&long, Some(now + Duration::from_secs(60)));
        watch.put_in(&short, Some(now + Duration::from_secs(10)));
        assert_eq!(watch.witnesses.get(&long.set).map(|witness| witness.key), Some(long.key));
        watch.taken_out(&short);
        assert_eq!(watch.witnesses.len(), 1, "another element of the set is no loss");
        watch.taken_out(&long);
        assert!(watch.witnesses.is_empty());
    }
}
