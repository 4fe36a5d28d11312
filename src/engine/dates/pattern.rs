//! A date pattern, compiled: a regular expression in which `%` directives stand for parts of a date.

use std::fmt::Write as _;

use super::DateError;
use super::directive::{self, Directive, EPOCH, LONG_EPOCH};

/// Where a pattern must stand in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// Not inside a word, at either end.
    Words,
    /// At the start of the line, after at most two characters that are no part of a word.
    LineStart,
    /// Anywhere.
    None,
}

/// Neither end of a date may lie between two characters of a word.
pub(crate) const WORD_BOUND: &str = r"(?:\b{start-half}|\b{end-half})";

/// The regular expression of a pattern and what its groups mean.
#[derive(Debug)]
pub(crate) struct Expression {
    /// For the `regex` crate.
    pub(crate) regex: String,
    /// Whether it can match at the start of a line only.
    pub(crate) anchored: bool,
    /// In how many alternatives the text to cut is a group of its own; 1 unless a back-reference was expanded.
    pub(crate) copies: usize,
    /// What the groups named `d0`, `d1`, … mean.
    pub(crate) directives: Vec<Directive>,
}

/// Translates a pattern.
pub(crate) fn translate(pattern: &str, bounds: Bounds) -> Result<Expression, DateError> {
    let mut bounds = bounds;
    let mut text = pattern.trim();
    if let Some(rest) = text.strip_prefix("{UNB}") {
        text = rest;
        bounds = Bounds::None;
    }
    if let Some(rest) = text.strip_prefix("{^LN-BEG}") {
        text = rest;
        if bounds == Bounds::Words {
            bounds = Bounds::LineStart;
        }
    }
    let (flags, text) = inline_flags(text);
    let expanded = Directives::default().expand(pattern, text)?;
    let (body, copies) = expand_back_references(pattern, &expanded.regex)?;
    let flags = if expanded.ignore_case || flags { "(?i)" } else { "" };

    let (start, inner) = body.strip_prefix('^').map_or(("", body.as_str()), |rest| ("^", rest));
    let (inner, end) = match inner.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => (rest, "$"),
        _ => (inner, ""),
    };
    let bound_start = bounds != Bounds::None && !begins_bound(&body);
    let bound_end = bounds != Bounds::None && !ends_bound(&body);
    let inner = inner.strip_prefix("**").unwrap_or(inner);
    let inner = inner.strip_suffix("**").unwrap_or(inner);
    let (inner, copies) =
        if has_plain_group(inner) { (inner.to_owned(), copies) } else { (format!("({inner})"), 1) };
    let before = match bounds {
        Bounds::Words if bound_start => WORD_BOUND,
        Bounds::LineStart if bound_start => r"^\W{0,2}",
        _ => "",
    };
    let after = if bound_end { WORD_BOUND } else { "" };
    let regex = format!("{flags}{before}{start}{inner}{end}{after}");
    let anchored = (bounds == Bounds::LineStart && bound_start) || begins_at_line(&body);
    Ok(Expression { regex, anchored, copies, directives: expanded.directives })
}

/// Whether a leading `(?i…)` asks to ignore case, and what follows it. Other flags change nothing for dates.
fn inline_flags(text: &str) -> (bool, &str) {
    if let Some((flags, rest)) = text.strip_prefix("(?").and_then(|rest| rest.split_once(')'))
        && !flags.is_empty()
        && flags.bytes().all(|b| b.is_ascii_lowercase())
    {
        return (flags.contains('i'), rest);
    }
    (false, text)
}

#[derive(Default)]
struct Directives {
    regex: String,
    directives: Vec<Directive>,
    ignore_case: bool,
}

impl Directives {
    fn expand(mut self, pattern: &str, text: &str) -> Result<Self, DateError> {
        let mut rest = text;
        while let Some(at) = rest.find(['%', '{']) {
            let (plain, tail) = rest.split_at(at);
            self.regex.push_str(plain);
            let escaped = plain.ends_with('\\');
            rest = if let Some(after) = tail.strip_prefix('%') {
                self.percent(pattern, after)?
            } else if !escaped && let Some(after) = strip_tag(tail, "{EPOCH}") {
                self.group(Directive::Epoch, EPOCH);
                after
            } else if !escaped && let Some(after) = strip_tag(tail, "{LEPOCH}") {
                self.group(Directive::LongEpoch, LONG_EPOCH);
                after
            } else {
                self.regex.push('{');
                tail.get(1..).unwrap_or("")
            };
        }
        self.regex.push_str(rest);
        Ok(self)
    }

