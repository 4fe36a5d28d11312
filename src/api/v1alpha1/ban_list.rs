//! Kind `BanList`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prefix, Scope, Time};

/// Prefixes that are banned as long as they stand here. Written by people, GitOps or a feed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "BanList",
        status = "super::Status",
        category = "gaoler",
        shortname = "bl",
        doc = "Prefixes that are banned as long as they stand here.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BanListSpec {
    /// Who is banned.
    #[schemars(length(max = 10000))]
    pub entries: Vec<BanListEntry>,
}

/// One ban.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BanListEntry {
    /// An address or a prefix.
    pub prefix: Prefix,
    /// Until when. Default: as long as the entry stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What is closed: `All`, or the name of a jail whose ports are closed. Default `All`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}
