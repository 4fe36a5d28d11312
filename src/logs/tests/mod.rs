//! The reader on real files.

mod finding;
mod journal;
mod once;
mod random;
mod rotation;
mod siblings;
mod world;
