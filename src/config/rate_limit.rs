//! A declared RateLimit to a [`RateLimitConfig`].

use std::time::Duration;

use ipnet::IpNet;

use crate::api::v1alpha1 as api;
use crate::engine::{JailName, PrefixPolicy, Timestamp};
use crate::firewall::Action;

use super::origin::Notes;
use super::resolve::Book;
use super::{Mode, memory, prefix};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// One accepted rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Its name: `name` on a host, `namespace/name` in a cluster.
    pub name: String,
    /// Whether packets over it are refused; of one that is `Disabled` this says nothing.
    pub mode: Mode,
    /// What is a hit.
    pub hit: Hit,
    /// Services whose traffic is meant, by name; then the ports of `hit` choose among theirs, and none means all.
    /// Without any, the ports are those of this host. Kubernetes only.
    pub services: Vec<String>,
    /// The hit within `window` that is one too many.
    pub hits: u32,
    /// Width of the window, in whole seconds.
    pub window: Duration,
    /// What happens to a source over it.
    pub penalty: LimitPenalty,
    /// What makes one source.
    pub prefix: PrefixPolicy,
    /// Prefixes it neither counts nor refuses.
    pub ignore: Vec<IpNet>,
    /// How it refuses.
    pub action: Action,
    /// Sources of one family it remembers at most.
    pub max_sources: u32,
    /// The jail that bans those who completed connections and go on over the limit.
    pub escalate_to: Option<JailName>,
}

impl RateLimitConfig {
    /// Its namespace; empty on a plain host.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.name.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// When an offender that is one until then was over the limit last. Only with `Excess`: of a penalty the end is what
    /// counts.
    #[must_use]
    pub fn last_over(&self, until: Timestamp) -> Option<Timestamp> {
        (self.penalty == LimitPenalty::Excess).then(|| until - self.window)
    }
}

/// What a rate limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hit {
    /// New TCP connections to these ports.
    Tcp(Vec<u16>),
    /// UDP packets to these ports.
    Udp(Vec<u16>),
    /// ICMP and ICMPv6 echo requests.
    Ping,
}

/// What happens to a source over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPenalty {
    /// Refused until it was silent for a whole window.
    Silence,
    /// Only what is over is refused.
    Excess,
    /// Refused for this long, in whole seconds.
    For(Duration),
}

/// Turns a declared rate limit into the runtime's. Problems go to `notes`; the result counts only when none is an
/// error. `cluster`: whether it runs in Kubernetes.
pub(super) fn lower(
    name: &str,
    limit: &api::RateLimitSpec,
    book: &Book<'_>,
    cluster: bool,
    notes: &mut Notes<'_>,
) -> RateLimitConfig {
    let prefix = limit.prefix.clone().unwrap_or_default();
    let config = RateLimitConfig {
        name: name.to_owned(),
        mode: match limit.mode {
            api::LimitMode::Observe => Mode::Observe,
            api::LimitMode::Enforce | api::LimitMode::Disabled => Mode::Enforce,
        },
        hit: hit(limit, notes),
        services: services(limit, cluster, notes),
        hits: limit.hits,
        window: limit.window.0,
        penalty: match limit.penalty {
            api::Penalty::Silence => LimitPenalty::Silence,
            api::Penalty::Excess => LimitPenalty::Excess,
            api::Penalty::For(span) => LimitPenalty::For(span.0),
        },
        prefix: PrefixPolicy { ipv4: prefix.ipv4, ipv6: prefix.ipv6 },
        ignore: ignore(limit, notes),
        action: match limit.action {
            api::EnforceAction::Drop => Action::Drop,
            api::EnforceAction::Reject => Action::Reject,
        },
        max_sources: limit.max_sources,
        escalate_to: escalate_to(name, limit, book, notes),
    };
    whole_seconds("window", limit.window, DAY, notes);
    if limit.mode != api::LimitMode::Disabled {
        memory::warn(&config, notes);
    }
    if let api::Penalty::For(span) = limit.penalty {
        whole_seconds("penalty", span, WEEK, notes);
    }
    config
}

