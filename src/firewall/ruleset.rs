//! A skeleton as nft's commands. Pure: from what is in the kernel and what shall be there to one transaction.
//!
//! ```text
//! chain prerouting  raw: before connection tracking and Service NAT, so open connections are cut too
//!     ip daddr . tcp dport vmap { 192.0.2.1 . 25 : jump guard_25 }
//!     ip6 daddr . tcp dport vmap { … }
//!     fib daddr type local tcp dport vmap { 25 : jump guard_25 }
//! chain every       after connection tracking: ct direction original jump scope_NAME
//! chain guard_25    jump scope_a; jump scope_b
//! chain scope_a     ip saddr @a_4_32 jump drop_a; ip saddr & 255.255.255.0 @a_4_24 jump drop_a; …
//! chain drop_a      ip saddr @never4 return; ip6 saddr @never6 return; counter name dropped_a drop
//! ```
//!
//! The verdict maps are anonymous: they change with their rule, in the same instant.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use nftables::batch::Batch;
use nftables::schema::{
    Chain, Counter, FlushObject, NfCmd, NfListObject, Rule, Set, SetFlag, SetType, SetTypeValue, Table,
};
use nftables::stmt::Statement;
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};

use super::ban_set::{BanSet, Family};
use super::inventory::{Hook, Inventory};
use super::limits::{LIMITS, Limits};
use super::phrase;
use super::proof::ANSWERS;
use super::{Action, Destination, Reach, Scope, ScopeName, Skeleton};

/// The one table that is ours, in family `inet`.
pub(super) const TABLE: &str = "gaoler";
/// Seconds between two looks of the kernel for elements of ban sets that have ended, in place of one each second. A look
/// goes over all of them at one go: at a million that holds up a processor for 120 ms, and the next ban with it. Bans end
/// to the millisecond all the same: an element that has ended matches no packet.
const COLLECT: u32 = 600;
/// Before connection tracking.
const RAW: i32 = -300;
/// Just after that: what is banned is counted by no rate limit.
const LIMITED: i32 = -299;
/// Just after connection tracking (-200): the direction of a packet's connection is known.
const TRACKED: i32 = -190;
const PREROUTING: &str = "prerouting";
const EVERY: &str = "every";

/// The counter of what a scope dropped.
pub(super) fn counter_name(scope: &ScopeName) -> String {
    format!("dropped_{scope}")
}

/// The scope whose drops this counter counts.
pub(super) fn counted_scope(counter: &str) -> Option<ScopeName> {
    counter.strip_prefix("dropped_").map(ScopeName::known)
}

fn scope_chain(scope: &ScopeName) -> String {
    format!("scope_{scope}")
}

fn drop_chain(scope: &ScopeName) -> String {
    format!("drop_{scope}")
}

/// The commands that turn what is there (`None`: no table) into `skeleton`, to be applied as one transaction.
///
/// Sets of scopes that stay keep their elements, counters keep their values; rules, chains and never-ban sets are
/// written anew; what no longer belongs is deleted.
pub(super) fn transition(existing: Option<&Inventory>, skeleton: &Skeleton) -> Batch<'static> {
    let target = Target::new(existing, skeleton);
    let mut batch = Batch::new();
    batch.add(NfListObject::Table(table()));
    if let Some(existing) = existing {
        batch.add_cmd(NfCmd::Flush(FlushObject::Table(table())));
        target.clear(existing, &mut batch);
    }
    target.fill(existing, &mut batch);
    batch
}

/// The commands that add sets for further prefix lengths to scopes that are there.
pub(super) fn further_sets<'a>(sets: impl IntoIterator<Item = &'a BanSet>) -> Batch<'static> {
    let mut batch = Batch::new();
    for set in sets {
        batch.add(NfListObject::Set(ban_set(set).into()));
        batch.add(look_up(set));
    }
    batch
}

