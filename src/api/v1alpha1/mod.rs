//! Group `gaoler.dev`, version `v1alpha1`: one file per kind.
//!
//! The doc comments of fields become the descriptions that `kubectl explain` and `gaoler schema` print.

// Each printer column has a `type_` of its own.
#![allow(clippy::duplicated_attributes)]

mod allow_list;
mod ban_list;
mod ban_slice;
mod condition;
mod duration;
mod example;
mod filter;
mod house;
mod jail;
mod kind;
mod node_agent;
mod pardon;
mod penalty;
mod rate_limit;
mod sighting_list;
mod source;
mod text;

#[cfg(feature = "kubernetes")]
pub mod crds;

pub use allow_list::*;
pub use ban_list::*;
pub use ban_slice::*;
pub use condition::{Condition, JailStatus, Status};
pub use duration::{BanTime, DurationError, GoDuration};
pub use example::{Example, ExpectedOutcome};
pub use filter::*;
pub use house::*;
pub use jail::*;
pub use kind::Kind;
pub use node_agent::*;
pub use pardon::*;
pub use penalty::Penalty;
pub use rate_limit::*;
pub use sighting_list::*;
pub use source::{Journal, LabelRequirement, LabelSelector, Layout, LayoutType, Operator, Pods, Source};
pub use text::{
    Fault, HostName, Name, NodeName, Prefix, QualifiedName, RuleName, Scope, Time, explain, form,
};

/// The API group.
pub const GROUP: &str = "gaoler.dev";
/// The version.
pub const VERSION: &str = "v1alpha1";
/// What stands in `apiVersion`.
pub const API_VERSION: &str = "gaoler.dev/v1alpha1";
