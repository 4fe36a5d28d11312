//! Kind `Pardon`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, Prefix};

/// Ends every covered ban that began before it, on every node, also on nodes that are away now. Its moment is the
/// one the API server wrote down when it was made; on a plain host `gaoler unban` takes its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "Pardon",
        status = "super::Status",
        category = "gaoler",
        shortname = "pdn",
        doc = "Ends every covered ban that began before it, on every node.",
        printcolumn(name = "Prefix", type_ = "string", json_path = ".spec.prefix"),
        printcolumn(name = "Jail", type_ = "string", json_path = ".spec.jail"),
        printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a Pardon does not change: delete it and make another"},
]))]
pub struct PardonSpec {
    /// Who is pardoned: every ban of a subject inside this address or prefix.
    pub prefix: Prefix,
    /// Only the bans of this jail. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailReference>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// A jail, by name and namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JailReference {
    /// Its namespace.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
}
