//! What a rate limit does to a source over it: a word or a span of time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DurationError, GoDuration};

/// What happens to a source over its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Penalty {
    /// Knocking while over the limit counts too: the source is refused until it was silent for a whole window. Like
    /// iptables' `recent --update`, a little stricter.
    #[default]
    Silence,
    /// Only what is over the limit is refused, and does not count. Like iptables' `hashlimit`.
    Excess,
    /// It is refused for this long, whatever it does.
    For(GoDuration),
}

impl Penalty {
    /// The pattern in the schema; also what names this form to [`super::explain`].
    pub const PATTERN: &'static str = r"^(Silence|Excess|([0-9]+(\.[0-9]+)?(h|m|s|ms|us))+)$";
}

impl FromStr for Penalty {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        match text {
            "Silence" => Ok(Self::Silence),
            "Excess" => Ok(Self::Excess),
            _ if text.chars().all(char::is_alphabetic) => Err(DurationError {
                message: format!("`{text}` is not a penalty"),
                fix: "write `Silence`, `Excess`, or a duration such as `10m`".into(),
            }),
            _ => text.parse().map(Self::For),
        }
    }
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("Silence"),
            Self::Excess => f.write_str("Excess"),
            Self::For(span) => span.fmt(f),
        }
    }
}

impl Serialize for Penalty {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Penalty {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <Cow<'de, str>>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Penalty {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Penalty".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "`Silence`, `Excess`, or a span of time in Go's notation: `10m`.",
            "minLength": 1,
            "maxLength": 32,
            "pattern": Self::PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_word_or_a_span_of_time() {
        assert_eq!("Silence".parse(), Ok(Penalty::Silence));
        assert_eq!("Excess".parse(), Ok(Penalty::Excess));
        assert_eq!("10m".parse(), Ok(Penalty::For(GoDuration::from_secs(600))));
        assert!("silence".parse::<Penalty>().unwrap_err().fix.contains("`Silence`"));
        assert!("600".parse::<Penalty>().is_err());
    }
}
