//! The state an object was last accepted in.

use std::path::Path;
use std::sync::Arc;

use crate::api::v1alpha1::{FilterSpec as DeclaredFilter, JailMode, LimitMode, Name};
use crate::engine::FilterSpec;

use super::{AllowEntry, BanEntry, JailConfig, RateLimitConfig};

/// An accepted object.
#[derive(Clone, Debug)]
pub(super) struct Good {
    /// The file it stood in.
    pub(super) file: Arc<Path>,
    /// The line it began at.
    pub(super) line: u32,
    pub(super) object: GoodObject,
}

/// What it was made into. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum GoodObject {
    Filter {
        declared: Arc<DeclaredFilter>,
        spec: Arc<FilterSpec>,
    },
    Jail {
        config: Arc<JailConfig>,
        mode: JailMode,
        filters: Vec<Name>,
    },
    RateLimit {
        config: Arc<RateLimitConfig>,
        mode: LimitMode,
    },
    BanList(Arc<[BanEntry]>),
    AllowList(Arc<[AllowEntry]>),
    /// Checked, and without effect here.
    Checked,
}
