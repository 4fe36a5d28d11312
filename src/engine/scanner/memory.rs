//! What a scanner remembers, in a form that outlives the process.
//!
//! Taken together with the place up to which its source was read: an event whose second line comes after a restart
//! still counts once, and a line whose first piece came before it is still whole.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ScanState;
use super::join::Pieces;
use super::kept::Kept;
use super::once::Once;
use super::standing::Standing;
use crate::engine::layout::Layout;
use crate::engine::{LayoutSpec, Timestamp};

/// What is kept of a [`ScanState`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScanMemory {
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<LayoutSpec>,
    settled: bool,
    undecided: u32,
    templates: bool,
    #[serde(skip_serializing_if = "Standing::is_new")]
    standing: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Pieces::is_empty")]
    pieces: Pieces,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    once: Vec<Kept>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buffers: Vec<VecDeque<String>>,
}

impl ScanState {
    /// What must be known when reading goes on in another process.
    #[must_use]
    pub fn memory(&self) -> ScanMemory {
        let empty = self.buffers.iter().all(VecDeque::is_empty);
        ScanMemory {
            layout: self.layout().cloned(),
            settled: self.settled,
            undecided: self.undecided,
            templates: self.templates,
            standing: self.standing.clone(),
            last_date: self.last_date,
            pieces: self.pieces.clone(),
            once: if self.once.iter().all(Once::is_empty) {
                Vec::new()
            } else {
                self.once.iter().map(Kept::from).collect()
            },
            buffers: if empty { Vec::new() } else { self.buffers.clone() },
        }
    }

    /// The state a memory was taken of. Only for a scanner with the same filters in the same order; else use
    /// [`Self::renewed`] of it.
    #[must_use]
    pub fn remembering(memory: ScanMemory) -> Self {
        let ScanMemory { layout, settled, undecided, templates, standing, last_date, pieces, once, buffers } =
            memory;
        // One that cannot be made any more is looked for anew.
        let made = layout.as_ref().and_then(|spec| Layout::new(spec).ok());
        let settled = settled && made.is_some() == layout.is_some();
        let standing = if made.is_some() { standing } else { Standing::default() };
        let layout = made.map(Box::new);
        Self {
            layout,
            settled,
            undecided,
            templates,
            standing,
            last_date,
            pieces,
            once: once.into_iter().map(Once::from).collect(),
            buffers,
            ..Self::default()
        }
    }
}
