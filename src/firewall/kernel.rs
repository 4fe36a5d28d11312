//! The firewall of a real kernel.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::NfTablesMessage;

use super::ban_set::{BanSet, Family};
use super::drift::Watch;
use super::elements::{self, Element, Wish};
use super::inventory::Inventory;
use super::netlink::{Mode, Netlink, Refusal};
use super::nft::Nft;
use super::offenders::Offenders;
use super::wishes::element;
use super::{
    Applied, Caught, Change, Dropped, Firewall, FirewallError, Limit, LimitCounts, ScopeName, Skeleton,
    limits, listing, offenders, probe, proof, ruleset,
};
use crate::engine::{Source, Timestamp};

/// Bans in the kernel of this host, in the network namespace of the thread that opened it.
pub struct Nftables {
    nft: Nft,
    netlink: Netlink,
    watch: Option<Watch>,
    scopes: HashSet<ScopeName>,
    sets: HashSet<BanSet>,
    /// Those that were made empty here and took each element once since.
    young: HashSet<BanSet>,
    limits: Vec<Limit>,
    /// Who is never dropped.
    never: Vec<IpNet>,
    /// Why no limit can catch anybody here, once that was found out.
    blind: Option<String>,
}

impl Nftables {
    /// Opens the way to the kernel. Changes nothing.
    ///
    /// # Errors
    /// When there is no netlink socket to be had.
    pub fn open() -> Result<Self, FirewallError> {
        let netlink = Netlink::open().map_err(FirewallError::Netlink)?;
        Ok(Self {
            nft: Nft::default(),
            netlink,
            watch: None,
            scopes: HashSet::new(),
            sets: HashSet::new(),
            young: HashSet::new(),
            limits: vec![],
            never: vec![],
            blind: None,
        })
    }

