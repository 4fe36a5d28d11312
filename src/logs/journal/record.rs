//! One line of `journalctl --output=json`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::engine::Timestamp;

/// The fields that are asked for; the cursor and the time of reception always come.
pub(super) const FIELDS: &str =
    "MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,_COMM,SYSLOG_PID,_PID,_SOURCE_REALTIME_TIMESTAMP";

/// What `journalctl` prints for an entry.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "__CURSOR")]
    pub(super) cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    received: Field,
    #[serde(rename = "_SOURCE_REALTIME_TIMESTAMP", default)]
    sent: Field,
    #[serde(rename = "MESSAGE", default)]
    message: Field,
    #[serde(rename = "_HOSTNAME", default)]
    host: Field,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Field,
    #[serde(rename = "_COMM", default)]
    command: Field,
    #[serde(rename = "SYSLOG_PID", default)]
    syslog_pid: Field,
    #[serde(rename = "_PID", default)]
    pid: Field,
}

impl Entry {
    /// When the journal received it.
    pub(super) fn received(&self) -> Timestamp {
        self.received.timestamp().unwrap_or_default()
    }

    /// When it was sent, as far as is known and possible.
    pub(super) fn time(&self) -> Timestamp {
        let received = self.received();
        self.sent.timestamp().filter(|sent| *sent <= received).unwrap_or(received)
    }

    pub(super) fn message_len(&self) -> usize {
        self.message.0.len()
    }

    /// `host ident[pid]: MESSAGE`. What is not known is left out.
    pub(super) fn text(&self, text: &mut Vec<u8>) {
        text.clear();
        if !self.host.0.is_empty() {
            push(text, &self.host.0);
            text.push(b' ');
        }
        let identifier = self.identifier.or(&self.command);
        if !identifier.is_empty() {
            push(text, identifier);
            let pid = self.syslog_pid.or(&self.pid);
            if !pid.is_empty() {
                text.push(b'[');
                push(text, pid);
                text.push(b']');
            }
            text.extend_from_slice(b": ");
        }
        push(text, &self.message.0);
    }
}

/// An entry is one line whatever its sender put into it.
fn push(text: &mut Vec<u8>, bytes: &[u8]) {
    let mut pieces = bytes.split(|&byte| byte == b'\n');
    text.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        text.extend_from_slice(b"\\n");
        text.extend_from_slice(piece);
    }
}

/// A field's bytes: a string, an array of bytes when they are no text, `null` when too large, an array of these when
/// the field was given several times (the first counts). Empty when missing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Field(Vec<u8>);

impl Field {
    fn timestamp(&self) -> Option<Timestamp> {
        std::str::from_utf8(&self.0).ok()?.parse().ok().map(Timestamp::from_micros)
    }

