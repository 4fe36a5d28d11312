//! A container's log that was taken for text and shows JSON.
//!
//! One line of text among the first of a JSON log makes it a log of text, see [`super::standing`]. In a container's log
//! lines come one by one, so that no block tells genuine ones from forged ones. Their times do, which the runtime
//! writes: whoever forges lines in a log of text does so behind a line of text that carries them, and all at once. Only
//! a program that writes JSON goes on with it for a minute without any line of text.

use super::report::Report;
use super::settle::{CHANGED, is_json};
use super::standing::Standing;
use super::{Envelope, ScanState, Scanner, Work};
use crate::engine::layout::{Layout, detect};
use crate::engine::{Duration, LayoutSpec, Timestamp};

/// For so long there is JSON and no text.
const SPAN: Duration = Duration::from_secs(60);

/// Lines of JSON since the last line of the known layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    lines: u32,
    since: Timestamp,
}

/// What a line makes of a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weighed {
    Stays,
    Over,
    /// The source is JSON.
    Json,
}

impl Doubt {
    /// Begins with a line of this time.
    pub(super) fn at(since: Timestamp) -> Self {
        Self { lines: 0, since }
    }

    /// A later line, which shows a layout.
    pub(super) fn weigh(&mut self, known: &LayoutSpec, shown: &LayoutSpec, time: Timestamp) -> Weighed {
        if !is_json(shown) || is_json(known) {
            return Weighed::Over;
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines >= CHANGED && time.since(self.since) >= SPAN { Weighed::Json } else { Weighed::Stays }
    }
}

impl Scanner {
    /// Whether a line that shows this layout is a reason to doubt that of its source.
    pub(super) fn is_doubtful(&self, known: &LayoutSpec, shown: &LayoutSpec) -> bool {
        self.layout.is_none() && self.envelope == Envelope::Cri && is_json(shown) && !is_json(known)
    }

    /// Begins to doubt a container's layout at a line that is not of it.
    pub(super) fn doubt(&self, state: &mut ScanState, shown: &LayoutSpec, time: Option<Timestamp>) {
        if let (None, Some(known), Some(since)) = (&state.doubt, state.layout(), time)
            && self.is_doubtful(known, shown)
        {
            state.doubt = Some(Doubt::at(since));
        }
    }

    /// Looks at every line while there is doubt: enough JSON ends it, and so does a line of anything else, as behind
    /// each such line may stand what is forged.
    pub(super) fn weigh(&self, state: &mut ScanState, text: &str, time: Option<Timestamp>) {
        let (Some(mut doubt), Some(shown), Some(time)) = (state.doubt.take(), detect(text), time) else {
            return;
        };
        let Some(known) = state.layout() else { return };
        let weighed = doubt.weigh(known, &shown, time);
        state.doubt = Some(doubt).filter(|_| weighed == Weighed::Stays);
        if weighed == Weighed::Json
            && let Ok(layout) = Layout::new(&shown)
        {
            state.take_to(layout, text);
            // So many lines and no text between them.
            state.standing.earn();
        }
    }

    /// A line is too long to be looked at: what is forged may stand behind it.
    pub(super) fn unseen<R: Report>(state: &mut ScanState, work: &mut Work<'_, R>) {
        work.stats.too_long += 1;
        state.doubt = None;
    }

    /// Another log of the same program begins: a container's next run may have another layout.
    pub fn begin(&self, state: &mut ScanState) {
        if self.layout.is_none() && self.envelope == Envelope::Cri {
            (state.layout, state.settled, state.undecided) = (None, false, 0);
            (state.standing, state.templates, state.doubt) = (Standing::default(), false, None);
        }
    }
}
