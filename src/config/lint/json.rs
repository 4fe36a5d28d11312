//! Where in a line of JSON a client's text may stand: inside of strings, with quotes and backslashes escaped.

use std::ops::Range;

/// Keys whose values the program writes, whatever a client sends.
const OWN: [&str; 19] = [
    "timestamp",
    "@timestamp",
    "@version",
    "level",
    "level_value",
    "thread",
    "threadName",
    "thread_name",
    "logger",
    "loggerName",
    "logger_name",
    "name",
    "ip",
    "remoteIP",
    "proxy.source",
    "proxy.ip",
    "proxy.destination",
    "protocol",
    "sessionId",
];

/// A string that is a value and no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// What stands between its quotes.
    pub(super) inside: Range<usize>,
    /// A client may have written some of it.
    pub(super) clients: bool,
}

impl Value {
    /// Whether a text can be put in at `at` without breaking an escape sequence.
    pub(super) fn has_place(&self, line: &str, at: usize) -> bool {
        if !(self.inside.start..=self.inside.end).contains(&at) {
            return false;
        }
        let before = line.get(self.inside.start..at).unwrap_or_default();
        let slashes = before.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let in_code = before.rfind("\\u").is_some_and(|code| before.len() - code < 6);
        slashes % 2 == 0 && !in_code
    }
}

/// All values that are strings.
pub(super) fn values(line: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let (mut key, mut at) = ("", 0);
    while let Some(quote) = line.get(at..).and_then(|rest| rest.find('"')) {
        let start = at + quote + 1;
        let Some(end) = end_of_string(line, start) else { break };
        let text = line.get(start..end).unwrap_or_default();
        at = end + 1;
        if line.get(at..).is_some_and(|rest| rest.trim_start().starts_with(':')) {
            key = text;
        } else {
            values.push(Value { inside: start..end, clients: !OWN.contains(&key) });
        }
    }
    values
}

fn end_of_string(line: &str, start: usize) -> Option<usize> {
    let mut escaped = false;
    let rest = line.get(start..)?.bytes().enumerate();
    for (i, byte) in rest {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(start + i),
            _ => {}
        }
    }
    None
}

/// `text` as it stands between quotes.
pub(super) fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_from_keys_and_a_clients_from_the_programs_own() {
        let line = r#"{"level":"INFO","mdc": {"ip":"192.0.2.1","ehlo":"a\"b"},"n":1,"list":["x"]}"#;
        let found: Vec<(&str, bool)> =
            values(line).into_iter().map(|value| (&line[value.inside], value.clients)).collect();
        assert_eq!(found, [("INFO", false), ("192.0.2.1", false), (r#"a\"b"#, true), ("x", true)]);
    }

    #[test]
    fn nothing_is_put_into_an_escape_sequence() {
        let line = r#"{"a":"x\"\u000a\\"}"#;
        let value = values(line).remove(0);
        let places: Vec<usize> = (0..line.len())
            .filter(|at| value.has_place(line, *at))
            .map(|at| at - value.inside.start)
            .collect();
        assert_eq!(places, [0, 1, 3, 9, 11]);
        assert_eq!(escaped("a\"b\\"), r#"a\"b\\"#);
    }
}
