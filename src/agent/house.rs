//! Who is never banned on this host: its own addresses, allow lists, health checks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::interfaces::Interfaces;
use super::report::HouseReport;
use super::resolver::{Answers, Resolver};
use super::wake::Waker;
use crate::config::{AllowEntry, Allowed};
use crate::engine::house::{NeverBan, Why};
use crate::engine::{Shift, Source, Timestamp};

/// Gathers prefixes and reasons.
#[derive(Debug)]
pub(super) struct House {
    interfaces: Option<Interfaces>,
    own: Vec<IpAddr>,
    allowed: Vec<AllowEntry>,
    surroundings: Vec<(IpNet, Why)>,
    resolver: Resolver,
    never: NeverBan,
    kernel: Vec<IpNet>,
    next_end: Option<Timestamp>,
    /// How far this clock is ahead of the one by which the entries' ends were written.
    ahead: Shift,
}

impl House {
    /// The house of this network namespace; `known` are host addresses of an earlier run.
    #[must_use]
    pub(super) fn new(known: Answers, waker: Waker) -> Self {
        let interfaces = Interfaces::watch()
            .inspect_err(|error| tracing::warn!(%error, "cannot watch this host's own addresses"))
            .ok();
        let mut house = Self {
            interfaces,
            own: Vec::new(),
            allowed: Vec::new(),
            surroundings: Vec::new(),
            resolver: Resolver::new(known, waker),
            never: NeverBan::default(),
            kernel: Vec::new(),
            next_end: None,
            ahead: Shift::NONE,
        };
        house.look_at_interfaces();
        house
    }

    /// Takes other allow lists.
    pub(super) fn configure(&mut self, allowed: &[AllowEntry], now: Timestamp) {
        self.allowed = allowed.to_vec();
        let mut names: Vec<String> = allowed
            .iter()
            .filter_map(|entry| match &entry.who {
                Allowed::Host(name) => Some(name.clone()),
                Allowed::Prefix(_) => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        if let Err(error) = self.resolver.resolve(names) {
            tracing::error!(%error, "cannot resolve the hosts of allow lists");
        }
        self.assemble(now);
    }

    /// How far this clock is ahead of the one by which the ends of entries are understood.
    #[must_use]
    pub(super) fn ahead(&self) -> Shift {
        self.ahead
    }

    /// Understands the ends of entries by a clock that this one is so far ahead of.
    pub(super) fn go_by(&mut self, ahead: Shift, now: Timestamp) {
        self.ahead = ahead;
        self.assemble(now);
    }

    /// Takes other prefixes of the surroundings. True when that changed who is never banned.
    pub(super) fn situate(&mut self, surroundings: &[(IpNet, Why)], now: Timestamp) -> bool {
        if self.surroundings == surroundings {
            return false;
        }
        self.surroundings = surroundings.to_vec();
        let before = std::mem::take(&mut self.never);
        self.assemble(now);
        before != self.never
    }

    /// Takes up what changed by itself: addresses of interfaces, answers of name servers, entries that ended. True
    /// when the prefixes are others than before.
    pub(super) fn refresh(&mut self, now: Timestamp) -> bool {
        let moved = self.interfaces.as_mut().is_some_and(Interfaces::changed) && self.look_at_interfaces();
        let answered = self.resolver.refresh();
        let ended = self.next_end.is_some_and(|end| end <= now);
        if !(moved || answered || ended) {
            return false;
        }
        let before = std::mem::take(&mut self.never);
        self.assemble(now);
        before != self.never
    }

    /// Everybody who is never banned by any jail.
    #[must_use]
    pub(super) fn never(&self) -> &NeverBan {
        &self.never
    }

    /// Whether others reach this host by this address: one of its own, and not loopback.
    #[must_use]
    pub(super) fn is_reached_by(&self, address: IpAddr) -> bool {
        !address.is_loopback() && self.own.contains(&address)
    }

    /// The addresses by which others may reach this host.
    #[must_use]
    pub(super) fn reachable(&self) -> Vec<IpAddr> {
        let is_local = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
        };
        self.own.iter().copied().filter(|address| !is_local(address)).collect()
    }

    /// Who is never banned by any jail as prefixes, for the kernel.
    #[must_use]
    pub(super) fn kernel(&self) -> &[IpNet] {
        &self.kernel
    }

    /// Readable when an interface's address changed.
    #[must_use]
    pub(super) fn interfaces(&self) -> Option<&Interfaces> {
        self.interfaces.as_ref()
    }

    /// When the next entry of an allow list ends.
    #[must_use]
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.next_end
    }

    /// Host addresses, to be kept over a restart.
    #[must_use]
    pub(super) fn answers(&self) -> &Answers {
        self.resolver.known()
    }

    /// What `status` tells.
    #[must_use]
    pub(super) fn report(&self) -> HouseReport {
        let hosts = self.allowed.iter().filter_map(|entry| match &entry.who {
            Allowed::Host(name) => Some(name),
            Allowed::Prefix(_) => None,
        });
        let allowed = self.never.prefixes().filter(|(_, why)| matches!(why, Why::AllowList(_))).count();
        let unresolved = hosts.filter(|name| self.addresses(name).is_empty()).cloned().collect();
        HouseReport { own: self.own.len(), allowed, unresolved, kept: Vec::new() }
    }

    fn addresses(&self, host: &str) -> &[IpAddr] {
        self.resolver.known().get(host).map_or(&[], Vec::as_slice)
    }

