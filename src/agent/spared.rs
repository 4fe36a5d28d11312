//! Who of the never-banned a jail's lines accuse: where it is a node or a load balancer, the clients' own addresses
//! are lost on the way, and the jail cannot work.

use std::net::IpAddr;

use crate::engine::{Duration, Shift, Timestamp};

/// How long an accusation is worth a condition.
const MEMORY: Duration = Duration::from_secs(600);
/// So many are told apart; of more, the one seen longest ago gives way.
const MOST: usize = 16;

/// The accused of one jail that are spared.
#[derive(Clone, Debug, Default)]
pub(super) struct Spared(Vec<Accused>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accused {
    /// Who.
    pub(super) address: IpAddr,
    /// How often without a pause of [`MEMORY`].
    pub(super) times: u64,
    last: Timestamp,
}

impl Spared {
    /// Notes a failure of somebody who is never banned, seen at `now`.
    pub(super) fn note(&mut self, address: IpAddr, now: Timestamp) {
        if let Some(known) = self.0.iter_mut().find(|known| known.address == address) {
            known.times = if known.last + MEMORY > now { known.times + 1 } else { 1 };
            known.last = now;
            return;
        }
        if self.0.len() >= MOST
            && let Some(oldest) = (0..self.0.len()).min_by_key(|i| self.0.get(*i).map(|known| known.last))
        {
            self.0.swap_remove(oldest);
        }
        self.0.push(Accused { address, times: 1, last: now });
    }

    /// The clock was set.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.0.iter_mut().for_each(|known| known.last = known.last + shift);
    }

    /// Those accused not long ago.
    pub(super) fn recent(&self, now: Timestamp) -> impl Iterator<Item = Accused> + '_ {
        self.0.iter().filter(move |known| known.last + MEMORY > now).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(spared: &Spared, now: i64) -> Vec<(String, u64)> {
        spared.recent(Timestamp::from_secs(now)).map(|a| (a.address.to_string(), a.times)).collect()
    }

    #[test]
    fn accusations_add_up_until_there_were_none_for_a_while() {
        let mut spared = Spared::default();
        let node: IpAddr = "10.89.0.11".parse().unwrap();
        for now in [0, 500, 1000] {
            spared.note(node, Timestamp::from_secs(now));
        }
        assert_eq!(recent(&spared, 1599), [("10.89.0.11".into(), 3)]);
        assert_eq!(recent(&spared, 1600), []);
        spared.note(node, Timestamp::from_secs(1700));
        assert_eq!(recent(&spared, 1700), [("10.89.0.11".into(), 1)]);
    }

    #[test]
    fn of_many_the_newest_are_known() {
        let mut spared = Spared::default();
        for i in 0..40 {
            spared.note(IpAddr::from([10, 0, 0, i]), Timestamp::from_secs(i64::from(i)));
        }
        assert_eq!(recent(&spared, 40).len(), MOST);
        assert!(recent(&spared, 40).iter().any(|(address, _)| address == "10.0.0.39"));
        assert!(!recent(&spared, 40).iter().any(|(address, _)| address == "10.0.0.0"));
    }
}
