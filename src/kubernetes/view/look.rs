//! The bans in force, as every node computes them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt;

use super::penalties::Penalties;
use super::read::Objects;
use super::report::{ClusterWhy, Saw, SeenBan};
use super::status;
use crate::agent::report::{
    Allowance, BanReport, OverLimit, Ports, Refusal, UnderPenalty, Watched, WhyReport,
};
use crate::api::v1alpha1 as api;
use crate::bans::{Ban, Changes, Evidence, Ledger, LedgerLimits, Origin, Recorded};
use crate::config::{Allowed, JailConfig, Loaded, Mode};
use crate::engine::house::{NeverBan, Why};
use crate::engine::{AddressPolicy, JailName, Source, Subject, Timestamp, holds_nat64};
use crate::kubernetes::slices;

/// A jail (`None`: none, everything is closed) and a subject.
type Whose = (Option<JailName>, Subject);

/// A cluster's bans, house and failures at one moment.
///
/// Hosts of AllowLists are not among those who are never banned here: each node asks its own name server for them.
#[derive(Debug)]
pub struct View {
    pub(super) loaded: Loaded,
    pub(super) ledger: Ledger,
    house: Vec<(IpNet, Why)>,
    never: NeverBan,
    seen: HashMap<Whose, BTreeSet<String>>,
    /// Entries of BanLists of which nobody noted when they were written, with their list.
    undated: HashSet<(String, Whose)>,
    sightings: Vec<Sighted>,
    pub(super) penalties: Penalties,
    /// Where the names of objects are left out: on whose entries nothing is known.
    left_out: usize,
}

#[derive(Debug)]
struct Sighted {
    jail: JailName,
    subject: Subject,
    /// When and how heavy.
    failures: Vec<(Timestamp, u32)>,
}

impl View {
    /// The view of what was read at `now`.
    #[must_use]
    pub fn new(objects: Objects, now: Timestamp) -> Self {
        let Objects { loaded, limits, slices, pardons, house, sightings, .. } = objects;
        let mut view = Self {
            loaded: Loaded::default(),
            ledger: Ledger::new(LedgerLimits {
                forget_after: LedgerLimits::default().forget_after,
                ..LedgerLimits::NONE
            }),
            house: prefixes(&house),
            never: NeverBan::default(),
            seen: HashMap::new(),
            undated: HashSet::new(),
            sightings: sightings.iter().flat_map(sighted).collect(),
            penalties: Penalties::of(&limits),
            left_out: 0,
        };
        for pardon in &pardons {
            view.pardon(pardon, now);
        }
        for slice in &slices {
            view.record(&slice.spec, now);
        }
        view.declare(loaded, now);
        view
    }

    /// Takes in a BanSlice.
    pub fn record(&mut self, slice: &api::BanSliceSpec, now: Timestamp) -> Vec<(Recorded, Ban)> {
        for entry in &slice.bans {
            let Ok(subject) = entry.prefix.as_str().parse() else { continue };
            let jail = entry.jail.as_ref().map(|jail| JailName::new(jail.as_str()));
            let seen = self.seen.entry((jail, subject)).or_default();
            seen.insert(slice.node.as_str().to_owned());
            seen.extend(entry.with.iter().map(|node| node.as_str().to_owned()));
        }
        // On no node: every ban keeps the name of the one that decided it.
        let decoded = slices::decode(slice, "", now);
        self.left_out += decoded.faults.len();
        decoded.bans.into_iter().map(|ban| (self.ledger.record(&ban, now), ban)).collect()
    }

    /// Takes in a Pardon. Answers with the bans it ended.
    pub fn pardon(&mut self, pardon: &api::Pardon, now: Timestamp) -> Vec<Ban> {
        match slices::pardon(&pardon.spec, pardon.metadata.creation_timestamp.as_ref()) {
            Ok(pardon) => self.ledger.pardon(pardon, now),
            Err(fault) => {
                tracing::warn!(pardon = pardon.name_any(), %fault, "a Pardon is left out");
                Vec::new()
            }
        }
    }

