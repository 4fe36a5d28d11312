//! The part of a line from the first text a client may have written: whether it can be taken apart in one way only.

use regex::{CaptureLocations, Regex};

use super::compile::{Element, Kind, is_address};

/// Matches the elements from the first uncertain field to the end of the line.
///
/// Two expressions take the same lines; one makes each field as short as it can be, from left to right, the other as
/// long. Where both give the same fields there is no third way. Where they differ, somebody wrote text that looks
/// like the pattern's own, and nobody can tell which is which.
#[derive(Debug)]
pub(crate) struct Tail {
    shortest: Regex,
    longest: Regex,
    fields: Vec<Kind>,
}

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
        let build = |lazy: &str| {
            let body: String = elements.iter().map(|element| expression(element, lazy)).collect();
            regex::RegexBuilder::new(&format!("^{body}$"))
                .dot_matches_new_line(true)
                .size_limit(1 << 20)
                .build()
                .ok()
        };
        Some(Self { shortest: build("?")?, longest: build("")?, fields })
    }

    /// What the fields are.
    pub(crate) fn fields(&self) -> &[Kind] {
        &self.fields
    }

    /// Takes the rest of a line apart.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Reading<'a> {
        let mut short = self.shortest.capture_locations();
        let mut long = self.longest.capture_locations();
        if self.shortest.captures_read(&mut short, text).is_none() {
            return Reading::No;
        }
        if self.longest.captures_read(&mut long, text).is_none() || !same(&short, &long) {
            return Reading::Ambiguous;
        }
        Reading::One(
            (1..short.len())
                .map(|group| short.get(group).and_then(|(start, end)| text.get(start..end)).unwrap_or(""))
                .collect(),
        )
    }
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
                Kind::Key { key, .. } if is_address(key) => r"[0-9A-Za-z._:/%\[\]-]",
                Kind::Key { .. } if kind.is_certain() => r"[^\s]",
                _ => ".",
            };
            let pad = if *width > 0 { " *" } else { "" };
            format!("{pad}({class}*{lazy}){pad}")
        }
    }
}
