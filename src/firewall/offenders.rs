//! Who is over a limit, as the kernel's sets hold them.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::ban_set::Family;
use super::netlink::Netlink;
use super::{Limit, MOST_OFFENDERS, Offender, SHOWN_OFFENDERS, elements, limits, listing};
use crate::engine::Source;

/// Who is never limited: prefixes apart from each other and sorted, so that whether one holds a source is one search.
#[derive(Debug, Default)]
pub(super) struct Spared(Vec<IpNet>);

impl Spared {
    pub(super) fn new(prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        let mut apart = IpNet::aggregate(&prefixes.into_iter().collect());
        apart.sort_unstable_by_key(IpNet::network);
        Self(apart)
    }

    /// Whether no packet of this source is refused.
    fn holds(&self, source: IpNet) -> bool {
        let behind = self.0.partition_point(|net| net.network() <= source.network());
        let before = behind.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|net| net.contains(&source))
    }
}

/// Sources over a limit.
pub(super) struct Offenders {
    pub(super) count: usize,
    /// Whether there may be more than were counted.
    pub(super) more: bool,
    pub(super) latest: Vec<Offender>,
}

/// How many sources are over the limit, and the latest of them. Who came to be `never` limited after it was over, or is
/// ignored by now, stays in the set until it ends there, and is not told.
pub(super) fn offenders(limit: &Limit, never: &[IpNet]) -> io::Result<Offenders> {
    let spared = Spared::new(never.iter().chain(&limit.ignore).copied());
    let (mut count, mut more, mut latest) = (0, false, Vec::new());
    for family in [Family::V4, Family::V6] {
        let (set, bits) = (limits::offender_set(limit, family), limits::bits(limit, family));
        let is_limited = |at: IpAddr| IpNet::new(at, bits).is_ok_and(|source| !spared.holds(source));
        let (here, shown) = listing::latest(&set, MOST_OFFENDERS, SHOWN_OFFENDERS, is_limited)?;
        count += here;
        more |= here >= MOST_OFFENDERS;
        latest.extend(shown.into_iter().filter_map(|(at, left)| {
            Some(Offender { source: Source::new(IpNet::new(at, bits).ok()?), left })
        }));
    }
    latest.sort_by_key(|offender| std::cmp::Reverse(offender.left));
    latest.truncate(SHOWN_OFFENDERS);
    Ok(Offenders { count, more, latest })
}

/// For how long yet this address is an offender of the limit; `None` when it is none.
pub(super) fn offence_of(
    limit: &Limit,
    address: IpAddr,
    netlink: &mut Netlink,
) -> io::Result<Option<Duration>> {
    if limit.ignore.iter().any(|net| net.contains(&address)) {
        return Ok(None);
    }
    let Some(source) = source_of(limit, address) else { return Ok(None) };
    let set = limits::offender_set(limit, Family::of(IpNet::from(address)));
    elements::left(netlink, &set, source)
}

/// The limit's sources in this prefix that may be forgotten: those whose penalty, or last refusal, is at least of that
/// age.
pub(super) fn sources_in(
    limit: &Limit,
    from: Source,
    age: Duration,
    netlink: &mut Netlink,
) -> io::Result<Vec<IpAddr>> {
    let family = Family::of(from.net());
    let set = limits::offender_set(limit, family);
    let is_old = |left: Duration| limits::offence(limit).saturating_sub(left) >= age;
    if from.net().prefix_len() < limits::bits(limit, family) {
        let held = listing::addresses(&set)?.into_iter();
        let meant = held.filter(|(at, left)| from.net().contains(at) && is_old(*left));
        return Ok(meant.map(|(at, _)| at).collect());
    }
    if from.is_translated() && from.net().prefix_len() > limits::bits(limit, family) {
        // Many others come from that source: who means one of them does not mean it.
        return Ok(Vec::new());
    }
    let Some(source) = source_of(limit, from.net().addr()) else { return Ok(Vec::new()) };
    let meant = age.is_zero() || elements::left(netlink, &set, source)?.is_some_and(is_old);
    Ok(meant.then_some(source).into_iter().collect())
}

/// The source that this address belongs to, as the limit's sets hold it.
fn source_of(limit: &Limit, address: IpAddr) -> Option<IpAddr> {
    let bits = limits::bits(limit, Family::of(IpNet::from(address)));
    IpNet::new(address, bits).ok().map(|net| net.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_spared_that_lies_wholly_in_one_of_the_prefixes() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let prefixes = ["203.0.113.7/32", "198.51.100.0/24", "198.51.100.9/32", "2001:db8::/48"];
        let spared = Spared::new(prefixes.map(net));
        for source in ["198.51.100.7/32", "198.51.100.9/32", "203.0.113.7/32", "2001:db8:0:5::/64"] {
            assert!(spared.holds(net(source)), "{source}");
        }
        for source in ["198.51.101.7/32", "203.0.113.0/24", "0.0.0.0/32", "2001:db8::/32", "2001:db9::/64"] {
            assert!(!spared.holds(net(source)), "{source}");
        }
        assert!(!Spared::default().holds(net("198.51.100.7/32")));
    }
}
