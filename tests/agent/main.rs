//! The whole agent in one process: real manifests, real files, a firewall that remembers what it was asked.

#![allow(clippy::unwrap_used)]

mod banning;
mod clock;
mod colleagues;
mod house;
mod limits;
mod lists;
mod moved;
mod orders;
mod received;
mod recovery;
mod reload;
mod sights;
mod world;