    /// Takes other declarations. Answers with what that changed of bans.
    pub fn declare(&mut self, loaded: Loaded, now: Timestamp) -> Changes {
        let allowed = loaded.config.allowed.iter().filter(|e| e.until.is_none_or(|until| until > now));
        let allowed = allowed.filter_map(|entry| match &entry.who {
            Allowed::Prefix(net) => Some((*net, Why::AllowList(entry.list.clone()))),
            Allowed::Host(_) => None,
        });
        let house = self.house.iter().cloned();
        self.never = NeverBan::new(house.chain(allowed).chain(NeverBan::health_checks()));
        let entries = loaded.config.ban_entries.iter();
        let entries = entries.filter(|entry| self.never.overlap(entry.subject).is_none());
        let undated = loaded.config.ban_entries.iter().filter(|entry| entry.written.is_none());
        // Those that end by this are told of yet.
        self.undated.extend(undated.map(|entry| (entry.list.clone(), (entry.jail.clone(), entry.subject))));
        let bans: Vec<Ban> = entries
            .map(|entry| Ban {
                jail: entry.jail.clone(),
                subject: entry.subject,
                n: 1,
                since: entry.written.unwrap_or(now),
                until: entry.until,
                origin: Origin::List(entry.list.clone()),
                evidence: Evidence { reason: Some(entry.reason.clone()), ..Evidence::default() },
            })
            .collect();
        self.loaded = loaded;
        self.ledger.set_list(bans, now)
    }

