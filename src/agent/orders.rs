//! What people order by hand.

use ipnet::IpNet;

use super::court::Court;
use super::report::{
    Absence, Allowance, BanOrder, BanReport, Banned, Durability, EventKind, LeftOut, Ports, Refusal,
    UnbanOrder, Unbanned, Watched, WhyReport,
};
use crate::bans::{Ban, Evidence, Origin, Pardon, Place, Recorded};
use crate::engine::{AddressPolicy, Duration, JailName, Subject, Timestamp, hides_all_of_ipv4, holds_nat64};
use std::net::IpAddr;

impl Court {
    /// Bans by hand. The answer does not know yet whether it is saved.
    pub(super) fn ban(&mut self, order: BanOrder, now: Timestamp) -> Result<Banned, Refusal> {
        let BanOrder { subject, jail, seconds, reason } = order;
        self.may_ban(subject, jail.as_ref())?;
        if seconds == Some(0) {
            return Err(Refusal::NoTime);
        }
        let ban = Ban {
            n: self.ledger.next_n(jail.as_ref(), subject, now),
            jail,
            subject,
            since: now,
            until: seconds.map(|secs| now + Duration::from_secs(secs)),
            origin: Origin::Hand,
            evidence: Evidence { reason, ..Evidence::default() },
        };
        let recorded = self.ledger.record(&ban, now);
        match recorded {
            Recorded::New => self.tell(EventKind::Ban, &ban, now),
            Recorded::Prolonged => self.tell(EventKind::Prolong, &ban, now),
            Recorded::Known | Recorded::Over | Recorded::Pardoned | Recorded::Refused => {}
        }
        self.sync(ban.jail.as_ref(), subject, now);
        let enforced = self.enforces(ban.jail.as_ref());
        let until = match self.ledger.in_force(ban.jail.as_ref(), subject, now) {
            Some(hold) => hold.until,
            None => ban.until,
        };
        let ban = BanReport::new(&Ban { until, ..ban }, enforced);
        Ok(Banned { ban, known: recorded != Recorded::New, saved: Durability::NotKept })
    }

    fn may_ban(&self, subject: Subject, jail: Option<&JailName>) -> Result<(), Refusal> {
        // Whoever orders it: the command line refuses it earlier, others that speak to the socket may not.
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
        if let Some(why) = self.house.overlap(subject) {
            return refuse(why.to_string());
        }
        let Some(jail) = jail else { return Ok(()) };
        let Some(seat) = self.seat(jail) else {
            let refusal = match self.absence(jail) {
                Some(Absence::Disabled) => Refusal::DisabledJail,
                _ if self.is_broken(jail) => Refusal::BrokenJail,
                _ => Refusal::NoSuchJail,
            };
            return Err(refusal(jail.clone()));
        };
        if let Some(why) = seat.never.overlap(subject) {
            return refuse(why.to_string());
        }
        if let Some(net) = seat.config.spec.ignore.iter().find(|net| subject.overlaps(**net)) {
            return refuse(format!("{net} is in the ignore list of jail {jail}"));
        }
        Ok(())
    }

    /// Ends bans by hand. The answer does not know yet whether it is saved.
    pub(super) fn unban(&mut self, order: UnbanOrder, now: Timestamp) -> Result<Unbanned, Refusal> {
        let UnbanOrder { prefix, jail, reason } = order;
        if let Some(prefix) = prefix.filter(|prefix| hides_all_of_ipv4(*prefix)) {
            return Err(Refusal::AllOfIpv4(prefix));
        }
        let written = prefix;
        let prefix = prefix.map(|prefix| Subject::new(prefix).net());
        if let Some(jail) = &jail
            && self.seat(jail).is_none()
            && !self.is_broken(jail)
            && self.absence(jail) != Some(Absence::Disabled)
            && !self.ledger.active(now).any(|ban| ban.jail.as_ref() == Some(jail))
        {
            return Err(Refusal::NoSuchJail(jail.clone()));
        }
        let reason = reason.unwrap_or_default();
        let mut ended = Vec::new();
        for prefix in self.meant(prefix, now) {
            let pardon = Pardon { prefix, jail: jail.clone(), at: now, reason: reason.clone() };
            ended.extend(self.ledger.pardon(pardon, now));
            for seat in self.seats.iter_mut().filter(|seat| jail.as_ref().is_none_or(|j| j == seat.name())) {
                seat.jail.pardon(prefix, now);
            }
        }
        for ban in &ended {
            self.tell(EventKind::Unban, ban, now);
            self.sync(ban.jail.as_ref(), ban.subject, now);
        }
        self.dirty = true;
        let remains = |ban: &Ban| {
            jail.as_ref().is_none_or(|jail| ban.jail.as_ref() == Some(jail))
                && (prefix.is_none_or(|prefix| ban.subject.overlaps(prefix))
                    || written.is_some_and(|written| ban.subject.overlaps(written)))
        };
        let report = |ban: &Ban| BanReport::new(ban, self.enforces(ban.jail.as_ref()));
        let remaining = self.ledger.active(now).filter(remains).map(|ban| report(&ban)).collect();
        let ended = ended.iter().map(report).collect();
        Ok(Unbanned {
            ended,
            remaining,
            released: Vec::new(),
            forgotten: Vec::new(),
            unanswered: None,
            saved: Durability::NotKept,
        })
    }

