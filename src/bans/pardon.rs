//! Pardons: records that end every covered ban older than themselves.

use std::collections::HashMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::prefixes::Prefixes;
use crate::engine::{JailName, Shift, Subject, Timestamp};

/// Pardons remembered at most. Beyond it the oldest is forgotten; all it could still do is keep out a ban that began
/// before it and arrives only now.
const MOST: usize = 10_000;

/// A ban that covers is in force only if it began after the latest pardon. A pardon wipes the slate: the ban does not
/// count towards the n-th time either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pardon {
    /// Everybody within is pardoned. A ban on a prefix wider than this is not.
    pub prefix: IpNet,
    /// In this jail only; `None` in all of them, and from bans that close everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// Its moment. Failures and bans up to and including it are pardoned.
    pub at: Timestamp,
    /// A person's words.
    #[serde(default)]
    pub reason: String,
}

impl Pardon {
    /// The same by a clock that differs by so much.
    #[must_use]
    pub fn shifted(mut self, shift: Shift) -> Self {
        self.at = self.at + shift;
        self
    }

    /// Whether bans of `jail` on `subject` are covered, as far as their age allows.
    #[must_use]
    pub fn covers(&self, jail: Option<&JailName>, subject: Subject) -> bool {
        (self.jail.is_none() || self.jail.as_ref() == jail)
            && subject.is_within(Subject::new(self.prefix).net())
    }
}

/// The latest pardon of each (jail, prefix).
#[derive(Clone, Debug, Default)]
pub(super) struct Pardons {
    everywhere: Prefixes<Given>,
    jails: HashMap<JailName, Prefixes<Given>>,
    len: usize,
    /// None is older.
    oldest: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Given {
    at: Timestamp,
    reason: Box<str>,
}

impl Pardons {
    /// The latest pardon that covers `subject` in `jail`.
    pub(super) fn latest(&self, jail: Option<&JailName>, subject: Subject) -> Option<Timestamp> {
        let own = jail.and_then(|jail| self.jails.get(jail));
        std::iter::once(&self.everywhere)
            .chain(own)
            .filter(|given| !given.is_empty())
            .flat_map(|given| given.covering(subject))
            .map(|(_, given)| given.at)
            .max()
    }

    /// Whether adding it changes nothing.
    pub(super) fn knows(&self, pardon: &Pardon) -> bool {
        let given = match &pardon.jail {
            Some(jail) => self.jails.get(jail),
            None => Some(&self.everywhere),
        };
        let known = given.and_then(|given| given.get(Subject::new(pardon.prefix)));
        known.is_some_and(|known| known.at >= pardon.at)
    }

    pub(super) fn add(&mut self, pardon: Pardon) {
        let subject = Subject::new(pardon.prefix);
        let given = self.of(pardon.jail);
        let known = given.get(subject).map(|known| known.at);
        if known.is_none_or(|at| at < pardon.at) {
            given.insert(subject, Given { at: pardon.at, reason: pardon.reason.into() });
        }
        self.len += usize::from(known.is_none());
        self.oldest = Some(self.oldest.map_or(pardon.at, |oldest| oldest.min(pardon.at)));
        if self.len > MOST
            && let Some(oldest) = self.iter().map(|p| p.at).min()
        {
            self.forget_through(oldest);
        }
    }

    /// Forgets pardons at or before `time`.
    pub(super) fn forget_through(&mut self, time: Timestamp) {
        if self.oldest.is_none_or(|oldest| oldest > time) {
            return;
        }
        for given in std::iter::once(&mut self.everywhere).chain(self.jails.values_mut()) {
            let old: Vec<_> =
                given.iter().filter(|(_, g)| g.at <= time).map(|(subject, _)| subject).collect();
            for subject in old {
                given.remove(subject);
                self.len -= 1;
            }
        }
        self.jails.retain(|_, given| !given.is_empty());
        self.oldest = self.iter().map(|p| p.at).min();
    }

    /// The clock was set: so are the moments of all.
    pub(super) fn shift(&mut self, shift: Shift) {
        for given in std::iter::once(&mut self.everywhere).chain(self.jails.values_mut()) {
            given.values_mut().for_each(|given| given.at = given.at + shift);
        }
        self.oldest = self.oldest.map(|oldest| oldest + shift);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Pardon> {
        let jails = self.jails.iter().map(|(jail, given)| (Some(jail), given));
        std::iter::once((None, &self.everywhere)).chain(jails).flat_map(|(jail, given)| {
            given.iter().map(move |(subject, given)| Pardon {
                prefix: subject.net(),
                jail: jail.cloned(),
                at: given.at,
                reason: given.reason.to_string(),
            })
        })
    }

    fn of(&mut self, jail: Option<JailName>) -> &mut Prefixes<Given> {
        match jail {
            None => &mut self.everywhere,
            Some(jail) => self.jails.entry(jail).or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pardon(prefix: &str, jail: Option<&str>, at: i64) -> Pardon {
        Pardon {
            prefix: prefix.parse().unwrap(),
            jail: jail.map(Into::into),
            at: Timestamp::from_secs(at),
            reason: String::new(),
        }
    }

    fn latest(pardons: &Pardons, jail: Option<&str>, subject: &str) -> Option<i64> {
        pardons.latest(jail.map(JailName::new).as_ref(), subject.parse().unwrap()).map(Timestamp::as_secs)
    }

    #[test]
    fn a_pardon_for_a_prefix_covers_who_is_inside_and_nobody_wider() {
        let mut p = Pardons::default();
        p.add(pardon("198.51.100.0/24", None, 10));
        assert_eq!(latest(&p, Some("james"), "198.51.100.7"), Some(10));
        assert_eq!(latest(&p, None, "198.51.100.0/24"), Some(10));
        assert_eq!(latest(&p, Some("james"), "198.51.0.0/16"), None);
        assert_eq!(latest(&p, Some("james"), "198.51.101.1"), None);
    }

    #[test]
    fn the_latest_of_all_that_cover_counts() {
        let mut p = Pardons::default();
        p.add(pardon("198.51.100.7/32", Some("james"), 30));
        p.add(pardon("198.51.100.0/24", None, 10));
        p.add(pardon("198.51.100.7/32", Some("james"), 20));
        assert_eq!(latest(&p, Some("james"), "198.51.100.7"), Some(30));
        assert_eq!(latest(&p, Some("sshd"), "198.51.100.7"), Some(10));
        assert_eq!(latest(&p, None, "198.51.100.7"), Some(10), "a jail's pardon does not open everything");
    }

    #[test]
    fn the_oldest_gives_way_and_memory_is_bounded() {
        let mut p = Pardons::default();
        for i in 0..u32::try_from(MOST).unwrap() + 5 {
            let address = std::net::Ipv4Addr::from_bits(0x0b00_0000 + i);
            p.add(pardon(&format!("{address}/32"), None, i64::from(i)));
        }
        assert_eq!(p.iter().count(), MOST);
        assert_eq!(latest(&p, None, "11.0.0.4"), None);
        assert_eq!(latest(&p, None, "11.0.0.5"), Some(5));
    }
}