/// What shall be in the table.
struct Target<'a> {
    skeleton: &'a Skeleton,
    guards: Guards<'a>,
    limits: Limits<'a>,
    sets: BTreeSet<BanSet>,
    never: [Vec<IpNet>; 2],
}

impl<'a> Target<'a> {
    fn new(existing: Option<&Inventory>, skeleton: &'a Skeleton) -> Self {
        let scopes: BTreeSet<&ScopeName> = skeleton.scopes.iter().map(|scope| &scope.name).collect();
        let kept = existing.into_iter().flat_map(|inventory| &inventory.sets).filter_map(|(name, shape)| {
            BanSet::parse(name).filter(|set| scopes.contains(&set.scope) && shape.suits(set))
        });
        let usual = scopes.iter().flat_map(|name| BanSet::usual(name));
        let (v4, v6) =
            IpNet::aggregate(&skeleton.never).into_iter().partition(|net| Family::of(*net) == Family::V4);
        Self {
            skeleton,
            guards: Guards::new(&skeleton.scopes),
            limits: Limits::new(skeleton),
            sets: usual.chain(kept).collect(),
            never: [v4, v6],
        }
    }

    fn everything(&self) -> impl Iterator<Item = &Scope> {
        self.skeleton.scopes.iter().filter(|scope| scope.reach == Reach::Everything)
    }

    fn base_chains(&self) -> BTreeMap<&'static str, (NfHook, i32)> {
        let guarded = (!self.guards.chains.is_empty()).then_some((PREROUTING, RAW));
        let every = self.everything().next().map(|_| (EVERY, TRACKED));
        let limited = (!self.limits.is_empty()).then_some((LIMITS, LIMITED));
        let coming = guarded.into_iter().chain(limited).chain(every);
        let going = self.limits.watches_answers().then_some((ANSWERS, (NfHook::Postrouting, TRACKED)));
        coming.map(|(name, priority)| (name, (NfHook::Prerouting, priority))).chain(going).collect()
    }

    fn chains(&self) -> BTreeSet<String> {
        let scopes = self.skeleton.scopes.iter();
        scopes
            .flat_map(|scope| [scope_chain(&scope.name), drop_chain(&scope.name)])
            .chain(self.guards.chains.values().cloned())
            .chain(self.limits.chains())
            .collect()
    }

    fn counters(&self) -> BTreeSet<String> {
        let scopes = self.skeleton.scopes.iter().map(|scope| counter_name(&scope.name));
        scopes.chain(self.limits.counters()).collect()
    }

    /// Deletes what no longer belongs, users before used. The rules are gone already.
    fn clear(&self, existing: &Inventory, batch: &mut Batch<'static>) {
        let (base, chains) = (self.base_chains(), self.chains());
        for (name, shape) in &existing.sets {
            let stays = BanSet::parse(name).is_some_and(|set| self.sets.contains(&set) && shape.suits(&set))
                || self.limits.keeps(name, *shape);
            if !stays {
                // Never-ban sets too: nft 1.0.6 tests new intervals against those a flush in the same
                // transaction removes, but not against those of a deleted set.
                batch.delete(NfListObject::Set(named_set(name.clone(), Family::V4).into()));
            }
        }
        for (name, hook) in &existing.chains {
            let stays = match hook {
                Some(Hook { number, priority }) => base
                    .get(name.as_str())
                    .is_some_and(|(hook, at)| hook_number(*hook) == *number && at == priority),
                None => chains.contains(name),
            };
            if !stays {
                batch.delete(NfListObject::Chain(chain(name.clone())));
            }
        }
        for name in existing.counters.difference(&self.counters()) {
            batch.delete(NfListObject::Counter(counter(name.clone())));
        }
    }

    /// Adds everything; `add` of what is there changes nothing.
    fn fill(&self, existing: Option<&Inventory>, batch: &mut Batch<'static>) {
        for name in self.counters() {
            batch.add(NfListObject::Counter(counter(name)));
        }
        self.limits.add_sets(existing, batch);
        for set in &self.sets {
            batch.add(NfListObject::Set(ban_set(set).into()));
        }
        for (nets, family) in self.never.iter().zip([Family::V4, Family::V6]) {
            if !nets.is_empty() {
                batch.add(NfListObject::Set(never_set(nets, family).into()));
            }
        }
        for name in self.chains() {
            batch.add(NfListObject::Chain(chain(name)));
        }
        for (name, (hook, priority)) in self.base_chains() {
            batch.add(NfListObject::Chain(base_chain(name, hook, priority)));
        }
        for scope in &self.skeleton.scopes {
            self.drop_rules(scope, batch);
        }
        for set in &self.sets {
            batch.add(look_up(set));
        }
        self.guards.rules(batch);
        self.limits.rules(batch);
        for scope in self.everything() {
            batch
                .add(rule(EVERY, vec![phrase::original_direction(), phrase::jump(scope_chain(&scope.name))]));
        }
    }

    fn drop_rules(&self, scope: &Scope, batch: &mut Batch<'static>) {
        let name = drop_chain(&scope.name);
        // A second guard beside the one in user space, and after the look-up: it costs innocents nothing.
        for family in [Family::V4, Family::V6].into_iter().filter(|of| has_never(self.skeleton, *of)) {
            batch.add(rule(&name, never_returns(family)));
        }
        for refusal in refusals(scope.action, &counter_name(&scope.name)) {
            batch.add(rule(&name, refusal));
        }
    }
}

