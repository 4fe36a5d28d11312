//! Reads what is in our table: names and shapes, and a fingerprint of all that decides about packets. Ban sets are
//! named but their elements never read: there may be a million.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    ChainMessage, GenMessage, NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetElementList,
    SetElementMessage, SetMessage, TableAttribute, TableMessage,
};

use super::Dropped;
use super::attributes::Attributes;
use super::inventory::{Hook, Inventory, SetShape};
use super::netlink::{Ask, Netlink, Object};
use super::ruleset::TABLE;

/// Attribute numbers of `linux/netfilter/nf_tables.h`.
mod number {
    pub(super) const GEN_ID: u16 = 1;

    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const TABLE_FLAGS: u16 = 2;
    pub(super) const TABLE_HANDLE: u16 = 4;

    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_HANDLE: u16 = 2;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_POLICY: u16 = 5;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_NUMBER: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;

    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_HANDLE: u16 = 3;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;

    pub(super) const SET_TABLE: u16 = 1;
    pub(super) const SET_NAME: u16 = 2;
    pub(super) const SET_FLAGS: u16 = 3;
    pub(super) const SET_KEY_TYPE: u16 = 4;
    pub(super) const SET_KEY_BYTES: u16 = 5;
    pub(super) const SET_HANDLE: u16 = 16;

    pub(super) const LIST_ELEMENTS: u16 = 3;
    pub(super) const LIST_ELEMENT: u16 = 1;
    pub(super) const ELEMENT_KEY: u16 = 1;
    pub(super) const ELEMENT_DATA: u16 = 2;
    pub(super) const ELEMENT_FLAGS: u16 = 3;
    pub(super) const ELEMENT_EXPIRATION: u16 = 5;
    pub(super) const ELEMENT_KEY_END: u16 = 10;
    pub(super) const DATA_VALUE: u16 = 1;

    pub(super) const OBJECT_TABLE: u16 = 1;
    pub(super) const OBJECT_NAME: u16 = 2;
    pub(super) const OBJECT_TYPE: u16 = 3;
    pub(super) const OBJECT_DATA: u16 = 4;
    pub(super) const OBJECT_HANDLE: u16 = 6;
    pub(super) const TYPE_COUNTER: u32 = 1;
    pub(super) const COUNTER_BYTES: u16 = 1;
    pub(super) const COUNTER_PACKETS: u16 = 2;
}
use number::*;

/// Times the table is read again when somebody changes the ruleset meanwhile.
const READINGS: u32 = 20;

/// Our table at one moment.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) inventory: Inventory,
    /// Equal as long as nobody changes anything that decides about packets, elements of ban sets excepted.
    pub(super) fingerprint: u64,
    /// The generation it was read at.
    pub(super) generation: u32,
}

/// The number that every committed transaction of anybody raises by one.
pub(super) fn generation(netlink: &mut Netlink) -> io::Result<u32> {
    let question = NfTablesMessage::GetGen(GenMessage { attributes: vec![] });
    let answer = netlink.ask(&question, Ask::One)?;
    let id = answer.first().and_then(|object| object.attributes().u32(GEN_ID));
    id.ok_or_else(|| io::Error::other("the kernel did not say its ruleset's generation"))
}

/// Reads our table; `None` when it is not there.
pub(super) fn read(netlink: &mut Netlink) -> io::Result<Option<Listing>> {
    for _ in 0..READINGS {
        let before = generation(netlink)?;
        let found = read_once(netlink)?;
        if generation(netlink)? == before {
            return Ok(found.map(|(inventory, fingerprint)| Listing {
                inventory,
                fingerprint,
                generation: before,
            }));
        }
    }
    Err(io::Error::other("the ruleset changes faster than it can be read"))
}

