//! A line after its layout was taken apart.

use std::borrow::Cow;

use super::Timestamp;

/// What a layout found in one line. Fields the layout does not have are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event<'a> {
    /// The record's own time, when the line holds a whole date and time.
    pub time: Option<Timestamp>,
    /// `INFO`, `WARN`, …, without padding.
    pub level: &'a str,
    /// The logger, as printed: full or abbreviated (`o.a.j.u.AuditTrail`).
    pub logger: Cow<'a, str>,
    /// The formatted message.
    pub message: Cow<'a, str>,
    /// The mapped diagnostic context (MDC).
    pub context: Context<'a>,
}

/// Keys and values of the mapped diagnostic context, in the order of the line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// As many keys as James puts there in a usual line.
const USUAL: usize = 12;

impl<'a> Context<'a> {
    /// Adds a key and its value. The first of two equal keys wins: the layouts print their own fields before
    /// anything an attacker could add.
    pub fn push(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        if self.0.is_empty() {
            self.0.reserve(USUAL);
        }
        self.0.push((key.into(), value.into()));
    }

    /// The first value of `key`, when it is there and not empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref()).filter(|v| !v.is_empty())
    }

    /// All pairs, in the order of the line.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v.as_ref()))
    }

    /// Whether the client wrote what stands here as its address: of WebAdmin's requests James prints X-Forwarded-For as
    /// `ip`, as it came, before it asks who that is.
    pub(crate) fn is_claimed(&self) -> bool {
        self.get("protocol") == Some("webadmin")
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the line carries no context at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
