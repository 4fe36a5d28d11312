//! All metric families, in OpenMetrics text.
//!
//! Filled from the agent's status at each scrape: the detector's hot path counts in plain integers. Labels hold
//! names of jails, files and units, never an address: their number is bounded by the configuration.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::agent::report::{Condition, FirewallState, JailReport, Status};

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JailLabel {
    jail: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    ratelimit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabel {
    jail: String,
    condition: String,
}

/// Families beside those of a status.
pub trait Families: std::fmt::Debug + Send + Sync {
    /// Adds them, as they are now.
    fn register(&self, registry: &mut Registry);
}

/// None.
impl Families for () {
    fn register(&self, _: &mut Registry) {}
}

/// Every family, by what it counts.
#[derive(Debug, Default)]
pub struct Metrics {
    failures: Family<JailLabel, Counter>,
    successes: Family<JailLabel, Counter>,
    never_banned: Family<JailLabel, Counter>,
    too_late: Family<JailLabel, Counter>,
    while_banned: Family<JailLabel, Counter>,
    bans: Family<JailLabel, Counter>,
    braked: Family<JailLabel, Counter>,
    refused: Family<JailLabel, Counter>,
    evicted: Family<JailLabel, Counter>,
    dropped_packets: Family<JailLabel, Counter>,
    dropped: Family<JailLabel, Counter>,
    banned: Family<JailLabel, Gauge>,
    watched: Family<JailLabel, Gauge>,
    condition: Family<ConditionLabel, Gauge>,
    lines: Family<FileLabel, Counter>,
    matched: Family<FileLabel, Counter>,
    lag: Family<FileLabel, Gauge>,
    lost: Family<FileLabel, Counter>,
    limited: Family<LimitLabel, Counter>,
    uncounted: Family<LimitLabel, Counter>,
    offenders: Family<LimitLabel, Gauge>,
    bans_active: Gauge,
    firewall_up: Gauge,
    firewall_observing: Gauge,
    firewall_applied: Counter,
    firewall_refused: Counter,
    firewall_repaired: Counter,
    state_saved: Gauge,
    state_failing: Gauge,
    started: Gauge,
}

impl Metrics {
    /// The metrics of one status.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let metrics = Self::default();
        for jail in &status.jails {
            metrics.fill_jail(jail);
        }
        for limit in status.rate_limits.iter().filter(|limit| limit.is_in_force()) {
            let label = LimitLabel { ratelimit: limit.name.clone() };
            metrics.limited.get_or_create(&label).inc_by(limit.limited_packets);
            metrics.uncounted.get_or_create(&label).inc_by(limit.uncounted_packets);
            metrics.offenders.get_or_create(&label).set(signed(limit.offenders as u64));
        }
        metrics.bans_active.set(signed(status.bans as u64));
        metrics.firewall_up.set(i64::from(status.firewall.state == FirewallState::Enforcing));
        metrics.firewall_observing.set(i64::from(status.firewall.state == FirewallState::Observing));
        metrics.firewall_applied.inc_by(status.firewall.applied);
        metrics.firewall_refused.inc_by(status.firewall.refused);
        metrics.firewall_repaired.inc_by(status.firewall.repaired);
        metrics.state_saved.set(status.state.saved.map_or(0, |m| m.0.as_secs()));
        metrics.state_failing.set(i64::from(status.state.problem.is_some()));
        metrics.started.set(status.started.0.as_secs());
        for condition in &status.conditions {
            metrics.fill_condition("", condition);
        }
        metrics
    }

    fn fill_jail(&self, jail: &JailReport) {
        let label = JailLabel { jail: jail.name.to_string() };
        let counters = &jail.counters;
        for (family, value) in [
            (&self.failures, counters.failures),
            (&self.successes, counters.successes),
            (&self.never_banned, counters.never_banned),
            (&self.too_late, counters.too_late),
            (&self.while_banned, counters.while_banned),
            (&self.bans, counters.bans),
            (&self.braked, counters.braked),
            (&self.refused, counters.refused),
            (&self.evicted, counters.evicted),
            (&self.dropped_packets, counters.dropped_packets),
            (&self.dropped, counters.dropped_bytes),
        ] {
            family.get_or_create(&label).inc_by(value);
        }
        self.banned.get_or_create(&label).set(signed(jail.banned as u64));
        self.watched.get_or_create(&label).set(signed(jail.watched as u64));
        for condition in &jail.conditions {
            self.fill_condition(jail.name.as_str(), condition);
        }
        for file in &jail.files {
            let label = FileLabel { path: file.path.display().to_string() };
            // Several jails may read one file.
            if self.lag.get(&label).is_none() {
                self.lag.get_or_create(&label).set(signed(file.lag_bytes));
                self.lines.get_or_create(&label).inc_by(file.lines);
                self.matched.get_or_create(&label).inc_by(file.matched);
                self.lost.get_or_create(&label).inc_by(file.lost_bytes);
            }
        }
    }

    fn fill_condition(&self, jail: &str, condition: &Condition) {
        let label = ConditionLabel { jail: jail.into(), condition: format!("{:?}", condition.kind) };
        self.condition.get_or_create(&label).set(i64::from(condition.status));
    }

    /// A series of each family, with empty labels: for the reference, as families without series are not told of.
    #[must_use]
    pub fn one_of_each() -> Self {
        let metrics = Self::default();
        let jail = JailLabel { jail: String::new() };
        let file = FileLabel { path: String::new() };
        let limit = LimitLabel { ratelimit: String::new() };
        for family in [
            &metrics.failures,
            &metrics.successes,
            &metrics.never_banned,
            &metrics.too_late,
            &metrics.while_banned,
            &metrics.bans,
            &metrics.braked,
            &metrics.refused,
            &metrics.evicted,
            &metrics.dropped_packets,
            &metrics.dropped,
        ] {
            drop(family.get_or_create(&jail));
        }
        for family in [&metrics.banned, &metrics.watched] {
            drop(family.get_or_create(&jail));
        }
        for family in [&metrics.lines, &metrics.matched, &metrics.lost] {
            drop(family.get_or_create(&file));
        }
        drop(metrics.lag.get_or_create(&file));
        for family in [&metrics.limited, &metrics.uncounted] {
            drop(family.get_or_create(&limit));
        }
        drop(metrics.offenders.get_or_create(&limit));
        drop(
            metrics
                .condition
                .get_or_create(&ConditionLabel { jail: String::new(), condition: String::new() }),
        );
        metrics
    }

    /// OpenMetrics text of these families and `more`, with its end marker.
    ///
    /// # Errors
    /// Never: writing to a string does not fail.
    pub fn encode(self, more: &dyn Families) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("gaoler");
        let r = &mut registry;
        r.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        r.register("failures", "Failures that were counted", self.failures);
        r.register("successes", "Successful logins", self.successes);
        r.register("never_banned_failures", "Failures of somebody who is never banned", self.never_banned);
        r.register("late_failures", "Failures outside the window, or pardoned", self.too_late);
        r.register(
            "failures_while_banned",
            "Failures of a subject that was banned already",
            self.while_banned,
        );
        r.register("bans", "Bans pronounced", self.bans);
        r.register("braked_bans", "Bans held back by the jail's brake", self.braked);
        r.register("refused_bans", "Bans not set because the jail has as many as it may", self.refused);
        r.register(
            "evicted_subjects",
            "Watched subjects that gave way because the jail was full",
            self.evicted,
        );
        r.register("dropped_packets", "Packets dropped by the jail's bans", self.dropped_packets);
        r.register_with_unit("dropped", "Bytes dropped by the jail's bans", Unit::Bytes, self.dropped);
        r.register("banned_subjects", "Subjects banned by the jail now", self.banned);
        r.register("watched_subjects", "Subjects with failures below the threshold", self.watched);
        r.register("condition", "1 where the condition holds; the agent's own have no jail", self.condition);
        r.register("log_lines", "Lines read", self.lines);
        r.register("log_matched_lines", "Lines that accused or cleared somebody", self.matched);
        r.register_with_unit("log_lag", "Bytes not read yet", Unit::Bytes, self.lag);
        r.register_with_unit("log_lost", "Bytes gone before they could be read", Unit::Bytes, self.lost);
        r.register("ratelimit_packets", "Packets over the rate limit", self.limited);
        r.register(
            "ratelimit_uncounted_packets",
            "UNCOUNTED in `gaoler status`: packets that passed, and with `escalateTo` completed connections that prove nothing, \
             because the rate limit has as many sources as `maxSources` lets it remember",
            self.uncounted,
        );
        r.register(
            "ratelimit_offenders",
            "Offenders of the rate limit now, as `gaoler status` counts them, bounded",
            self.offenders,
        );
        r.register("active_bans", "Bans in force", self.bans_active);
        r.register("firewall_enforcing", "1 where bans bite", self.firewall_up);
        r.register(
            "firewall_observing",
            "1 where nothing is to bite: it was told to observe only",
            self.firewall_observing,
        );
        r.register("firewall_changes", "Elements the kernel took", self.firewall_applied);
        r.register("firewall_refused_changes", "Elements the kernel refused", self.firewall_refused);
        r.register(
            "firewall_repairs",
            "How often somebody else's change was repaired",
            self.firewall_repaired,
        );
        r.register("state_saved_timestamp_seconds", "When the snapshot was written last", self.state_saved);
        r.register("state_failing", "1 where the snapshot cannot be written", self.state_failing);
        r.register("start_timestamp_seconds", "When the process began to guard", self.started);
        more.register(r);
        let mut text = String::with_capacity(8 << 10);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
