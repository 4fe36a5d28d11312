//! Resources or files to one validated [`Config`], with a verdict per object (DESIGN §3).

mod blind;
mod claimed;
mod compile;
mod crowd;
mod examples;
pub mod fail2ban;
pub mod files;
mod filters;
pub mod import;
mod jails;
mod last_good;
pub mod library;
mod lint;
mod lists;
mod load;
mod loaded;
mod manifest;
mod memory;
pub mod node;
mod origin;
mod ports;
mod prefix;
mod problem;
mod proxied;
mod rate_limit;
mod resolve;
pub mod resources;
mod selector;
mod shape;
mod suggest;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::{FilterName, FilterSpec, JailName, JailSpec, LayoutSpec, Subject, Timestamp};
use crate::firewall::Action;

pub use load::{assemble, load, load_in};
pub use loaded::{Loaded, ObjectStatus};
pub use origin::Origin;
pub use problem::{Problem, Severity};
pub use rate_limit::{Hit, LimitPenalty, RateLimitConfig};
pub use selector::{PodSelector, Requirement};

/// What must be known around a configuration to judge it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Whether it is for Kubernetes; else for this plain host.
    pub cluster: bool,
    /// Also tries out whether a client's text could lead a filter astray. Takes time; for people, not for reloads.
    pub lint: bool,
    /// Also warns of entries of BanLists that an AllowList spares at this moment. Not in a cluster's own programs: they
    /// have a condition for it that goes with time.
    pub at: Option<Timestamp>,
    /// Leaves the built-in filters out.
    pub without_library: bool,
}

/// Everything that is declared, validated. Holds only accepted objects; refused ones are in the report beside it.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Jails that are not `Disabled`, sorted by name.
    pub jails: Vec<Arc<JailConfig>>,
    /// Rate limits that are not `Disabled`, sorted by name.
    pub rate_limits: Vec<Arc<RateLimitConfig>>,
    /// Rate limits that are `Disabled`, sorted by name: they are only told.
    pub disabled_limits: Vec<Arc<RateLimitConfig>>,
    /// Jails that are `Disabled`, sorted by name.
    pub disabled_jails: Vec<JailName>,
    /// Jails that are declared, refused, and were never good, sorted by name.
    pub refused_jails: Vec<JailName>,
    /// Names of AllowLists in force.
    pub allow_lists: Vec<String>,
    /// AllowLists that are declared, refused, and were never good.
    pub refused_lists: Vec<String>,
    /// Manual bans of all BanLists.
    pub ban_entries: Vec<BanEntry>,
    /// Prefixes of all AllowLists.
    pub allowed: Vec<AllowEntry>,
    /// Something is declared that cannot be read: nobody can tell which jails are missing here.
    pub unread: bool,
}

impl Config {
    /// Whether a jail that is not here may be declared all the same.
    #[must_use]
    pub fn may_lack(&self, jail: &JailName) -> bool {
        let is_known =
            self.disabled_jails.contains(jail) || self.jails.iter().any(|known| known.name() == jail);
        !is_known && (self.unread || self.refused_jails.contains(jail))
    }

    /// Whether an AllowList that is not here may be declared all the same.
    #[must_use]
    pub fn may_lack_list(&self, list: &str) -> bool {
        let holds = |lists: &[String]| lists.iter().any(|known| known == list);
        !holds(&self.allow_lists) && (self.unread || holds(&self.refused_lists))
    }

    /// Whether some jail may be declared that is not here.
    #[must_use]
    pub fn may_lack_any(&self) -> bool {
        self.unread || !self.refused_jails.is_empty()
    }
}

/// One accepted jail.
#[derive(Clone, Debug)]
pub struct JailConfig {
    /// Thresholds, sentence, prefixes, ignore.
    pub spec: JailSpec,
    /// Whether bans reach the kernel.
    pub mode: Mode,
    /// Its filters, resolved.
    pub filters: Vec<Arc<FilterSpec>>,
    /// Where its lines come from.
    pub source: Source,
    /// How lines split.
    pub layout: LayoutSpec,
    /// What its bans close.
    pub enforce: Enforce,
    /// Beyond this many bans a minute it observes only.
    pub bans_per_minute: u32,
    /// Whether RFC 1918, RFC 6598 and ULA addresses may be banned.
    pub ban_private: bool,
    /// Whether failures are added up over all nodes of a cluster.
    pub adds_up: bool,
}

impl JailConfig {
    /// The jail's name.
    #[must_use]
    pub fn name(&self) -> &JailName {
        &self.spec.name
    }
}

/// Whether a jail's bans bite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Counts and bans.
    #[default]
    Enforce,
    /// Counts and reports; nothing reaches the kernel.
    Observe,
}

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files on this host, as globs. A pattern that matches nothing yet is waited for.
    Files(Vec<PathBuf>),
    /// Units of the systemd journal; empty means every unit.
    Journal(Vec<String>),
    /// Pods in the jail's namespace. Kubernetes only.
    Pods {
        /// Which.
        selector: PodSelector,
        /// Container names; empty means all but init containers and sidecars.
        containers: Vec<String>,
    },
}

/// What a jail's bans close.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforce {
    /// TCP ports of this host; with `all_ports` ignored.
    pub ports: Vec<u16>,
    /// Services whose addresses are guarded. Kubernetes only.
    pub services: Vec<String>,
    /// Everything is closed.
    pub all_ports: bool,
    /// Drop or reject.
    pub action: Action,
}

/// One entry of a BanList.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanEntry {
    /// The list.
    pub list: String,
    /// Who.
    pub subject: Subject,
    /// Until when; `None` is as long as the entry is there.
    pub until: Option<Timestamp>,
    /// The jail whose scope is closed; `None` closes everything.
    pub jail: Option<JailName>,
    /// A person's words.
    pub reason: String,
    /// When it was written, where the object tells: an API server keeps one moment for a whole list, its making, and that
    /// is an entry's own as long as nobody changed the list.
    pub written: Option<Timestamp>,
}

/// One entry of an AllowList.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowEntry {
    /// The list.
    pub list: String,
    /// Who.
    pub who: Allowed,
    /// Until when; `None` is as long as the entry is there.
    pub until: Option<Timestamp>,
}

/// Who is never banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A prefix.
    Prefix(IpNet),
    /// A host name, resolved and refreshed by the runtime.
    Host(String),
}

/// A name that appears in a report: the kind and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ObjectName {
    /// `Jail`, `Filter`, `BanList`, …
    pub kind: &'static str,
    /// `metadata.name`, with `namespace/` before it in a cluster.
    pub name: String,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Built-in filters a jail may name without declaring them, by name.
pub trait FilterLibrary {
    /// The filter of this name.
    fn get(&self, name: &FilterName) -> Option<Arc<FilterSpec>>;
    /// All names, sorted.
    fn names(&self) -> Vec<FilterName>;
}
