//! YAML text to [`Node`]s.
//!
//! One parser gives values and places. A file is cut at its `---` lines first, so that a mistake in one document
//! leaves the others alone.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Number;

use super::node::{Key, Node, NodeValue, Position};

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct YamlError {
    /// Where.
    pub(super) at: Position,
    /// What is wrong.
    pub(super) message: String,
    /// What to do; may be empty.
    pub(super) fix: String,
}

/// Nested lists and mappings at most.
const DEPTH: usize = 64;
/// Nodes of one document at most, aliases counted in full.
const NODES: usize = 2_000_000;

/// The documents of a text. Empty ones (only comments) are left out.
#[must_use]
pub(super) fn documents(text: &str) -> Vec<Result<Node, YamlError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut result = Vec::new();
    let (mut begin, mut begin_line) = (0, 1);
    let (mut offset, mut line) = (0, 1);
    for piece in text.split_inclusive('\n') {
        let marker = piece
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\r', '\n']));
        if marker && offset > begin {
            result.extend(document(text.get(begin..offset).unwrap_or_default(), begin_line).transpose());
            (begin, begin_line) = (offset, line);
        }
        offset += piece.len();
        line += 1;
    }
    result.extend(document(text.get(begin..).unwrap_or_default(), begin_line).transpose());
    result
}

/// One document that begins on line `first_line` of its file.
fn document(text: &str, first_line: u32) -> Result<Option<Node>, YamlError> {
    let mut builder = Builder { first_line, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let at = builder.position(error.marker().line(), error.marker().col());
                return Err(explain(error.info(), at, text, error.marker().line()));
            }
        }
    }
    Ok(builder.root)
}

/// The parser's words and what a person should do about the usual causes.
fn explain(info: &str, at: Position, text: &str, line: usize) -> YamlError {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indent_has_tab = line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let fix = if indent_has_tab {
        "indent with blanks: YAML does not allow tabs"
    } else if info.contains("flow") {
        "every `[` and `{` needs its `]` and `}`; put text that holds brackets into single quotes"
    } else if line.contains(": ") && line.matches(": ").count() > 1 {
        "put the value into single quotes: it holds `: `"
    } else {
        "check the indentation, and put values that hold `:`, `#`, `[`, `{`, `%`, `@`, `*` or `&` into single quotes"
    };
    YamlError { at, message: format!("this is not YAML: {info}"), fix: fix.into() }
}

