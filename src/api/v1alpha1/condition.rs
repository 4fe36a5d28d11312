//! What controllers write into `status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was observed. Written by Gaoler, never by people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The generation of `spec` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `Ready`, and what is special.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// What was observed of a jail, over all nodes. Written by the controller, never by people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JailStatus {
    /// The generation of `spec` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes on which pods of it are read.
    pub nodes: u32,
    /// Pods whose logs are read.
    pub pods: u32,
    /// Subjects with failures below the threshold: the most that one node watches.
    pub failing: u32,
    /// Subjects banned now.
    pub banned: u32,
    /// `Accepted`, `Ready`, and what is special.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// One fact about an object, in the form of Kubernetes' own conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about, e.g. `Accepted`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(length(max = 7))]
    pub status: String,
    /// One word for machines, e.g. `BadRegex`.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// A sentence for people.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When `status` last changed (RFC 3339).
    #[schemars(length(max = 40))]
    pub last_transition_time: String,
    /// The generation of `spec` this condition speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
