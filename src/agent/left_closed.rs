//! What jails closed whose declaration is broken when the program starts, or moved while it runs to where it cannot be
//! read: nobody can tell any more what is declared, and whom they banned stays out of it.

use serde::{Deserialize, Serialize};

use super::plan::{reach_of, scope_of};
use super::report::Ports;
use crate::config::{Enforce, JailConfig, Mode, Source};
use crate::engine::JailName;
use crate::firewall::{Action, Scope};

/// What the bans of a jail close on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeftClosed {
    /// TCP ports of this host.
    ports: Vec<u16>,
    /// Every protocol and port.
    #[serde(default)]
    all_ports: bool,
    /// Whether packets are answered by a refusal, and not dropped.
    #[serde(default)]
    reject: bool,
}

impl LeftClosed {
    /// What this jail closes; `None` where it bans nobody, and in a cluster, where others say what it may close.
    pub(super) fn by(jail: &JailConfig) -> Option<Self> {
        let Enforce { ports, all_ports, action, .. } = &jail.enforce;
        let (enforces, placed) = (jail.mode == Mode::Enforce, matches!(jail.source, Source::Pods { .. }));
        let closed = Self { ports: ports.clone(), all_ports: *all_ports, reject: *action == Action::Reject };
        (enforces && !placed).then_some(closed)
    }

    /// The scope of the jail of this name.
    pub(super) fn scope(&self, name: &JailName) -> Scope {
        let action = if self.reject { Action::Reject } else { Action::Drop };
        let enforce = Enforce { ports: self.ports.clone(), all_ports: self.all_ports, ..Enforce::default() };
        Scope { name: scope_of(Some(name)), reach: reach_of(&enforce, &[]), action }
    }

    /// What `why` tells.
    pub(super) fn report(&self, name: &JailName) -> Ports {
        let ports = if self.all_ports { Vec::new() } else { self.ports.clone() };
        Ports { jail: Some(name.clone()), ports, all: self.all_ports, absent: None }
    }
}
