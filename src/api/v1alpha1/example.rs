//! Examples a filter carries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::LayoutType;

/// A line (or several) and what the filter must make of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!self.match || has(self.address)", "message": "an example that matches needs the `address` it accuses"},
    {"rule": "self.match || !(has(self.address) || has(self.count) || has(self.outcome))",
     "message": "an example that does not match has no `address`, `count` or `outcome`"},
]))]
pub struct Example {
    /// The line as the log holds it, ANSI colours included. May be several lines of one event.
    #[schemars(length(min = 1, max = 16384))]
    pub line: String,
    /// The layout the line has. Default: found from the line, as `Auto` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<LayoutType>,
    /// The conversion pattern, with layout `Pattern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: Option<String>,
    /// Whether the filter must match.
    #[serde(rename = "match")]
    pub matches: bool,
    /// The address that must be accused, in any notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub address: Option<String>,
    /// How often the lines must count in sum (weights added, `onePer` applied). Default: any number above zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub count: Option<u32>,
    /// Whether it is a failure or a success. Default `Failure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ExpectedOutcome>,
}

/// What a matching example is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExpectedOutcome {
    /// Counts against the address.
    #[default]
    Failure,
    /// A successful login.
    Success,
}