/// Whether there is a set of prefixes of this family that are never dropped.
pub(super) fn has_never(skeleton: &Skeleton, family: Family) -> bool {
    skeleton.never.iter().any(|net| Family::of(*net) == family)
}

/// What is never dropped goes back.
pub(super) fn never_returns(family: Family) -> Vec<Statement<'static>> {
    vec![phrase::source_in(family, family.bits(), &never_name(family)), phrase::back()]
}

/// The rules that count a packet and refuse it.
pub(super) fn refusals(action: Action, counter: &str) -> Vec<Vec<Statement<'static>>> {
    let count = || phrase::count(counter.to_owned());
    match action {
        Action::Drop => vec![vec![count(), phrase::drop()]],
        Action::Reject => {
            vec![vec![phrase::is_tcp(), count(), phrase::reset()], vec![count(), phrase::unreachable()]]
        }
    }
}

/// One chain per guarded port and the scopes on it. Scopes of the same port at different destinations get a chain
/// for each combination, so that a ban never closes a neighbour's service.
struct Guards<'a> {
    at: BTreeMap<(Destination, u16), BTreeSet<&'a ScopeName>>,
    chains: BTreeMap<(u16, BTreeSet<&'a ScopeName>), String>,
}

impl<'a> Guards<'a> {
    fn new(scopes: &'a [Scope]) -> Self {
        let mut at: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for scope in scopes {
            if let Reach::Ports(guards) = &scope.reach {
                for guard in guards {
                    at.entry((guard.destination, guard.port)).or_default().insert(&scope.name);
                }
            }
        }
        let mut chains: BTreeMap<_, _> =
            at.iter().map(|((_, port), names)| ((*port, names.clone()), String::new())).collect();
        let mut last = None;
        for ((port, _), name) in &mut chains {
            let serial = last.filter(|(of, _)| of == port).map_or(0, |(_, serial)| serial + 1);
            last = Some((*port, serial));
            *name = if serial == 0 { format!("guard_{port}") } else { format!("guard_{port}_{serial}") };
        }
        Self { at, chains }
    }

