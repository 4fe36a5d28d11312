//! Who is over rate limits: asked of the kernel, and told by what that means for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::detector::{Detector, answer};
use super::handle::Reply;
use super::kernel::unanswered;
use super::plan::limit_name;
use super::report::{OverLimit, UnderPenalty};
use crate::config::{LimitPenalty, Mode, RateLimitConfig};
use crate::engine::{Source, Timestamp};
use crate::firewall::ScopeName;
use crate::firewall::enforcer::Order;

/// What is told before there is a configuration.
const BEING_MADE: &str = "the firewall's table is being made";

/// What is told of a table that an earlier run left to one that only observes.
pub(super) const LEFTOVERS: &str = "what an earlier run left in this host's firewall goes on dropping";

/// Limits that an address is an offender of.
#[derive(Debug, Default)]
pub struct Offences {
    /// Those that refuse it.
    pub(super) penalties: Vec<UnderPenalty>,
    /// Those that let it in all the same.
    pub(super) over: Vec<OverLimit>,
}

/// Limits that forgot offenders.
#[derive(Debug, Default)]
pub struct Released {
    /// Those that refused them.
    pub(super) ended: Vec<String>,
    /// Those that let them in all the same.
    pub(super) forgotten: Vec<String>,
}

/// Whether the limit shuts its offenders out, and not only refuses what is over, or nothing.
fn shuts_out(limit: &RateLimitConfig) -> bool {
    limit.mode == Mode::Enforce && limit.penalty != LimitPenalty::Excess
}

impl Detector {
    pub(super) fn ask_offences(&mut self, address: IpAddr, reply: Reply<Result<Offences, String>>) {
        if self.court.observe {
            return self.ask_leftovers(reply);
        }
        let limits = self.limits_by_scope();
        // Not whoever is never banned: a jail spares link-local sources, a limit refuses them like all others.
        let is_spared = self.house.kernel().iter().any(|net| net.contains(&address));
        if !self.configured {
            return answer(reply, Err(BEING_MADE.into()));
        }
        // Asked also without any limits: a table of before may have some as long as the one of now is not made.
        self.order(Order::Offences(
            address,
            Box::new(move |found| {
                let now: Timestamp = jiff::Timestamp::now().into();
                let mut offences = Offences::default();
                let found = match found {
                    Ok(_) if is_spared => Vec::new(),
                    Ok(found) => found,
                    Err(error) => return answer(reply, Err(unanswered(&error))),
                };
                for (name, left) in found {
                    let Some(limit) = limits.get(&name) else { continue };
                    if shuts_out(limit) {
                        let (limit, until) = (limit.name.clone(), (now + left).into());
                        offences.penalties.push(UnderPenalty { limit, until, source: None });
                    } else {
                        offences.over.push(OverLimit::new(limit, now + left));
                    }
                }
                answer(reply, Ok(offences));
            }),
        ));
    }

    /// Of a dry run nobody is an offender; what an earlier run left is not known here.
    fn ask_leftovers<T: Default + Send + 'static>(&mut self, reply: Reply<Result<T, String>>) {
        self.order(Order::Leftovers(Box::new(move |are_there| {
            answer(reply, if are_there { Err(LEFTOVERS.into()) } else { Ok(T::default()) });
        })));
    }

    /// Has rate limits forget who is over them in a prefix, or everybody.
    pub(super) fn release(&mut self, prefix: Option<IpNet>, reply: Reply<Result<Released, String>>) {
        if self.court.observe {
            return self.ask_leftovers(reply);
        }
        let limits = self.limits_by_scope();
        let everybody = || ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
        let prefixes = prefix.map_or_else(everybody, |prefix| vec![prefix]);
        // Until the table is made in this run nobody knows the sets of an earlier one, and those hold.
        if !self.limit_pardons.table_stood() {
            self.limit_pardons.let_go(&prefixes, jiff::Timestamp::now().into());
        }
        if !self.configured {
            return answer(reply, Err(BEING_MADE.into()));
        }
        // Who writes the address of a packet that came through NAT64 means the source that a limit counts it to.
        let written: Vec<IpNet> =
            prefixes.iter().copied().filter(|net| Source::new(*net).is_translated()).collect();
        let counted = limits.values().flat_map(|limit| {
            written.iter().filter_map(|net| {
                let bits = limit.prefix.ipv6.min(net.prefix_len());
                Some(Source::new(IpNet::new(net.addr(), bits).ok()?))
            })
        });
        let sources: BTreeSet<Source> = prefixes.into_iter().flat_map(Source::forms).chain(counted).collect();
        let sources = sources.into_iter();
        let whatever_age = sources.map(|source| (source, Duration::ZERO)).collect();
        self.order(Order::Release(
            whatever_age,
            Box::new(move |forgot| {
                let mut forgot = match forgot {
                    Ok(forgot) => forgot,
                    Err(error) => {
                        tracing::warn!(%error, "rate limits cannot forget who is over them");
                        return answer(reply, Err(unanswered(&error)));
                    }
                };
                forgot.sort_unstable();
                forgot.dedup();
                let forgot = forgot.iter().filter_map(|name| limits.get(name));
                let (ended, forgotten): (Vec<_>, Vec<_>) = forgot.partition(|limit| shuts_out(limit));
                let names = |limits: Vec<&Arc<RateLimitConfig>>| -> Vec<String> {
                    limits.into_iter().map(|limit| limit.name.clone()).collect()
                };
                answer(reply, Ok(Released { ended: names(ended), forgotten: names(forgotten) }));
            }),
        ));
    }

    fn limits_by_scope(&self) -> BTreeMap<ScopeName, Arc<RateLimitConfig>> {
        self.config.rate_limits.iter().map(|limit| (limit_name(limit), Arc::clone(limit))).collect()
    }
}
