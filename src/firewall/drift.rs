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

    /// Whether our table is as we left it.
    pub(super) fn is_intact(&mut self, netlink: &mut Netlink, now: Timestamp) -> io::Result<bool> {
        if listing::generation(netlink)? == self.generation {
            return Ok(true);
        }
        let Some(found) = listing::read(netlink)? else { return Ok(false) };
        if found.fingerprint != self.fingerprint {
            return Ok(false);
        }
        self.witnesses.retain(|_, witness| witness.until.is_none_or(|until| until > now + MARGIN));
        for (set, witness) in &self.witnesses {
            if !elements::contains(netlink, set, witness.key)? {
                return Ok(false);
            }
        }
        self.generation = found.generation;
        Ok(true)
    }
}
