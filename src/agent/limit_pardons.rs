//! Pardons that others gave end penalties of rate limits too, as an unban on this host does.

use std::time::Duration;

use ipnet::IpNet;

use super::detector::Detector;
use crate::bans::{Ledger, Pardon};
use crate::engine::{Source, Timestamp};
use crate::firewall::enforcer::Order;

/// A pardon not older than this ends a penalty also where it began anew since: who waits for a pardon goes on trying.
const FRESH: Duration = Duration::from_secs(10);

/// Received pardons that rate limits have not followed yet.
#[derive(Debug, Default)]
pub(super) struct LimitPardons {
    waiting: Vec<(IpNet, Timestamp)>,
    stands: bool,
}

impl LimitPardons {
    /// Notes those that are new. One that is received again ends nothing that began since.
    fn note(&mut self, pardons: &[Pardon], ledger: &Ledger) {
        let new = pardons.iter().filter(|pardon| pardon.jail.is_none() && !ledger.knows(pardon));
        self.waiting.extend(new.map(|pardon| (pardon.prefix, pardon.at)));
    }

    /// Notes whom somebody here lets go before the table stands.
    pub(super) fn let_go(&mut self, prefixes: &[IpNet], now: Timestamp) {
        self.waiting.extend(prefixes.iter().map(|prefix| (*prefix, now)));
    }

    /// The limits are in the kernel. Before, nobody knows their sets, and those of an earlier run hold.
    pub(super) fn table_stands(&mut self) {
        self.stands = true;
    }

    /// Whether the limits came to be in the kernel in this run.
    pub(super) fn table_stood(&self) -> bool {
        self.stands
    }

    /// Who is pardoned now, and how old a penalty must be to end with it.
    fn take(&mut self, now: Timestamp) -> Vec<(Source, Duration)> {
        if !self.stands {
            return Vec::new();
        }
        let age = |at: Timestamp| Some(now.since(at)).filter(|age| *age >= FRESH).unwrap_or_default();
        let waiting = self.waiting.drain(..);
        waiting.flat_map(|(from, at)| Source::forms(from).map(move |source| (source, age(at)))).collect()
    }
}

impl Detector {
    /// Notes received pardons, before the ledger knows them.
    pub(super) fn note_for_limits(&mut self, pardons: &[Pardon]) {
        self.limit_pardons.note(pardons, &self.court.ledger);
    }

    /// Ends the penalties that were pardoned.
    pub(super) fn pardon_in_limits(&mut self, now: Timestamp) {
        let releases = self.limit_pardons.take(now);
        if releases.is_empty() {
            return;
        }
        self.order(Order::Release(
            releases,
            Box::new(|released| match released {
                Ok(forgot) if forgot.is_empty() => {}
                Ok(forgot) => tracing::info!(count = forgot.len(), "rate limits forgot who was pardoned"),
                Err(error) => tracing::warn!(%error, "pardons cannot end penalties of rate limits"),
            }),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::LedgerLimits;

    fn pardon(prefix: &str, at: u64) -> Pardon {
        let at = Timestamp::from_secs(at.cast_signed());
        Pardon { prefix: prefix.parse().unwrap(), jail: None, at, reason: String::new() }
    }

    #[test]
    fn a_pardon_counts_once_and_waits_for_the_table() {
        let (mut ledger, mut pardons) = (Ledger::new(LedgerLimits::NONE), LimitPardons::default());
        let now = Timestamp::from_secs(1000);
        let given = pardon("198.51.100.7/32", 995);
        let of_one_jail = Pardon { jail: Some("james".into()), ..pardon("198.51.100.8/32", 995) };
        pardons.note(&[given.clone(), of_one_jail], &ledger);
        assert_eq!(pardons.take(now), [], "nobody knows the sets yet");
        pardons.table_stands();
        let forms =
            ["198.51.100.7", "64:ff9b::c633:6407"].map(|form| (form.parse().unwrap(), Duration::ZERO));
        assert_eq!(pardons.take(now), forms);
        ledger.pardon(given.clone(), now);
        pardons.note(&[given.clone(), pardon("198.51.100.7/32", 980)], &ledger);
        assert_eq!(pardons.take(now), [], "it is received again");
        pardons.note(&[pardon("198.51.100.7/32", 998)], &ledger);
        assert_eq!(pardons.take(now).len(), 2, "a new one, in both forms");
    }

    #[test]
    fn whom_somebody_lets_go_before_the_table_stands_is_let_go_when_it_does() {
        let (mut pardons, now) = (LimitPardons::default(), Timestamp::from_secs(1000));
        pardons.let_go(&["2001:db8::/32".parse().unwrap()], now);
        assert_eq!(pardons.take(now), []);
        pardons.table_stands();
        assert_eq!(pardons.take(now), [("2001:db8::/32".parse().unwrap(), Duration::ZERO)]);
    }

    #[test]
    fn an_old_pardon_ends_only_what_is_as_old() {
        let (ledger, mut pardons) = (Ledger::new(LedgerLimits::NONE), LimitPardons::default());
        pardons.table_stands();
        pardons.note(&[pardon("2001:db8::/32", 400)], &ledger);
        let taken = pardons.take(Timestamp::from_secs(1000));
        assert_eq!(taken, [("2001:db8::/32".parse().unwrap(), Duration::from_secs(600))]);
    }
}
