//! Which layout a source has, and that it may get another one.

use memchr::memchr_iter;

use super::{Envelope, ScanState, Scanner};
use crate::engine::LayoutSpec;
use crate::engine::layout::{Layout, detect, strip_ansi};

/// After so many lines without a known layout the source is taken to have none. Were it looked for without end, a
/// line forged by an attacker could be the first that shows one.
const MOST_UNDECIDED: u32 = 1000;
/// So many lines of another layout, and none of the known one between them, are a program configured anew. What an
/// attacker forges stands in the midst of an event of the known layout, and is read together with it.
pub(super) const CHANGED: u32 = 20;

impl Scanner {
    /// Whether lines are still looked at for what they show of the source.
    pub(super) fn undecided(&self, state: &ScanState) -> bool {
        let open = match &self.layout {
            None => true,
            Some(layout) => *layout.spec() == LayoutSpec::JsonEncoder,
        };
        open && !state.settled && state.undecided < MOST_UNDECIDED
    }

    /// The first line that shows a layout decides for its source.
    pub(super) fn settle_layout(&self, state: &mut ScanState, text: &str) {
        let Some(layout) = detect(text).and_then(|spec| Layout::new(&spec).ok()) else {
            state.undecided += 1;
            return;
        };
        state.settled = true;
        if self.layout.is_none() {
            state.take_to(layout, text);
        } else {
            state.templates = has_templates(layout.spec(), text);
        }
    }

    /// Notices that the source has another layout than it used to have. One look at the first line, when all is well.
    /// A container's lines come one by one, forged ones too, and with every start of it begins another file.
    pub(super) fn reconsider(&self, state: &mut ScanState, block: &[u8]) {
        if self.layout.is_some() || self.envelope != Envelope::None {
            return;
        }
        let Some(known) = state.layout().cloned() else { return };
        let mut begin = 0;
        for end in memchr_iter(b'\n', block) {
            let line = block.get(begin..end).unwrap_or_default();
            begin = end + 1;
            let text =
                String::from_utf8_lossy(line.get(..line.len().min(super::MOST_BYTES)).unwrap_or_default());
            match detect(&text) {
                None => {}
                Some(shown) if shown == known => {
                    state.strange = 0;
                    return;
                }
                Some(shown) => {
                    state.strange += 1;
                    if state.strange >= CHANGED {
                        state.strange = 0;
                        if let Ok(layout) = Layout::new(&shown) {
                            state.take_to(layout, &strip_ansi(&text));
                        }
                        return;
                    }
                }
            }
        }
    }
}

/// Whether every event of the layout is one line, whatever its values hold.
pub(super) fn is_json(spec: &LayoutSpec) -> bool {
    matches!(spec, LayoutSpec::JsonEncoder | LayoutSpec::JsonLayout | LayoutSpec::Logstash)
}

/// Without formatted messages, a line holds a template and arguments, but no text that a rule looks for.
pub(super) fn has_templates(spec: &LayoutSpec, text: &str) -> bool {
    *spec == LayoutSpec::JsonEncoder && !text.contains("\"formattedMessage\"")
}
