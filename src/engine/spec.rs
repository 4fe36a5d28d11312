//! Validated settings the engine is built from. `config` makes them out of manifests.

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Duration, FilterName, JailName, PrefixPolicy};

/// How a line splits into an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LayoutSpec {
    /// Found from the first lines of a source, then kept for that source.
    #[default]
    Auto,
    /// `%d{HH:mm:ss.SSS} %highlight([%-5level]) %logger{15} - %msg`, with or without colours.
    JamesDefault,
    /// logback's `JsonEncoder` (James 3.9 and later).
    JsonEncoder,
    /// logback-contrib's `JsonLayout` (James 3.7 and 3.8).
    JsonLayout,
    /// logstash-logback-encoder.
    Logstash,
    /// No structure: the whole line is the message. What fail2ban sees.
    Text,
    /// A logback or log4j2 conversion pattern, as pasted.
    Pattern(Arc<str>),
}

/// One filter, as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterSpec {
    /// Its name.
    pub name: FilterName,
    /// Structured rules for failures.
    pub rules: Vec<RuleSpec>,
    /// Structured rules for successful logins.
    pub successes: Vec<RuleSpec>,
    /// fail2ban's dialect.
    pub text: Option<TextSpec>,
    /// Several lines of one event count once.
    pub one_per: Option<OnePer>,
}

/// A structured rule: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSpec {
    /// Logger, full or abbreviated; each matches the other form. `None`: any.
    pub logger: Option<String>,
    /// Regex searched in the message; may hold `<HOST>`/`<ADDR>`. `None`: any message.
    pub message: Option<String>,
    /// Context keys that must have exactly these values.
    pub context: Vec<(String, String)>,
    /// Where the address is: the first of these that is present.
    pub address: Vec<AddressSource>,
    /// How much a match counts.
    pub weight: u32,
}

/// Where a structured rule takes the address from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// A context key, e.g. `remoteIP`. James writes `/203.0.113.99:43210`, `host/203.0.113.7`, `[v6]:port` there.
    Context(String),
    /// The `<HOST>` or `<ADDR>` of the message regex.
    Message,
}

/// fail2ban's own dialect, verbatim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextSpec {
    /// `prefregex`.
    pub pref_regex: Option<String>,
    /// `failregex`, one per entry.
    pub fail_regex: Vec<String>,
    /// `ignoreregex`, one per entry.
    pub ignore_regex: Vec<String>,
    /// `datepattern`, one per entry; empty: fail2ban's default templates.
    pub date_patterns: Vec<String>,
    /// `maxlines`; 1 is one line at a time.
    pub max_lines: u32,
}

/// Lines of one event that count once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnePer {
    /// Context keys whose values, with the address, name the event. Missing keys count as empty.
    pub keys: Vec<String>,
    /// How far apart the lines may be.
    pub within: Duration,
}

/// Thresholds and sentence of a jail.
#[derive(Clone, Debug, PartialEq)]
pub struct JailSpec {
    /// Its name.
    pub name: JailName,
    /// The weight within `find_time` at which a ban falls, at least 1.
    pub max_retry: u32,
    /// Width of the sliding window, both ends included.
    pub find_time: Duration,
    /// How long.
    pub sentence: SentenceSpec,
    /// A subject with a success within `find_time` needs `max_retry` times this; 1 is off.
    pub trusted_factor: u32,
    /// What is counted and banned.
    pub prefix: PrefixPolicy,
    /// Never banned by this jail.
    pub ignore: Vec<IpNet>,
    /// Subjects tracked below the threshold at most; beyond it the oldest with the least weight give way.
    pub max_tracked: usize,
}

/// How long a ban lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceSpec {
    /// The first ban's length; `None` is permanent.
    pub ban_time: Option<Duration>,
    /// Each further ban is this many times longer; 1.0 is no escalation.
    pub factor: f64,
    /// The cap.
    pub max_ban_time: Duration,
    /// At most this much is added, by a hash of the ban's identity.
    pub jitter: Duration,
    /// After this long without a ban the count starts anew.
    pub forget_after: Duration,
}
