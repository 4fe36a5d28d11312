//! What is counted of the exchange between nodes, as metrics: names of kinds in labels, never an address or a node.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::bans::{Ban, Origin};
use crate::engine::{Duration, Timestamp};
use crate::kubernetes::cluster_time::ClusterClock;
use crate::kubernetes::outage;
use crate::metrics::Families;

/// Upper bounds of the arrivals' buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// A ban that fell longer ago was written again, after an emptied storage or an outage: that says nothing of the way.
const NEWS: Duration = Duration::from_secs(600);

/// What nodes tell each other.
const WRITTEN: [&str; 2] = ["BanSlice", "SightingList"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// Counters of one agent. Clones count together.
#[derive(Clone, Debug)]
pub struct Tally {
    clock: ClusterClock,
    /// BanSlices that the API server took.
    pub slices_written: Counter,
    /// BanSlices that it would not take as they were.
    pub slices_refused: Counter,
    /// Bans that it refuses, to be tried again.
    pub bans_refused: Gauge,
    /// BanSlices that were read, listed ones included.
    pub slices_received: Counter,
    /// SightingLists that the API server took.
    pub sightings_written: Counter,
    /// SightingLists of other nodes that said something new.
    pub sightings_received: Counter,
    arrivals: Histogram,
    failures: Family<KindLabel, Counter>,
}

impl Tally {
    /// Has counted nothing yet.
    #[must_use]
    pub fn new(clock: ClusterClock) -> Self {
        let failures = Family::<KindLabel, Counter>::default();
        // From the beginning: an alert on their increase must see the zero before the first.
        for kind in WRITTEN {
            drop(failures.get_or_create(&KindLabel { kind: kind.into() }));
        }
        Self {
            clock,
            slices_written: Counter::default(),
            slices_refused: Counter::default(),
            bans_refused: Gauge::default(),
            slices_received: Counter::default(),
            sightings_written: Counter::default(),
            sightings_received: Counter::default(),
            arrivals: Histogram::new(BUCKETS),
            failures,
        }
    }

    /// An object of this kind could not be written; it is tried again.
    pub fn failed(&self, kind: &str) {
        self.failures.get_or_create(&KindLabel { kind: kind.into() }).inc();
    }

    /// A ban of another node has come, at `now` by the cluster's time.
    pub fn arrived(&self, ban: &Ban, now: Timestamp) {
        let way = now.since(ban.since);
        if matches!(ban.origin, Origin::Node(_)) && way <= NEWS {
            self.arrivals.observe(way.as_secs_f64());
        }
    }
}

impl Families for Tally {
    fn register(&self, registry: &mut Registry) {
        registry.register("ban_slices_written", "BanSlices written", self.slices_written.clone());
        registry.register(
            "ban_slices_refused",
            "BanSlices the API server would not take as they were",
            self.slices_refused.clone(),
        );
        registry.register(
            "unshared_bans",
            "Bans of this node that the API server refuses; they are tried again",
            self.bans_refused.clone(),
        );
        registry.register(
            "ban_slices_received",
            "BanSlices read, listed ones included",
            self.slices_received.clone(),
        );
        registry.register_with_unit(
            "ban_arrival",
            "From the deciding failure of another node's ban to its arrival here",
            Unit::Seconds,
            self.arrivals.clone(),
        );
        registry.register("sightings_written", "SightingLists written", self.sightings_written.clone());
        registry.register(
            "sightings_received",
            "SightingLists of other nodes that said something new",
            self.sightings_received.clone(),
        );
        registry.register(
            "publication_failures",
            "Writes that failed and are tried again, by kind",
            self.failures.clone(),
        );
        let breaks = Family::<KindLabel, Counter>::default();
        for kind in WRITTEN {
            drop(breaks.get_or_create(&KindLabel { kind: kind.into() }));
        }
        for (kind, times) in outage::breaks() {
            breaks.get_or_create(&KindLabel { kind }).inc_by(times);
        }
        registry.register("watch_breaks", "How often a watch broke off, by kind", breaks);
        let ahead: Gauge = Gauge::default();
        ahead.set(self.clock.reading().seconds);
        registry.register_with_unit(
            "clock_ahead",
            "How far this node's clock is ahead of the API server's, whole seconds; corrected for beyond 5",
            Unit::Seconds,
            ahead,
        );
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::bans::Evidence;

    fn text(tally: &Tally) -> String {
        let mut registry = Registry::with_prefix("gaoler");
        tally.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_ban_of_another_node_is_timed_and_neither_an_own_nor_an_old_one() {
        let tally = Tally::new(ClusterClock::default());
        let now = Timestamp::from_secs(10_000);
        let ban = |origin, ago| Ban {
            jail: Some("mail/james".into()),
            subject: "203.0.113.7".parse().unwrap(),
            n: 1,
            since: now - Duration::from_millis(ago),
            until: None,
            origin,
            evidence: Evidence::default(),
        };
        tally.arrived(&ban(Origin::Node("n2".into()), 30), now);
        tally.arrived(&ban(Origin::Node("n2".into()), 3_600_000), now);
        tally.arrived(&ban(Origin::Jail, 30), now);
        let text = text(&tally);
        assert!(text.contains("gaoler_ban_arrival_seconds_count 1\n"), "{text}");
        assert!(text.contains("gaoler_ban_arrival_seconds_bucket{le=\"0.05\"} 1\n"), "{text}");
        assert!(text.contains("gaoler_ban_arrival_seconds_bucket{le=\"0.025\"} 0\n"), "{text}");
    }

    #[test]
    fn clones_count_together_and_failures_by_kind() {
        let tally = Tally::new(ClusterClock::default());
        tally.clone().slices_written.inc();
        tally.failed("BanSlice");
        tally.clone().failed("BanSlice");
        tally.failed("SightingList");
        let text = text(&tally);
        for line in [
            "gaoler_ban_slices_written_total 1",
            "gaoler_publication_failures_total{kind=\"BanSlice\"} 2",
            "gaoler_publication_failures_total{kind=\"SightingList\"} 1",
            "gaoler_clock_ahead_seconds 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
        }
    }
}
