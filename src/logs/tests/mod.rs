//! The reader on real files.

mod finding;
mod random;
mod rotation;
mod world;
