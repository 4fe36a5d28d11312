//! Wires the layers on one host.

pub mod handle;
pub mod interfaces;
pub mod report;
pub mod resolver;
pub mod state_file;
pub mod wake;