fn hit(limit: &api::RateLimitSpec, notes: &mut Notes<'_>) -> Hit {
    let icmp = limit.protocol == api::Protocol::ICMP;
    if icmp && limit.ports.is_some() {
        notes.error("spec.ports", "ICMP has no ports", "remove `ports`, or write `protocol: TCP`");
    }
    if !icmp && limit.ports.is_none() && limit.services.is_none() {
        notes.error("spec", "`ports` is missing", "add `ports`, e.g. `ports: [25]`");
    }
    let mut ports = limit.ports.clone().unwrap_or_default();
    ports.sort_unstable();
    ports.dedup();
    match limit.protocol {
        api::Protocol::TCP => Hit::Tcp(ports),
        api::Protocol::UDP => Hit::Udp(ports),
        api::Protocol::ICMP => Hit::Ping,
    }
}

fn services(limit: &api::RateLimitSpec, cluster: bool, notes: &mut Notes<'_>) -> Vec<String> {
    let named = limit.services.as_deref().unwrap_or_default();
    if !named.is_empty() && !cluster {
        notes.error(
            "spec.services",
            "`services` exist only in Kubernetes; this is a plain host",
            "write `ports: [25, 465, 587]` in its place",
        );
    } else if !named.is_empty() && limit.protocol != api::Protocol::TCP {
        notes.error("spec.services", "`services` exist only with TCP", "write `protocol: TCP`, or `ports`");
    }
    let mut services: Vec<String> = named.iter().map(|name| name.as_str().to_owned()).collect();
    services.sort_unstable();
    services.dedup();
    services
}

fn escalate_to(
    name: &str,
    limit: &api::RateLimitSpec,
    book: &Book<'_>,
    notes: &mut Notes<'_>,
) -> Option<JailName> {
    const FIELD: &str = "spec.escalateTo";
    let jail = limit.escalate_to.as_ref()?.as_str();
    if limit.protocol != api::Protocol::TCP {
        notes.error(
            FIELD,
            "`escalateTo` exists only with TCP: the sender of a datagram or a ping can be forged",
            "remove it",
        );
    }
    let jail = match name.split_once('/') {
        Some((namespace, _)) => format!("{namespace}/{jail}"),
        None => jail.to_owned(),
    };
    if let Some(advice) = book.missing_jail(&jail, "declare the jail, or remove `escalateTo`") {
        notes.warning(FIELD, format!("there is no jail `{jail}`: nobody is banned yet"), advice);
    }
    if book.is_disabled(&jail) {
        notes.warning(
            FIELD,
            format!("jail `{jail}` is `Disabled`: nobody is banned"),
            "write `mode: Enforce` in the jail, or remove `escalateTo`",
        );
    }
    if limit.mode == api::LimitMode::Observe {
        notes.warning(
            FIELD,
            "`mode: Observe` never leads to bans",
            "write `mode: Enforce` once the numbers fit, or remove `escalateTo`",
        );
    }
    let prefix = limit.prefix.clone().unwrap_or_default();
    if prefix.ipv4 < 32 || prefix.ipv6 < 64 {
        notes.warning(
            FIELD,
            format!(
                "one source is a whole /{} or /{}: whoever floods there has all its neighbours banned",
                prefix.ipv4, prefix.ipv6
            ),
            "write `prefix: {ipv4: 32, ipv6: 64}`, or remove `escalateTo`",
        );
    }
    Some(JailName::new(&jail))
}

fn whole_seconds(field: &str, span: api::GoDuration, most: Duration, notes: &mut Notes<'_>) {
    if span.0 < Duration::from_secs(1) || span.0 > most || span.0.subsec_nanos() > 0 {
        let most = api::GoDuration(most);
        let fix = format!("write whole seconds from `1s` to `{most}`");
        notes.error(&format!("spec.{field}"), format!("`{field}` cannot be `{span}`"), fix);
    }
}

fn ignore(limit: &api::RateLimitSpec, notes: &mut Notes<'_>) -> Vec<IpNet> {
    let list = limit.ignore.iter().flatten().enumerate();
    list.filter_map(|(i, text)| {
        let field = format!("spec.ignore[{i}]");
        let net = prefix::read(text, &field, notes)?;
        if net.prefix_len() == 0 {
            notes.error(
                &field,
                format!("`{}` is everybody of its family: the limit would do nothing", text.as_str()),
                "write a smaller prefix; to switch the limit off write `mode: Disabled`",
            );
        }
        Some(net)
    })
    .collect()
}
