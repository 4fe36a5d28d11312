mod class;
mod dialect;
mod error;
mod needle;
mod pattern;
mod span;
mod tags;
pub use error::FilterError;
