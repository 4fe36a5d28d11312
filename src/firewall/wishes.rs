//! What a change asks of the kernel's sets.

use std::collections::HashSet;

use super::ban_set::BanSet;
use super::elements::{Element, Wish};
use super::{Change, ScopeName};
use crate::engine::{Subject, Timestamp};

/// No ban is longer in the kernel: a hundred years, in milliseconds. It fits what nft can print.
const LONGEST: u64 = 100 * 365 * 86_400_000;

/// The element a change is about; `None` when there is nothing to do, else why it cannot be done.
pub(super) fn element(
    change: &Change,
    now: Timestamp,
    scopes: &HashSet<ScopeName>,
) -> Result<Option<Element>, String> {
    let (scope, subject, wish) = match change {
        Change::Ban { scope, subject, until } => match remaining(*until, now) {
            Some(wish) => (scope, *subject, wish),
            None => return Ok(None),
        },
        Change::Lift { scope, subject } => (scope, *subject, Wish::Out),
    };
    if wish != Wish::Out {
        if !scopes.contains(scope) {
            return Err(format!("there is no scope {scope}"));
        }
        if subject.prefix_len() == 0 {
            return Err("a prefix of length 0 is everybody".into());
        }
    }
    Ok(Some(Element { set: BanSet::of(scope, subject), key: Subject::addr(subject), wish }))
}

/// How long a ban still lasts, rounded up; `None` when it is over.
fn remaining(until: Option<Timestamp>, now: Timestamp) -> Option<Wish> {
    let Some(until) = until else { return Some(Wish::In(None)) };
    let micros = until.since(now).as_micros();
    let millis = u64::try_from(micros.div_ceil(1000)).unwrap_or(LONGEST).min(LONGEST);
    (millis > 0).then_some(Wish::In(Some(millis)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ban_that_is_over_is_not_set_and_a_moment_counts_as_a_millisecond() {
        let now = Timestamp::from_secs(1000);
        assert_eq!(remaining(Some(now), now), None);
        assert_eq!(remaining(Some(now - Duration::from_secs(1)), now), None);
        assert_eq!(remaining(Some(now + Duration::from_micros(1)), now), Some(Wish::In(Some(1))));
        assert_eq!(remaining(Some(now + Duration::from_secs(60)), now), Some(Wish::In(Some(60_000))));
        assert_eq!(remaining(Some(Timestamp::MAX), now), Some(Wish::In(Some(LONGEST))));
        assert_eq!(remaining(None, now), Some(Wish::In(None)));
    }

    #[test]
    fn everybody_is_never_banned() {
        let scopes = HashSet::from([ScopeName::all()]);
        let ban =
            |net: &str| Change::Ban { scope: ScopeName::all(), subject: net.parse().unwrap(), until: None };
        assert!(element(&ban("0.0.0.0/0"), Timestamp::from_secs(0), &scopes).is_err());
        assert!(element(&ban("::/0"), Timestamp::from_secs(0), &scopes).is_err());
        assert!(element(&ban("198.51.100.0/24"), Timestamp::from_secs(0), &scopes).is_ok());
    }
}
