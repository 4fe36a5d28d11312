//! Kind `RateLimit`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, EnforceAction, GoDuration, Name, Penalty, Prefix, PrefixLengths};

/// How often a source may knock. Works in the kernel on packets, without any log. By itself it never leads to a ban:
/// the sender of a packet can be forged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "RateLimit",
        namespaced,
        status = "RateLimitStatus",
        category = "gaoler",
        shortname = "rl",
        doc = "How often a source may knock; limits packets in the kernel, without any log.",
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Ready\")].status"
        ),
        printcolumn(name = "Protocol", type_ = "string", json_path = ".spec.protocol"),
        printcolumn(name = "Ports", type_ = "string", json_path = ".spec.ports"),
        printcolumn(name = "Hits", type_ = "integer", json_path = ".spec.hits"),
        printcolumn(name = "Window", type_ = "string", json_path = ".spec.window"),
        printcolumn(name = "Offenders", type_ = "integer", json_path = ".status.offenders"),
        printcolumn(name = "Dropped", type_ = "integer", json_path = ".status.droppedPackets"),
        printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
        printcolumn(name = "Services", type_ = "string", json_path = ".spec.services", priority = 1),
        printcolumn(name = "Penalty", type_ = "string", json_path = ".spec.penalty", priority = 1),
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.protocol == 'ICMP' ? !has(self.ports) : has(self.ports) || has(self.services)",
     "message": "`ports` are needed with UDP, `ports` or `services` with TCP; ICMP has no ports"},
    {"rule": "!has(self.services) || self.protocol == 'TCP'",
     "message": "`services` exist only with TCP"},
    {"rule": "!has(self.escalateTo) || self.protocol == 'TCP'",
     "message": "`escalateTo` exists only with TCP: nothing shows that the sender of a datagram or a ping is who it says"},
    {"rule": "duration(self.window) >= duration('1s') && duration(self.window) <= duration('24h') \
              && duration(self.window).getMilliseconds() % 1000 == 0",
     "message": "`window` is from 1s to 24h, in whole seconds"},
    {"rule": "!has(self.penalty) || self.penalty in ['Silence', 'Excess'] || (duration(self.penalty) >= duration('1s') \
              && duration(self.penalty) <= duration('168h') && duration(self.penalty).getMilliseconds() % 1000 == 0)",
     "message": "`penalty` is `Silence`, `Excess`, or from 1s to 168h in whole seconds"},
]))]
pub struct RateLimitSpec {
    /// Whether packets are dropped. Default `Enforce`.
    #[serde(default)]
    pub mode: LimitMode,
    /// TCP counts new connections; UDP and ICMP count packets.
    pub protocol: Protocol,
    /// Services of the limit's namespace: what is limited are their addresses and ports, the node ports and host ports
    /// that lead to them, and their pods. Only in Kubernetes, and only with TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub services: Option<Vec<Name>>,
    /// Destination ports; none with ICMP. Beside `services`: which of the Services' own ports are meant, default all.
    /// Without: ports of this host, in Kubernetes of every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 65535)))]
    pub ports: Option<Vec<u16>>,
    /// The hit within `window` that is one too many: with 4, the fourth is dropped. Up to 16 hits the window is exact;
    /// beyond, `hits` - 1 may come at once and as many are refilled in each `window`.
    #[schemars(range(min = 2, max = 100_000))]
    pub hits: u32,
    /// Width of the window, in whole seconds.
    pub window: GoDuration,
    /// What happens to a source over its limit: `Silence`, `Excess`, or a duration for which it is refused whatever it
    /// does. Default `Silence`.
    #[serde(default)]
    pub penalty: Penalty,
    /// What is counted: single addresses or prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PrefixLengths>,
    /// Prefixes this limit neither counts nor drops. This host's own addresses and those of AllowLists are never
    /// dropped anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub ignore: Option<Vec<Prefix>>,
    /// How a packet over the limit is refused. Default `Drop`. Beware of `Reject`: whoever forges a sender makes
    /// this host answer a stranger.
    #[serde(default)]
    pub action: EnforceAction,
    /// Sources of one family that are remembered at most; of more, newcomers pass uncounted. Each takes some 100
    /// bytes of kernel memory for each hit up to 16.
    #[serde(default = "usual_sources")]
    #[schemars(range(min = 1024, max = 4_194_304))]
    pub max_sources: u32,
    /// A jail of the same namespace that bans who goes on knocking over the limit, if that source has used up what the
    /// limit grants (`hits` - 1) with connections that were completed: forged packets complete none. Only with TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_to: Option<Name>,
}

/// What the nodes say of a rate limit, added up by the controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimitStatus {
    /// The generation of the spec this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes on which it is in force.
    pub nodes: u32,
    /// Sources under a penalty now, with `Excess` those that were refused within the last window, added up over the
    /// nodes: a source that several nodes refuse counts on each.
    pub offenders: u32,
    /// The latest of them: at most ten of a node, and 20 of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub latest_offenders: Vec<LimitOffender>,
    /// Packets over it that were dropped, on all nodes since their tables were made; with `mode: Observe` they passed.
    pub dropped_packets: u64,
    /// Packets that passed uncounted because no further source could be remembered.
    pub uncounted_packets: u64,
    /// `Accepted`, `Ready`, and what is special, e.g. `ServiceMissing`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// A source over a rate limit, on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitOffender {
    /// Who: an address, or the prefix that the limit counts.
    #[schemars(length(max = 64))]
    pub source: String,
    /// The node that refuses it, or with `mode: Observe` would.
    #[schemars(length(max = 253))]
    pub node: String,
    /// Until when it stays one if it is not over the limit again (RFC 3339), as the node said last: so long it is refused.
    /// Not so with `penalty: Excess`, see `lastOver`, and with `mode: Observe`.
    #[schemars(length(max = 40))]
    pub until: String,
    /// With `penalty: Excess`: when a packet of it was over the limit last (RFC 3339). It is let in again as soon as it is
    /// within the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub last_over: Option<String>,
}

fn usual_sources() -> u32 {
    65_536
}

/// Whether a limit bites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitMode {
    /// Packets over the limit are dropped.
    #[default]
    Enforce,
    /// Packets over the limit are only counted.
    Observe,
    /// Off.
    Disabled,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// New TCP connections.
    TCP,
    /// UDP packets.
    UDP,
    /// ICMP and ICMPv6 echo requests.
    ICMP,
}
