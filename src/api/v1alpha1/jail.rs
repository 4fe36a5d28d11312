//! Kind `Jail`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BanTime, GoDuration, Name, Prefix, Source};

/// Filters, a log source, thresholds and a sentence: who is banned, for how long, from where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "Jail",
        namespaced,
        status = "super::JailStatus",
        category = "gaoler",
        shortname = "jl",
        doc = "Filters, a log source, thresholds and a sentence: who is banned, for how long, from where.",
        printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
        printcolumn(name = "Filters", type_ = "string", json_path = ".spec.filters"),
        printcolumn(name = "Failing", type_ = "integer", json_path = ".status.failing"),
        printcolumn(name = "Banned", type_ = "integer", json_path = ".status.banned"),
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Ready\")].status"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Ban", type_ = "string", json_path = ".spec.banTime", priority = 1),
        printcolumn(name = "Max-Retry", type_ = "integer", json_path = ".spec.maxRetry", priority = 1),
        printcolumn(name = "Find-Time", type_ = "string", json_path = ".spec.findTime", priority = 1),
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "duration(self.findTime) >= duration('1s') && duration(self.findTime) <= duration('8760h')",
     "message": "`findTime` is from 1s to 8760h"},
    {"rule": "self.banTime == 'Permanent' || (duration(self.banTime) >= duration('1s') \
              && duration(self.banTime) <= duration('87600h'))",
     "message": "`banTime` is `Permanent`, or from 1s to 87600h"},
]))]
pub struct JailSpec {
    /// Whether bans bite. Default `Enforce`.
    #[serde(default)]
    pub mode: JailMode,
    /// Names of filters: in the jail's own namespace, else built in (`gaoler filters` lists them).
    #[schemars(length(min = 1, max = 32))]
    pub filters: Vec<Name>,
    /// Where lines come from.
    pub source: Source,
    /// A ban falls when the weights of the failures within `findTime` reach this.
    #[serde(default = "max_retry")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_retry: u32,
    /// Width of the sliding window, both ends included.
    #[serde(default = "ten_minutes")]
    pub find_time: GoDuration,
    /// How long the first ban lasts; the word `Permanent` is permanent.
    #[serde(default = "ban_time")]
    pub ban_time: BanTime,
    /// Longer bans for those who come back. Default: every ban is as long as the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Patience with addresses from which somebody logs in. Only where a filter has `successes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Trusted>,
    /// Whether failures of one address are added up over all nodes. Without meaning on a plain host.
    #[serde(default)]
    pub count: Count,
    /// What is counted and banned: single addresses or prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PrefixLengths>,
    /// What a ban closes. Default in Kubernetes: the Services that select the pods. Default on a plain host:
    /// everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce: Option<Enforce>,
    /// Prefixes this jail never bans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub ignore: Option<Vec<Prefix>>,
    /// Whether private addresses (RFC 1918, RFC 6598, unique local) may be banned. Default: in Kubernetes no, on a
    /// plain host yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban_private: Option<bool>,
    /// A limit on how fast the jail may ban.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<Brake>,
}

fn max_retry() -> u32 {
    5
}

fn ten_minutes() -> GoDuration {
    GoDuration::from_secs(600)
}

fn ban_time() -> BanTime {
    BanTime::For(ten_minutes())
}

/// Whether a jail counts and bans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JailMode {
    /// Counts and bans.
    #[default]
    Enforce,
    /// Counts and reports; nothing reaches the kernel.
    Observe,
    /// Does nothing; its bans are lifted.
    Disabled,
}

/// Whether failures are added up over nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Count {
    /// Over all nodes.
    #[default]
    Cluster,
    /// Each node for itself.
    Node,
}

/// Longer bans for those who come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Escalation {
    /// Each further ban is this many times longer than the one before.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1000))]
    pub factor: f64,
    /// No ban gets longer than this.
    #[serde(default = "a_week")]
    pub max_ban_time: GoDuration,
    /// At most this much is added to each ban, so that its end cannot be foreseen. The same ban gets the same on
    /// every node.
    #[serde(default)]
    pub jitter: GoDuration,
    /// After this long without a ban the count starts anew.
    #[serde(default = "a_month")]
    pub forget_after: GoDuration,
}

fn two() -> f64 {
    2.0
}

fn a_week() -> GoDuration {
    GoDuration::from_secs(168 * 3600)
}

fn a_month() -> GoDuration {
    GoDuration::from_secs(720 * 3600)
}

/// Patience with addresses from which somebody logs in, so that one phone with an old password does not shut out
/// an office.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trusted {
    /// An address with a success within `findTime` needs `maxRetry` times this. 1 is off. Default 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub factor: u32,
}

fn three() -> u32 {
    3
}

impl Default for Trusted {
    fn default() -> Self {
        Self { factor: three() }
    }
}

/// Lengths of the prefixes that are counted and banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrefixLengths {
    /// Bits of an IPv4 address; 32 is a single address.
    #[serde(default = "all_of_ipv4")]
    #[schemars(range(min = 8, max = 32))]
    pub ipv4: u8,
    /// Bits of an IPv6 address; 64 is what one customer usually has.
    #[serde(default = "half_of_ipv6")]
    #[schemars(range(min = 16, max = 128))]
    pub ipv6: u8,
}

fn all_of_ipv4() -> u8 {
    32
}

fn half_of_ipv6() -> u8 {
    64
}

impl Default for PrefixLengths {
    fn default() -> Self {
        Self { ipv4: all_of_ipv4(), ipv6: half_of_ipv6() }
    }
}

/// What a ban closes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.allPorts) || !self.allPorts || !(has(self.ports) || has(self.services))",
     "message": "`allPorts` already closes everything: give it or `ports` and `services`, not both"},
]))]
pub struct Enforce {
    /// Services of the jail's namespace whose addresses and ports are closed. Only in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub services: Option<Vec<Name>>,
    /// TCP ports that are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(range(min = 1, max = 65535)))]
    pub ports: Option<Vec<u16>>,
    /// Every protocol and port is closed. Replies to connections that this host opened still pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_ports: Option<bool>,
    /// What happens to a banned packet. Default `Drop`.
    #[serde(default)]
    pub action: EnforceAction,
}

/// What happens to a banned packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnforceAction {
    /// Silence.
    #[default]
    Drop,
    /// A TCP reset, else ICMP port unreachable.
    Reject,
}

/// A limit on how fast a jail may ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Brake {
    /// Beyond this many bans a minute the jail observes only, and says so.
    #[serde(default = "six_hundred")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub bans_per_minute: u32,
}

fn six_hundred() -> u32 {
    600
}

impl Default for Brake {
    fn default() -> Self {
        Self { bans_per_minute: six_hundred() }
    }
}