    /// The prefixes to pardon for what a person named. Who names one address means its /64 where a jail counts
    /// that, but not the /16 that somebody banned by hand.
    fn meant(&self, prefix: Option<IpNet>, now: Timestamp) -> Vec<IpNet> {
        let Some(prefix) = prefix else {
            return ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
        };
        let named = Subject::new(prefix);
        let mut meant = vec![named.net()];
        if named.prefix_len() == named.net().max_prefix_len() {
            let address = named.addr();
            meant.extend(self.seats.iter().map(|seat| seat.config.spec.prefix.subject(address).net()));
            let counted =
                self.ledger.covering(address, now).into_iter().filter(|ban| ban.origin == Origin::Jail);
            meant.extend(counted.map(|ban| ban.subject.net()));
            meant.sort_unstable();
            meant.dedup();
        }
        meant
    }

    /// Where the bans in force stand, those that end first first.
    pub(super) fn places(&self, jail: Option<&JailName>, now: Timestamp) -> Vec<Place> {
        self.ledger.places(jail, now)
    }

    /// The bans at these places, as far as they are in force still.
    pub(super) fn bans(&self, places: &[Place], now: Timestamp) -> Vec<BanReport> {
        let held = places.iter().filter_map(|place| self.ledger.at(place, now));
        held.map(|ban| BanReport::new(&ban, self.enforces(ban.jail.as_ref()))).collect()
    }

    /// All about one address.
    pub(super) fn why(&self, address: IpAddr, now: Timestamp) -> WhyReport {
        let sent_as = address.to_canonical();
        let address = AddressPolicy::default().canonical(address).unwrap_or(sent_as);
        let spared = self.house.covers(address);
        let bans = self.ledger.covering(sent_as, now);
        let bans: Vec<BanReport> =
            bans.iter().map(|ban| BanReport::new(ban, self.enforces(ban.jail.as_ref()))).collect();
        let mut closed: Vec<Ports> = Vec::new();
        for ban in &bans {
            if !closed.iter().any(|ports| ports.jail == ban.jail) {
                closed.push(self.ports(ban.jail.as_ref()));
            }
        }
        let mut allowed: Vec<Allowance> =
            spared.map(|why| Allowance { jail: None, why: why.to_string() }).into_iter().collect();
        if AddressPolicy::default().canonical(address).is_none() {
            let why = Refusal::NotBannable(Subject::host(address)).to_string();
            allowed.push(Allowance { jail: None, why });
        }
        let mut watched = Vec::new();
        for seat in &self.seats {
            let subject = seat.config.spec.prefix.subject(address);
            let own = match seat.never.overlap(subject) {
                Some(why) if spared.is_none() => Some(why.to_string()),
                _ => None,
            };
            let ignored = seat.config.spec.ignore.iter().find(|net| subject.overlaps(**net));
            let ignored = ignored.map(|net| format!("{net} is in the jail's ignore list"));
            allowed.extend(own.or(ignored).map(|why| Allowance { jail: Some(seat.name().clone()), why }));
            if let Some((weight, first, last)) = seat.jail.watched(subject)
                && last + seat.config.spec.find_time >= now
            {
                watched.push(Watched {
                    jail: seat.name().clone(),
                    subject,
                    weight,
                    needed: seat.config.spec.max_retry,
                    first: first.into(),
                    last: last.into(),
                });
            }
        }
        let host = Subject::host(address).net();
        let meant =
            |entry: &&LeftOut| entry.subject.overlaps(host) && entry.until.is_none_or(|until| until.0 > now);
        let left_out = self.unlisted.iter().filter(meant).cloned().collect();
        let dropped = spared.is_none() && bans.iter().any(|ban| ban.enforced);
        WhyReport {
            address,
            dropped,
            bans,
            closed,
            allowed,
            left_out,
            watched,
            penalties: Vec::new(),
            over_limits: Vec::new(),
            unanswered: None,
        }
    }

    pub(super) fn ports(&self, jail: Option<&JailName>) -> Ports {
        let enforce = jail.and_then(|name| self.seat(name)).map(|seat| &seat.config.enforce);
        let absent = jail.and_then(|name| self.absence(name));
        let ports = match enforce {
            Some(enforce) => Ports {
                jail: jail.cloned(),
                absent: None,
                ports: if enforce.all_ports { Vec::new() } else { enforce.ports.clone() },
                all: enforce.all_ports,
            },
            None => {
                let left = jail.and_then(|name| Some(self.left_closed.get(name)?.report(name)));
                let none =
                    || Ports { jail: jail.cloned(), ports: Vec::new(), all: jail.is_none(), absent: None };
                left.unwrap_or_else(none)
            }
        };
        Ports { absent, ..ports }
    }
}
