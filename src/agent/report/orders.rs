//! What a person orders by hand, and what came of it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::BanReport;
use crate::engine::{JailName, Subject};

/// Ban somebody by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BanOrder {
    /// Who.
    #[serde(with = "super::subject")]
    pub subject: Subject,
    /// Close this jail's ports; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// For how many seconds; absent: until an unban.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of a [`BanOrder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Banned {
    /// The ban now in force.
    pub ban: BanReport,
    /// Whether it was in force before and this order changed nothing but perhaps its end.
    pub known: bool,
    /// Whether it outlives the agent.
    pub saved: Durability,
}

/// End bans by hand, and forget the failures that led to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnbanOrder {
    /// Bans wholly inside this prefix, or of a prefix around this address; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<IpNet>,
    /// Only bans of this jail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<JailName>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of an [`UnbanOrder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unbanned {
    /// The bans that ended.
    pub ended: Vec<BanReport>,
    /// Bans that stay in force because a list orders them, or because they are wider than what was asked.
    pub remaining: Vec<BanReport>,
    /// Rate limits whose penalty ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<String>,
    /// Rate limits that forgot who was over them and that shut it out in no case: those with `Excess`, and those that only
    /// observe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<String>,
    /// Why this host's firewall did not say which penalties of rate limits ended: they may still hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
    /// Whether the pardon outlives the agent.
    pub saved: Durability,
}

/// Whether an order is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state", content = "problem")]
pub enum Durability {
    /// It is.
    Saved,
    /// The agent keeps no state.
    NotKept,
    /// It is in force, but writing failed; the agent goes on trying.
    Failed(String),
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The subject overlaps somebody who is never banned.
    #[error("{subject} is never banned: {why}")]
    NeverBan {
        /// Who.
        #[serde(with = "super::subject")]
        subject: Subject,
        /// Why.
        why: String,
    },
    /// It would shut out a large part of the Internet.
    #[error("{0} is a large part of the Internet; ban prefixes of at least /{len}", len = .0.least_len())]
    TooWide(Subject),
    /// Written as IPv6 it means every IPv4 address.
    #[error("{0} means every IPv4 address; write 0.0.0.0/0 if you mean that")]
    AllOfIpv4(IpNet),
    /// It holds the prefix of NAT64.
    #[error(
        "{0} holds 64:ff9b::/96, from which every IPv4 address may come through NAT64; ban the IPv4 prefix that is meant"
    )]
    HoldsNat64(Subject),
    /// No address of this kind is ever a source of packets from elsewhere.
    #[error("{0} is loopback, link-local, multicast or unspecified and is never banned")]
    NotBannable(Subject),
    /// It would be over when it begins.
    #[error("a ban of no time is none; say for how long, or nothing for one until it is lifted")]
    NoTime,
    /// There is no such jail.
    #[error("there is no jail {0}")]
    NoSuchJail(JailName),
    /// It is declared, and bans nobody.
    #[error("jail {0} is Disabled: nobody can be banned by it until it is not")]
    DisabledJail(JailName),
    /// Its declaration is broken, and no earlier state of it is in force.
    #[error(
        "the manifest of jail {0} is refused or cannot be read: nobody can be banned by it until it is mended, and bans of \
         before go on until they end; `gaoler status {0}` says what is wrong"
    )]
    BrokenJail(JailName),
}
