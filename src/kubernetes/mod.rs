//! Everything that talks to an API server; nothing else imports `kube`'s client.
//!
//! What is decided is decided in pure modules (objects in, values out) with tests of their own; what waits for the
//! network is glue around them. When the API server is away, [`crate::agent`] goes on counting and banning.

pub mod agent;
#[cfg(test)]
mod busy;
pub mod clock;
pub mod cluster_time;
pub mod connect;
pub mod controller;
pub mod epoch;
mod follow;
mod holding;
mod identity;
pub mod install;
pub mod mirror;
mod outage;
pub mod raw;
pub mod sightings;
pub mod slices;
mod versions;
pub mod view;

/// Field manager of what Gaoler writes.
pub const FIELD_MANAGER: &str = "gaoler";
