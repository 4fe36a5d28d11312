//! Where a jail's lines come from, and how they split.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where lines come from: exactly one of `pods`, `files` and `journal`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.pods) && !has(self.files) && !has(self.journal)",
     "message": "in Kubernetes a jail reads `pods`; `files` and `journal` exist only on a plain host"},
]))]
pub struct Source {
    /// Pods in the jail's own namespace. Only in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// Log files of this host, as absolute paths; `*`, `?` and `[...]` match as in a shell. Files that are not there
    /// yet are waited for. Only on a plain host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 4096)))]
    pub files: Option<Vec<String>>,
    /// The systemd journal. Only on a plain host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// How a line splits into time, level, logger, message and context. Default: found from the lines; `Text` with
    /// `journal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// Pods whose logs are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pods {
    /// Which pods of the namespace.
    pub selector: LabelSelector,
    /// Which containers. Default: all but init containers and sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub containers: Option<Vec<String>>,
}

/// Labels a pod must have; all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels and their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" = {"type": "string", "maxLength": 63})
    )]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub match_expressions: Option<Vec<LabelRequirement>>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelRequirement {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// What must hold.
    pub operator: Operator,
    /// The values, for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 63)))]
    pub values: Option<Vec<String>>,
}

/// What must hold of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The value is one of these.
    In,
    /// The value is none of these.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// Units of the systemd journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journal {
    /// Unit names, e.g. `ssh.service`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 255)))]
    pub units: Vec<String>,
}

/// How a line splits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'Pattern') == has(self.pattern)",
     "message": "`pattern` is needed with type `Pattern`, and only there"},
]))]
pub struct Layout {
    /// The kind of layout.
    #[serde(rename = "type", default)]
    pub type_: LayoutType,
    /// The conversion pattern of logback or log4j2, as it stands in their configuration, with type `Pattern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: Option<String>,
}

/// Kinds of layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LayoutType {
    /// Found from the first lines of each source, then kept for that source.
    #[default]
    Auto,
    /// James' own console layout, with or without colours.
    JamesDefault,
    /// logback's `JsonEncoder`.
    JsonEncoder,
    /// logback-contrib's `JsonLayout`.
    JsonLayout,
    /// logstash-logback-encoder.
    Logstash,
    /// The whole line is the message, as fail2ban sees it.
    Text,
    /// A conversion pattern of logback or log4j2.
    Pattern,
}