    /// Bans that ended since the last call.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Ban> {
        self.ledger.expire(now)
    }

    /// When the next ban ends.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.ledger.next_expiry()
    }

    /// Entries of BanSlices that no node takes.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Jails, filters and lists in force.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// A ban as it is told.
    #[must_use]
    pub fn report(&self, ban: &Ban) -> SeenBan {
        SeenBan { ban: self.told(ban), nodes: self.nodes(ban) }
    }

    fn told(&self, ban: &Ban) -> BanReport {
        let report = BanReport::new(ban, self.bites(ban));
        let undated = match &ban.origin {
            Origin::List(list) => self.undated.contains(&(list.clone(), (ban.jail.clone(), ban.subject))),
            Origin::Jail | Origin::Hand | Origin::Node(_) => false,
        };
        BanReport { since: report.since.filter(|_| !undated), ..report }
    }

    /// Bans in force that are `wanted`, those that end first first.
    pub fn bans(&self, now: Timestamp, wanted: impl Fn(&Ban) -> bool) -> Vec<SeenBan> {
        let active = self.ledger.active(now).filter(wanted);
        let mut bans: Vec<SeenBan> = active.map(|ban| self.report(&ban)).collect();
        bans.sort_by_key(|SeenBan { ban, .. }| (ban.until.is_none(), ban.until, ban.subject));
        bans
    }

    /// How many subjects are kept out: those whom nodes let pass for all that are not among them.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> usize {
        self.ledger.holds(now).filter(|(jail, subject, _)| self.drops(*jail, *subject)).count()
    }

    /// All about one address.
    #[must_use]
    pub fn why(&self, address: IpAddr, now: Timestamp) -> ClusterWhy {
        let canonical = AddressPolicy::default().canonical(address);
        let sent_as = address.to_canonical();
        let address = canonical.unwrap_or_else(|| address.to_canonical());
        let host = Subject::host(address);
        let spared = self.never.overlap(host);
        let covering = self.ledger.covering(sent_as, now);
        let bans: Vec<BanReport> = covering.iter().map(|ban| self.told(ban)).collect();
        let saw: Vec<Saw> = covering.iter().map(|ban| self.saw(ban)).collect();
        let mut closed: Vec<Ports> = Vec::new();
        for ban in &bans {
            if !closed.iter().any(|ports| ports.jail == ban.jail) {
                closed.push(self.ports(ban.jail.as_ref()));
            }
        }
        let mut allowed = Vec::new();
        let mut allow = |jail: Option<&JailName>, why: String| {
            allowed.push(Allowance { jail: jail.cloned(), why });
        };
        if let Some(why) = spared {
            allow(None, why.to_string());
        }
        if canonical.is_none() {
            allow(None, Refusal::NotBannable(host).to_string());
        }
        for jail in self.jails() {
            let subject = jail.spec.prefix.subject(address);
            if let Some(why) = self.spared_by(jail, subject).filter(|_| spared.is_none()) {
                allow(Some(jail.name()), why);
            }
        }
        let watched = self.jails().iter().filter_map(|jail| self.watched(jail, address, now)).collect();
        let (mut penalties, mut over_limits) = match spared {
            None => (self.penalties.over(address, now), self.penalties.let_in(address, now)),
            Some(_) => (Vec::new(), Vec::new()),
        };
        if sent_as != address && !self.spares(Source::new(sent_as.into())) {
            // To the kernel an IPv6 source with an IPv4 address in it is another than that.
            let source = Some(sent_as);
            let over = self.penalties.over(sent_as, now).into_iter();
            penalties.extend(over.map(|penalty| UnderPenalty { source, ..penalty }));
            let let_in = self.penalties.let_in(sent_as, now).into_iter();
            over_limits.extend(let_in.map(|over| OverLimit { source, ..over }));
        }
        let dropped = !penalties.is_empty() || spared.is_none() && bans.iter().any(|ban| ban.enforced);
        let left_out = Vec::new();
        let unanswered = None;
        let why = WhyReport {
            address,
            dropped,
            bans,
            closed,
            allowed,
            left_out,
            watched,
            penalties,
            over_limits,
            unanswered,
        };
        ClusterWhy { why, saw }
    }

    /// Whether no packet of the source is ever refused.
    pub(super) fn spares(&self, source: Source) -> bool {
        let within = |net: IpNet| net.contains(&source.net());
        self.never.prefixes().any(|(net, why)| {
            let translated = || Source::translated(net).filter(|_| matches!(why, Why::AllowList(_)));
            within(net) || translated().is_some_and(|made| within(made.net()))
        })
    }

    /// Why nobody may ban `subject` in `jail`; `None`: everywhere.
    ///
    /// # Errors
    /// The reason.
    pub fn may_ban(&self, subject: Subject, jail: Option<&JailName>) -> Result<(), Refusal> {
        if subject.is_too_wide() {
            return Err(Refusal::TooWide(subject));
        }
        if holds_nat64(subject.net()) {
            return Err(Refusal::HoldsNat64(subject));
        }
        if AddressPolicy::default().canonical(subject.addr()).is_none() {
            return Err(Refusal::NotBannable(subject));
        }
        let refuse = |why: String| Err(Refusal::NeverBan { subject, why });
        if let Some(why) = self.never.overlap(subject) {
            return refuse(why.to_string());
        }
        let Some(jail) = jail else { return Ok(()) };
        let Some(jail) = self.jail(jail) else { return Err(Refusal::NoSuchJail(jail.clone())) };
        match self.spared_by(jail, subject) {
            Some(why) => refuse(format!("{why} (jail {})", jail.name())),
            None => Ok(()),
        }
    }

    pub(super) fn jails(&self) -> &[std::sync::Arc<JailConfig>] {
        &self.loaded.config.jails
    }

    pub(super) fn jail(&self, name: &JailName) -> Option<&JailConfig> {
        self.jails().iter().find(|jail| jail.name() == name).map(AsRef::as_ref)
    }

    /// Whether nodes drop the subject's packets.
    fn bites(&self, ban: &Ban) -> bool {
        self.drops(ban.jail.as_ref(), ban.subject)
    }

    /// The same of somebody who is banned by that jail.
    fn drops(&self, jail: Option<&JailName>, subject: Subject) -> bool {
        self.never.overlap(subject).is_none()
            && jail.is_none_or(|name| {
                self.jail(name)
                    .is_some_and(|jail| jail.mode == Mode::Enforce && self.spared_by(jail, subject).is_none())
            })
    }

    /// Why this jail spares somebody whom others need not.
    fn spared_by(&self, jail: &JailConfig, subject: Subject) -> Option<String> {
        if jail.spec.ignore.iter().any(|net| subject.overlaps(*net)) {
            return Some(Why::JailIgnore.to_string());
        }
        let private = || NeverBan::private().any(|(net, _)| subject.overlaps(net));
        (!jail.ban_private && private()).then(|| Why::Private.to_string())
    }

    fn nodes(&self, ban: &Ban) -> Vec<String> {
        if ban.origin.is_list() {
            return Vec::new();
        }
        let seen = self.seen.get(&(ban.jail.clone(), ban.subject));
        seen.into_iter().flatten().cloned().collect()
    }

    fn saw(&self, ban: &Ban) -> Saw {
        let services = ban.jail.as_ref().and_then(|name| self.jail(name));
        let services = services.map_or_else(Vec::new, |jail| jail.enforce.services.clone());
        Saw { jail: ban.jail.clone(), subject: ban.subject, nodes: self.nodes(ban), services }
    }

    fn ports(&self, jail: Option<&JailName>) -> Ports {
        let enforce = jail.and_then(|name| self.jail(name)).map(|jail| &jail.enforce);
        let all = enforce.map_or(jail.is_none(), |enforce| enforce.all_ports);
        let ports = enforce.filter(|_| !all).map_or_else(Vec::new, |enforce| enforce.ports.clone());
        Ports { jail: jail.cloned(), ports, all, absent: None }
    }

    /// What all nodes together counted below the threshold, as far as they published it; without what a ban in force or
    /// a Pardon settled, which stands in their lists a while longer.
    fn watched(&self, jail: &JailConfig, address: IpAddr, now: Timestamp) -> Option<Watched> {
        let subject = jail.spec.prefix.subject(address);
        let begin = now - jail.spec.find_time;
        let reports = self.sightings.iter().filter(|s| s.jail == *jail.name() && s.subject == subject);
        let banned = self.ledger.counted(jail.name(), subject, now).map(|ban| ban.since);
        let pardons = self.ledger.pardons().filter(|pardon| pardon.covers(Some(jail.name()), subject));
        let settled = pardons.map(|pardon| pardon.at).chain(banned).max();
        let counts = |at: Timestamp| at >= begin && settled.is_none_or(|settled| at > settled);
        let failures = reports.flat_map(|s| &s.failures).filter(|(at, _)| counts(*at));
        let (mut weight, mut first, mut last) = (0_u32, None, None);
        for (at, heavy) in failures {
            weight = weight.saturating_add(*heavy);
            first = Some(first.map_or(*at, |first: Timestamp| first.min(*at)));
            last = last.max(Some(*at));
        }
        let needed = jail.spec.max_retry;
        let (first, last) = (first?.into(), last?.into());
        Some(Watched { jail: jail.name().clone(), subject, weight, needed, first, last })
    }
}