fn read_once(netlink: &mut Netlink) -> io::Result<Option<(Inventory, u64)>> {
    let mut hash = DefaultHasher::new();
    let tables = netlink.ask(&NfTablesMessage::GetTable(table()), Ask::One)?;
    let Some(found) = tables.first() else { return Ok(None) };
    digest(found.attributes(), &[TABLE_NAME, TABLE_FLAGS, TABLE_HANDLE], &mut hash);

    let mut inventory = Inventory::default();
    for chain in netlink.ask(&NfTablesMessage::GetChain(ChainMessage { attributes: vec![] }), Ask::All)? {
        let attributes = chain.attributes();
        if attributes.text(CHAIN_TABLE).as_deref() == Some(TABLE) {
            let wanted = [CHAIN_HANDLE, CHAIN_NAME, CHAIN_HOOK, CHAIN_POLICY, CHAIN_TYPE];
            digest(attributes, &wanted, &mut hash);
            let hook = attributes.nested(CHAIN_HOOK).map(|hook| Hook {
                number: hook.u32(HOOK_NUMBER).unwrap_or(u32::MAX),
                priority: hook.u32(HOOK_PRIORITY).unwrap_or(0).cast_signed(),
            });
            inventory.chains.extend(attributes.text(CHAIN_NAME).map(|name| (name, hook)));
        }
    }
    let rules = RuleMessage { attributes: vec![RuleAttribute::Table(TABLE.into())] };
    for rule in netlink.ask(&NfTablesMessage::GetRule(rules), Ask::All)? {
        digest(rule.attributes(), &[RULE_CHAIN, RULE_HANDLE, RULE_EXPRESSIONS], &mut hash);
    }
    let sets = SetMessage { attributes: vec![SetAttribute::Table(TABLE.into())] };
    for set in netlink.ask(&NfTablesMessage::GetSet(sets), Ask::All)? {
        let attributes = set.attributes();
        let Some(name) = attributes.text(SET_NAME).filter(|_| of_our_table(attributes, SET_TABLE)) else {
            continue;
        };
        digest(attributes, &[SET_NAME, SET_FLAGS, SET_KEY_TYPE, SET_KEY_BYTES, SET_HANDLE], &mut hash);
        let shape = SetShape {
            flags: attributes.u32(SET_FLAGS).unwrap_or(0),
            key_bytes: attributes.u32(SET_KEY_BYTES).unwrap_or(0),
        };
        if shape.flags & SetShape::TIMEOUT == 0 {
            digest_elements(netlink, &name, &mut hash)?;
        }
        if shape.flags & SetShape::ANONYMOUS == 0 {
            inventory.sets.insert(name, shape);
        }
    }
    for counter in counter_objects(netlink)? {
        digest(counter.attributes(), &[OBJECT_NAME, OBJECT_TYPE, OBJECT_HANDLE], &mut hash);
        inventory.counters.extend(counter.attributes().text(OBJECT_NAME));
    }
    Ok(Some((inventory, hash.finish())))
}

fn digest(attributes: Attributes<'_>, wanted: &[u16], hash: &mut impl Hasher) {
    for (kind, value) in attributes.iter().filter(|(kind, _)| wanted.contains(kind)) {
        (kind, value).hash(hash);
    }
}

/// Elements come in any order.
fn digest_elements(netlink: &mut Netlink, set: &str, hash: &mut impl Hasher) -> io::Result<()> {
    let mut sum = 0_u64;
    for object in netlink.ask(&elements_of(set), Ask::All)? {
        let list = object.attributes().nested(LIST_ELEMENTS);
        for (_, element) in
            list.into_iter().flat_map(Attributes::iter).filter(|(kind, _)| *kind == LIST_ELEMENT)
        {
            let mut one = DefaultHasher::new();
            let wanted = [ELEMENT_KEY, ELEMENT_DATA, ELEMENT_FLAGS, ELEMENT_KEY_END];
            digest(Attributes::new(element), &wanted, &mut one);
            sum = sum.wrapping_add(one.finish());
        }
    }
    sum.hash(hash);
    Ok(())
}

fn of_our_table(attributes: Attributes<'_>, kind: u16) -> bool {
    attributes.text(kind).as_deref() == Some(TABLE)
}

/// A message that names our table.
pub(super) fn table() -> TableMessage {
    TableMessage { attributes: vec![TableAttribute::Name(TABLE.into())] }
}

fn elements_of(set: &str) -> NfTablesMessage {
    let attributes = vec![SetElementList::Table(TABLE.into()), SetElementList::Set(set.into())];
    NfTablesMessage::GetSetElement(SetElementMessage { attributes })
}

/// What is in our table about now: read once, whatever changes meanwhile. `None` when it is not there.
pub(super) fn inventory(netlink: &mut Netlink) -> io::Result<Option<Inventory>> {
    Ok(read_once(netlink)?.map(|(inventory, _)| inventory))
}

