//! Kind `BanSlice`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NodeName, Prefix, QualifiedName, Time};

/// A batch of bans that one node decided. Written once by that node's agent, never changed; merged later into larger
/// ones. Deleting it lifts nothing: a ban ends by time or by a Pardon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "BanSlice",
        category = "gaoler",
        shortname = "bsl",
        doc = "A batch of bans that one node decided. Machines write it; deleting it lifts nothing.",
        printcolumn(name = "Node", type_ = "string", json_path = ".spec.node"),
        printcolumn(name = "First", type_ = "string", json_path = ".spec.bans[0].prefix"),
        printcolumn(name = "Jail", type_ = "string", json_path = ".spec.bans[0].jail"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a BanSlice does not change: its node writes another"},
]))]
pub struct BanSliceSpec {
    /// The node whose agent decided these bans.
    pub node: NodeName,
    /// The bans, in the order they fell.
    #[schemars(length(min = 1, max = 256))]
    pub bans: Vec<SlicedBan>,
}

/// One ban. Its identity is (jail, prefix, nth).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlicedBan {
    /// The jail whose scope is closed, as `namespace/name`. Absent: everything is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<QualifiedName>,
    /// Who is banned.
    pub prefix: Prefix,
    /// The how many-th ban of this subject by this jail.
    // Not `n`: YAML 1.1, which kubectl reads, takes that for false.
    #[serde(rename = "nth")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub n: u32,
    /// The deciding failure.
    pub since: Time,
    /// The end. Absent: permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Weight of the failures within the window.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub weight: u32,
    /// The oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Time>,
    /// Which rules matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub rules: Vec<MatchedRule>,
    /// The other nodes that saw failures of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub with: Vec<NodeName>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// A rule and how often it matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchedRule {
    /// `filter/rules[0]`
    #[schemars(length(min = 1, max = 160))]
    pub rule: String,
    /// How often.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub times: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
