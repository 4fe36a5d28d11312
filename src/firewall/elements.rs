//! Bans as set elements, over netlink: a few microseconds each, whatever a set holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

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
/// Elements that are tried together, each by messages of its own, after a transaction was refused: as many as three
/// refusals each fit the socket's buffer.
const SUSPECTS: usize = 40;

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
    /// Elements the kernel refused, by their place in the list and in its order, with the kernel's reason.
    pub(super) refused: Vec<(usize, String)>,
}

/// Puts elements in and takes them out, in order. A refused one holds no other back. `young`: sets that so far took
/// each element once; one that is found to be otherwise is taken from them.
pub(super) fn apply(
    netlink: &mut Netlink,
    elements: &[Element],
    young: &mut HashSet<BanSet>,
) -> (Outcome, Result<(), FirewallError>) {
    let mut work = Work { netlink, outcome: Outcome::default(), young };
    let (mut rest, mut at) = (elements, 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(portion(rest));
        if let Err(error) = work.commit(now, at) {
            return (work.outcome, Err(error));
        }
        at += now.len();
        rest = later;
    }
    work.outcome.refused.sort_unstable();
    (work.outcome, Ok(()))
}

/// Whether an element is in its set. Asks for this one only.
pub(super) fn contains(netlink: &mut Netlink, set: &BanSet, key: IpAddr) -> io::Result<bool> {
    let element = ListAttribute::Element(vec![key_attribute(key)]);
    let question = NfTablesMessage::GetSetElement(message(set, vec![element]));
    Ok(!netlink.ask(&question, Ask::One)?.is_empty())
}

/// For how long an element is still in a set whose elements end; `None` when it is not there.
pub(super) fn left(netlink: &mut Netlink, set: &str, key: IpAddr) -> io::Result<Option<Duration>> {
    let element = ListAttribute::Element(vec![key_attribute(key)]);
    let question = NfTablesMessage::GetSetElement(message_to(set.into(), vec![element]));
    let answer = netlink.ask(&question, Ask::One)?;
    Ok(answer.first().and_then(|object| listing::expiration(object.attributes())))
}

/// Takes an element out of a set. `false` when it was not there, or there is no such set.
pub(super) fn remove(netlink: &mut Netlink, set: &str, key: IpAddr) -> io::Result<bool> {
    let element = ListAttribute::Element(vec![key_attribute(key)]);
    let deletion = NfTablesMessage::DeleteSetElement(message_to(set.into(), vec![element]));
    match netlink.transact([(deletion, Mode::Delete)])? {
        Ok(()) => Ok(true),
        Err(refusals) if refusals.iter().all(|refusal| refusal.errno == Errno::NOENT) => Ok(false),
        Err(refusals) => Err(io::Error::other(refusals.first().map(Refusal::describe).unwrap_or_default())),
    }
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
    young: &'a mut HashSet<BanSet>,
}

impl Work<'_> {
    /// Commits a portion as one transaction. When it is refused, in small parts without those to blame.
    fn commit(&mut self, elements: &[Element], at: usize) -> Result<(), FirewallError> {
        if self.is_all_new(elements) {
            if self.transact(new(elements))?.is_ok() {
                return Ok(());
            }
            for element in elements {
                self.young.remove(&element.set);
            }
        }
        let refusals = match self.transact(together(elements))? {
            Ok(()) => return Ok(()),
            Err(refusals) => refusals,
        };
        self.nobodys_fault(elements, &refusals)?;
        for (part, suspects) in elements.chunks(SUSPECTS).enumerate() {
            self.settle(suspects, at + part * SUSPECTS)?;
        }
        Ok(())
    }

    /// Whether none of them should be in its set yet.
    fn is_all_new(&self, elements: &[Element]) -> bool {
        let mut seen = HashSet::with_capacity(elements.len());
        elements.iter().all(|element| {
            element.wish != Wish::Out
                && self.young.contains(&element.set)
                && seen.insert((&element.set, element.key))
        })
    }

    /// Commits elements one by one in one transaction, so that each refusal says whose it is, until it is taken.
    fn settle(&mut self, suspects: &[Element], at: usize) -> Result<(), FirewallError> {
        let mut left: Vec<(usize, &Element)> =
            suspects.iter().enumerate().map(|(i, e)| (at + i, e)).collect();
        let mut again = true;
        while !left.is_empty() {
            let mut owners = Vec::new();
            let mut messages = Vec::new();
            for (place, element) in &left {
                messages.extend(together(std::slice::from_ref(*element)));
                owners.resize(messages.len(), *place);
            }
            let refusals = match self.transact(messages)? {
                Ok(()) => return Ok(()),
                Err(refusals) => refusals,
            };
            self.nobodys_fault(suspects, &refusals)?;
            // An element of an old kernel may end between the message that finds it and the one that deletes it.
            if std::mem::take(&mut again) && refusals.iter().all(|refusal| refusal.errno == Errno::NOENT) {
                continue;
            }
            let mut blamed: BTreeMap<usize, &Refusal> = BTreeMap::new();
            for refusal in &refusals {
                if let Some(place) = refusal.message.and_then(|message| owners.get(message)) {
                    blamed.entry(*place).or_insert(refusal); // later ones only follow from the first
                }
            }
            if blamed.is_empty() {
                return Err(failed(&refusals));
            }
            left.retain(|(place, _)| !blamed.contains_key(place));
            self.outcome
                .refused
                .extend(blamed.into_iter().map(|(place, refusal)| (place, refusal.describe())));
        }
        Ok(())
    }

    fn transact(
        &mut self,
        messages: Vec<(NfTablesMessage, Mode)>,
    ) -> Result<Result<(), Vec<Refusal>>, FirewallError> {
        let answer = self.netlink.transact(messages).map_err(FirewallError::Netlink)?;
        self.outcome.transactions += u32::from(answer.is_ok());
        Ok(answer)
    }

    /// An error when refusals are no element's fault.
    fn nobodys_fault(&mut self, elements: &[Element], refusals: &[Refusal]) -> Result<(), FirewallError> {
        if refusals.iter().any(|refusal| {
            let errno = refusal.errno;
            matches!(
                errno,
                Errno::PERM | Errno::ACCESS | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN | Errno::INTR
            )
        }) {
            return Err(failed(refusals));
        }
        if refusals.iter().any(|refusal| refusal.errno == Errno::NOENT) {
            let sets: HashSet<&BanSet> = elements.iter().map(|element| &element.set).collect();
            for set in sets {
                if !listing::has_set(self.netlink, &set.name()).map_err(FirewallError::Netlink)? {
                    return Err(FirewallError::Drifted(format!("set {} is gone", set.name())));
                }
            }
        }
        Ok(())
    }
}

