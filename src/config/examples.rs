//! Runs the examples a filter carries.

use crate::api::v1alpha1::Example;
use crate::engine::FilterSpec;

use super::origin::Notes;

/// Runs `examples`; each that does not come out as it says is an error.
pub(super) fn run(spec: &FilterSpec, examples: &[Example], notes: &mut Notes<'_>) {
    let _ = (spec, examples, notes);
}
