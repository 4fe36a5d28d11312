//! A manifest against the schema of its kind: every mistake at once, each with its place and what to write.
//!
//! The schema is the one that becomes the custom resource definition, so files and cluster cannot disagree. Only the
//! part of JSON schema that our types produce is understood.

use serde_json::{Map, Value};

use crate::api::v1alpha1::{Fault, explain, form};

use super::node::{Key, Node, NodeValue};
use super::origin::Notes;
use super::ports;
use super::suggest::{closest, listed};

/// Notes everything about `node` that `schema` does not allow. `field` is its path.
pub(super) fn check(schema: &Value, node: &Node, field: &str, notes: &mut Notes<'_>) {
    let Some(schema) = Schema::of(schema) else { return };
    if node.value == NodeValue::Null {
        if !schema.nullable {
            notes.error(field, format!("{} is empty", named(field)), schema.wanted());
        }
        return;
    }
    if let Some(words) = &schema.words {
        check_word(words, node, field, notes);
        return;
    }
    match (schema.kind, &node.value) {
        ("object", NodeValue::Map(entries)) => check_map(&schema, entries, node, field, notes),
        ("array", NodeValue::List(items)) => check_list(&schema, items, field, notes),
        ("string", NodeValue::Text(text)) => check_text(&schema, text, field, notes),
        ("integer", NodeValue::Number(number)) if !number.is_f64() => {
            check_number(&schema, number.as_f64(), &number.to_string(), field, notes);
        }
        ("number", NodeValue::Number(number)) => {
            check_number(&schema, number.as_f64(), &number.to_string(), field, notes);
        }
        ("boolean", NodeValue::Bool(_)) => {}
        _ => wrong_type(&schema, node, field, notes),
    }
}

/// What of a schema this checker looks at.
struct Schema<'a> {
    map: &'a Map<String, Value>,
    kind: &'a str,
    nullable: bool,
    /// The words of an enumeration.
    words: Option<Vec<&'a str>>,
}

impl<'a> Schema<'a> {
    fn of(schema: &'a Value) -> Option<Self> {
        let map = schema.as_object()?;
        // `Option<T>` is `anyOf: [T, null]`; a documented enumeration is `oneOf: [{const}, …]`.
        for choice in ["anyOf", "oneOf"] {
            if let Some(options) = map.get(choice).and_then(Value::as_array) {
                let is_null = |o: &&Value| o.get("type").and_then(Value::as_str) == Some("null");
                if let (true, Some(inner)) =
                    (options.iter().any(|o| is_null(&o)), options.iter().find(|o| !is_null(o)))
                {
                    return Self::of(inner).map(|inner| Self { nullable: true, ..inner });
                }
                let words = options.iter().flat_map(words_of).collect();
                return Some(Self { map, kind: "string", nullable: false, words: Some(words) });
            }
        }
        let kinds: Vec<&str> = match map.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let words: Vec<&str> = words_of(schema).collect();
        Some(Self {
            map,
            kind: kinds.iter().copied().find(|kind| *kind != "null")?,
            // Optional structures with defaults accept nothing as well: `context:` with nothing behind it.
            nullable: kinds.contains(&"null") || map.contains_key("default"),
            words: (!words.is_empty()).then_some(words),
        })
    }

    fn number(&self, keyword: &str) -> Option<f64> {
        self.map.get(keyword).and_then(Value::as_f64)
    }

    /// ` from 1 to 10`; empty where any number will do.
    fn range(&self) -> String {
        match (self.number("minimum"), self.number("maximum")) {
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
            (Some(least), None) => format!(" from {least}"),
            (None, Some(most)) => format!(" up to {most}"),
            (None, None) => String::new(),
        }
    }

    fn text(&self, keyword: &str) -> Option<&'a str> {
        self.map.get(keyword).and_then(Value::as_str)
    }

    /// What belongs here, as an order.
    fn wanted(&self) -> String {
        if let Some(words) = &self.words {
            return format!("write {}", listed(words.iter().copied()).replace(" and ", " or "));
        }
        let thing = match self.kind {
            "object" => "write its fields below it, indented",
            "array" => "write a list: one entry per line, each after `- `",
            "boolean" => "write `true` or `false`",
            "integer" => return format!("write a whole number{}", self.range()),
            "number" => return format!("write a number{}", self.range()),
            _ => match self.text("pattern").and_then(form) {
                Some(form) => return format!("write {form}"),
                None => "write text",
            },
        };
        thing.into()
    }
}

fn words_of(schema: &Value) -> impl Iterator<Item = &str> {
    let constant = schema.get("const").and_then(Value::as_str);
    let list = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    constant.into_iter().chain(list)
}

/// The last part of a path, in back quotes.
fn named(field: &str) -> String {
    let last = field.rsplit('.').next().unwrap_or(field);
    format!("`{last}`")
}