fn failed(refusals: &[Refusal]) -> FirewallError {
    let first = refusals.first();
    let kind = first.map_or(io::ErrorKind::Other, |refusal| io::Error::from(refusal.errno).kind());
    FirewallError::Netlink(io::Error::new(kind, first.map(Refusal::describe).unwrap_or_default()))
}

/// For each set: add what is meant, delete it, add what shall be in. In one transaction nobody sees the steps, and
/// together they do what no single message does on every kernel: before Linux 6.12 adding again keeps the old end,
/// and on none may something be deleted that is not there. (Trying first whether all is new does not pay: a
/// transaction that is refused takes a thousand times as long as one that is not. But see [`new`].)
fn together(elements: &[Element]) -> Vec<(NfTablesMessage, Mode)> {
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
        let wanted: Vec<_> = wishes.iter().filter_map(|(key, wish)| wanted(*key, *wish)).collect();
        messages.push((NfTablesMessage::NewSetElement(message(set, meant.clone())), Mode::Add));
        messages.push((NfTablesMessage::DeleteSetElement(message(set, meant)), Mode::Delete));
        if !wanted.is_empty() {
            messages.push((NfTablesMessage::NewSetElement(message(set, wanted)), Mode::Add));
        }
    }
    messages
}

/// The same for elements of which none is in its set, in a third of the time; refused as a whole when one is. Worth a
/// try where a table was just made and all that shall hold goes into it.
fn new(elements: &[Element]) -> Vec<(NfTablesMessage, Mode)> {
    let mut groups: HashMap<&BanSet, Vec<_>> = HashMap::new();
    for element in elements {
        groups.entry(&element.set).or_default().extend(wanted(element.key, element.wish));
    }
    let message = |(set, wanted)| (NfTablesMessage::NewSetElement(message(set, wanted)), Mode::AddNew);
    groups.into_iter().map(message).collect()
}

/// The element as it shall be in its set; `None` when it shall not.
fn wanted(key: IpAddr, wish: Wish) -> Option<ListAttribute<SetElementAttribute>> {
    let attributes = match wish {
        Wish::In(None) => vec![key_attribute(key)],
        Wish::In(Some(ms)) => vec![key_attribute(key), SetElementAttribute::Timeout(ms)],
        Wish::Out => return None,
    };
    Some(ListAttribute::Element(attributes))
}

fn key_attribute(key: IpAddr) -> SetElementAttribute {
    SetElementAttribute::Key(DataAttribute::Value(match key {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }))
}

fn message(set: &BanSet, elements: Vec<ListAttribute<SetElementAttribute>>) -> SetElementMessage {
    message_to(set.name(), elements)
}

fn message_to(set: String, elements: Vec<ListAttribute<SetElementAttribute>>) -> SetElementMessage {
    SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.into()),
            SetElementList::Set(set),
            SetElementList::Elements(elements),
        ],
    }
}
