//! A ban that does not bite is a defect we report ourselves (DESIGN §1.8).
//!
//! The ledger tells which failures a ban should have prevented ([`crate::bans::Ledger::seen_again`]); here is how
//! long that is worth a condition.

use crate::engine::{Duration, Shift, Subject, Timestamp};

/// How long one such failure is worth a condition.
const MEMORY: Duration = Duration::from_secs(600);

/// Bans of one jail that did not bite.
#[derive(Clone, Debug, Default)]
pub(super) struct Efficacy {
    seen: u64,
    last: Option<(Subject, Timestamp)>,
}

impl Efficacy {
    /// Notes a ban whose subject was seen again at `now`.
    pub(super) fn note(&mut self, subject: Subject, now: Timestamp) {
        self.seen += 1;
        self.last = Some((subject, now));
    }

    /// The clock was set.
    pub(super) fn shift(&mut self, shift: Shift) {
        if let Some((_, at)) = &mut self.last {
            *at = *at + shift;
        }
    }

    /// How many bans did not bite, and the last, when that was not long ago.
    #[must_use]
    pub(super) fn recent(&self, now: Timestamp) -> Option<(u64, Subject)> {
        self.last.filter(|(_, at)| *at + MEMORY > now).map(|(subject, _)| (self.seen, subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_that_did_not_bite_is_remembered_for_a_while() {
        let subject = "203.0.113.7".parse().unwrap();
        let mut efficacy = Efficacy::default();
        assert_eq!(efficacy.recent(Timestamp::from_secs(1000)), None);
        efficacy.note(subject, Timestamp::from_secs(1000));
        assert_eq!(efficacy.recent(Timestamp::from_secs(1599)), Some((1, subject)));
        assert_eq!(efficacy.recent(Timestamp::from_secs(1600)), None);
    }
}