    fn look_at_interfaces(&mut self) -> bool {
        match Interfaces::addresses() {
            Ok(own) if own == self.own => false,
            Ok(own) => {
                self.own = own;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot list this host's own addresses; the ones known stay");
                false
            }
        }
    }

    fn assemble(&mut self, now: Timestamp) {
        let mut prefixes: Vec<(IpNet, Why)> = Vec::new();
        prefixes
            .extend(self.own.iter().map(|a| (IpNet::from(*a), Why::OwnAddress("of an interface".into()))));
        prefixes.extend(self.surroundings.iter().cloned());
        let end = |entry: &AllowEntry| entry.until.map(|until| until + self.ahead);
        let in_force = |entry: &&AllowEntry| end(entry).is_none_or(|until| until > now);
        let mut allowed: Vec<(IpNet, Why)> = Vec::new();
        for entry in self.allowed.iter().filter(in_force) {
            let why = || Why::AllowList(entry.list.clone());
            match &entry.who {
                Allowed::Prefix(net) => allowed.push((*net, why())),
                Allowed::Host(name) => {
                    allowed.extend(self.addresses(name).iter().map(|a| (IpNet::from(*a), why())));
                }
            }
        }
        prefixes.extend(allowed.iter().cloned());
        prefixes.extend(NeverBan::health_checks());
        self.next_end = self.allowed.iter().filter(in_force).filter_map(end).min();
        self.never = NeverBan::new(prefixes);
        // Of all entries: one inside of what is spared for another reason may come through NAT64 all the same.
        let allowed = NeverBan::new(allowed);
        let translated = allowed.prefixes().filter_map(|(net, _)| Some(Source::translated(net)?.net()));
        let is_new = |net: &IpNet| !self.never.prefixes().any(|(wide, _)| wide.contains(net));
        let translated = translated.filter(is_new);
        self.kernel = self.never.prefixes().map(|(net, _)| net).chain(translated).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(allowed: &[AllowEntry], now: i64) -> House {
        let mut house = House::new(Answers::new(), Waker::new().unwrap());
        house.configure(allowed, Timestamp::from_secs(now));
        house
    }

    fn entry(prefix: &str, until: Option<i64>) -> AllowEntry {
        AllowEntry {
            list: "office".into(),
            who: Allowed::Prefix(prefix.parse().unwrap()),
            until: until.map(Timestamp::from_secs),
        }
    }

    #[test]
    fn the_host_itself_is_never_banned() {
        let house = house(&[], 0);
        let why = house.never().covers("127.0.0.1".parse().unwrap());
        assert!(matches!(why, Some(Why::OwnAddress(_))), "{why:?}");
        assert!(house.kernel().contains(&"127.0.0.1/32".parse().unwrap()));
    }

    #[test]
    fn an_entry_of_an_allow_list_ends_by_itself() {
        let address = "198.51.100.7".parse().unwrap();
        let mut house = house(&[entry("198.51.100.0/24", Some(100))], 0);
        assert_eq!(house.never().covers(address), Some(&Why::AllowList("office".into())));
        for form in ["198.51.100.0/24", "64:ff9b::c633:6400/120"] {
            assert!(house.kernel().contains(&form.parse().unwrap()), "{form} in packets");
        }
        assert_eq!(house.next_end(), Some(Timestamp::from_secs(100)));
        assert!(!house.refresh(Timestamp::from_secs(99)));
        assert!(house.refresh(Timestamp::from_secs(100)));
        assert_eq!(house.never().covers(address), None);
    }

    #[test]
    fn an_entry_within_a_prefix_of_health_checks_is_spared_behind_nat64_too() {
        let within = "35.191.1.0/24";
        let house = house(&[entry(within, None), entry("35.191.1.7/32", None)], 0);
        let kernel = house.kernel();
        assert!(!kernel.contains(&within.parse().unwrap()), "the wider one is there");
        assert!(kernel.contains(&"64:ff9b::23bf:100/120".parse().unwrap()));
        assert!(!kernel.contains(&"64:ff9b::23bf:107/128".parse().unwrap()), "none within another");
    }

    #[test]
    fn an_entry_ends_by_the_clock_of_who_wrote_it() {
        let address = "198.51.100.7".parse().unwrap();
        let mut house = house(&[entry("198.51.100.0/24", Some(100))], 150);
        assert_eq!(house.never().covers(address), None);
        house.go_by(Shift::from_micros(60_000_000), Timestamp::from_secs(150));
        assert_eq!(house.never().covers(address), Some(&Why::AllowList("office".into())));
        assert_eq!(house.next_end(), Some(Timestamp::from_secs(160)));
        assert!(house.refresh(Timestamp::from_secs(160)));
        assert_eq!(house.never().covers(address), None);
    }

    #[test]
    fn a_host_keeps_the_address_of_the_last_run_until_it_resolves() {
        let known = Answers::from([("mail.invalid".to_string(), vec!["198.51.100.7".parse().unwrap()])]);
        let mut house = House::new(known, Waker::new().unwrap());
        let host =
            |name: &str| AllowEntry { list: "office".into(), who: Allowed::Host(name.into()), until: None };
        house.configure(&[host("mail.invalid"), host("other.invalid")], Timestamp::from_secs(0));
        assert!(house.never().covers("198.51.100.7".parse().unwrap()).is_some());
        assert_eq!(house.report().unresolved, ["other.invalid"]);
    }
}