fn check_word(words: &[&str], node: &Node, field: &str, notes: &mut Notes<'_>) {
    let written = node.scalar().unwrap_or_default();
    if words.contains(&written.as_str()) {
        return;
    }
    let all = listed(words.iter().copied()).replace(" and ", " or ");
    let fix = match closest(&written, words.iter().copied()) {
        Some(word) => format!("write `{word}`"),
        None => format!("write {all}"),
    };
    if written.is_empty() {
        notes.error(field, format!("{} is {}, not a word", named(field), node.what()), fix);
    } else {
        notes.error(field, format!("{} cannot be `{written}`", named(field)), fix);
    }
}

fn check_map(schema: &Schema<'_>, entries: &[(Key, Node)], node: &Node, field: &str, notes: &mut Notes<'_>) {
    let empty = Map::new();
    let properties = schema.map.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let additional = schema.map.get("additionalProperties");
    if let Some(most) = schema.number("maxProperties")
        && entries.len() as f64 > most
    {
        notes.error(
            field,
            format!("{} has {} entries; {most} are allowed", named(field), entries.len()),
            "remove some",
        );
    }
    for (key, value) in entries {
        let path = format!("{field}.{}", key.name);
        match (properties.get(&key.name), additional) {
            (Some(property), _) => check(property, value, &path, notes),
            (None, Some(Value::Bool(false))) => unknown(properties, key, field, notes),
            (None, Some(additional)) => check(additional, value, &path, notes),
            (None, None) => {}
        }
    }
    let required = schema.map.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if entries.iter().all(|(key, _)| key.name != name) {
            let about = properties.get(name).and_then(|p| p.get("description")).and_then(Value::as_str);
            let about = about.and_then(|text| text.split(['.', ':']).next()).unwrap_or_default();
            let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
            let fix = if about.is_empty() {
                format!("add `{name}`")
            } else {
                format!("add `{name}`: {}", lower(&about))
            };
            let place = notes.place(field);
            let place = if place.line == 0 { node.at } else { place };
            notes.error_at(place, &format!("{field}.{name}"), format!("`{name}` is missing"), fix);
        }
    }
}

fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    // `TCP ports` stays as it is.
    if sentence.chars().nth(1).is_some_and(char::is_uppercase) {
        return sentence.into();
    }
    first.into_iter().chain(chars).collect()
}

/// fail2ban's names and other habits, and where the same is said here.
const HABITS: [(&str, &str); 12] = [
    ("logpath", "source.files"),
    ("logfile", "source.files"),
    ("journalmatch", "source.journal.units"),
    ("backend", "source.journal or source.files"),
    ("port", "enforce.ports"),
    ("ports", "enforce.ports"),
    ("action", "enforce.action"),
    ("ignoreip", "ignore"),
    ("enabled", "mode: Enforce, Observe or Disabled"),
    ("filter", "filters, a list"),
    ("threshold", "maxRetry"),
    ("files", "source.files"),
];

fn unknown(properties: &Map<String, Value>, key: &Key, field: &str, notes: &mut Notes<'_>) {
    let known = || properties.keys().map(String::as_str);
    let habit = HABITS.iter().find(|(name, there)| {
        *name == key.name
            && field == "spec"
            && properties.contains_key(there.split(['.', ':', ',']).next().unwrap_or(there))
    });
    let fix = match (habit, closest(&key.name, known())) {
        (Some((_, there)), _) => format!("write `{field}.{there}`"),
        (None, Some(name)) => format!("write `{name}`"),
        (None, None) => format!("remove it; possible here: {}", listed(known())),
    };
    notes.error_at(key.at, &format!("{field}.{}", key.name), format!("unknown field `{}`", key.name), fix);
}

fn check_list(schema: &Schema<'_>, items: &[Node], field: &str, notes: &mut Notes<'_>) {
    let length = items.len();
    if schema.number("minItems").is_some_and(|least| (length as f64) < least) {
        notes.error(field, format!("{} is an empty list", named(field)), "add an entry");
    }
    if let Some(most) = schema.number("maxItems")
        && length as f64 > most
    {
        let message = format!("{} has {length} entries; {most} are allowed", named(field));
        notes.error(field, message, "divide them over several objects");
        return;
    }
    if let Some(each) = schema.map.get("items") {
        for (i, item) in items.iter().enumerate() {
            check(each, item, &format!("{field}[{i}]"), notes);
        }
    }
}

fn check_text(schema: &Schema<'_>, text: &str, field: &str, notes: &mut Notes<'_>) {
    if let Some(pattern) = schema.text("pattern") {
        if let Err(fault) = explain(pattern, text) {
            notes.error(field, fault.message, fault.fix);
        }
        return;
    }
    let length = text.chars().count() as f64;
    if schema.number("minLength").is_some_and(|least| length < least) {
        notes.error(field, format!("{} is empty", named(field)), "write something, or remove the field");
    }
    if let Some(most) = schema.number("maxLength")
        && length > most
    {
        notes.error(
            field,
            format!("{} has {length} characters; {most} are allowed", named(field)),
            "shorten it",
        );
    }
}

