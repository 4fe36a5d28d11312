//! The part of a line from the first text a client may have written: whether it can be taken apart in one way only.

use memchr::memmem;
use regex::{CaptureLocations, Regex};

use super::compile::{Element, Kind};

/// Matches the elements from the first uncertain field to the end of the line.
///
/// Two fields of any text, parted by a text that is there once, can be read in one way; if it is there twice, in two.
/// For everything else there are two expressions. Both take the same lines; one makes each field as short as it can be, from left to right, the other as
/// long. Where both give the same fields there is no third way. Where they differ, somebody wrote text that looks
/// like the pattern's own, and nobody can tell which is which.
#[derive(Debug)]
pub(crate) struct Tail {
    fields: Vec<Kind>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Separator { between: String, end: String },
    Search { shortest: Regex, longest: Regex },
}

/// A longer rest is not searched: whoever writes it must not be able to keep us busy.
const LONGEST: usize = 16_384;

/// What a tail made of a line.
#[derive(Debug)]
pub(crate) enum Reading<'a> {
    /// The fields in order.
    One(Vec<&'a str>),
    /// More than one way.
    Ambiguous,
    /// None.
    No,
}

impl Tail {
    /// A matcher of `elements`; `None` when they make an expression too large.
    pub(crate) fn new(elements: &[Element]) -> Option<Self> {
        let fields = elements
            .iter()
            .filter_map(|element| match element {
                Element::Field { kind, .. } => Some(kind.clone()),
                _ => None,
            })
            .collect();
        if let Some(way) = separator(elements) {
            return Some(Self { fields, way });
        }
        let build = |lazy: &str| {
            let body: String = elements.iter().map(|element| expression(element, lazy)).collect();
            regex::RegexBuilder::new(&format!("^{body}$"))
                .dot_matches_new_line(true)
                .size_limit(1 << 20)
                .build()
                .ok()
        };
        Some(Self { fields, way: Way::Search { shortest: build("?")?, longest: build("")? } })
    }

    /// What the fields are.
    pub(crate) fn fields(&self) -> &[Kind] {
        &self.fields
    }

    /// Takes the rest of a line apart.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Reading<'a> {
        match &self.way {
            Way::Separator { between, end } => split(text, between, end),
            Way::Search { .. } if text.len() > LONGEST => Reading::Ambiguous,
            Way::Search { shortest, longest } => search(text, shortest, longest),
        }
    }
}

/// The way of two fields of any text.
fn separator(elements: &[Element]) -> Option<Way> {
    let free = |kind: &Kind| !kind.is_certain();
    let (first, between, second, end) = match elements {
        [
            Element::Field { kind: a, width: 0 },
            Element::Literal(between),
            Element::Field { kind: b, width: 0 },
        ] => (a, between, b, ""),
        [
            Element::Field { kind: a, width: 0 },
            Element::Literal(between),
            Element::Field { kind: b, width: 0 },
            Element::Literal(end),
        ] => (a, between, b, end.as_str()),
        _ => return None,
    };
    (free(first) && free(second)).then(|| Way::Separator { between: between.clone(), end: end.to_owned() })
}

fn split<'a>(text: &'a str, between: &str, end: &str) -> Reading<'a> {
    let Some(text) = text.strip_suffix(end) else { return Reading::No };
    match (
        memmem::find(text.as_bytes(), between.as_bytes()),
        memmem::rfind(text.as_bytes(), between.as_bytes()),
    ) {
        (Some(first), Some(last)) if first == last => {
            let values = [text.get(..first), text.get(first + between.len()..)];
            Reading::One(values.into_iter().flatten().collect())
        }
        (Some(_), _) => Reading::Ambiguous,
        _ => Reading::No,
    }
}

fn search<'a>(text: &'a str, shortest: &Regex, longest: &Regex) -> Reading<'a> {
    let mut short = shortest.capture_locations();
    let mut long = longest.capture_locations();
    if shortest.captures_read(&mut short, text).is_none() {
        return Reading::No;
    }
    if longest.captures_read(&mut long, text).is_none() || !same(&short, &long) {
        return Reading::Ambiguous;
    }
    let value = |group| short.get(group).and_then(|(start, end)| text.get(start..end)).unwrap_or("");
    Reading::One((1..short.len()).map(value).collect())
}

fn same(a: &CaptureLocations, b: &CaptureLocations) -> bool {
    (1..a.len()).all(|group| a.get(group) == b.get(group))
}

fn expression(element: &Element, lazy: &str) -> String {
    match element {
        Element::Literal(text) => regex_syntax::escape(text),
        Element::Blanks => " *".to_owned(),
        Element::Date(format) => format.regex(),
        Element::Level { .. } => " *[A-Za-z]+ *".to_owned(),
        Element::Field { kind, width } => {
            let class = match kind {
                Kind::Logger => r"[^\s]",
                Kind::Key { address: true, .. } => r"[0-9A-Za-z._:/%\[\]-]",
                Kind::Key { .. } if kind.is_certain() => r"[^\s]",
                _ => ".",
            };
            let pad = if *width > 0 { " *" } else { "" };
            format!("{pad}({class}*{lazy}){pad}")
        }
    }
}
