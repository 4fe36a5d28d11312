//! Kind `House`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Prefix;

/// The prefixes of the cluster itself: never banned, whatever a log says. One object, called `cluster`, written by
/// the controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "House",
        plural = "houses",
        category = "gaoler",
        shortname = "hse",
        doc = "The prefixes of the cluster itself: never banned. The controller writes it.",
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase")]
pub struct HouseSpec {
    /// Who belongs to the house. Prefixes inside one that stands here already are left out.
    #[schemars(length(max = 10000))]
    pub members: Vec<HouseMember>,
}

impl HouseSpec {
    /// The name of the one object of this kind.
    pub const NAME: &'static str = "cluster";
}

/// Part of the house.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HouseMember {
    /// An address or a prefix.
    pub prefix: Prefix,
    /// What it is.
    pub role: HouseRole,
    /// Whose it is: the name of a node, or of a Service as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub name: Option<String>,
}

/// What a prefix of the house is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HouseRole {
    /// An address of a node.
    Node,
    /// Pods of a node.
    Pods,
    /// Addresses of Services.
    Service,
    /// Ingress addresses of load balancers.
    LoadBalancer,
    /// The API server.
    ApiServer,
}
