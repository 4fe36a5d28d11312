//! One line accuses one address once in each jail, however many of the jail's filters understand it.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::pipeline::SeatId;
use crate::engine::{Match, Outcome};

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
    weight: u32,
}

impl Heard {
    /// What a match adds to what this jail knows of the line: the line weighs as much as the filter says that takes it
    /// most seriously.
    pub(super) fn adds(&mut self, seat: SeatId, m: &Match) -> u32 {
        if self.line != m.line {
            self.line = m.line;
            self.told.clear();
        }
        let same =
            |told: &&mut Told| told.seat == seat && told.address == m.address && told.outcome == m.outcome;
        match self.told.iter_mut().find(same) {
            Some(told) => {
                let more = m.weight.saturating_sub(told.weight);
                told.weight += more;
                more
            }
            None => {
                let (address, outcome, weight) = (m.address, m.outcome, m.weight);
                self.told.push(Told { seat, address, outcome, weight });
                weight
            }
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

    #[test]
    fn a_line_that_two_filters_understand_weighs_what_the_heavier_says() {
        let mut heard = Heard::default();
        assert_eq!(heard.adds(0, &said(0, 1, 1)), 1);
        assert_eq!(heard.adds(0, &said(1, 1, 1)), 0);
        assert_eq!(heard.adds(0, &said(2, 1, 3)), 2);
        assert_eq!(heard.adds(0, &said(3, 1, 2)), 0);
        assert_eq!(heard.adds(0, &said(0, 2, 1)), 1, "the next line is another event");
    }

    #[test]
    fn another_jail_another_address_and_a_success_are_told_apart() {
        let mut heard = Heard::default();
        assert_eq!(heard.adds(0, &said(0, 1, 1)), 1);
        assert_eq!(heard.adds(1, &said(0, 1, 1)), 1);
        let other = Match { address: IpAddr::from([203, 0, 113, 8]), ..said(1, 1, 1) };
        assert_eq!(heard.adds(0, &other), 1);
        assert_eq!(heard.adds(0, &Match { outcome: Outcome::Success, ..said(1, 1, 1) }), 1);
    }
}