fn sighted(list: &api::SightingList) -> Vec<Sighted> {
    let subjects = list.spec.jails.iter().flat_map(|jail| jail.subjects.iter().map(move |s| (jail, s)));
    let read = |(jail, sighting): (&api::JailSightings, &api::Sighting)| {
        let failures = sighting.failures.iter();
        Some(Sighted {
            jail: JailName::new(jail.jail.as_str()),
            subject: sighting.prefix.as_str().parse().ok()?,
            failures: failures.filter_map(|f| Some((status::moment(f.at.as_str())?, f.weight))).collect(),
        })
    };
    subjects.filter_map(read).collect()
}

fn prefixes(house: &[api::HouseMember]) -> Vec<(IpNet, Why)> {
    let read = |member: &api::HouseMember| {
        let subject: Subject = member.prefix.as_str().parse().ok()?;
        let role = match member.role {
            api::HouseRole::Node => "node",
            api::HouseRole::Pods => "pods of",
            api::HouseRole::Service => "Service",
            api::HouseRole::LoadBalancer => "load balancer",
            api::HouseRole::ApiServer => "API server",
        };
        let name = member.name.as_deref().unwrap_or_default();
        Some((subject.net(), Why::Cluster(format!("{role} {name}").trim_end().to_owned())))
    };
    house.iter().filter_map(read).collect()
}

#[cfg(test)]
#[path = "tests/look.rs"]
mod tests;
