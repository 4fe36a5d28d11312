//! What a cluster's view tells beyond what one host does.

use serde::Serialize;

use crate::agent::report::{BanReport, WhyReport};
use crate::engine::{JailName, Subject};

/// A ban and the nodes that know of it at first hand. In JSON one object: the fields of [`BanReport`] and `nodes`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenBan {
    /// The ban.
    #[serde(flatten)]
    pub ban: BanReport,
    /// Nodes that decided it or saw failures that led to it, by name. None with an entry of a BanList.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// All a cluster knows of one address: the fields of [`WhyReport`] and `saw`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterWhy {
    /// What one host would tell too.
    #[serde(flatten)]
    pub why: WhyReport,
    /// More about each ban of a jail.
    pub saw: Vec<Saw>,
}

/// What a cluster knows of one ban besides its report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Saw {
    /// The ban's jail; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// The ban's subject.
    #[serde(serialize_with = "as_text")]
    pub subject: Subject,
    /// Nodes that decided it or saw failures that led to it.
    pub nodes: Vec<String>,
    /// Services whose addresses are closed to it; none with a jail that closes those of its pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

fn as_text<S: serde::Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(subject)
}
