//! From a rate limit to a jail's ban: who completed connections and goes on over the limit.
//!
//! The kernel decides who that is (see `firewall::proof`): packets alone, whose sender can be forged, never lead here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::census::condition;
use super::court::Court;
use super::detector::Detector;
use super::plan::limit_name;
use super::report::{Condition, ConditionType};
use crate::bans::{Ban, Evidence, Origin};
use crate::config::{Mode, RateLimitConfig};
use crate::engine::sentence::{end, next_n};
use crate::engine::{AddressPolicy, History, JailName, Source, Subject, Timestamp};
use crate::firewall::enforcer::Order;
use crate::firewall::{CAUGHT, Caught, LimitCounts, ScopeName};

/// How often the kernel is asked; it remembers who was caught for ten seconds.
const LOOK: Duration = Duration::from_secs(1);

/// Why a limit's `escalateTo` keeps nobody out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Hindrance {
    /// This kernel cannot do its part.
    #[error("this kernel cannot tell who completed connections ({0})")]
    Kernel(String),
    /// The jail is declared and switched off.
    #[error("jail `{0}` is `Disabled`")]
    Disabled(JailName),
    /// There is no such jail.
    #[error("no jail `{0}` is in force")]
    Missing(JailName),
    /// Its declaration is refused, and it was never accepted before.
    #[error("jail `{0}` was refused")]
    Refused(JailName),
    /// As asked.
    #[error("the limit only observes")]
    LimitObserves,
    /// As asked: the jail bans, and no packet is dropped for it.
    #[error("jail `{0}` only observes")]
    JailObserves(JailName),
}

impl Hindrance {
    /// What somebody should look at: where it is not as asked.
    pub(super) fn condition(&self) -> Option<Condition> {
        let (reason, remedy) = match self {
            Self::Kernel(_) => ("NoEscalation", "`gaoler doctor` says what is missing"),
            Self::Disabled(_) => {
                ("JailDisabled", "write `mode: Enforce` in the jail, or remove `escalateTo`")
            }
            Self::Missing(_) => ("NoSuchJail", "declare the jail, or remove `escalateTo`"),
            Self::Refused(_) => (
                "JailRefused",
                "mend the jail: `gaoler check`, or in a cluster its condition `Accepted`, says what is wrong",
            ),
            Self::LimitObserves | Self::JailObserves(_) => return None,
        };
        let message =
            format!("`escalateTo` bans nobody: {self}; the limit itself holds. To mend it: {remedy}");
        Some(condition(ConditionType::Degraded, true, reason, message))
    }
}

type Answer = BTreeMap<ScopeName, Vec<Caught>>;

/// What the kernel caught.
#[derive(Debug)]
pub(super) struct Promotions {
    look_at: Instant,
    answer: Arc<Mutex<Option<(Instant, Answer)>>>,
    seen: Seen,
}

impl Promotions {
    pub(super) fn new() -> Self {
        Self { look_at: Instant::now(), answer: Arc::default(), seen: Seen::default() }
    }

    /// Takes the kernel's answer, if there is one; of it those who were not there before.
    fn fresh(&mut self) -> Vec<(ScopeName, Subject)> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((at, caught)) = answer else { return Vec::new() };
        let told = caught
            .into_iter()
            .flat_map(|(limit, caught)| caught.into_iter().map(move |one| (limit.clone(), one)));
        // Where the source has an IPv4 address in it a ban would be of that, and close nothing to these packets.
        let fresh = self.seen.take(at, told).into_iter();
        fresh.filter_map(|(limit, source)| Some((limit, source.subject()?))).collect()
    }
}

/// Who was there at the last look, and until when: nobody is banned twice for one thing, nor again for what came
/// before a pardon.
#[derive(Debug, Default)]
struct Seen(BTreeMap<(ScopeName, Source), Instant>);

impl Seen {
    /// Those who were not there before, or were caught again since: the kernel keeps the end that it told once.
    fn take(
        &mut self,
        at: Instant,
        told: impl Iterator<Item = (ScopeName, Caught)>,
    ) -> Vec<(ScopeName, Source)> {
        let now: BTreeMap<_, _> =
            told.map(|(limit, caught)| ((limit, caught.source), at + caught.left.min(CAUGHT))).collect();
        let before = std::mem::replace(&mut self.0, now);
        let again = |key, until: &Instant| before.get(key).is_none_or(|known| *until > *known + CAUGHT / 2);
        self.0.iter().filter(|(key, until)| again(*key, until)).map(|(key, _)| key.clone()).collect()
    }
}

impl Detector {
    /// When the kernel is to be asked again; `None` when no limit leads to bans.
    pub(super) fn promotion_due(&self) -> Option<Instant> {
        let any = self.configured && self.config.rate_limits.iter().any(|limit| limit.escalate_to.is_some());
        any.then_some(self.promotions.look_at)
    }