    fn or<'a>(&'a self, other: &'a Self) -> &'a [u8] {
        if self.0.is_empty() { &other.0 } else { &self.0 }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, null, or an array of bytes")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field(text.as_bytes().to_vec()))
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
        Ok(Field(number.to_string().into_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        let mut bytes = Vec::new();
        while let Some(item) = items.next_element::<Item>()? {
            match item {
                Item::Byte(byte) => bytes.push(byte),
                Item::Whole(field) => {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Field(field));
                }
            }
        }
        Ok(Field(bytes))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Byte(u8),
    #[serde(deserialize_with = "whole")]
    Whole(Vec<u8>),
}

fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    Field::deserialize(from).map(|field| field.0)
}

/// The arguments that select the units.
pub(super) fn matches(units: &[String]) -> Vec<String> {
    let mut terms: Vec<Vec<String>> = Vec::new();
    let mut add = |term: &[&str]| {
        let term: Vec<String> = term.iter().map(|&s| s.to_owned()).collect();
        if !terms.contains(&term) {
            terms.push(term);
        }
    };
    for unit in units {
        // One unit goes by two names, depending on the distribution; with a socket each session is a unit of its own.
        // Only root's: any user may call a program of his own sshd.
        if matches!(unit.as_str(), "ssh" | "sshd" | "ssh.service" | "sshd.service") {
            for term in ["_SYSTEMD_UNIT=ssh.service", "_SYSTEMD_UNIT=sshd.service"] {
                add(&[term]);
            }
            for command in ["_COMM=sshd", "_COMM=sshd-session"] {
                add(&[command, "_UID=0"]);
            }
        } else if unit.contains('.') {
            add(&[&format!("_SYSTEMD_UNIT={unit}")]);
        } else {
            add(&[&format!("_SYSTEMD_UNIT={unit}.service")]);
        }
    }
    terms.join(&"+".to_owned())
}

/// The time of reception that is part of a cursor (`…;t=5f1b2c3d4e5f6;…`).
pub(super) fn time_of_cursor(cursor: &str) -> Option<Timestamp> {
    let hex = cursor.split(';').find_map(|part| part.strip_prefix("t="))?;
    i64::from_str_radix(hex, 16).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let entry: Entry = serde_json::from_str(json).unwrap();
        let mut text = Vec::new();
        entry.text(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn an_entry_becomes_the_line_that_syslog_would_write() {
        let json = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"sshd",
            "_PID":"17","MESSAGE":"Failed password for root from 203.0.113.7 port 4711 ssh2"}"#;
        assert_eq!(text(json), "mx sshd[17]: Failed password for root from 203.0.113.7 port 4711 ssh2");
    }

    #[test]
    fn a_newline_in_a_message_does_not_begin_a_line() {
        let json = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"user a\nFailed password for b from 8.8.8.8"}"#;
        assert_eq!(text(json), r"user a\nFailed password for b from 8.8.8.8");
    }

    #[test]
    fn a_message_of_bytes_null_or_several_values_is_understood() {
        let entry = |message: &str| {
            text(&format!(r#"{{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":{message}}}"#))
        };
        assert_eq!(entry("[97,10,98]"), r"a\nb");
        assert_eq!(entry("null"), "");
        assert_eq!(entry(r#"["first","second"]"#), "first");
        assert_eq!(entry("[[97],[98]]"), "a");
    }

    #[test]
    fn the_time_is_that_of_sending_unless_it_is_later_than_that_of_reception() {
        let time = |sent: &str| {
            let json = format!(
                r#"{{"__CURSOR":"c","__REALTIME_TIMESTAMP":"2000","_SOURCE_REALTIME_TIMESTAMP":"{sent}"}}"#
            );
            serde_json::from_str::<Entry>(&json).unwrap().time().as_micros()
        };
        assert_eq!(time("1990"), 1990);
        assert_eq!(time("2010"), 2000);
        assert_eq!(time("soon"), 2000);
    }

    #[test]
    fn both_names_of_the_ssh_unit_and_its_sessions_are_one() {
        let joined =
            |units: &[&str]| matches(&units.iter().map(|&u| u.to_owned()).collect::<Vec<_>>()).join(" ");
        assert_eq!(
            joined(&["sshd"]),
            "_SYSTEMD_UNIT=ssh.service + _SYSTEMD_UNIT=sshd.service + _COMM=sshd _UID=0 + _COMM=sshd-session _UID=0"
        );
        assert_eq!(joined(&["ssh.service", "sshd.service"]), joined(&["sshd"]));
        assert_eq!(joined(&["james", "a.socket"]), "_SYSTEMD_UNIT=james.service + _SYSTEMD_UNIT=a.socket");
        assert_eq!(joined(&[]), "");
    }

    #[test]
    fn a_cursor_holds_the_time() {
        assert_eq!(time_of_cursor("s=aa;i=1;b=bb;m=2;t=f4240;x=3"), Some(Timestamp::from_secs(1)));
        assert_eq!(time_of_cursor("nonsense"), None);
    }
}
