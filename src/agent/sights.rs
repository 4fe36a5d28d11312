//! What the filters of jails see in their sources that is no match, and what follows from it.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::pipeline::SeatId;
use super::report::{Condition, ConditionType};
use crate::config::JailConfig;
use crate::engine::LayoutSpec;
use crate::engine::scanner::{Hints, ScanState};

/// So many lines without an address before a jail says that it is blind: one may be a stray.
const ENOUGH: u64 = 10;
/// The past fades when so many lines were seen, so that a mended log configuration shows.
const MEMORY: u64 = 1024;

/// What was seen lately, by jail and the filter's place in it.
#[derive(Debug, Default)]
pub(super) struct Sights(HashMap<(SeatId, u16), Hints>);

impl Sights {
    /// Takes what a scanner saw in a source.
    pub(super) fn take(&mut self, state: &mut ScanState, routes: &[SmallVec<[(SeatId, u16); 2]>]) {
        for (filter, hints) in state.take_hints() {
            for (seat, place) in routes.get(usize::from(filter)).into_iter().flatten() {
                self.add(*seat, *place, hints);
            }
        }
    }

    fn add(&mut self, seat: SeatId, filter: u16, hints: Hints) {
        let known = self.0.entry((seat, filter)).or_default();
        // The layout in use has become the one that the lines have.
        if hints.addressed > 0 && hints.strange == 0 {
            known.strange /= 2;
        }
        *known += hints;
        while known.addressed + known.unaddressed + known.strange > MEMORY {
            known.addressed /= 2;
            known.unaddressed /= 2;
            known.proxied /= 2;
            known.strange /= 2;
        }
    }

    /// Forgets everything: the jails are others.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What a person should know about this jail's sources.
    pub(super) fn conditions(&self, seat: SeatId, jail: &JailConfig, enforces: bool) -> Vec<Condition> {
        let mut blind = Vec::new();
        let mut strange = Vec::new();
        let mut proxied = Vec::new();
        for (place, filter) in (0_u16..).zip(&jail.filters) {
            let Some(hints) = self.0.get(&(seat, place)) else { continue };
            if hints.unaddressed >= ENOUGH && hints.addressed * 4 < hints.unaddressed {
                blind.push(filter.name.to_string());
            }
            if hints.strange >= ENOUGH && hints.addressed * 4 < hints.strange {
                strange.push(format!("{} for {}", hints.strange, filter.name));
            }
            if hints.proxied > 0 {
                proxied.push(filter.name.to_string());
            }
        }
        let mut conditions = Vec::new();
        if !blind.is_empty() {
            conditions.push(Condition {
                kind: ConditionType::NoClientAddress,
                status: true,
                reason: "LayoutWithoutAddress".into(),
                message: format!(
                    "failures that {} understands are logged without the client's address: give James a log \
                     configuration with the diagnostic context (deploy/james/logback-*.xml, docs/james.md)",
                    blind.join(", ")
                ),
            });
        }
        if !strange.is_empty() {
            let (than, remedy) = match jail.layout {
                LayoutSpec::Auto => ("the one in use", "declare the source's `layout`"),
                _ => ("the declared one", "mend `source.layout` or leave it out"),
            };
            conditions.push(Condition {
                kind: ConditionType::Degraded,
                status: true,
                reason: "OtherLayout".into(),
                message: format!(
                    "lines of another layout than {than} are not understood ({}): when they are the program's own, and not \
                     what a client had it write, {remedy}; `gaoler explain` tells which one a line shows",
                    strange.join(", ")
                ),
            });
        }
        if enforces && !proxied.is_empty() {
            conditions.push(Condition {
                kind: ConditionType::EnforceAtProxy,
                status: true,
                reason: "ClientsBehindProxy".into(),
                message: format!(
                    "clients that {} accuses come through a proxy (PROXY protocol): their packets carry the \
                     proxy's address here, so drop them where the proxy receives them",
                    proxied.join(", ")
                ),
            });
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_another_layout_are_forgotten_when_later_ones_are_understood() {
        let mut sights = Sights::default();
        let seat = SeatId::default();
        let strange = |sights: &Sights| sights.0[&(seat, 0)].strange;
        sights.add(seat, 0, Hints { strange: 300, ..Hints::default() });
        // Whatever else is seen beside them.
        sights.add(seat, 0, Hints { unaddressed: 5, ..Hints::default() });
        sights.add(seat, 0, Hints { addressed: 1, strange: 4, ..Hints::default() });
        assert_eq!(strange(&sights), 304);
        for _ in 0..5 {
            sights.add(seat, 0, Hints { addressed: 1, ..Hints::default() });
        }
        assert!(strange(&sights) < ENOUGH);
    }
}