    fn percent<'t>(&mut self, pattern: &str, after: &'t str) -> Result<&'t str, DateError> {
        if let Some(rest) = after.strip_prefix('%') {
            self.regex.push('%');
            return Ok(rest);
        }
        let Some((spelling, length)) = directive::named(after) else {
            return Err(DateError::UnknownDirective {
                pattern: pattern.to_owned(),
                directive: after.chars().take(1).collect(),
                position: pattern
                    .split_once(after)
                    .map_or(0, |(head, _)| head.chars().count().saturating_sub(1)),
            });
        };
        self.ignore_case |= spelling.alphabetic;
        self.regex.push_str(spelling.before);
        self.group(spelling.directive, spelling.regex);
        Ok(after.get(length..).unwrap_or(""))
    }

    fn group(&mut self, directive: Directive, regex: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.regex, "(?P<d{}>{regex})", self.directives.len());
        self.directives.push(directive);
    }
}

fn strip_tag<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let head = text.get(..tag.len())?;
    head.eq_ignore_ascii_case(tag).then(|| text.get(tag.len()..)).flatten()
}

/// `(?P<sep>[-/.])…(?P=sep)` becomes one alternative per character: the engine behind knows no back-references.
/// Also says how many alternatives there are. Groups in the second get names that begin with `x1__`, and so on.
fn expand_back_references(pattern: &str, regex: &str) -> Result<(String, usize), DateError> {
    let Some((name, _)) = regex.split_once("(?P=").and_then(|(_, rest)| rest.split_once(')')) else {
        return Ok((regex.to_owned(), 1));
    };
    let unsupported = || DateError::BackReference { pattern: pattern.to_owned(), name: name.to_owned() };
    let (head, rest) = regex.split_once(&format!("(?P<{name}>[")).ok_or_else(unsupported)?;
    let (class, tail) = rest.split_once("])").ok_or_else(unsupported)?;
    let simple =
        |c: char| c.is_ascii_punctuation() && !matches!(c, '\\' | '^' | '[' | ']' | '&' | '~') || c == ' ';
    if !(1..=8).contains(&class.len()) || !class.chars().all(simple) || class.contains("--") {
        return Err(unsupported());
    }
    let (start, head) = head.strip_prefix('^').map_or(("", head), |head| ("^", head));
    let again = format!("(?P={name})");
    let mut alternatives = Vec::new();
    for (index, separator) in class.chars().enumerate() {
        let separator = regex_syntax::escape(&separator.to_string());
        let one = format!("{head}{separator}{tail}").replace(&again, &separator);
        alternatives.push(one.replace("(?P<", &format!("(?P<x{index}__")));
    }
    // Another name may be referred to as well; each round multiplies the alternatives.
    let (body, copies) = (alternatives.join("|"), alternatives.len());
    if body.len() > 16_384 || body.contains("(?P=") {
        return Err(unsupported());
    }
    Ok((format!("{start}(?:{body})"), copies))
}

/// Whether there is a group without a name, which then is the text to cut.
fn has_plain_group(regex: &str) -> bool {
    let bytes = regex.as_bytes();
    (0..bytes.len()).any(|at| {
        bytes.get(at) == Some(&b'(')
            && bytes.get(at + 1) != Some(&b'?')
            && (at == 0 || bytes.get(at - 1) != Some(&b'\\'))
    })
}

/// Whether the pattern itself says where it begins.
fn begins_bound(body: &str) -> bool {
    let inner = body.trim_start_matches('(');
    inner.starts_with('^') || inner.starts_with("**") || inner.starts_with("?:^") || inner.starts_with("?:(^")
}

/// Whether it can match at the start of a line only.
fn begins_at_line(body: &str) -> bool {
    let at = |rest: &str| rest.starts_with('^') && !rest.starts_with("^|");
    at(body) || body.strip_prefix('(').is_some_and(|rest| at(rest) || rest.strip_prefix("?:").is_some_and(at))
}

/// Whether the pattern itself says where it ends.
fn ends_bound(body: &str) -> bool {
    let inner = body.trim_end_matches(')');
    (body.ends_with('$') && !body.ends_with("\\$"))
        || (body.ends_with("$)") && !body.ends_with("\\$)"))
        || body.ends_with(r"\b")
        || body.ends_with(r"\s")
        || inner.ends_with("**")
}
