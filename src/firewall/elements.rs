//! Bans as set elements, over netlink: a few microseconds each, whatever a set holds.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;

use netlink_packet_netfilter::nftables::{
    DataAttribute, ListAttribute, NfTablesMessage, SetElementAttribute, SetElementList, SetElementMessage,
};
use rustix::io::Errno;

use super::FirewallError;
use super::ban_set::BanSet;
use super::listing;
use super::netlink::{Ask, Mode, Netlink, Refusal};
use super::ruleset::TABLE;

/// Elements of one transaction. What it needs stays well below the kernel's limits: 64 KiB for the elements of one
/// message, 208 KiB for what a socket may send at once.
const ELEMENTS: usize = 1000;
/// Sets of one transaction; each costs three messages.
const SETS: usize = 200;
/// Times a single element is tried that the kernel says is not there although its set is.
const TRIES: u32 = 3;

/// One element and what shall become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) set: BanSet,
    pub(super) key: IpAddr,
    pub(super) wish: Wish,
}

/// What shall become of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// In the set for this many milliseconds from now; `None` for ever.
    In(Option<u64>),
    /// Not in the set.
    Out,
}

/// What became of a list of elements.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Transactions that were committed.
    pub(super) transactions: u32,
    /// Elements the kernel refused, by their place in the list, with its reason.
    pub(super) refused: Vec<(usize, String)>,
}

/// Puts elements in and takes them out, in order. A refused one holds no other back.
pub(super) fn apply(netlink: &mut Netlink, elements: &[Element]) -> (Outcome, Result<(), FirewallError>) {
    let mut work = Work { netlink, outcome: Outcome::default(), all_new: true };
    let (mut rest, mut at) = (elements, 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(portion(rest));
        if let Err(error) = work.commit(now, at) {
            return (work.outcome, Err(error));
        }
        at += now.len();
        rest = later;
    }
    (work.outcome, Ok(()))
}

/// Whether an element is in its set. Asks for this one only.
pub(super) fn contains(netlink: &mut Netlink, set: &BanSet, key: IpAddr) -> io::Result<bool> {
    let element = ListAttribute::Element(vec![key_attribute(key)]);
    let question = NfTablesMessage::GetSetElement(message(set, vec![element]));
    Ok(!netlink.ask(&question, Ask::One)?.is_empty())
}

/// How many elements from the front fit one transaction.
fn portion(elements: &[Element]) -> usize {
    let mut sets = HashSet::new();
    let fitting = elements.iter().take(ELEMENTS).take_while(|element| {
        sets.insert(&element.set);
        sets.len() <= SETS
    });
    fitting.count()
}

struct Work<'a> {
    netlink: &'a mut Netlink,
    outcome: Outcome,
    /// No element was met that was there already.
    all_new: bool,
}

impl Work<'_> {
    /// Commits a portion as one transaction; when it is refused, its halves.
    fn commit(&mut self, elements: &[Element], at: usize) -> Result<(), FirewallError> {
        let mut tries = 0;
        loop {
            // What is new, as most bans are, takes one message instead of three.
            let simple = self.all_new && elements.iter().all(|element| element.wish != Wish::Out);
            let messages = transaction(elements, simple);
            let refusal = match self.netlink.transact(messages).map_err(FirewallError::Netlink)? {
                Ok(()) => {
                    self.outcome.transactions += 1;
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            if simple && refusal.errno == Errno::EXIST {
                self.all_new = false;
                continue;
            }
            self.judge(elements, &refusal)?;
            if elements.len() > 1 {
                break;
            }
            // An element of an old kernel may end between the message that finds it and the one that deletes it.
            tries += 1;
            if refusal.errno != Errno::NOENT || tries == TRIES {
                self.outcome.refused.push((at, refusal.describe()));
                return Ok(());
            }
        }
        let (front, back) = elements.split_at(elements.len() / 2);
        self.commit(front, at)?;
        self.commit(back, at + front.len())
    }

    /// An error when a refusal is no element's fault.
    fn judge(&mut self, elements: &[Element], refusal: &Refusal) -> Result<(), FirewallError> {
        match refusal.errno {
            Errno::PERM | Errno::ACCESS | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN | Errno::INTR => {
                let kind = io::Error::from(refusal.errno).kind();
                Err(FirewallError::Netlink(io::Error::new(kind, refusal.describe())))
            }
            Errno::NOENT => {
                let sets: HashSet<&BanSet> = elements.iter().map(|element| &element.set).collect();
                for set in sets {
                    if !listing::has_set(self.netlink, &set.name()).map_err(FirewallError::Netlink)? {
                        return Err(FirewallError::Drifted(format!("set {} is gone", set.name())));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// For each set: add what is meant, delete it, add what shall be in. In one transaction nobody sees the steps, and
/// together they do what no single message does on every kernel: before Linux 6.12 adding again keeps the old end,
/// and on none may something be deleted that is not there. With `simple` only the last step, for what is new.
fn transaction(elements: &[Element], simple: bool) -> Vec<(NfTablesMessage, Mode)> {
    let mut places: HashMap<&BanSet, usize> = HashMap::new();
    let mut groups: Vec<(&BanSet, HashMap<IpAddr, Wish>)> = Vec::new();
    for element in elements {
        let place = *places.entry(&element.set).or_insert_with(|| {
            groups.push((&element.set, HashMap::new()));
            groups.len() - 1
        });
        if let Some((_, wishes)) = groups.get_mut(place) {
            wishes.insert(element.key, element.wish); // the last wish counts
        }
    }
    let mut messages = Vec::with_capacity(groups.len() * 3);
    for (set, wishes) in groups {
        if !simple {
            let meant: Vec<_> =
                wishes.keys().map(|key| ListAttribute::Element(vec![key_attribute(*key)])).collect();
            messages.push((NfTablesMessage::NewSetElement(message(set, meant.clone())), Mode::Add));
            messages.push((NfTablesMessage::DeleteSetElement(message(set, meant)), Mode::Delete));
        }
        let wanted: Vec<_> = wishes
            .iter()
            .filter_map(|(key, wish)| match wish {
                Wish::In(None) => Some(vec![key_attribute(*key)]),
                Wish::In(Some(ms)) => Some(vec![key_attribute(*key), SetElementAttribute::Timeout(*ms)]),
                Wish::Out => None,
            })
            .map(ListAttribute::Element)
            .collect();
        if !wanted.is_empty() {
            let mode = if simple { Mode::AddNew } else { Mode::Add };
            messages.push((NfTablesMessage::NewSetElement(message(set, wanted)), mode));
        }
    }
    messages
}

fn key_attribute(key: IpAddr) -> SetElementAttribute {
    SetElementAttribute::Key(DataAttribute::Value(match key {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }))
}

fn message(set: &BanSet, elements: Vec<ListAttribute<SetElementAttribute>>) -> SetElementMessage {
    SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.into()),
            SetElementList::Set(set.name()),
            SetElementList::Elements(elements),
        ],
    }
}