fn check_number(schema: &Schema<'_>, value: Option<f64>, written: &str, field: &str, notes: &mut Notes<'_>) {
    let value = value.unwrap_or(f64::INFINITY);
    let (least, most) = (schema.number("minimum"), schema.number("maximum"));
    if least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most) {
        return;
    }
    let fix = format!("write a number{}", schema.range());
    notes.error(field, format!("{} cannot be {written}", named(field)), fix);
}

/// `spec.ports[0]`
fn is_port(field: &str) -> bool {
    field.rsplit('.').next().is_some_and(|last| last.starts_with("ports["))
}

/// Whether it is a whole number beyond all that can be held.
fn is_too_large(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_err()
}

/// A number that fits into a message: its ends, where it has many digits.
fn shortened(digits: &str) -> String {
    match (digits.get(..12), digits.get(digits.len().saturating_sub(12)..)) {
        (Some(first), Some(last)) if digits.len() > 40 => format!("{first}…{last}"),
        _ => digits.to_owned(),
    }
}

/// The field of an entry that somebody wrote the value of alone: `entries: [203.0.113.7]`.
fn takes(schema: &Schema<'_>, text: &str) -> Option<&'static str> {
    let properties = schema.map.get("properties").and_then(Value::as_object)?;
    ["prefix", "host"].into_iter().find(|name| {
        let pattern = properties.get(*name).and_then(Schema::of);
        pattern.and_then(|property| property.text("pattern")).is_some_and(|form| explain(form, text).is_ok())
    })
}

/// What is wrong with the prefix that somebody wrote alone as an entry: `entries: [/33]`.
fn bare_prefix(schema: &Schema<'_>, text: &str) -> Option<Fault> {
    let properties = schema.map.get("properties").and_then(Value::as_object)?;
    let form = properties.get("prefix").and_then(Schema::of)?.text("pattern")?;
    explain(form, text).err()
}

/// The number that stands in quotes, if it may stand here without them.
fn number_in<'t>(text: &'t str, schema: &Schema<'_>) -> Option<&'t str> {
    if schema.kind == "integer" && text.parse::<i64>().is_err() {
        return None;
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let fits = schema.number("minimum").is_none_or(|least| number >= least)
        && schema.number("maximum").is_none_or(|most| number <= most);
    fits.then_some(text)
}

fn wrong_type(schema: &Schema<'_>, node: &Node, field: &str, notes: &mut Notes<'_>) {
    let written = node.scalar().unwrap_or_default();
    // `findTime: 600` deserves the answer of the form, not "text expected".
    if let ("string", Some(pattern), false) = (schema.kind, schema.text("pattern"), written.is_empty())
        && let Err(fault) = explain(pattern, &written)
    {
        notes.error(field, fault.message, fault.fix);
        return;
    }
    if let ("integer", NodeValue::Text(text)) = (schema.kind, &node.value)
        && is_too_large(text)
    {
        let fix = format!("write a number{}", schema.range());
        return notes.error(field, format!("{} cannot be {}", named(field), shortened(text)), fix);
    }
    let wanted = match schema.kind {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    };
    let fix = match (schema.kind, &node.value) {
        ("integer", NodeValue::Text(text)) if is_port(field) => match ports::known(text.trim()) {
            Some(port) => format!("write {port}: ports are numbers"),
            None => match text.trim().parse::<u16>() {
                Ok(port) => format!("remove the quotes: write {port}"),
                Err(_) => "write the port's number, such as 25".into(),
            },
        },
        ("integer" | "number", NodeValue::Text(text)) => match number_in(text.trim(), schema) {
            Some(number) => format!("remove the quotes: write {number}"),
            None => schema.wanted(),
        },
        ("string", NodeValue::Number(_) | NodeValue::Bool(_)) => format!("put it into quotes: '{written}'"),
        ("string", NodeValue::List(_) | NodeValue::Map(_)) => match node.only_scalar() {
            Some(inside) if schema.text("pattern").is_none_or(|form| explain(form, &inside).is_ok()) => {
                format!("write `{inside}` alone: one text, without {}", node.what())
            }
            _ => schema.wanted(),
        },
        ("object", NodeValue::Text(text)) => match takes(schema, text) {
            Some(property) => format!("write `{property}: {text}`"),
            None => match bare_prefix(schema, text) {
                Some(fault) => {
                    let message = format!("{}; an entry has fields, such as `prefix`", fault.message);
                    return notes.error(field, message, format!("{}, after `prefix: `", fault.fix));
                }
                None => schema.wanted(),
            },
        },
        ("array", NodeValue::Text(_) | NodeValue::Number(_)) => format!("write a list: [{written}]"),
        ("boolean", NodeValue::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => "write `true`".into(),
            "no" | "off" | "n" => "write `false`".into(),
            _ => schema.wanted(),
        },
        _ => schema.wanted(),
    };
    notes.error(field, format!("{} must be {wanted}, but is {}", named(field), node.what()), fix);
}
