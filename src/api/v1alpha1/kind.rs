//! The kinds of this version and their schemas.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};

use super::{AllowListSpec, BanListSpec, FilterSpec, JailSpec, PardonSpec, RateLimitSpec};

/// A kind that people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What in a line is a failure.
    Filter,
    /// Filters, a source, thresholds and a sentence.
    Jail,
    /// How many packets or connections a source may open.
    RateLimit,
    /// Bans by hand or from a feed.
    BanList,
    /// Who is never banned.
    AllowList,
    /// The end of bans.
    Pardon,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Filter, Self::Jail, Self::RateLimit, Self::BanList, Self::AllowList, Self::Pardon];

    /// What stands in `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "Filter",
            Self::Jail => "Jail",
            Self::RateLimit => "RateLimit",
            Self::BanList => "BanList",
            Self::AllowList => "AllowList",
            Self::Pardon => "Pardon",
        }
    }

    /// The kind of this name, as written in `kind`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether its objects live in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        matches!(self, Self::Filter | Self::Jail | Self::RateLimit)
    }

    /// One sentence about it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Filter => "What in a log line is a failure (or a success) and which address it concerns.",
            Self::Jail => {
                "Filters, a log source, thresholds and a sentence: who is banned, for how long, from where."
            }
            Self::RateLimit => "How often a source may knock; limits packets in the kernel, without any log.",
            Self::BanList => "Prefixes that are banned as long as they stand here.",
            Self::AllowList => "Prefixes and hosts that are never banned.",
            Self::Pardon => "Ends every covered ban that began before it, on every node.",
        }
    }

    /// The schema of `spec`, with every subschema inline.
    #[must_use]
    pub fn spec_schema(self) -> Schema {
        fn of<T: JsonSchema>() -> Schema {
            let settings = SchemaSettings::draft2020_12().with(|s| {
                s.inline_subschemas = true;
                s.meta_schema = None;
            });
            settings.into_generator().into_root_schema_for::<T>()
        }
        match self {
            Self::Filter => of::<FilterSpec>(),
            Self::Jail => of::<JailSpec>(),
            Self::RateLimit => of::<RateLimitSpec>(),
            Self::BanList => of::<BanListSpec>(),
            Self::AllowList => of::<AllowListSpec>(),
            Self::Pardon => of::<PardonSpec>(),
        }
    }

    /// The JSON schema of a whole manifest of this kind, for editors.
    #[must_use]
    pub fn manifest_schema(self) -> Schema {
        json_schema!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.as_str(),
            "description": self.about(),
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": false,
            "properties": {
                "apiVersion": {"const": super::API_VERSION},
                "kind": {"const": self.as_str()},
                "metadata": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {
                            "description": "The name, a DNS label.",
                            "type": "string",
                            "maxLength": 63,
                            "pattern": super::Name::PATTERN,
                        },
                        "namespace": {"description": "The namespace; without meaning on a plain host.", "type": "string"},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                },
                "spec": self.spec_schema(),
                "status": {"description": "Written by Gaoler; ignored in files.", "type": "object"},
            },
        })
    }
}
