//! What the surroundings of this host make of a configuration: where a jail's lines really lie, what its bans really
//! close, who else belongs to the house. In a cluster it follows pods and Services; a plain host has none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;

use super::report::Condition;
use crate::engine::JailName;
use crate::engine::house::Why;
use crate::firewall::Guard;

/// The surroundings at one moment. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Situation {
    /// What becomes of jails that read pods or guard Services. A jail that is not here reads nothing and closes only
    /// its own ports.
    pub jails: BTreeMap<JailName, Placement>,
    /// Where the Services of rate limits are, by the limit's name. One that is not here limits nothing but the ports it
    /// names itself.
    pub limits: BTreeMap<String, Doors>,
    /// Who is never banned besides this host's own addresses and allow lists.
    pub house: Vec<(IpNet, Why)>,
    /// Those of the house that stand for others when a log shows them as clients: nodes, Services, load balancers.
    /// Behind such an address are many people, and none of them is known.
    pub relays: Vec<IpNet>,
}

/// Where a jail's lines lie and what its bans close.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Log files, as globs.
    pub logs: Vec<PathBuf>,
    /// What its bans close besides its own `ports`.
    pub guards: Vec<Guard>,
    /// What a person should know, e.g. that a Service is not there.
    pub remarks: Vec<Condition>,
    /// Services in front of its pods that may put a node's address in place of the client's
    /// (`externalTrafficPolicy: Cluster`).
    pub masking: Vec<String>,
}

/// Where a rate limit counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Doors {
    /// The addresses and ports of its Services.
    pub guards: Vec<Guard>,
    /// What a person should know, e.g. that a Service is not there.
    pub remarks: Vec<Condition>,
}

impl Situation {
    /// Where a rate limit's Services are.
    #[must_use]
    pub fn doors(&self, limit: &str) -> &[Guard] {
        self.limits.get(limit).map_or(&[], |doors| &doors.guards)
    }

    /// What a person should know of a rate limit's surroundings.
    #[must_use]
    pub fn remarks_on_limit(&self, limit: &str) -> &[Condition] {
        self.limits.get(limit).map_or(&[], |doors| &doors.remarks)
    }

    /// What a jail's bans close besides its own ports.
    #[must_use]
    pub fn guards(&self, jail: &JailName) -> &[Guard] {
        self.jails.get(jail).map_or(&[], |placement| &placement.guards)
    }

    /// Where a jail's lines lie.
    #[must_use]
    pub fn logs(&self, jail: &JailName) -> &[PathBuf] {
        self.jails.get(jail).map_or(&[], |placement| &placement.logs)
    }

    /// Services that may hide a jail's clients.
    #[must_use]
    pub fn masking(&self, jail: &JailName) -> &[String] {
        self.jails.get(jail).map_or(&[], |placement| &placement.masking)
    }

    /// What a person should know of a jail's surroundings.
    #[must_use]
    pub fn remarks(&self, jail: &JailName) -> &[Condition] {
        self.jails.get(jail).map_or(&[], |placement| &placement.remarks)
    }
}
