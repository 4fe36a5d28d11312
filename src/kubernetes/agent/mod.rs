//! `gaoler agent`: one node of a cluster. Guards by itself; the API server tells it what to guard and carries bans.

pub mod house;
pub mod picture;
pub mod pods;
pub mod raw;
pub mod scopes;
pub mod station;
pub mod surroundings;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;

use station::Station;

/// A task beside the detector. It runs until the agent ends; it may not end earlier, and what goes wrong it logs and
/// tries again.
pub type Task = fn(Station) -> BoxFuture<'static, ()>;

/// The tasks, by name. To add one, write its line here: `("publish", |station| Box::pin(publish::run(station)))`.
pub const TASKS: &[(&str, Task)] = &[];
