//! The firewall's skeleton of a configuration.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::situation::Situation;
use crate::config::{Enforce, Hit, JailConfig, LimitPenalty, Mode, RateLimitConfig};
use crate::engine::{JailName, Source};
use crate::firewall::{
    Action, Counted, Destination, Guard, Limit, Penalty, Reach, Scope, ScopeName, Skeleton,
};

/// The scope of a jail's bans; of bans that belong to no jail, the one that closes everything.
#[must_use]
pub(super) fn scope_of(jail: Option<&JailName>) -> ScopeName {
    match jail {
        // A prefix, because a jail may be called `all`.
        Some(jail) => ScopeName::new(&format!("j_{jail}")),
        None => ScopeName::all(),
    }
}

/// What a jail's bans close: ports of this host, and what its surroundings add.
#[must_use]
pub(super) fn reach_of(enforce: &Enforce, placed: &[Guard]) -> Reach {
    if enforce.all_ports {
        return Reach::Everything;
    }
    let mut guards: Vec<Guard> =
        enforce.ports.iter().map(|&port| Guard { destination: Destination::Local, port }).collect();
    guards.extend_from_slice(placed);
    guards.sort_unstable();
    guards.dedup();
    Reach::Ports(guards)
}

/// The limit of this name as the kernel knows it.
#[must_use]
pub(super) fn limit_name(limit: &RateLimitConfig) -> ScopeName {
    ScopeName::new(&format!("l_{}", limit.name))
}

/// What a rate limit asks of the kernel. `placed`: where its Services are.
#[must_use]
fn limit_of(limit: &RateLimitConfig, placed: &[Guard]) -> Limit {
    let observe = limit.mode == Mode::Observe;
    Limit {
        name: limit_name(limit),
        counts: match &limit.hit {
            Hit::Tcp(_) if !limit.services.is_empty() => Counted::Tcp(placed.to_vec()),
            Hit::Tcp(ports) => Counted::tcp(ports),
            Hit::Udp(ports) => Counted::udp(ports),
            Hit::Ping => Counted::Echo,
        },
        hits: limit.hits,
        window: limit.window,
        penalty: match limit.penalty {
            LimitPenalty::Silence => Penalty::Silence,
            LimitPenalty::Excess => Penalty::Excess,
            LimitPenalty::For(span) => Penalty::Lasting(span),
        },
        prefix_v4: limit.prefix.ipv4,
        prefix_v6: limit.prefix.ipv6,
        ignore: limit.ignore.iter().flat_map(|net| Source::forms(*net)).map(Source::net).collect(),
        action: limit.action,
        observe,
        max_sources: limit.max_sources,
        catches: limit.escalate_to.is_some() && !observe,
    }
}

/// The skeleton for these jails (only those that enforce) and rate limits, with one scope for bans that close
/// everything.
#[must_use]
pub(super) fn skeleton<'a>(
    jails: impl IntoIterator<Item = &'a JailConfig>,
    limits: &[Arc<RateLimitConfig>],
    never: &[IpNet],
    own: &[IpAddr],
    situation: &Situation,
) -> Skeleton {
    let everything = Scope { name: ScopeName::all(), reach: Reach::Everything, action: Action::Drop };
    let jails = jails.into_iter().map(|jail| Scope {
        name: scope_of(Some(jail.name())),
        reach: reach_of(&jail.enforce, situation.guards(jail.name())),
        action: jail.enforce.action,
    });
    let limits: Vec<Limit> =
        limits.iter().map(|limit| limit_of(limit, situation.doors(&limit.name))).collect();
    // Addresses come and go with every pod; who does not need them shall not hear of it.
    let own = if limits.iter().any(|limit| limit.catches) { own.to_vec() } else { Vec::new() };
    Skeleton {
        scopes: std::iter::once(everything).chain(jails).collect(),
        limits,
        never: never.to_vec(),
        own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_called_all_has_a_scope_of_its_own() {
        assert_ne!(scope_of(Some(&"all".into())), scope_of(None));
    }

    #[test]
    fn a_port_named_twice_is_guarded_once() {
        let enforce = Enforce { ports: vec![143, 25, 143], ..Enforce::default() };
        let port = |port| Guard { destination: Destination::Local, port };
        assert_eq!(reach_of(&enforce, &[]), Reach::Ports(vec![port(25), port(143)]));
    }

    #[test]
    fn all_ports_means_everything_whatever_else_is_named() {
        let enforce = Enforce { ports: vec![25], all_ports: true, ..Enforce::default() };
        assert_eq!(reach_of(&enforce, &[]), Reach::Everything);
        let service = Guard { destination: Destination::Address("192.0.2.1".parse().unwrap()), port: 25 };
        assert_eq!(reach_of(&enforce, &[service]), Reach::Everything);
    }

    #[test]
    fn a_service_is_guarded_beside_the_jails_own_ports() {
        let enforce = Enforce { ports: vec![143], ..Enforce::default() };
        let service = Guard { destination: Destination::Address("192.0.2.1".parse().unwrap()), port: 25 };
        let own = Guard { destination: Destination::Local, port: 143 };
        let reach = reach_of(&enforce, std::slice::from_ref(&service));
        assert_eq!(reach, Reach::Ports(vec![own, service]));
    }
}
