//! One line accuses one address once in each jail, however many of the jail's filters understand it.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::pipeline::SeatId;
use crate::engine::{Match, Outcome, Timestamp};

/// What the jails were told of one line. Belongs to one scan.
#[derive(Debug, Default)]
pub(super) struct Heard {
    line: u64,
    told: SmallVec<[Told; 4]>,
}

#[derive(Debug)]
struct Told {
    seat: SeatId,
    address: IpAddr,
    outcome: Outcome,
    /// What counted.
    weight: u32,
    /// Its match of this time did not count, so none of an earlier time does.
    too_early: Timestamp,
}

impl Heard {
    /// Lets the jail count what a match adds to what it knows of the line: the line weighs as much as the filter says
    /// that takes it most seriously. `count` tells whether the match's time was good enough; if not, one that another
    /// filter sees in the same line may be.
    pub(super) fn offer(&mut self, seat: SeatId, m: &Match, count: impl FnOnce(u32) -> bool) {
        if self.line != m.line {
            self.line = m.line;
            self.told.clear();
        }
        let same = |told: &Told| told.seat == seat && told.address == m.address && told.outcome == m.outcome;
        let at = self.told.iter().position(same).unwrap_or_else(|| {
            let (address, outcome, too_early) = (m.address, m.outcome, Timestamp::MIN);
            self.told.push(Told { seat, address, outcome, weight: 0, too_early });
            self.told.len() - 1
        });
        let Some(told) = self.told.get_mut(at) else { return };
        let more = m.weight.saturating_sub(told.weight);
        if more == 0 || m.time <= told.too_early {
            return;
        }
        if count(more) {
            told.weight += more;
        } else {
            told.too_early = m.time;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{RuleRef, Timestamp};

    fn said(filter: u16, line: u64, weight: u32) -> Match {
        Match {
            rule: RuleRef { filter, rule: 0 },
            outcome: Outcome::Failure,
            address: IpAddr::from([203, 0, 113, 7]),
            time: Timestamp::from_secs(1),
            weight,
            line,
        }
    }

    /// What the jail is given to count of a match, and whether it does.
    fn given(heard: &mut Heard, seat: SeatId, m: &Match, counts: bool) -> u32 {
        let mut given = 0;
        heard.offer(seat, m, |weight| {
            given = weight;
            counts
        });
        given
    }

    fn adds(heard: &mut Heard, seat: SeatId, m: &Match) -> u32 {
        given(heard, seat, m, true)
    }

    #[test]
    fn a_match_that_came_too_early_to_count_leaves_the_line_to_a_later_one() {
        let mut heard = Heard::default();
        let at = |filter, secs| Match { time: Timestamp::from_secs(secs), ..said(filter, 1, 2) };
        assert_eq!(given(&mut heard, 0, &at(0, 10), false), 2);
        assert_eq!(given(&mut heard, 0, &at(1, 10), false), 0, "the same time is no better");
        assert_eq!(given(&mut heard, 0, &at(2, 50), true), 2);
        assert_eq!(given(&mut heard, 0, &at(3, 60), true), 0, "the line has counted");
        // The one that takes it more seriously came too early: what it adds to that is not counted either.
        let mut heard = Heard::default();
        assert_eq!(given(&mut heard, 0, &at(0, 50), true), 2);
        assert_eq!(given(&mut heard, 0, &Match { weight: 5, ..at(1, 10) }, false), 3);
        assert_eq!(given(&mut heard, 0, &Match { weight: 4, ..at(2, 50) }, true), 2);
    }

    #[test]
    fn a_line_that_two_filters_understand_weighs_what_the_heavier_says() {
        let mut heard = Heard::default();
        assert_eq!(adds(&mut heard, 0, &said(0, 1, 1)), 1);
        assert_eq!(adds(&mut heard, 0, &said(1, 1, 1)), 0);
        assert_eq!(adds(&mut heard, 0, &said(2, 1, 3)), 2);
        assert_eq!(adds(&mut heard, 0, &said(3, 1, 2)), 0);
        assert_eq!(adds(&mut heard, 0, &said(0, 2, 1)), 1, "the next line is another event");
    }

    #[test]
    fn another_jail_another_address_and_a_success_are_told_apart() {
        let mut heard = Heard::default();
        assert_eq!(adds(&mut heard, 0, &said(0, 1, 1)), 1);
        assert_eq!(adds(&mut heard, 1, &said(0, 1, 1)), 1);
        let other = Match { address: IpAddr::from([203, 0, 113, 8]), ..said(1, 1, 1) };
        assert_eq!(adds(&mut heard, 0, &other), 1);
        assert_eq!(adds(&mut heard, 0, &Match { outcome: Outcome::Success, ..said(1, 1, 1) }), 1);
    }
}
