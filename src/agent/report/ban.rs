//! One ban, as reports show it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Moment;
use crate::bans::{Ban, Origin};
use crate::engine::{JailName, Shift, Subject};

/// One ban.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BanReport {
    /// The address or prefix.
    #[serde(with = "super::subject")]
    pub subject: Subject,
    /// The jail whose ports are closed; absent: everything is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// The how many-th ban of this subject by this jail.
    pub n: u32,
    /// The deciding failure, or the moment of the order; absent: nobody noted when a list's entry was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// The end; absent: permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Who decided: `jail`, `hand`, `list NAME` or `node NAME`.
    pub origin: String,
    /// Whether the kernel is asked to drop the subject's packets: false in a jail that observes only.
    pub enforced: bool,
    /// Weight of the failures that led to it.
    pub weight: u32,
    /// The oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// Which rules matched, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCount>,
    /// Other nodes that saw some of the failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Arc<str>>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A rule and how often it matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleCount {
    /// `filter/rules[0]`
    pub rule: Arc<str>,
    /// How often.
    pub matches: u32,
}

impl BanReport {
    /// The report of a ban that is `enforced` or only noted.
    #[must_use]
    pub fn new(ban: &Ban, enforced: bool) -> Self {
        let rules = ban.evidence.rules.iter();
        Self {
            subject: ban.subject,
            jail: ban.jail.clone(),
            n: ban.n,
            since: Some(ban.since.into()),
            until: ban.until.map(Into::into),
            origin: match &ban.origin {
                Origin::Jail => "jail".into(),
                Origin::Hand => "hand".into(),
                Origin::List(name) => format!("list {name}"),
                Origin::Node(name) => format!("node {name}"),
            },
            enforced,
            weight: ban.evidence.weight,
            first: ban.evidence.first.map(Into::into),
            rules: rules.map(|(rule, matches)| RuleCount { rule: rule.clone(), matches: *matches }).collect(),
            nodes: ban.evidence.nodes.clone(),
            reason: ban.evidence.reason.clone(),
        }
    }

    /// The same ban by a clock that differs by so much.
    #[must_use]
    pub fn shifted(mut self, shift: Shift) -> Self {
        for time in self.since.iter_mut().chain(&mut self.until).chain(&mut self.first) {
            time.0 = time.0 + shift;
        }
        self
    }
}
