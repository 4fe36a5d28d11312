//! What scanners remember of one source, here and in the snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pipeline::Pipeline;
use crate::engine::scanner::{ScanMemory, ScanState};
use crate::engine::{FilterName, LayoutSpec};

/// Memories of sources that were not read yet since the start, by source.
pub(super) type Parked = BTreeMap<String, Vec<SavedScan>>;

/// What one scanner remembered of a source, and which filters it had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedScan {
    layout: LayoutSpec,
    filters: Vec<FilterName>,
    memory: ScanMemory,
}

/// One state for each layout that jails declare for the source.
#[derive(Default)]
pub(super) struct Scans(Vec<Scan>);

struct Scan {
    layout: LayoutSpec,
    /// Of the scanner that used the state last.
    filters: Vec<FilterName>,
    state: ScanState,
}

impl Scans {
    /// What an earlier run remembered of `source`.
    pub(super) fn unpark(source: &str, parked: &mut Parked) -> Self {
        let scan = |SavedScan { layout, filters, memory }| Scan {
            layout,
            filters,
            state: ScanState::remembering(memory),
        };
        Self(parked.remove(source).unwrap_or_default().into_iter().map(scan).collect())
    }

    /// The state for a scanner. What was remembered by one with other filters is kept as far as it still holds.
    pub(super) fn state(&mut self, pipeline: &Pipeline) -> Option<&mut ScanState> {
        let at = match self.0.iter().position(|scan| scan.layout == pipeline.layout) {
            Some(at) => at,
            None => {
                let (layout, filters) = (pipeline.layout.clone(), pipeline.filters().to_vec());
                self.0.push(Scan { layout, filters, state: ScanState::default() });
                self.0.len() - 1
            }
        };
        let scan = self.0.get_mut(at)?;
        if scan.filters != pipeline.filters() {
            scan.state = std::mem::take(&mut scan.state).renewed();
            scan.filters = pipeline.filters().to_vec();
        }
        Some(&mut scan.state)
    }

    /// The scanners are others, perhaps with filters of the same names that say something else.
    pub(super) fn renew(&mut self) {
        for scan in &mut self.0 {
            scan.state = std::mem::take(&mut scan.state).renewed();
        }
    }

    /// The layout that `Auto` settled on.
    pub(super) fn settled(&self) -> Option<&LayoutSpec> {
        self.0.iter().find(|scan| scan.layout == LayoutSpec::Auto)?.state.layout()
    }

    /// What the snapshot keeps.
    pub(super) fn save(&self) -> Vec<SavedScan> {
        let save = |scan: &Scan| SavedScan {
            layout: scan.layout.clone(),
            filters: scan.filters.clone(),
            memory: scan.state.memory(),
        };
        self.0.iter().map(save).collect()
    }
}
