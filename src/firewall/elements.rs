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
use super::netlink::{Ask, Netlink, Refusal};
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
    let mut outcome = Outcome::default();
    let mut rest = elements;
    let mut at = 0;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(portion(rest));
        if let Err(error) = commit(netlink, now, at, &mut outcome) {
            return (outcome, Err(error));
        }
        at += now.len();
        rest = later;
    }
    (outcome, Ok(()))
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

/// Commits a portion as one transaction; when it is refused, its halves.
fn commit(
    netlink: &mut Netlink,
    elements: &[Element],
    at: usize,
    outcome: &mut Outcome,
) -> Result<(), FirewallError> {
    for attempt in 1.. {
        let refusal = match netlink.transact(transaction(elements)).map_err(FirewallError::Netlink)? {
            Ok(()) => {
                outcome.transactions += 1;
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        fatal(netlink, elements, &refusal)?;
        if elements.len() > 1 {
            break;
        }
        // An element of an old kernel may end between the message that finds it and the one that deletes it.
        if refusal.errno != Errno::NOENT || attempt == TRIES {
            outcome.refused.push((at, refusal.describe()));
            return Ok(());
        }
    }
    let (front, back) = elements.split_at(elements.len() / 2);
    commit(netlink, front, at, outcome)?;
    commit(netlink, back, at + front.len(), outcome)
}

/// Whether a refusal is no element's fault.
fn fatal(netlink: &mut Netlink, elements: &[Element], refusal: &Refusal) -> Result<(), FirewallError> {
    match refusal.errno {
        Errno::PERM | Errno::ACCESS | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN | Errno::INTR => Err(
            FirewallError::Netlink(io::Error::new(io::Error::from(refusal.errno).kind(), refusal.describe())),
        ),
        Errno::NOENT => {
            let mut seen = HashSet::new();
            for set in elements.iter().map(|element| &element.set).filter(|set| seen.insert(*set)) {
                if !listing::has_set(netlink, &set.name()).map_err(FirewallError::Netlink)? {
                    return Err(FirewallError::Drifted(format!("set {} is gone", set.name())));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// For each set: add what is meant, delete it, add what shall be in. In one transaction nobody sees the steps, and
/// together they do what no single message does on every kernel: before Linux 6.12 adding again keeps the old end,
/// and on none may something be deleted that is not there.
fn transaction(elements: &[Element]) -> Vec<NfTablesMessage> {
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
        let meant: Vec<_> =
            wishes.keys().map(|key| ListAttribute::Element(vec![key_attribute(*key)])).collect();
        let wanted: Vec<_> = wishes
            .iter()
            .filter_map(|(key, wish)| match wish {
                Wish::In(None) => Some(vec![key_attribute(*key)]),
                Wish::In(Some(ms)) => Some(vec![key_attribute(*key), SetElementAttribute::Timeout(*ms)]),
                Wish::Out => None,
            })
            .map(ListAttribute::Element)
            .collect();
        messages.push(NfTablesMessage::NewSetElement(message(set, meant.clone())));
        messages.push(NfTablesMessage::DeleteSetElement(message(set, meant)));
        if !wanted.is_empty() {
            messages.push(NfTablesMessage::NewSetElement(message(set, wanted)));
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