    /// Whether our table has anything to drop packets by, whoever made it: a ban or a rate limit.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn holds_anything(&mut self) -> Result<bool, FirewallError> {
        let found = listing::inventory(&mut self.netlink).map_err(FirewallError::Netlink)?;
        let Some(Inventory { chains, sets, .. }) = found else { return Ok(false) };
        if chains.contains_key(limits::LIMITS) {
            return Ok(true);
        }
        for set in sets.keys().filter(|name| BanSet::parse(name).is_some()) {
            if listing::has_elements(set).map_err(FirewallError::Netlink)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs this program instead of the `nft` in the path.
    #[must_use]
    pub fn with_nft(mut self, program: &Path) -> Self {
        self.nft = Nft::at(program);
        self
    }

    /// Takes note of what is in the kernel after a skeleton of ours.
    fn left(&mut self, before: &HashSet<BanSet>) -> Result<(), FirewallError> {
        let Some(left) = listing::read(&mut self.netlink).map_err(FirewallError::Netlink)? else {
            return Err(FirewallError::Drifted("the table is gone".into()));
        };
        let sets = left.inventory.sets.iter();
        self.sets =
            sets.filter_map(|(name, shape)| BanSet::parse(name).filter(|set| shape.suits(set))).collect();
        self.young.retain(|set| before.contains(set));
        self.young.extend(self.sets.difference(before).cloned());
        match &mut self.watch {
            Some(watch) => watch.skeleton_left(&left),
            none => *none = Some(Watch::new(&left)),
        }
        Ok(())
    }

    fn make_sets(&mut self, sets: &BTreeSet<BanSet>) -> Result<(), FirewallError> {
        match self.nft.apply(ruleset::further_sets(sets)) {
            Ok(()) => self.left(&self.sets.clone()),
            // nft's words are for people, so the kernel is asked why.
            Err(FirewallError::Refused(words)) => match self.looks_intact()? {
                true => Err(FirewallError::Refused(words)),
                false => Err(FirewallError::Drifted(words)),
            },
            Err(other) => Err(other),
        }
    }

    fn looks_intact(&mut self) -> Result<bool, FirewallError> {
        let Some(watch) = &mut self.watch else { return Ok(false) };
        let now = jiff::Timestamp::now().into();
        watch.is_intact(&mut self.netlink, now).map_err(FirewallError::Netlink)
    }

    /// Applies the skeleton. Where this kernel cannot tell who completed connections, limits do without: else it would
    /// refuse everything because of one rule.
    fn make(&mut self, existing: Option<&Inventory>, skeleton: &Skeleton) -> Result<(), FirewallError> {
        if !skeleton.limits.iter().any(|limit| limit.catches) {
            return self.nft.apply(ruleset::transition(existing, skeleton));
        }
        if self.blind.is_none() {
            let made = self.nft.apply(ruleset::transition(existing, skeleton));
            let Err(FirewallError::Refused(_)) = &made else { return made };
            match probe::completed_connections(&self.nft) {
                Err(FirewallError::Refused(why)) => {
                    tracing::error!(
                        why,
                        "this kernel cannot tell who completed connections: rate limits with `escalateTo` hold, but \
                         lead to no bans; `gaoler doctor` says what is missing"
                    );
                    self.blind = Some(why);
                }
                // Something else is wrong.
                _ => return made,
            }
        }
        let mut without = skeleton.clone();
        without.limits.iter_mut().for_each(|limit| limit.catches = false);
        self.nft.apply(ruleset::transition(existing, &without))
    }

    /// Sends elements whose sets are there; adds to `applied`.
    fn send(&mut self, ready: Vec<(&Change, Element)>, applied: &mut Applied) -> Result<(), FirewallError> {
        let (changes, elements): (Vec<&Change>, Vec<Element>) = ready.into_iter().unzip();
        let (outcome, result) = elements::apply(&mut self.netlink, &elements, &mut self.young);
        if let Some(watch) = &mut self.watch {
            watch.elements_left(outcome.transactions);
        }
        result?;
        let mut refused = outcome.refused.into_iter().peekable();
        for (place, (change, element)) in changes.into_iter().zip(&elements).enumerate() {
            if let Some((_, reason)) = refused.next_if(|(at, _)| *at == place) {
                applied.refused.push((change.clone(), reason));
                continue;
            }
            applied.done += 1;
            match (&mut self.watch, change) {
                (Some(watch), Change::Ban { until, .. }) => watch.put_in(element, *until),
                (Some(watch), Change::Lift { .. }) => watch.taken_out(element),
                (None, _) => {}
            }
        }
        Ok(())
    }
}

impl Firewall for Nftables {
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError> {
        let existing = listing::read(&mut self.netlink).map_err(FirewallError::Netlink)?;
        let inventory = existing.as_ref().map(|listing| &listing.inventory);
        self.make(inventory, skeleton)?;
        self.scopes = skeleton.scopes.iter().map(|scope| scope.name.clone()).collect();
        self.limits = skeleton.limits.clone();
        self.never = skeleton.never.clone();
        let before = inventory.into_iter().flat_map(|inventory| inventory.sets.keys());
        self.left(&before.filter_map(|name| BanSet::parse(name)).collect())
    }

    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError> {
        if self.watch.is_none() {
            return Err(FirewallError::Drifted("no skeleton was applied".into()));
        }
        let mut applied = Applied::default();
        let (mut ready, mut waiting, mut missing) = (Vec::new(), Vec::new(), BTreeSet::new());
        for change in changes {
            let element = match element(change, now, &self.scopes) {
                Ok(Some(element)) => element,
                Ok(None) => {
                    applied.done += 1;
                    continue;
                }
                Err(reason) => {
                    applied.refused.push((change.clone(), reason));
                    continue;
                }
            };
            if self.sets.contains(&element.set) {
                ready.push((change, element));
            } else if element.wish == Wish::Out {
                applied.done += 1; // it cannot be in a set that does not exist
            } else {
                missing.insert(element.set.clone());
                waiting.push((change, element));
            }
        }
        self.send(ready, &mut applied)?;
        if !missing.is_empty() {
            match self.make_sets(&missing) {
                Ok(()) => self.send(waiting, &mut applied)?,
                Err(FirewallError::Drifted(words)) => return Err(FirewallError::Drifted(words)),
                Err(error) => {
                    applied.deferred = waiting.into_iter().map(|(change, _)| change.clone()).collect();
                    applied.obstacle = Some(error);
                }
            }
        }
        Ok(applied)
    }

