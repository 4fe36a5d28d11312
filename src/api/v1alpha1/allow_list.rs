//! Kind `AllowList`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, Prefix, Time};

/// Prefixes and hosts that are never banned, by any jail, list or person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "AllowList",
        status = "super::Status",
        category = "gaoler",
        shortname = "al",
        doc = "Prefixes and hosts that are never banned.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowListSpec {
    /// Who is never banned.
    #[schemars(length(max = 10000))]
    pub entries: Vec<AllowListEntry>,
}

/// One prefix or one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.prefix) != has(self.host)", "message": "an entry is a `prefix` or a `host`, not both"},
]))]
pub struct AllowListEntry {
    /// An address or a prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
    /// A host name, resolved and refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub comment: Option<String>,
    /// Until when. Default: as long as the entry stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}