/// A list or mapping that is not finished.
struct Frame {
    at: Position,
    anchor: usize,
    collection: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Builder {
    first_line: u32,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    documents: u32,
}

impl Builder {
    /// The parser counts lines from 1 and columns from 0.
    fn position(&self, line: usize, column: usize) -> Position {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        Position {
            line: self.first_line.saturating_add(line.saturating_sub(1)),
            column: column.saturating_add(1),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let at = self.position(span.start.line(), span.start.col());
        let fail = |message: &str, fix: &str| Err(YamlError { at, message: message.into(), fix: fix.into() });
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return fail("a second document begins without `---`", "put a line `---` before it");
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref()).map_err(|(message, fix)| YamlError {
                    at,
                    message,
                    fix,
                })?;
                self.value(Node { at, value }, anchor, 1)?;
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, Collection::List(Vec::new()))?,
            Event::MappingStart(anchor, _) => self.open(at, anchor, Collection::Map(Vec::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(frame) = self.stack.pop() {
                    let value = match frame.collection {
                        Collection::List(items) => NodeValue::List(items),
                        Collection::Map(entries, _) => NodeValue::Map(entries),
                    };
                    self.value(Node { at: frame.at, value }, frame.anchor, 1)?;
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((mut node, size)) => {
                    node.at = at;
                    self.value(node, 0, size)?;
                }
                None => return fail("this alias names nothing", "write the value instead of the alias"),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, at: Position, anchor: usize, collection: Collection) -> Result<(), YamlError> {
        if self.stack.len() >= DEPTH {
            let message = format!("more than {DEPTH} lists and mappings inside each other");
            return Err(YamlError {
                at,
                message,
                fix: "no manifest is that deep: look for a missing bracket".into(),
            });
        }
        self.stack.push(Frame { at, anchor, collection });
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), YamlError> {
        let at = node.at;
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > NODES {
            let message = format!("the document has more than {NODES} values");
            return Err(YamlError { at, message, fix: "divide it into several objects".into() });
        }
        if anchor > 0 {
            let size = count(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut().map(|frame| &mut frame.collection) {
            None => self.root = Some(node).filter(|node| node.value != NodeValue::Null),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(new_key(entries, node)?),
            },
        }
        Ok(())
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        NodeValue::List(items) => items.iter().map(count).sum(),
        NodeValue::Map(entries) => entries.iter().map(|(_, node)| 1 + count(node)).sum(),
        _ => 0,
    }
}

fn new_key(entries: &[(Key, Node)], node: Node) -> Result<Key, YamlError> {
    let at = node.at;
    let name = match node.value {
        NodeValue::Text(text) => text,
        NodeValue::Number(n) => n.to_string(),
        NodeValue::Bool(b) => b.to_string(),
        NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => {
            return Err(YamlError {
                at,
                message: "the name of a field must be text".into(),
                fix: "put text that begins with `[` or `{` into single quotes".into(),
            });
        }
    };
    if name == "<<" {
        let message = "merge keys (`<<`) are not understood".into();
        return Err(YamlError { at, message, fix: "write the fields out".into() });
    }
    if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
        return Err(YamlError {
            at,
            message: format!("`{name}` stands here twice; the first is on line {}", first.at.line),
            fix: "keep one of them".into(),
        });
    }
    Ok(Key { name, at })
}

/// A scalar by the core schema of YAML 1.2 (`yes` and `on` are text).
fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<NodeValue, (String, String)> {
    if let Some(tag) = tag {
        return if tag.is_yaml_core_schema() && tag.suffix == "str" {
            Ok(NodeValue::Text(text.into_owned()))
        } else {
            Err((
                format!("the tag `{}{}` is not understood", tag.handle, tag.suffix),
                "remove the tag".into(),
            ))
        };
    }
    if style != ScalarStyle::Plain {
        return Ok(NodeValue::Text(text.into_owned()));
    }
    Ok(match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        plain => match number(plain) {
            Some(number) => NodeValue::Number(number),
            None => NodeValue::Text(text.into_owned()),
        },
    })
}

fn number(text: &str) -> Option<Number> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Into::into);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Into::into);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        return whole.parse::<u64>().map(Into::into).or_else(|_| whole.parse::<i64>().map(Into::into)).ok();
    }
    let float = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    float.then(|| text.parse::<f64>().ok()).flatten().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(text: &str) -> Node {
        let mut all = documents(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).unwrap()
    }

    #[test]
    fn values_have_their_yaml_types() {
        let node = one("a: 5\nb: '5'\nc: 1.5\nd: on\ne: true\nf: -3\ng: 10.0.0.1\nh: 2023-06-17\ni: 1e3\n");
        assert_eq!(
            node.to_json(),
            json!({"a": 5, "b": "5", "c": 1.5, "d": "on", "e": true, "f": -3, "g": "10.0.0.1", "h": "2023-06-17", "i": 1000.0})
        );
    }

    #[test]
    fn every_value_knows_its_place_in_the_file() {
        let all = documents("# comment\nkind: A\n---\nkind: B\nspec:\n  ports:\n  - 25\n  - 70000\n");
        let second = all[1].as_ref().unwrap();
        assert_eq!(second.place("spec.ports[1]"), Position { line: 8, column: 5 });
        assert_eq!(second.place("spec.ports"), Position { line: 6, column: 3 });
        assert_eq!(second.place("spec.nothing.here"), Position { line: 5, column: 1 });
    }

    #[test]
    fn a_broken_document_leaves_its_neighbours_alone() {
        let all = documents("a: 1\n---\nb: [\n---\nc: 3\n");
        assert_eq!(all.len(), 3);
        assert!(all[0].is_ok() && all[1].is_err() && all[2].is_ok(), "{all:?}");
        assert_eq!(all[2].as_ref().unwrap().place("c").line, 5);
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        let error = documents("a: 1\nb: 2\na: 3\n").remove(0).unwrap_err();
        assert_eq!(error.at, Position { line: 3, column: 1 });
        assert!(error.message.contains("first is on line 1"), "{error:?}");
    }

    #[test]
    fn a_tab_is_named_as_the_cause() {
        let error = documents("a:\n\tb: 1\n").remove(0).unwrap_err();
        assert!(error.fix.contains("tabs"), "{error:?}");
        assert_eq!(error.at.line, 2);
    }

    #[test]
    fn anchors_are_followed_but_cannot_blow_up() {
        assert_eq!(one("a: &x [1, 2]\nb: *x\n").to_json(), json!({"a": [1, 2], "b": [1, 2]}));
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(documents(&bomb).remove(0).unwrap_err().message.contains("values"));
    }

    #[test]
    fn nesting_is_limited() {
        let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(documents(&deep).remove(0).is_err());
    }

    #[test]
    fn json_is_yaml() {
        let node = one("{\"a\": {\"b\": [1, \"x\\/y\\u00e4\"]}}");
        assert_eq!(node.to_json(), json!({"a": {"b": [1, "x/yä"]}}));
    }

    #[test]
    fn comments_alone_are_no_document() {
        assert!(documents("# nothing\n---\n# here\n").is_empty());
        assert!(documents("").is_empty());
    }
}