    fn is_intact(&mut self) -> Result<bool, FirewallError> {
        self.looks_intact()
    }

    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError> {
        let counters = listing::counters(&mut self.netlink).map_err(FirewallError::Netlink)?;
        Ok(counters
            .into_iter()
            .filter_map(|(name, dropped)| Some((ruleset::counted_scope(&name)?, dropped)))
            .collect())
    }

    fn limits(&mut self) -> Result<BTreeMap<ScopeName, LimitCounts>, FirewallError> {
        if self.limits.is_empty() {
            return Ok(BTreeMap::new());
        }
        let counters = listing::counters(&mut self.netlink).map_err(FirewallError::Netlink)?;
        let counters: BTreeMap<String, Dropped> = counters.into_iter().collect();
        let counted = |name: String| counters.get(&name).copied().unwrap_or_default();
        let mut counts = BTreeMap::new();
        for limit in &self.limits {
            let Offenders { count: offenders, more, latest } =
                offenders::offenders(limit, &self.never).map_err(FirewallError::Netlink)?;
            let over = counted(limits::over_counter(&limit.name));
            let uncounted = counted(limits::uncounted_counter(&limit.name));
            let hindrance = self.blind.clone().filter(|_| limit.catches);
            counts.insert(
                limit.name.clone(),
                LimitCounts { over, uncounted, offenders, more, latest, hindrance },
            );
        }
        Ok(counts)
    }

    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError> {
        let mut caught = BTreeMap::new();
        if self.blind.is_some() {
            return Ok(caught);
        }
        for limit in self.limits.iter().filter(|limit| limit.catches) {
            let mut sources = Vec::new();
            for family in [Family::V4, Family::V6] {
                let set = proof::caught_set(limit, family);
                let found = listing::addresses(&set).map_err(FirewallError::Netlink)?;
                let bits = limits::bits(limit, family);
                sources.extend(found.into_iter().filter_map(|(at, left)| {
                    Some(Caught { source: Source::new(IpNet::new(at, bits).ok()?), left })
                }));
            }
            caught.insert(limit.name.clone(), sources);
        }
        Ok(caught)
    }

    fn offences(&mut self, of: IpAddr) -> Result<Vec<(ScopeName, Duration)>, FirewallError> {
        let mut found = Vec::new();
        for limit in &self.limits {
            let left = offenders::offence_of(limit, of, &mut self.netlink).map_err(FirewallError::Netlink)?;
            found.extend(left.map(|left| (limit.name.clone(), left)));
        }
        Ok(found)
    }

    fn release(&mut self, from: Source, age: Duration) -> Result<Vec<ScopeName>, FirewallError> {
        let family = Family::of(from.net());
        let mut forgot = Vec::new();
        for limit in &self.limits {
            let offenders = limits::offender_set(limit, family);
            let sources =
                offenders::sources_in(limit, from, age, &mut self.netlink).map_err(FirewallError::Netlink)?;
            for set in limits::sets_of_sources(limit, family) {
                let mut gone = 0;
                for source in &sources {
                    let out = elements::remove(&mut self.netlink, &set, *source);
                    gone += u32::from(out.map_err(FirewallError::Netlink)?);
                }
                if let Some(watch) = &mut self.watch {
                    watch.elements_left(gone);
                }
                if gone > 0 && offenders == set {
                    forgot.push(limit.name.clone());
                }
            }
        }
        Ok(forgot)
    }

    fn teardown(&mut self) -> Result<(), FirewallError> {
        // First made, so that deleting it never fails.
        let both = [
            (NfTablesMessage::NewTable(listing::table()), Mode::Add),
            (NfTablesMessage::DeleteTable(listing::table()), Mode::Delete),
        ];
        let answer = self.netlink.transact(both).map_err(FirewallError::Netlink)?;
        if let Err(refusals) = answer {
            let words: Vec<_> = refusals.iter().map(Refusal::describe).collect();
            return Err(FirewallError::Netlink(std::io::Error::other(words.join(", "))));
        }
        self.watch = None;
        self.scopes.clear();
        self.sets.clear();
        self.young.clear();
        self.limits.clear();
        self.never.clear();
        Ok(())
    }
}
