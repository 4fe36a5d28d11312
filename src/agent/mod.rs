//! Wires the layers on one host.

pub mod interfaces;
pub mod resolver;
pub mod state_file;
pub mod wake;
