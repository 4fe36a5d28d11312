//! Kind `NodeAgent`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, QualifiedName};

/// How the agent of one node is. One per node, of the node's name; its agent writes the status when it changes, and
/// every five minutes at the latest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "NodeAgent",
        status = "NodeAgentStatus",
        category = "gaoler",
        shortname = "nag",
        doc = "How the agent of one node is.",
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Ready\")].status"
        ),
        printcolumn(name = "Pods", type_ = "integer", json_path = ".status.pods"),
        printcolumn(name = "Bans", type_ = "integer", json_path = ".status.bans"),
        printcolumn(name = "Lag", type_ = "integer", json_path = ".status.lagBytes"),
        printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
        printcolumn(name = "Kernel", type_ = "string", json_path = ".status.kernel", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAgentSpec {
    /// Asks the agent to remove its table from the kernel and to guard no longer, as uninstalling does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clean_up: bool,
}

/// What the agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAgentStatus {
    /// Its version.
    #[schemars(length(max = 64))]
    pub version: String,
    /// The kernel's release.
    #[schemars(length(max = 128))]
    pub kernel: String,
    /// When this was written (RFC 3339).
    #[schemars(length(max = 40))]
    pub reported: String,
    /// Pods whose logs it reads.
    pub pods: u32,
    /// Bans it holds in force.
    pub bans: u32,
    /// Bytes of logs that wait to be read.
    pub lag_bytes: u64,
    /// Bytes of logs that were gone before they could be read.
    pub lost_bytes: u64,
    /// How far this node's clock is ahead of the API server's, in milliseconds.
    pub clock_ahead_millis: i64,
    /// The jails that have pods here.
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub jails: Vec<NodeJail>,
    /// The rate limits in force here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rate_limits: Vec<NodeRateLimit>,
    /// `Ready` and what is special.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// One jail on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeJail {
    /// The jail, as `namespace/name`.
    pub name: QualifiedName,
    /// Pods of it whose logs are read here.
    #[serde(default)]
    pub pods: u32,
    /// Subjects with failures below the threshold.
    #[serde(default)]
    pub watched: u32,
    /// Subjects it holds banned here, whoever decided.
    #[serde(default)]
    pub banned: u32,
    /// Failures counted since the agent began.
    #[serde(default)]
    pub failures: u64,
    /// Bans it pronounced since the agent began.
    #[serde(default)]
    pub bans: u64,
    /// Packets its bans dropped on this node since the table was made.
    #[serde(default)]
    pub dropped_packets: u64,
    /// What is special here: e.g. `SourceMissing`, `BanIneffective`, `SourceAddressLost`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// One rate limit on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRateLimit {
    /// The rate limit, as `namespace/name`.
    pub name: QualifiedName,
    /// Sources under a penalty now, with `Excess` those that were refused within the last window; of each family at most
    /// 10,000 are counted.
    #[serde(default)]
    pub offenders: u32,
    /// The latest of them, as far as there is room: ten of a rate limit, 500 of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub latest_offenders: Vec<NodeOffender>,
    /// Packets over it since the table was made: dropped, or with `mode: Observe` only counted.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Packets that passed uncounted because no further source could be remembered.
    #[serde(default)]
    pub uncounted_packets: u64,
    /// `Ready` and what is special here, e.g. `ServiceMissing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// A source over a rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeOffender {
    /// Who: an address, or the prefix that the limit counts.
    #[schemars(length(max = 64))]
    pub source: String,
    /// Until when it stays one if it is not over the limit again (RFC 3339).
    #[schemars(length(max = 40))]
    pub until: String,
    /// With `penalty: Excess`: when a packet of it was over the limit last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub last_over: Option<String>,
}
