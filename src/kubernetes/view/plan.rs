//! What an order by hand comes to, before anything is written.

use ipnet::IpNet;

use super::look::View;
use super::report::SeenBan;
use crate::agent::report::UnbanOrder;
use crate::bans::{Ban, Origin};
use crate::config::Loaded;
use crate::engine::{JailName, Subject, Timestamp};

/// An unban: what it writes, and what comes of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lift {
    /// Prefixes to pardon, a Pardon each.
    pub pardons: Vec<IpNet>,
    /// Bans that end, entries of the list by hand among them.
    pub ended: Vec<SeenBan>,
    /// Bans that go on: another list orders them, or they are wider than what was asked.
    pub remaining: Vec<SeenBan>,
    /// Rate limits whose penalty ends, as far as nodes told of it.
    pub released: Vec<String>,
    /// Rate limits that forget who is over them and was let in all the same, as far as nodes told of it.
    pub forgotten: Vec<String>,
}

/// Which jail somebody means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoJail {
    /// There is none of that name.
    #[error("there is no jail {0}; `kubectl get jails -A` lists them all")]
    Unknown(String),
    /// There are several.
    #[error("jails of that name are {0}; choose one with --namespace")]
    Several(String),
}

/// The jail that a person means by `namespace/name`, or by a name alone: in `namespace`, else the only one.
///
/// # Errors
/// When there is none or more than one.
pub fn meant(loaded: &Loaded, name: &str, namespace: &str) -> Result<JailName, NoJail> {
    let names: Vec<&JailName> = loaded.config.jails.iter().map(|jail| jail.name()).collect();
    let of = |full: &str| names.iter().find(|known| known.as_str() == full).copied();
    if let Some(jail) = of(name).or_else(|| of(&format!("{namespace}/{name}"))) {
        return Ok(jail.clone());
    }
    let local = |known: &JailName| known.as_str().split_once('/').is_some_and(|(_, local)| local == name);
    let found: Vec<&JailName> = names.iter().copied().filter(|known| local(known)).collect();
    match found.as_slice() {
        [] => Err(NoJail::Unknown(name.to_owned())),
        [only] => Ok((*only).clone()),
        _ => Err(NoJail::Several(found.iter().map(|jail| jail.as_str()).collect::<Vec<_>>().join(", "))),
    }
}

impl View {
    /// What an unban writes. `by_hand` is the BanList that `ban` writes: of it, what is covered ends too.
    #[must_use]
    pub fn lift(&self, order: &UnbanOrder, by_hand: &str, now: Timestamp) -> Lift {
        let pardons = self.pardoned(order.prefix, now);
        let covered = |ban: &Ban| {
            order.jail.as_ref().is_none_or(|jail| ban.jail.as_ref() == Some(jail))
                && pardons.iter().any(|net| ban.subject.is_within(*net))
        };
        let ends = |ban: &Ban| match &ban.origin {
            Origin::List(list) => list == by_hand && covered(ban),
            _ => covered(ban),
        };
        let concerned = |ban: &Ban| {
            order.jail.as_ref().is_none_or(|jail| ban.jail.as_ref() == Some(jail))
                && order.prefix.is_none_or(|prefix| {
                    ban.subject.overlaps(prefix) || ban.subject.overlaps(Subject::new(prefix).net())
                })
        };
        let ended = self.bans(now, ends);
        let remaining = self.bans(now, |ban| concerned(ban) && !ends(ban));
        let (released, forgotten) = match &order.jail {
            None => self.penalties.ended_by(&pardons, now),
            // A rate limit belongs to no jail.
            Some(_) => (Vec::new(), Vec::new()),
        };
        Lift { pardons, ended, remaining, released, forgotten }
    }

    /// The prefixes to pardon for what a person named. Who names one address means its /64 where a jail counts that,
    /// but not the /16 that somebody put on a list.
    fn pardoned(&self, prefix: Option<IpNet>, now: Timestamp) -> Vec<IpNet> {
        let Some(prefix) = prefix else {
            return ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
        };
        let named = Subject::new(prefix);
        let mut meant = vec![named.net()];
        if named.prefix_len() == named.net().max_prefix_len() {
            let address = named.addr();
            meant.extend(self.jails().iter().map(|jail| jail.spec.prefix.subject(address).net()));
            let counted = self.ledger.covering(address, now).into_iter();
            let counted = counted.filter(|ban| ban.jail.is_some() && !ban.origin.is_list());
            meant.extend(counted.map(|ban| ban.subject.net()));
            // A prefix inside another one is pardoned with it.
            let all = meant.clone();
            meant.retain(|net| !all.iter().any(|other| other != net && other.contains(net)));
            meant.sort_unstable();
            meant.dedup();
        }
        meant
    }
}

#[cfg(test)]
#[path = "tests/plan.rs"]
mod tests;
