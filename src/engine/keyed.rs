//! A hash map for keys that attackers choose.
//!
//! std's map is as safe from chosen collisions, but its hash takes several times as long for a key of one or two
//! words, and every match looks up its subject several times.

/// A map with a secret of its own, so that nobody outside can choose keys that collide.
pub(crate) type KeyedMap<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;
