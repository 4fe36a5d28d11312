//! Which rules look at which lines, and which jails hear of a match.
//!
//! Jails that read the same source with the same layout share one scanner, and a filter that several of them name
//! is in it once: the lines are searched once, whatever the number of jails.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::heard::Heard;
use crate::config::JailConfig;
use crate::engine::filter::Filter;
use crate::engine::scanner::{Envelope, ScanError, Scanner};
use crate::engine::{AddressPolicy, FilterName, FilterSpec, LayoutSpec, Match, RuleRef};

/// A place in the list of jails.
pub(super) type SeatId = usize;

/// A jail that reads a source.
pub(super) type Reader = (SeatId, Arc<JailConfig>);

/// For each filter of a scanner: jails, and the filter's place in the jail's own list.
pub(super) type Routes = [SmallVec<[(SeatId, u16); 2]>];

/// One scanner, and who hears of its matches.
pub(super) struct Pipeline {
    pub(super) layout: LayoutSpec,
    pub(super) scanner: Scanner,
    /// For each filter of the scanner: jails, and the filter's place in the jail's own list.
    routes: Vec<SmallVec<[(SeatId, u16); 2]>>,
    filters: Vec<FilterName>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("layout", &self.layout)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// One scanner for each layout that these jails declare.
    pub(super) fn build(
        jails: &[Reader],
        envelope: Envelope,
        filters: &mut Filters,
    ) -> Vec<Result<Self, (Vec<SeatId>, ScanError)>> {
        let mut layouts: Vec<(&LayoutSpec, Vec<&Reader>)> = Vec::new();
        for jail in jails {
            match layouts.iter_mut().find(|(layout, _)| **layout == jail.1.layout) {
                Some((_, sharing)) => sharing.push(jail),
                None => layouts.push((&jail.1.layout, vec![jail])),
            }
        }
        let build = |(layout, sharing): (&LayoutSpec, Vec<&Reader>)| {
            Self::of_layout(layout, &sharing, envelope, filters)
                .map_err(|error| (sharing.iter().map(|(seat, _)| *seat).collect(), error))
        };
        layouts.into_iter().map(build).collect()
    }

    fn of_layout(
        layout: &LayoutSpec,
        jails: &[&Reader],
        envelope: Envelope,
        compiled: &Filters,
    ) -> Result<Self, ScanError> {
        let mut filters: Vec<Arc<Filter>> = Vec::new();
        let mut routes: Vec<SmallVec<[(SeatId, u16); 2]>> = Vec::new();
        for (seat, jail) in jails {
            for (place, spec) in (0_u16..).zip(&jail.filters) {
                // One that does not compile was reported when the jail was configured.
                let Some(filter) = compiled.get(&spec.name) else { continue };
                let at = filters.iter().position(|known| Arc::ptr_eq(known, filter)).unwrap_or_else(|| {
                    filters.push(Arc::clone(filter));
                    routes.push(SmallVec::new());
                    filters.len() - 1
                });
                if let Some(route) = routes.get_mut(at) {
                    route.push((*seat, place));
                }
            }
        }
        let scanner = Scanner::new(&filters, layout, envelope, &AddressPolicy::default())?;
        let names = filters.iter().map(|filter| filter.name().clone()).collect();
        Ok(Self { layout: layout.clone(), scanner, routes, filters: names })
    }

    /// Gives a match to every jail that has its filter, numbered as in that jail. `heard` is of the same scan. `hear`
    /// tells whether the match's time was good enough.
    pub(super) fn deliver(
        routes: &Routes,
        m: &Match,
        heard: &mut Heard,
        hear: &mut dyn FnMut(SeatId, &Match) -> bool,
    ) {
        for (seat, filter) in routes.get(usize::from(m.rule.filter)).into_iter().flatten() {
            heard.offer(*seat, m, |weight| {
                hear(*seat, &Match { rule: RuleRef { filter: *filter, ..m.rule }, weight, ..*m })
            });
        }
    }

    /// The filters, in the scanner's order.
    pub(super) fn filters(&self) -> &[FilterName] {
        &self.filters
    }

    /// Who hears of the matches.
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }
}

/// Compiled filters by name. One whose declaration did not change is not compiled again.
#[derive(Default)]
pub(super) struct Filters(HashMap<FilterName, (Arc<FilterSpec>, Arc<Filter>)>);

impl std::fmt::Debug for Filters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Filters {
    /// Compiles what these jails name; tells which jail cannot use which filter.
    pub(super) fn compile(&mut self, jails: &[Arc<JailConfig>]) -> Vec<(SeatId, String)> {
        let mut before = std::mem::take(&mut self.0);
        let mut broken: HashMap<FilterName, String> = HashMap::new();
        let mut unusable = Vec::new();
        for (seat, jail) in jails.iter().enumerate() {
            for spec in &jail.filters {
                if !self.0.contains_key(&spec.name) && !broken.contains_key(&spec.name) {
                    let kept = before.remove(&spec.name).filter(|(known, _)| known == spec);
                    match kept.map_or_else(|| Filter::compile(spec).map(Arc::new), |(_, filter)| Ok(filter)) {
                        Ok(filter) => {
                            self.0.insert(spec.name.clone(), (Arc::clone(spec), filter));
                        }
                        Err(error) => {
                            broken.insert(spec.name.clone(), error.to_string());
                        }
                    }
                }
                if let Some(reason) = broken.get(&spec.name) {
                    unusable.push((seat, format!("filter {} cannot be used: {reason}", spec.name)));
                }
            }
        }
        unusable
    }

    fn get(&self, name: &FilterName) -> Option<&Arc<Filter>> {
        self.0.get(name).map(|(_, filter)| filter)
    }
}
