//! What a scanner remembers between the blocks of one source.

use std::collections::VecDeque;

use super::doubt::Doubt;
use super::hints::Hints;
use super::join::Pieces;
use super::once::Once;
use super::settle::has_templates;
use super::standing::Standing;
use crate::engine::dates::DateMemory;
use crate::engine::layout::Layout;
use crate::engine::{LayoutSpec, Timestamp};

/// What a scanner remembers of one source: the layout it settled on, pieces of a container's long line, events
/// already counted, the lines of multi-line filters. Bounded, whatever the source holds.
#[derive(Default)]
pub struct ScanState {
    /// It is taken out for every line that is judged: one word.
    pub(super) layout: Option<Box<Layout>>,
    /// A line showed what is to be known of the source's layout.
    pub(super) settled: bool,
    /// Lines looked at in vain for a layout.
    pub(super) undecided: u32,
    /// Lines of another layout since the last one of this.
    pub(super) strange: u32,
    /// How far the layout is believed, when it is JSON.
    pub(super) standing: Standing,
    /// What speaks against the layout, in a container's log of text.
    pub(super) doubt: Option<Doubt>,
    /// The layout's encoder leaves the message unformatted: no literal of a message need be in the line.
    pub(super) templates: bool,
    pub(super) pieces: Pieces,
    pub(super) memories: Vec<DateMemory>,
    pub(super) last_date: Option<Timestamp>,
    pub(super) once: Vec<Once>,
    pub(super) buffers: Vec<VecDeque<String>>,
    pub(super) scratch: Scratch,
    /// By filter; empty: nothing to tell.
    pub(super) hints: Vec<Hints>,
}

/// Buffers that live on, so that a line allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) plain: String,
    pub(super) cut: String,
}

impl ScanState {
    /// The layout that `Auto` settled on; `None`: nothing recognised yet, or the layout was declared.
    #[must_use]
    pub fn layout(&self) -> Option<&LayoutSpec> {
        self.layout.as_deref().map(Layout::spec)
    }

    /// Takes to a layout, which the line `text` shows.
    pub(super) fn take_to(&mut self, layout: Layout, text: &str) {
        self.templates = has_templates(layout.spec(), text);
        self.strange = 0;
        self.standing = Standing::default();
        self.layout = Some(Box::new(layout));
    }

    /// What each filter saw besides its matches since this was asked last, with the filter's place in the scanner.
    pub fn take_hints(&mut self) -> impl Iterator<Item = (u16, Hints)> + use<> {
        (0_u16..).zip(std::mem::take(&mut self.hints)).filter(|(_, hints)| *hints != Hints::default())
    }

    /// What stays true of the source when its scanner is replaced: the layout and pieces not yet joined.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self {
            layout: self.layout,
            settled: self.settled,
            undecided: self.undecided,
            strange: self.strange,
            standing: self.standing,
            templates: self.templates,
            pieces: self.pieces,
            ..Self::default()
        }
    }
}
