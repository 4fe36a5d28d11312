//! `#[serde(with)]` for subjects: an address alone where the prefix is the whole address, else CIDR.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::engine::Subject;

pub(super) fn serialize<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(subject)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Subject, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
