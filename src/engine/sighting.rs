//! What nodes tell each other of subjects below the threshold.

use super::Timestamp;
use super::window::Hit;

/// Another node, by a number that whoever hears the nodes gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub u16);

/// What one node saw of one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Its failures that can still share a window with a record that is read late: those of the last two `findTime`s.
    pub failures: Vec<Hit>,
    /// Spans of successful logins, `(first, last)`, whose members are no more than `findTime` apart.
    pub successes: Vec<(Timestamp, Timestamp)>,
}
