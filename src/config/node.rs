//! A manifest as a tree that remembers where each value stood.

use serde_json::{Map, Number, Value};

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Line from 1; 0 is unknown (the object does not come from a file).
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub value: NodeValue,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file, without duplicates.
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where it stands.
    pub at: Position,
}

impl Node {
    /// A node without a place.
    #[must_use]
    pub fn from_json(value: Value) -> Self {
        let at = Position::default();
        let value = match value {
            Value::Null => NodeValue::Null,
            Value::Bool(b) => NodeValue::Bool(b),
            Value::Number(n) => NodeValue::Number(n),
            Value::String(s) => NodeValue::Text(s),
            Value::Array(items) => NodeValue::List(items.into_iter().map(Self::from_json).collect()),
            Value::Object(map) => NodeValue::Map(
                map.into_iter().map(|(name, value)| (Key { name, at }, Self::from_json(value))).collect(),
            ),
        };
        Self { at, value }
    }

    /// The value without places; fields that are null are left out, as an API server does.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(b) => Value::Bool(*b),
            NodeValue::Number(n) => Value::Number(n.clone()),
            NodeValue::Text(s) => Value::String(s.clone()),
            NodeValue::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            NodeValue::Map(entries) => Value::Object(
                entries
                    .iter()
                    .filter(|(_, node)| node.value != NodeValue::Null)
                    .map(|(key, node)| (key.name.clone(), node.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value of a mapping's key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The text of a mapping's key.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name).map(|node| &node.value) {
            Some(NodeValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn entry(&self, name: &str) -> Option<&(Key, Self)> {
        match &self.value {
            NodeValue::Map(entries) => entries.iter().find(|(key, _)| key.name == name),
            _ => None,
        }
    }

    /// Where the field of this path (`spec.rules[0].message`) stands, or as much of it as is there.
    #[must_use]
    pub fn place(&self, path: &str) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match &node.value {
                NodeValue::List(items) => step
                    .trim_end_matches(']')
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| items.get(i))
                    .map(|item| (item.at, item)),
                NodeValue::Map(_) => node.entry(step).map(|(key, value)| {
                    // A mapping or list begins on a later line than its key; people look for the key.
                    let nested = matches!(value.value, NodeValue::Map(_) | NodeValue::List(_));
                    (if nested { key.at } else { value.at }, value)
                }),
                _ => None,
            };
            match next {
                Some((place, value)) => {
                    at = place;
                    node = value;
                }
                None => break,
            }
        }
        at
    }

    /// What is written there, where it is neither a list, a mapping nor nothing.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            NodeValue::Text(text) => Some(text.clone()),
            NodeValue::Bool(b) => Some(b.to_string()),
            NodeValue::Number(n) => Some(n.to_string()),
            NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => None,
        }
    }

    /// What a list or mapping of a single entry holds.
    #[must_use]
    pub fn only_scalar(&self) -> Option<String> {
        match &self.value {
            NodeValue::List(items) => match items.as_slice() {
                [only] => only.scalar(),
                _ => None,
            },
            NodeValue::Map(entries) => match entries.as_slice() {
                [(_, only)] => only.scalar(),
                _ => None,
            },
            _ => None,
        }
    }

    /// How a person would call what this is.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "true or false",
            NodeValue::Number(n) if n.is_f64() => "a number with a fraction",
            NodeValue::Number(_) => "a number",
            NodeValue::Text(_) => "text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
        }
    }
}
