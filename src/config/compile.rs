//! What configuration asks the engine: can this be compiled?

use crate::engine::{FilterSpec, LayoutSpec};

/// A field the engine refuses or has something to say about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Relative to `spec`, e.g. `rules[0].message`.
    pub(super) field: String,
    pub(super) message: String,
    pub(super) fix: String,
}

/// Compiles a filter. What it returns when it can be compiled are warnings.
pub(super) fn filter(spec: &FilterSpec) -> Result<Vec<Fault>, Fault> {
    let _ = spec;
    Ok(Vec::new())
}

/// Compiles a layout that is not `Auto`; the message says what is wrong with its pattern.
pub(super) fn layout(spec: &LayoutSpec) -> Result<(), (String, String)> {
    let _ = spec;
    Ok(())
}
