//! How the agent is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AbsentJail, Moment, RateLimitReport};
use crate::engine::JailName;

/// The whole status of one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// When this process began to guard.
    pub started: Moment,
    /// Whether every jail observes only, whatever its mode.
    pub observe: bool,
    /// The jails, by name.
    pub jails: Vec<JailReport>,
    /// Jails that are not in force and whose bans are known all the same, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent_jails: Vec<AbsentJail>,
    /// The rate limits, by name.
    #[serde(default)]
    pub rate_limits: Vec<RateLimitReport>,
    /// Bans in force.
    pub bans: usize,
    /// The firewall.
    pub firewall: FirewallReport,
    /// The snapshot.
    pub state: StateReport,
    /// Who is never banned.
    pub house: HouseReport,
    /// Conditions of the agent as a whole.
    pub conditions: Vec<Condition>,
}

impl Status {
    /// Notes why what the kernel counts is told as of the last time it answered.
    pub(in crate::agent) fn is_not_of_now(&mut self, why: &str) {
        self.firewall.unanswered = Some(why.to_owned());
        for limit in self.rate_limits.iter_mut().filter(|limit| limit.is_in_force()) {
            limit.unanswered = Some(why.to_owned());
        }
    }
}

/// One jail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JailReport {
    /// Its name.
    pub name: JailName,
    /// `Enforce` or `Observe`.
    pub mode: String,
    /// Its filters.
    pub filters: Vec<String>,
    /// What its bans close: TCP ports.
    pub ports: Vec<u16>,
    /// Or everything.
    pub all_ports: bool,
    /// `Drop` or `Reject`.
    pub action: String,
    /// Weight at which a ban falls.
    pub max_retry: u32,
    /// Width of the window, in seconds.
    pub find_time_seconds: u64,
    /// Length of a first ban, in seconds; absent: permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban_time_seconds: Option<u64>,
    /// Subjects banned now.
    pub banned: usize,
    /// Subjects with failures below the threshold.
    pub watched: usize,
    /// What it counted since the process began.
    pub counters: Tallies,
    /// Files it reads.
    pub files: Vec<FileReport>,
    /// Its journal, when it reads one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReport>,
    /// `Ready` and what is special.
    pub conditions: Vec<Condition>,
}

/// What one jail counted since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tallies {
    /// Failures that were counted.
    pub failures: u64,
    /// Successful logins.
    pub successes: u64,
    /// Failures of somebody who is never banned.
    pub never_banned: u64,
    /// Failures outside the window, pardoned, or whose ban would be over.
    pub too_late: u64,
    /// Failures of a subject that was banned already.
    pub while_banned: u64,
    /// Bans it pronounced.
    pub bans: u64,
    /// Bans the brake held back.
    pub braked: u64,
    /// Bans, its own or other nodes', for which it had no place: it has as many as it may.
    pub refused: u64,
    /// Watched subjects that gave way to others because the jail was full.
    pub evicted: u64,
    /// Packets its bans dropped since the table was made.
    pub dropped_packets: u64,
    /// Bytes of them.
    pub dropped_bytes: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileReport {
    /// Its path.
    pub path: PathBuf,
    /// Bytes read.
    pub offset: u64,
    /// Bytes behind its end.
    pub lag_bytes: u64,
    /// Bytes that were gone before they could be read.
    pub lost_bytes: u64,
    /// The layout in use; absent: `Auto` has seen no line it knows yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Lines read since the process began.
    pub lines: u64,
    /// Lines that accused or cleared somebody.
    pub matched: u64,
    /// Why it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The systemd journal of a jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalReport {
    /// Units; empty: all.
    pub units: Vec<String>,
    /// Whether journalctl runs.
    pub running: bool,
    /// Records read since the process began.
    pub records: u64,
    /// Records that accused or cleared somebody.
    pub matched: u64,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirewallReport {
    /// How it is.
    pub state: FirewallState,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Why numbers of packets and offenders are not of this moment: it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
    /// Whether this one only observes and what an earlier run left in the kernel drops packets all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leftovers: bool,
    /// Elements the kernel took since the process began.
    pub applied: u64,
    /// Elements the kernel refused.
    pub refused: u64,
    /// How often somebody else's change to our table was repaired.
    pub repaired: u64,
}

/// How the firewall is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FirewallState {
    /// The table is being made.
    #[default]
    Starting,
    /// Bans bite.
    Enforcing,
    /// The kernel refuses; the agent goes on trying.
    Failing,
    /// Nothing reaches the kernel, as asked.
    Observing,
    /// The table is gone, as asked, and nothing is guarded.
    Removed,
}

/// The snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateReport {
    /// Where it is; absent: none is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// When it was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Moment>,
    /// How long that took, in milliseconds.
    pub took_millis: u64,
    /// Why it cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What of an earlier run could not be read at start, and what was used instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Who is never banned by any jail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HouseReport {
    /// Addresses of this host.
    pub own: usize,
    /// Prefixes of allow lists, resolved hosts included.
    pub allowed: usize,
    /// Hosts of allow lists that never resolved.
    pub unresolved: Vec<String>,
    /// Allow lists that were broken already when the agent started, and go on as they were before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptList>,
}

/// An allow list that goes on as it was before the agent started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptList {
    /// Its name.
    pub name: String,
    /// Whether its manifest is refused; else something cannot be read that may declare it.
    pub refused: bool,
    /// How many entries it had.
    pub entries: usize,
}

/// One statement about a jail or the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: bool,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionType {
    /// The declaration in force is the newest one. False: the last good one goes on.
    Accepted,
    /// It reads, counts, and its bans bite.
    Ready,
    /// Somebody banned still appears in the logs.
    BanIneffective,
    /// More bans a minute than allowed: it observes only.
    Braking,
    /// As many bans are in force as a jail may have: further ones are not set until some end.
    Full,
    /// A source is not there (yet).
    SourceMissing,
    /// A filter or layout could not be used.
    Degraded,
    /// Failures are logged, but in a layout that cannot show whose.
    NoClientAddress,
    /// Clients come through a proxy: dropping their packets here does not reach them.
    EnforceAtProxy,
    /// A Service that it closes is not there, or nothing leads to its pods: bans may close nothing.
    ServiceMissing,
    /// Addresses that somebody names for its Services or pods are another's: bans do not close them.
    AddressesLeftOut,
    /// The failures come from addresses that stand for others (nodes, load balancers): whose they are is lost, and
    /// nobody is banned for them.
    SourceAddressLost,
    /// The snapshot cannot be written.
    StateNotSaved,
    /// This host's clock is not the API server's.
    ClockSkew,
    /// The API server does not take or tell what it should.
    Disconnected,
    /// The table was removed as asked; nothing is guarded.
    CleanedUp,
}

impl ConditionType {
    /// Whether holding is what a person wants.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Accepted | Self::Ready)
    }
}

impl Condition {
    /// Whether a person should look at it.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        self.status != self.kind.is_good()
    }
}