/// Whether our table has a set of this name.
pub(super) fn has_set(netlink: &mut Netlink, set: &str) -> io::Result<bool> {
    let attributes = vec![SetAttribute::Table(TABLE.into()), SetAttribute::Name(set.into())];
    let answer = netlink.ask(&NfTablesMessage::GetSet(SetMessage { attributes }), Ask::One)?;
    Ok(!answer.is_empty())
}

/// How many elements that are `meant` a set of addresses has, and those of them that are there longest from now on, at
/// most `shown`. Of more than `most` only so many are looked at, and those of them are shown: the kernel lists in no order,
/// and the more slowly the longer the set.
pub(super) fn latest(
    set: &str,
    most: usize,
    shown: usize,
    meant: impl Fn(IpAddr) -> bool,
) -> io::Result<(usize, Vec<(IpAddr, Duration)>)> {
    let (mut count, mut latest) = (0, Vec::new());
    let keep = |latest: &mut Vec<(IpAddr, Duration)>| {
        latest.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        latest.truncate(shown);
    };
    Netlink::open()?.ask_until(elements_of(set), |body| {
        let before = latest.len();
        latest.extend(elements_in(body).filter(|(at, _)| meant(*at)));
        count += latest.len() - before;
        keep(&mut latest);
        count < most
    })?;
    Ok((count.min(most), latest))
}

/// Whether a set has any element. Of a large one only the first are listed.
pub(super) fn has_elements(set: &str) -> io::Result<bool> {
    let mut found = false;
    Netlink::open()?.ask_until(elements_of(set), |body| {
        found |= elements_in(body).next().is_some();
        !found
    })?;
    Ok(found)
}

/// The elements of a small set of addresses, and for how long each is still there.
pub(super) fn addresses(set: &str) -> io::Result<Vec<(IpAddr, Duration)>> {
    let mut found = Vec::new();
    Netlink::open()?.ask_until(elements_of(set), |body| {
        found.extend(elements_in(body));
        true
    })?;
    Ok(found)
}

/// The addresses in one message of a listing.
fn elements_in(body: &[u8]) -> impl Iterator<Item = (IpAddr, Duration)> {
    let list = Attributes::new(body).nested(LIST_ELEMENTS);
    let elements = list.into_iter().flat_map(Attributes::iter).filter(|(kind, _)| *kind == LIST_ELEMENT);
    elements.filter_map(|(_, element)| {
        let element = Attributes::new(element);
        let left = element.u64(ELEMENT_EXPIRATION).map_or(Duration::MAX, Duration::from_millis);
        Some((address(element.nested(ELEMENT_KEY)?.get(DATA_VALUE)?)?, left))
    })
}

/// For how long the first element of an answer is still there.
pub(super) fn expiration(answer: Attributes<'_>) -> Option<Duration> {
    let (_, element) = answer.nested(LIST_ELEMENTS)?.iter().find(|(kind, _)| *kind == LIST_ELEMENT)?;
    Attributes::new(element).u64(ELEMENT_EXPIRATION).map(Duration::from_millis)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4().or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The values of all counters of our table, by name.
pub(super) fn counters(netlink: &mut Netlink) -> io::Result<Vec<(String, Dropped)>> {
    let objects = counter_objects(netlink)?;
    Ok(objects
        .iter()
        .filter_map(|object| {
            let attributes = object.attributes();
            let data = attributes.nested(OBJECT_DATA)?;
            let dropped = Dropped { packets: data.u64(COUNTER_PACKETS)?, bytes: data.u64(COUNTER_BYTES)? };
            Some((attributes.text(OBJECT_NAME)?, dropped))
        })
        .collect())
}

fn counter_objects(netlink: &mut Netlink) -> io::Result<Vec<Object>> {
    let table = DefaultNla::new(OBJECT_TABLE, [TABLE.as_bytes(), b"\0"].concat());
    let kind = DefaultNla::new(OBJECT_TYPE, TYPE_COUNTER.to_be_bytes().to_vec());
    let mut objects = netlink.ask(&NfTablesMessage::GetObject(vec![table, kind]), Ask::All)?;
    objects.retain(|object| {
        let attributes = object.attributes();
        of_our_table(attributes, OBJECT_TABLE) && attributes.u32(OBJECT_TYPE) == Some(TYPE_COUNTER)
    });
    Ok(objects)
}
