//! The reader on real files.

mod rotation;
mod world;
