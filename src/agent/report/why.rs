//! All the agent knows of one address.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Absence, BanReport, Moment};
use crate::config::{Mode, RateLimitConfig};
use crate::engine::{JailName, Subject, Timestamp};

/// All the agent knows of one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhyReport {
    /// The address, as it is counted (IPv4 in IPv6 unwrapped).
    pub address: IpAddr,
    /// Whether any of its packets are dropped.
    pub dropped: bool,
    /// Bans that cover it.
    pub bans: Vec<BanReport>,
    /// What each of these bans closes.
    pub closed: Vec<Ports>,
    /// Why it is never banned: by everybody (no jail) or by one jail.
    pub allowed: Vec<Allowance>,
    /// Entries of BanLists that mean it and are left out. Only on a plain host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Jails that have counted failures of it.
    pub watched: Vec<Watched>,
    /// Rate limits that refuse it for some time. Only what this host's kernel knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub penalties: Vec<UnderPenalty>,
    /// Rate limits that it was over lately and that let it in all the same. Only what this host's kernel knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_limits: Vec<OverLimit>,
    /// Why this host's firewall did not say which rate limits refuse it; then there may be more than are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
}

/// A rate limit that refuses a source for some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnderPenalty {
    /// The limit.
    pub limit: String,
    /// Until when; later when it goes on and the penalty is `Silence`.
    pub until: Moment,
    /// The source of the packets that are refused, where that is another than the address as it is counted: one of
    /// 64:ff9b::/96.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// A rate limit that a source was over lately and that does not shut it out: with `Excess` only what is over is
/// refused, in mode `Observe` nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverLimit {
    /// The limit.
    pub limit: String,
    /// Whether it only observes.
    pub observes: bool,
    /// Until when it is remembered as an offender; with any penalty but `Excess` the limit would refuse it until then.
    pub until: Moment,
    /// With `Excess`: when a packet of it was over the limit last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_over: Option<Moment>,
    /// See [`UnderPenalty::source`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

impl OverLimit {
    /// What is to be said of an offender of this limit that is remembered until then.
    #[must_use]
    pub fn new(limit: &RateLimitConfig, until: Timestamp) -> Self {
        Self {
            limit: limit.name.clone(),
            observes: limit.mode == Mode::Observe,
            until: until.into(),
            last_over: limit.last_over(until).map(Moment),
            source: None,
        }
    }
}

/// A reason not to ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// The jail it holds for; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// The reason.
    pub why: String,
}

/// An entry of a BanList that is not in force, because somebody in it is never banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// The list.
    pub list: String,
    /// Whom it bans.
    #[serde(with = "super::subject")]
    pub subject: Subject,
    /// When the entry ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Why somebody in it is never banned.
    pub why: String,
}

/// What a jail's bans close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// The jail; absent: bans that belong to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// TCP ports; empty with `all`.
    pub ports: Vec<u16>,
    /// Every protocol and port.
    pub all: bool,
    /// Why the jail is not in force; absent: it is, or none is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absence>,
}

/// Failures below the threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// The jail that counts.
    pub jail: JailName,
    /// What it counts: the address or its prefix.
    #[serde(with = "super::subject")]
    pub subject: Subject,
    /// Weight within the window.
    pub weight: u32,
    /// Weight at which a ban falls.
    pub needed: u32,
    /// The oldest failure in the window.
    pub first: Moment,
    /// The newest.
    pub last: Moment,
}