    fn rules(&self, batch: &mut Batch<'static>) {
        for ((_, names), chain) in &self.chains {
            for name in names {
                batch.add(rule(chain, vec![phrase::jump(scope_chain(name))]));
            }
        }
        let (mut v4, mut v6, mut local) = (vec![], vec![], vec![]);
        for ((destination, port), names) in &self.at {
            let Some(chain) = self.chains.get(&(*port, names.clone())) else { continue };
            match destination {
                Destination::Address(at @ IpAddr::V4(_)) => {
                    v4.push((phrase::pair(*at, *port), chain.clone()));
                }
                Destination::Address(at @ IpAddr::V6(_)) => {
                    v6.push((phrase::pair(*at, *port), chain.clone()));
                }
                Destination::Local => local.push((phrase::port(*port), chain.clone())),
            }
        }
        for (family, pairs) in [(Family::V4, v4), (Family::V6, v6)] {
            if !pairs.is_empty() {
                let key = phrase::destination_and_port(family, phrase::Transport::Tcp);
                batch.add(rule(PREROUTING, vec![phrase::verdict_map(key, pairs)]));
            }
        }
        if !local.is_empty() {
            let map = phrase::verdict_map(phrase::tcp_port(), local);
            batch.add(rule(PREROUTING, vec![phrase::to_this_host(), map]));
        }
    }
}

fn table() -> Table<'static> {
    Table { family: NfFamily::INet, name: TABLE.into(), handle: None }
}

fn chain(name: String) -> Chain<'static> {
    Chain { family: NfFamily::INet, table: TABLE.into(), name: name.into(), ..Chain::default() }
}

/// The kernel's number of a hook that we use.
fn hook_number(hook: NfHook) -> u32 {
    if hook == NfHook::Postrouting { 4 } else { 0 }
}

fn base_chain(name: &str, hook: NfHook, priority: i32) -> Chain<'static> {
    Chain {
        _type: Some(NfChainType::Filter),
        hook: Some(hook),
        prio: Some(priority),
        policy: Some(NfChainPolicy::Accept),
        ..chain(name.into())
    }
}

fn counter(name: String) -> Counter<'static> {
    let (packets, bytes) = (Some(0), Some(0)); // of a new one; that of an old one stays
    Counter { family: NfFamily::INet, table: TABLE.into(), name: name.into(), handle: None, packets, bytes }
}

fn named_set(name: String, family: Family) -> Set<'static> {
    let set_type = match family {
        Family::V4 => SetType::Ipv4Addr,
        Family::V6 => SetType::Ipv6Addr,
    };
    Set {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: name.into(),
        set_type: SetTypeValue::Single(set_type),
        ..Set::default()
    }
}

/// No `interval` (adding would cost more with every element) and no `size` (a full set would let attackers in).
fn ban_set(set: &BanSet) -> Set<'static> {
    Set { gc_interval: Some(COLLECT), ..set_with_timeout(set.name(), set.family, None) }
}

/// A hash set whose elements end by themselves.
pub(super) fn set_with_timeout(name: String, family: Family, size: Option<u32>) -> Set<'static> {
    Set { flags: Some([SetFlag::Timeout].into()), size, ..named_set(name, family) }
}

pub(super) fn never_name(family: Family) -> String {
    format!("never{}", if family == Family::V4 { 4 } else { 6 })
}

fn never_set(nets: &[IpNet], family: Family) -> Set<'static> {
    let elements: Vec<_> = nets.iter().copied().map(phrase::prefix).collect();
    Set {
        flags: Some([SetFlag::Interval].into()),
        elem: Some(elements.into()),
        ..named_set(never_name(family), family)
    }
}

pub(super) fn rule(chain: &str, statements: Vec<Statement<'static>>) -> NfListObject<'static> {
    NfListObject::Rule(Rule {
        family: NfFamily::INet,
        table: TABLE.into(),
        chain: chain.to_owned().into(),
        expr: statements.into(),
        ..Rule::default()
    })
}

fn look_up(set: &BanSet) -> NfListObject<'static> {
    let found = phrase::source_in(set.family, set.bits, &set.name());
    rule(&scope_chain(&set.scope), vec![found, phrase::jump(drop_chain(&set.scope))])
}

#[cfg(test)]
#[path = "tests/ruleset.rs"]
mod tests;
