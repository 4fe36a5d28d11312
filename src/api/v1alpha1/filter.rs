//! Kind `Filter`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Example, GoDuration};

/// What in a log line is a failure (or a success) and which address it concerns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "kubernetes", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "kubernetes",
    kube(
        group = "gaoler.dev",
        version = "v1alpha1",
        kind = "Filter",
        namespaced,
        status = "super::Status",
        category = "gaoler",
        shortname = "gf",
        doc = "What in a log line is a failure (or a success) and which address it concerns.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
        ),
        printcolumn(name = "Description", type_ = "string", json_path = ".spec.description"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.rules) || has(self.failRegex) || has(self.successes)",
        "message": "a filter needs `rules` or `failRegex`"
    },
    {
        "rule": "has(self.failRegex) || !(has(self.prefRegex) || has(self.ignoreRegex) || has(self.datePatterns))",
        "message": "`prefRegex`, `ignoreRegex` and `datePatterns` need `failRegex`"
    },
]))]
pub struct FilterSpec {
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Structured rules for failures, on events of any layout. The first that matches counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub rules: Option<Vec<Rule>>,
    /// Structured rules for successful logins, in the same shape. A jail's `trusted` looks at them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub successes: Option<Vec<Rule>>,
    /// fail2ban's `prefregex`: every line must match it first; its `<F-CONTENT>` is what `failRegex` then sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub pref_regex: Option<String>,
    /// fail2ban's `failregex`, one entry each, verbatim: searched in the line after its date is cut out. Each must
    /// hold `<HOST>`, `<ADDR>` or another tag that yields an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 8192)))]
    pub fail_regex: Option<Vec<String>>,
    /// fail2ban's `ignoreregex`, one entry each: a failure whose line matches one is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 8192)))]
    pub ignore_regex: Option<Vec<String>>,
    /// fail2ban's `datepattern`, one entry each. Without it fail2ban's default templates find the date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 1024)))]
    pub date_patterns: Option<Vec<String>>,
    /// fail2ban's `maxlines`: how many lines `failRegex` sees at once, for patterns with `<SKIPLINES>`. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_lines: Option<u32>,
    /// Several lines of one event count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_per: Option<OnePer>,
    /// Lines and what the filter must make of them. They run whenever the filter is loaded; one that fails refuses
    /// the filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub examples: Option<Vec<Example>>,
}

/// A structured rule: all its conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.logger) || has(self.message)", "message": "a rule needs `logger` or `message`"},
]))]
pub struct Rule {
    /// The logger, in full or abbreviated as logback prints it (`o.a.j.u.AuditTrail`); each matches the other form.
    /// Without it every logger matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub logger: Option<String>,
    /// A regular expression searched in the message. Begin it with `^`: what follows an attacker's text is the
    /// attacker's. May hold `<HOST>` or `<ADDR>`. Without it every message matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub message: Option<String>,
    /// Keys of the diagnostic context (MDC) that must have exactly these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" = {"type": "string", "maxLength": 1024})
    )]
    pub context: Option<BTreeMap<String, String>>,
    /// Where the address is: keys of the diagnostic context, the first that is present wins; the word `message` is
    /// the `<HOST>` of `message`. Default: `message` when `message` holds `<HOST>` or `<ADDR>`, else
    /// `proxy.source`, `remoteIP`, `ip`, as James writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 128)))]
    pub address: Option<Vec<String>>,
    /// How much a match counts against `maxRetry`. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<u32>,
}

/// Lines of one event that count once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnePer {
    /// Keys of the diagnostic context whose values, with the address, name the event. A missing key counts as empty.
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub keys: Vec<String>,
    /// How far apart the lines of one event may be.
    pub within: GoDuration,
}