    /// Why a limit's `escalateTo` keeps nobody out; `None` where it does, and where nothing of the kind is asked.
    pub(super) fn hindrance(&self, limit: &RateLimitConfig, counts: &LimitCounts) -> Option<Hindrance> {
        let jail = limit.escalate_to.as_ref()?;
        let Some(seat) = self.court.seats.iter().find(|seat| seat.name() == jail) else {
            let why = if self.config.disabled_jails.contains(jail) {
                Hindrance::Disabled
            } else if self.config.refused_jails.contains(jail) {
                Hindrance::Refused
            } else {
                Hindrance::Missing
            };
            return Some(why(jail.clone()));
        };
        if limit.mode == Mode::Observe {
            return Some(Hindrance::LimitObserves);
        }
        if let Some(why) = &counts.hindrance {
            return Some(Hindrance::Kernel(why.clone()));
        }
        (seat.config.mode == Mode::Observe).then(|| Hindrance::JailObserves(jail.clone()))
    }

    /// Bans whom the kernel caught, and asks for more.
    pub(super) fn promote(&mut self, now: Timestamp) {
        for (name, source) in self.promotions.fresh() {
            let limits = &self.config.rate_limits;
            let Some(limit) = limits.iter().find(|limit| limit_name(limit) == name).cloned() else {
                continue;
            };
            self.court.promote(&limit, source, now);
        }
        if self.promotion_due().is_some_and(|due| due <= Instant::now()) {
            self.promotions.look_at = Instant::now() + LOOK;
            let (answer, waker) = (Arc::clone(&self.promotions.answer), self.waker.clone());
            self.order(Order::Caught(Box::new(move |caught| match caught {
                Ok(caught) => {
                    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), caught));
                    waker.wake();
                }
                Err(error) => tracing::warn!(%error, "cannot read whom the rate limits caught"),
            })));
        }
    }
}

impl Court {
    /// Bans a source that a limit caught, in the jail that the limit names. Whoever is never banned stays unbanned.
    pub(super) fn promote(&mut self, limit: &RateLimitConfig, source: Subject, now: Timestamp) {
        let Some(name) = &limit.escalate_to else { return };
        let Some(at) = self.seats.iter().position(|seat| seat.name() == name) else { return };
        let Some(seat) = self.seats.get(at) else { return };
        let spec = &seat.config.spec;
        if AddressPolicy::default().canonical(source.addr()).is_none()
            || seat.never.overlap(source).is_some()
            || spec.ignore.iter().any(|net| source.overlaps(*net))
            || self.ledger.in_force(Some(name), source, now).is_some()
        {
            return;
        }
        let n = next_n(&spec.sentence, self.ledger.history(name).latest(source), now);
        let reason =
            format!("over the rate limit {} with {} completed connections", limit.name, limit.hits - 1);
        let ban = Ban {
            jail: Some(name.clone()),
            subject: source,
            n,
            since: now,
            until: end(&spec.sentence, name, source, n, now),
            origin: Origin::Jail,
            evidence: Evidence { reason: Some(reason), ..Evidence::default() },
        };
        self.pronounce(at, &ban, now);
        self.dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_still_there_is_not_told_again_and_who_was_caught_again_is() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let source: Source = "198.51.100.7".parse().unwrap();
        let mut look = |second: u64, left: u64| {
            let caught = Caught { source, left: Duration::from_millis(left) };
            let told = std::iter::once((ScopeName::new("smtp"), caught));
            seen.take(start + Duration::from_secs(second), told).len()
        };
        assert_eq!(look(0, 9900), 1);
        // A look takes its time, so the ends differ a little.
        assert_eq!((look(1, 9000), look(9, 700)), (0, 0));
        assert_eq!(look(10, 9950), 1, "it ended and began anew between two looks");
        assert_eq!(look(11, 8950), 0);
        assert!(seen.take(start, std::iter::empty()).is_empty());
        assert_eq!(seen.0.len(), 0);
    }

    #[test]
    fn who_would_be_banned_by_an_address_that_its_packets_do_not_have_is_not() {
        let mut promotions = Promotions::new();
        let caught = |source: &str| Caught { source: source.parse().unwrap(), left: CAUGHT };
        let told = ["64:ff9b::c633:6407", "2001:db8::/64", "198.51.100.7"].map(caught).to_vec();
        let answer = BTreeMap::from([(ScopeName::new("smtp"), told)]);
        *promotions.answer.lock().unwrap() = Some((Instant::now(), answer));
        let fresh: Vec<String> =
            promotions.fresh().into_iter().map(|(_, subject)| subject.to_string()).collect();
        assert_eq!(fresh, ["198.51.100.7", "2001:db8::/64"]);
    }
}
