//! The binary, as a person or a program runs it.

#![allow(clippy::unwrap_used)]

mod daemon;
mod host;
mod manual;
#[cfg(feature = "kubernetes")]
mod plugin;
mod socket;
mod trying;
