//! What the firewall is asked to be.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::{Subject, Timestamp};

/// Name of a scope; becomes part of chain, set and counter names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeName(Arc<str>);

impl ScopeName {
    /// The scope of bans that close everything.
    pub const ALL: &'static str = "all";

    /// A scope name made of letters, digits and `_`, beginning with a letter as nft's own language wants it: other
    /// characters become `_`, and a hash of the original is appended when anything changed it, so two jails never
    /// share one, nor a jail of the name `all` the scope that closes everything.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let letter = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        let mut clean = String::from(if letter { "" } else { "s" });
        clean.extend(name.chars().take(48).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        if clean == name && name != Self::ALL {
            return Self(clean.into());
        }
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
        Self(format!("{clean}_{:08x}", hash as u32 ^ (hash >> 32) as u32).into())
    }

    /// A name that [`ScopeName::new`] made earlier, as the kernel has it.
    pub(super) fn known(name: &str) -> Self {
        Self(name.into())
    }

    /// The scope of bans that close everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Self::ALL.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The whole skeleton: everything but the banned elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// Scopes, one per jail and one for everything.
    pub scopes: Vec<Scope>,
    /// Rate limits.
    pub limits: Vec<super::Limit>,
    /// Prefixes whose packets are never dropped.
    pub never: Vec<IpNet>,
    /// This host's own addresses: connections to no others prove anything to a limit of this host's ports.
    pub own: Vec<IpAddr>,
}

/// What one scope closes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name.
    pub name: ScopeName,
    /// What it closes.
    pub reach: Reach,
    /// What happens to the packet.
    pub action: Action,
}

/// What a scope closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// These (destination, TCP port) pairs, for open connections too.
    Ports(Vec<Guard>),
    /// Every protocol and port; replies to connections this host opened still pass.
    Everything,
}

/// One guarded (destination, port).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guard {
    /// Where packets are going.
    pub destination: Destination,
    /// Destination port.
    pub port: u16,
}

/// A destination of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Any address of this host.
    Local,
    /// This address (a Service, load balancer or pod).
    Address(IpAddr),
}

/// What happens to a banned packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// Silence.
    #[default]
    Drop,
    /// TCP reset, else ICMP port unreachable.
    Reject,
}

/// One element to add or remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Keep `subject` out of `scope` until then; renews when it is there already.
    Ban {
        /// Where.
        scope: ScopeName,
        /// Who.
        subject: Subject,
        /// Until when; `None` is permanent.
        until: Option<Timestamp>,
    },
    /// Let `subject` in again; nothing happens when it is not there.
    Lift {
        /// Where.
        scope: ScopeName,
        /// Who.
        subject: Subject,
    },
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Applied {
    /// How many changes the kernel took.
    pub done: usize,
    /// Changes the kernel refused, with its reason.
    pub refused: Vec<(Change, String)>,
    /// Changes that could not be tried now; the caller keeps these.
    pub deferred: Vec<Change>,
    /// Why changes were deferred.
    pub obstacle: Option<super::FirewallError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_and_any_other_is_told_apart_by_its_hash() {
        assert_eq!(ScopeName::new("smtp_auth").as_str(), "smtp_auth");
        let odd =
            ["mail/smtp", "mail-smtp", "mail_smtp", "25", "s25", "", "all", &"x".repeat(49), &"x".repeat(50)];
        let names: std::collections::BTreeSet<_> = odd.iter().map(|name| ScopeName::new(name)).collect();
        assert_eq!(names.len(), odd.len(), "{names:?}");
        for name in &names {
            assert!(name.as_str().starts_with(|c: char| c.is_ascii_alphabetic()), "{name}");
            assert!(name.as_str().chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
        }
    }

    #[test]
    fn a_jail_named_all_is_not_the_scope_that_closes_everything() {
        assert_ne!(ScopeName::new("all"), ScopeName::all());
    }
}
