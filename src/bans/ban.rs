//! One ban.

use serde::{Deserialize, Serialize};

use crate::engine::{JailName, Shift, Subject, Timestamp};

/// One ban. Its identity is (jail, subject, n); of two with the same identity the later `until` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ban {
    /// The jail whose scope is closed; `None` closes everything (a ban by hand or from a list without a jail).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// Who is banned.
    pub subject: Subject,
    /// The how many-th ban of this subject by this jail.
    pub n: u32,
    /// The deciding failure, or the moment of the order.
    pub since: Timestamp,
    /// The end; `None` is permanent.
    pub until: Option<Timestamp>,
    /// Who decided.
    pub origin: Origin,
    /// Why.
    #[serde(default)]
    pub evidence: Evidence,
}

impl Ban {
    /// Whether the ban is in force at `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// The same ban by a clock that differs by so much.
    #[must_use]
    pub fn shifted(mut self, shift: Shift) -> Self {
        self.since = self.since + shift;
        self.until = self.until.map(|until| until + shift);
        self.evidence.first = self.evidence.first.map(|first| first + shift);
        self
    }
}

/// Where a ban comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// This agent counted it.
    Jail,
    /// A person, through the control socket.
    Hand,
    /// A BanList of this name.
    List(String),
    /// Another node's agent.
    Node(String),
}

/// What led to a ban, without any log text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Weight of the failures within the window.
    #[serde(default)]
    pub weight: u32,
    /// The oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// `filter/rule` and how often it matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<(std::sync::Arc<str>, u32)>,
    /// Other nodes that saw some of the failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<std::sync::Arc<str>>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
