//! How a rate limit does.

use serde::{Deserialize, Serialize};

use super::{Condition, Moment};
use crate::config::{Hit, LimitPenalty, Mode, RateLimitConfig};
use crate::engine::{JailName, Source, Timestamp};
use crate::firewall::{LimitCounts, Offender};

/// One rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitReport {
    /// Its name.
    pub name: String,
    /// `Enforce`, `Observe`, or `Disabled`: then nothing is counted.
    pub mode: String,
    /// `TCP`, `UDP` or `ICMP`.
    pub protocol: String,
    /// Its ports; none with ICMP, nor where all of its Services' are meant.
    pub ports: Vec<u16>,
    /// Its Services. Only in Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// The hit within the window that is one too many.
    pub hits: u32,
    /// Width of the window, in seconds.
    pub window_seconds: u64,
    /// `Silence`, `Excess`, or seconds such as `600s`.
    pub penalty: String,
    /// The jail that shall ban those who completed connections and go on over the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_to: Option<JailName>,
    /// Why `escalateTo` keeps nobody out; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_escalation: Option<String>,
    /// Sources under a penalty now; with `Excess` those that were refused within the last window. With `Observe` those
    /// that would be.
    pub offenders: usize,
    /// Whether there are more offenders than were counted.
    pub more_offenders: bool,
    /// Those of them that were refused last, or whose penalty began last; at most 20. With `moreOffenders` the last of those
    /// that were counted only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latest_offenders: Vec<OffenderReport>,
    /// Why these numbers are not of this moment: the firewall did not answer, or goes on with what an earlier run left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
    /// When the kernel told them; absent: it did not yet, and they say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Moment>,
    /// Packets over the limit since the table was made; `Observe` lets them pass.
    pub limited_packets: u64,
    /// Bytes of them.
    pub limited_bytes: u64,
    /// Packets that passed uncounted because no further source could be remembered.
    pub uncounted_packets: u64,
    /// `Ready` and what is special.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A source over a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffenderReport {
    /// Who: an address, or the prefix that the limit counts, as the packets have it (64:ff9b::c000:207 is not 192.0.2.7).
    pub source: Source,
    /// Until when it stays one if it is not over the limit again: so long it is refused, or with `Observe` would be. Not so
    /// with `Excess`, see `lastOver`.
    pub until: Moment,
    /// With `Excess`: when a packet of it was over the limit last. It is let in again as soon as it is within the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_over: Option<Moment>,
}

impl RateLimitReport {
    /// The report of this limit with the counts of this moment, without conditions.
    #[must_use]
    pub fn new(limit: &RateLimitConfig, counts: &LimitCounts, at: Timestamp) -> Self {
        let reported = |offender: &Offender| {
            let (source, until) = (offender.source, at + offender.left);
            OffenderReport { source, until: until.into(), last_over: limit.last_over(until).map(Moment) }
        };
        let (protocol, ports) = match &limit.hit {
            Hit::Tcp(ports) => ("TCP", ports.clone()),
            Hit::Udp(ports) => ("UDP", ports.clone()),
            Hit::Ping => ("ICMP", vec![]),
        };
        Self {
            name: limit.name.clone(),
            mode: if limit.mode == Mode::Enforce { "Enforce".into() } else { "Observe".into() },
            protocol: protocol.into(),
            ports,
            services: limit.services.clone(),
            hits: limit.hits,
            window_seconds: limit.window.as_secs(),
            penalty: match limit.penalty {
                LimitPenalty::Silence => "Silence".into(),
                LimitPenalty::Excess => "Excess".into(),
                LimitPenalty::For(span) => format!("{}s", span.as_secs()),
            },
            escalate_to: limit.escalate_to.clone(),
            no_escalation: None,
            offenders: counts.offenders,
            latest_offenders: counts.latest.iter().map(reported).collect(),
            more_offenders: counts.more,
            unanswered: None,
            counted: (at > Timestamp::default()).then(|| at.into()),
            limited_packets: counts.over.packets,
            limited_bytes: counts.over.bytes,
            uncounted_packets: counts.uncounted.packets,
            conditions: Vec::new(),
        }
    }

    /// The report of a limit that is `Disabled`.
    #[must_use]
    pub fn disabled(limit: &RateLimitConfig) -> Self {
        let nothing = Self::new(limit, &LimitCounts::default(), Timestamp::default());
        let no_escalation = limit.escalate_to.is_some().then(|| "the limit is `Disabled`".into());
        Self { mode: "Disabled".into(), no_escalation, ..nothing }
    }

    /// Whether it counts, be it only to observe.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.mode != "Disabled"
    }
}
