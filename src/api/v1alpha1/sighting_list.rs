//! Kind `SightingList`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NodeName, Prefix, QualifiedName, RuleName, Time};

/// What one node counted below the threshold, for jails that add up over nodes. One per node that counts, written by
/// its agent at most once a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "SightingList",
        category = "gaoler",
        shortname = "sgl",
        doc = "What one node counted below the threshold. Machines write it.",
        printcolumn(name = "Node", type_ = "string", json_path = ".spec.node"),
        printcolumn(name = "Left-Out", type_ = "integer", json_path = ".spec.leftOut"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SightingListSpec {
    /// The node.
    pub node: NodeName,
    /// Every jail whose pods are read on this node and that adds up over nodes, also without sightings: the number of
    /// nodes that count decides when a subject is worth publishing.
    #[schemars(length(max = 512))]
    pub jails: Vec<JailSightings>,
    /// Subjects that found no place; those with the least weight go first.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub left_out: u32,
}

/// What a node counted for one jail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JailSightings {
    /// The jail, as `namespace/name`.
    pub jail: QualifiedName,
    /// Rules that failures below name by their place here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<RuleName>,
    /// Who was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096))]
    pub subjects: Vec<Sighting>,
}

/// One subject below the threshold, as this node alone saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// Who.
    pub prefix: Prefix,
    /// Its failures within the last two `findTime`s, oldest first: a record that is read `findTime` late may share a
    /// window with any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub failures: Vec<SeenFailure>,
    /// Spans within which it logged in again and again: what makes it trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub successes: Vec<SeenSuccess>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenFailure {
    /// When, by the log.
    pub at: Time,
    /// Its weight. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub weight: u32,
    /// Its rule, as a place in `rules`. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 255))]
    pub rule: u32,
}

/// One span of successes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenSuccess {
    /// The first.
    pub from: Time,
    /// The last.
    pub to: Time,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}
