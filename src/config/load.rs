//! Files and directories to a configuration.

use std::path::PathBuf;

use super::loaded::Loaded;
use super::{Surroundings, files, resources};

/// Reads and validates `paths` for this plain host. Objects that are refused, and everything in files that cannot be
/// read, go on in their last good state from `previous`.
#[must_use]
pub fn load(paths: &[PathBuf], previous: Option<&Loaded>) -> Loaded {
    let at = Some(jiff::Timestamp::now().into());
    load_in(paths, previous, &Surroundings { at, ..Surroundings::default() })
}

/// As [`load`], in given surroundings.
#[must_use]
pub fn load_in(paths: &[PathBuf], previous: Option<&Loaded>, around: &Surroundings) -> Loaded {
    assemble(files::read(paths), previous, around)
}

/// As [`load`], of what was read already.
#[must_use]
pub fn assemble(manifests: files::Manifests, previous: Option<&Loaded>, around: &Surroundings) -> Loaded {
    let files::Manifests { objects, problems, damaged } = manifests;
    let mut loaded = resources::assemble(objects, &damaged, previous, around);
    loaded.problems.splice(0..0, problems);
    loaded
}
