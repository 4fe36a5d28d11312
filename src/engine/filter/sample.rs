//! Texts that a rule matches, made from its regex: to try a filter on where no line is at hand.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::engines;
use super::pattern::Pattern;
use super::{Filter, Rule};

/// What a class is shown by, if it has it: something to read.
const READABLE: &[u8] = b"a1 -.:/=x";
/// A repetition is not made longer than this.
const MOST_TIMES: u32 = 64;

/// A text for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample<'f> {
    /// The message, or with a `failRegex` the line without its date.
    pub text: String,
    /// The logger the rule wants.
    pub logger: Option<&'f str>,
    /// The context it wants.
    pub context: &'f [(String, String)],
}

/// How free pieces are filled.
#[derive(Clone, Copy, Debug)]
struct Taste {
    /// The alternative taken, where there are so many.
    alternative: usize,
    /// What may be left out is there.
    full: bool,
}

const TASTES: [Taste; 4] = [
    Taste { alternative: 0, full: false },
    Taste { alternative: 0, full: true },
    Taste { alternative: 1, full: false },
    Taste { alternative: 1, full: true },
];

impl Filter {
    /// Texts that may match rule `rule`, `address` being in the place of the accused one. None where the rule takes no
    /// address from the text. They are not tried: what stands around a regex (look-around, word boundaries) is left out.
    #[must_use]
    pub fn samples(&self, rule: usize, address: &str) -> Vec<Sample<'_>> {
        let mut samples: Vec<Sample<'_>> = Vec::new();
        for taste in TASTES {
            let sample = match self.rules().get(rule) {
                Some(rule) => rule.sample(taste, address),
                None => self.line(rule - self.rules().len(), taste, address),
            };
            samples
                .extend(sample.filter(|sample| sample.text.contains(address) && !samples.contains(sample)));
        }
        samples
    }

    fn line(&self, regex: usize, taste: Taste, address: &str) -> Option<Sample<'_>> {
        let text = self.text()?;
        let content = text.fail().get(regex)?.sample(taste, address, "")?;
        let text = match text.pref() {
            Some(pref) => {
                let line = pref.sample(taste, address, &content)?;
                if line.contains(&content) { line } else { line + &content }
            }
            None => content,
        };
        Some(Sample { text, logger: None, context: &[] })
    }
}

impl Rule {
    fn sample(&self, taste: Taste, address: &str) -> Option<Sample<'_>> {
        let text = self.marked_message()?.sample(taste, address, "")?;
        Some(Sample { text, logger: self.logger(), context: self.context() })
    }
}

impl Pattern {
    fn sample(&self, taste: Taste, address: &str, content: &str) -> Option<String> {
        let hir = engines::reparse(self.relaxed(), true)?;
        let mut out = String::new();
        Maker { taste, address, content, out: &mut out, named: false }.add(&hir);
        Some(out)
    }
}

struct Maker<'m> {
    taste: Taste,
    address: &'m str,
    content: &'m str,
    out: &'m mut String,
    /// The address is in the text.
    named: bool,
}

impl Maker<'_> {
    fn add(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.out.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(class) => self.out.extend(one_of(class)),
            HirKind::Repetition(repetition) => {
                let wanted = u32::from(self.taste.full && repetition.max != Some(0));
                for _ in 0..repetition.min.max(wanted).min(MOST_TIMES) {
                    self.add(&repetition.sub);
                }
            }
            HirKind::Capture(capture) => match capture.name.as_deref() {
                Some("ip4" | "ip6" | "fid") if !self.named => {
                    self.named = true;
                    self.out.push_str(self.address);
                }
                Some("content") if !self.content.is_empty() => self.out.push_str(self.content),
                _ => self.add(&capture.sub),
            },
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.add(part)),
            HirKind::Alternation(parts) => {
                // An address or a host name: the address.
                let marks = |part: &&Hir| names(part, "ip4");
                let taken =
                    parts.iter().find(marks).or_else(|| parts.get(self.taste.alternative)).or(parts.first());
                if let Some(part) = taken {
                    self.add(part);
                }
            }
        }
    }
}

/// Whether a group of this name is in it.
fn names(hir: &Hir, name: &str) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => capture.name.as_deref() == Some(name) || names(&capture.sub, name),
        HirKind::Repetition(repetition) => names(&repetition.sub, name),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| names(part, name)),
        _ => false,
    }
}

fn one_of(class: &Class) -> Option<char> {
    let has = |c: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|range| range.start() <= c && c <= range.end()),
        Class::Bytes(class) => {
            class.ranges().iter().any(|range| char::from(range.start()) <= c && c <= char::from(range.end()))
        }
    };
    let first = || match class {
        Class::Unicode(class) => class.ranges().first().map(regex_syntax::hir::ClassUnicodeRange::start),
        Class::Bytes(class) => class.ranges().first().map(|range| char::from(range.start())),
    };
    READABLE.iter().map(|byte| char::from(*byte)).find(|c| has(*c)).or_else(first)
}

#[cfg(test)]
mod tests {
    use crate::engine::filter::Filter;
    use crate::engine::{FilterName, FilterSpec, TextSpec};

    const ADDRESS: &str = "203.0.113.7";

    fn samples(pref: Option<&str>, fail: &str) -> Vec<String> {
        let text = TextSpec {
            pref_regex: pref.map(Into::into),
            fail_regex: vec![fail.into()],
            max_lines: 1,
            ..TextSpec::default()
        };
        let spec = FilterSpec {
            name: FilterName::new("f"),
            rules: Vec::new(),
            successes: Vec::new(),
            text: Some(text),
            one_per: None,
        };
        let filter = Filter::compile(&spec).unwrap();
        filter.samples(0, ADDRESS).into_iter().map(|sample| sample.text).collect()
    }

    #[test]
    fn a_regex_is_shown_by_texts_it_matches() {
        for (fail, expected) in [
            ("^login failed for .* from <HOST>$", "login failed for  from 203.0.113.7"),
            ("failed (?:by|of) <ADDR>: [0-9]{3}", "failed by 203.0.113.7: 111"),
            ("^<F-ID>\\S+</F-ID> refused$", "203.0.113.7 refused"),
            ("(?i)FAILED.<IP4>", "FAILEDa203.0.113.7"),
        ] {
            let found = samples(None, fail);
            assert!(found.iter().any(|text| text.eq_ignore_ascii_case(expected)), "{fail}: {found:?}");
        }
        let found = samples(Some("^sshd: <F-CONTENT>.+</F-CONTENT>$"), "^refused <HOST>$");
        assert_eq!(found[0], "sshd: refused 203.0.113.7");
    }
}
