//! What is said on the control socket: one JSON document a line.
//!
//! The client sends one [`Request`] and reads [`Answer`]s until one [ends](Answer::is_last) the exchange. Both name
//! the version they speak, so that an old `gaoler` at a new daemon says so and does not guess.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::report::{BanOrder, UnbanOrder};
use crate::engine::JailName;

/// Raised when an older program could misunderstand a message.
pub const VERSION: u32 = 1;

/// The longest request the daemon reads, in bytes.
pub const MAX_REQUEST: usize = 64 << 10;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub verb: Verb,
}

impl Request {
    /// A request of this version.
    #[must_use]
    pub fn new(verb: Verb) -> Self {
        Self { version: VERSION, verb }
    }
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "camelCase")]
pub enum Verb {
    /// How everything is. Answered with a `DaemonStatus`.
    Status,
    /// Bans in force: one item each, then the end. With `watch`, events follow and there is no end.
    Bans {
        /// Only this jail's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jail: Option<JailName>,
        /// Go on with what happens.
        #[serde(default)]
        watch: bool,
    },
    /// Ban by hand. Answered with a `Banned`.
    Ban(BanOrder),
    /// End bans. Answered with an `Unbanned`.
    Unban(UnbanOrder),
    /// All about one address. Answered with a `WhyReport`.
    Why {
        /// The address.
        address: IpAddr,
    },
    /// Read the configuration again. Answered with a `ConfigReport`.
    Reload,
}

/// One line of the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// One of several.
    Item(Value),
    /// The answer, or the end of the items.
    Done(Value),
    /// The request was understood and refused, or could not be understood.
    Refused(String),
}

impl Answer {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Item(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_look_like_this() {
        let json = |verb| serde_json::to_string(&Request::new(verb)).unwrap();
        assert_eq!(json(Verb::Status), r#"{"version":1,"verb":"status"}"#);
        assert_eq!(
            json(Verb::Why { address: "203.0.113.7".parse().unwrap() }),
            r#"{"version":1,"verb":"why","address":"203.0.113.7"}"#
        );
        let order = BanOrder {
            subject: "203.0.113.0/24".parse().unwrap(),
            jail: Some("james".into()),
            seconds: Some(7200),
            reason: None,
        };
        assert_eq!(
            json(Verb::Ban(order)),
            r#"{"version":1,"verb":"ban","subject":"203.0.113.0/24","jail":"james","seconds":7200}"#
        );
    }

    #[test]
    fn every_request_is_read_as_it_was_written() {
        let everybody = UnbanOrder { prefix: None, jail: None, reason: Some("a mistake".into()) };
        for verb in [
            Verb::Status,
            Verb::Reload,
            Verb::Bans { jail: None, watch: true },
            Verb::Unban(everybody),
            Verb::Why { address: "2001:db8::1".parse().unwrap() },
        ] {
            let request = Request::new(verb);
            let line = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
    }
}
