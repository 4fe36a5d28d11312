//! Bans whose node does not publish them: when the storage was emptied, nobody would tell a new node of the bans of one
//! that is gone.
//!
//! Every node that holds such a ban may publish it. So that not all do, each waits for a while of its own by lot, and
//! then publishes what is still missing. Where two do it at the same moment nothing is wrong: it is the same ban.

use std::time::{Duration, Instant};

use super::lot;
use crate::agent::report::BanReport;
use crate::bans::{Ban, Origin};

/// After a list: the node whose ban it is lists within half a minute too, and publishes again what it misses.
const PATIENCE: Duration = Duration::from_secs(45);
/// Nodes look after it within so long of each other.
const SPREAD: Duration = Duration::from_secs(60);
/// Between two portions.
const PAUSE: Duration = Duration::from_secs(1);

/// When to look for bans that nobody publishes.
#[derive(Debug)]
pub(super) struct Orphans {
    lot: Duration,
    look_at: Option<Instant>,
}

impl Orphans {
    pub(super) fn new(node: &str) -> Self {
        let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(u64::MAX);
        Self { lot: Duration::from_millis(lot(node) % spread), look_at: None }
    }

    /// All that the server holds was listed. Epochs come and go, so that happens every ten minutes at least.
    pub(super) fn listed(&mut self, now: Instant) {
        self.look_at = Some(now + PATIENCE + self.lot);
    }

    /// When to look; `None`: not before the next list.
    pub(super) fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Somebody looked; there may be more than was taken up.
    pub(super) fn looked(&mut self, more: bool, now: Instant) {
        self.look_at = more.then(|| now + PAUSE);
    }
}

/// A ban of another node as this one publishes it: it does not hide whose it is.
pub(super) fn adopt(ban: &Ban) -> BanReport {
    let mut report = BanReport::new(ban, true);
    if let Origin::Node(node) = &ban.origin
        && !report.nodes.iter().any(|known| **known == **node)
    {
        report.nodes.push(node.as_str().into());
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::Evidence;
    use crate::engine::Timestamp;

    #[test]
    fn nodes_look_one_after_the_other_and_none_before_the_ban_s_own_could_have() {
        let now = Instant::now();
        let waits: Vec<Duration> = (1..=20)
            .map(|n| {
                let mut orphans = Orphans::new(&format!("n{n}"));
                assert_eq!(orphans.due(), None, "nothing was listed");
                orphans.listed(now);
                orphans.due().unwrap() - now
            })
            .collect();
        assert!(waits.iter().all(|wait| *wait >= PATIENCE && *wait < PATIENCE + SPREAD), "{waits:?}");
        let mut distinct = waits.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() >= 18, "{waits:?}");
    }

    #[test]
    fn what_was_too_much_for_one_look_is_taken_up_by_the_next() {
        let (mut orphans, now) = (Orphans::new("n1"), Instant::now());
        orphans.listed(now);
        orphans.looked(true, now);
        assert_eq!(orphans.due(), Some(now + PAUSE));
        orphans.looked(false, now);
        assert_eq!(orphans.due(), None);
    }

    #[test]
    fn a_ban_that_is_taken_over_names_the_node_that_decided_it_once() {
        let ban = |nodes: &[&str]| Ban {
            jail: Some("mail/james".into()),
            subject: "203.0.113.7".parse().unwrap(),
            n: 1,
            since: Timestamp::from_secs(1000),
            until: None,
            origin: Origin::Node("n3".into()),
            evidence: Evidence {
                nodes: nodes.iter().map(|&node| node.into()).collect(),
                ..Evidence::default()
            },
        };
        let names = |report: BanReport| report.nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(adopt(&ban(&["n2"]))), ["n2", "n3"]);
        assert_eq!(names(adopt(&ban(&["n3"]))), ["n3"]);
    }
}
