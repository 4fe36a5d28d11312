//! One line whose address stands in text, and what a client might have made of it.

use std::ops::Range;
use std::sync::Arc;

use crate::config::examples::{clock, scan};
use crate::engine::LayoutSpec;
use crate::engine::Match;
use crate::engine::address::parse_address;
use crate::engine::scanner::{Reason, RuleAccount, ScanState, Scanner};

use super::json::{self, Value};

/// Who is accused in a line that is made up (documentation addresses, RFC 5737 and 3849), for rules that take one of them
/// only.
pub(super) const ACCUSED: [&str; 2] = ["203.0.113.7", "2001:db8:7::1"];
/// Who never wrote a line (the same): the first that the line does not name already.
const OTHERS: [&str; 3] = ["192.0.2.66", "198.51.100.66", "192.0.2.99"];
/// The same for a rule that took an IPv6 address.
const OTHERS_V6: [&str; 3] = ["2001:db8:66::1", "2001:db8:67::1", "2001:db8:99::1"];
/// What a program may write before a client's text. So many words that no optional field of a regex takes them all.
const LEADS: [&str; 2] = [
    "mail for an unknown user of this server was refused: ",
    "o.a.j.Other - mail for an unknown user was refused: ",
];
/// So many words before the address are tried as the beginning of a forged piece.
const MOST_WORDS: usize = 12;

/// A line made ready.
pub(super) struct Attack<'a> {
    scanner: Arc<Scanner>,
    line: &'a str,
    /// The rule's field.
    pub(super) field: String,
    /// Where client's text may stand.
    region: Range<usize>,
    /// The address as written.
    address: Range<usize>,
    /// Wherever it is written: which of them the rule took is not known.
    addresses: Vec<Range<usize>>,
    /// Who did nothing, and is accused by what is put in.
    pub(super) somebody_else: &'static str,
    /// Where the text begins that the rule saw.
    text: usize,
    /// The strings of a JSON line.
    values: Option<Vec<Value>>,
}

impl<'a> Attack<'a> {
    /// `None` when the line accuses nobody from its text.
    pub(super) fn prepare(scanner: Arc<Scanner>, layout: &LayoutSpec, line: &'a str) -> Option<Self> {
        let said = scanner.explain(&mut ScanState::default(), line.as_bytes(), clock());
        let account = said.filters.first()?;
        let (field, written) = account.rules.iter().find_map(|rule: &RuleAccount| match &rule.reason {
            // An address from the context is the program's own.
            Reason::Matched { key: None, text, success: false, .. } => {
                Some((rule.field.clone()?, text.clone()))
            }
            _ => None,
        })?;
        let json = matches!(layout, LayoutSpec::JsonEncoder | LayoutSpec::JsonLayout | LayoutSpec::Logstash)
            || line.starts_with('{');
        let values = json.then(|| json::values(line));
        let message = said.event.as_ref().map(|event| event.message.as_str());
        let structured = field.starts_with("rules");
        let region = match (&values, message) {
            (Some(values), Some(message)) if structured => {
                let forms =
                    [message.to_owned(), json::escaped(message), json::escaped(message).replace('/', "\\/")];
                let is_it = |value: &&Value| {
                    let inside = line.get(value.inside.clone()).unwrap_or_default();
                    forms.iter().any(|form| form == inside)
                };
                values.iter().rev().find(is_it)?.inside.clone()
            }
            (None, Some(message)) if structured => {
                let start = line.rfind(message)?;
                start..start + message.len()
            }
            _ => 0..line.len(),
        };
        let within = line.get(region.clone())?.match_indices(&written);
        let addresses: Vec<Range<usize>> =
            within.map(|(at, _)| region.start + at..region.start + at + written.len()).collect();
        let others = if written.contains(':') && !written.contains('.') { OTHERS_V6 } else { OTHERS };
        let somebody_else = others.into_iter().find(|other| !line.contains(other))?;
        let seen = account.text.as_deref().unwrap_or_default().trim_start();
        let text = if structured || seen.is_empty() { None } else { line.rfind(seen) };
        Some(Self {
            scanner,
            line,
            field,
            text: text.unwrap_or(region.start),
            region,
            address: addresses.last()?.clone(),
            addresses,
            somebody_else,
            values,
        })
    }

    /// A line that accuses somebody else, tried out.
    pub(super) fn find(&mut self) -> Option<String> {
        std::mem::take(&mut self.addresses).into_iter().rev().find_map(|address| {
            self.address = address;
            self.elsewhere().or_else(|| self.within())
        })
    }

    /// The whole text at the end of another line, where a program may print what a client sent.
    fn elsewhere(&self) -> Option<String> {
        let mut region = self.region.clone();
        if let Some(values) = &self.values {
            let value = values.iter().find(|value| value.inside.contains(&self.address.start))?;
            if !value.clients {
                return None;
            }
            region = value.inside.clone();
        }
        let region = self.line_within(&region);
        let starts = [self.text.max(region.start), region.start];
        for start in starts {
            for lead in LEADS {
                for trail in ["", " (smtp)"] {
                    let line = [
                        self.get(0..start),
                        lead,
                        self.get(start..self.address.start),
                        self.somebody_else,
                        self.get(self.address.end..region.end),
                        trail,
                        self.get(region.end..self.line.len()),
                    ]
                    .concat();
                    if self.accuses_somebody_else(&line) {
                        return Some(line);
                    }
                }
            }
        }
        None
    }

    /// A piece within the line itself.
    fn within(&self) -> Option<String> {
        let (other, Range { start: from, end: to }) = (self.somebody_else, self.line_within(&self.region));
        let tail = self.get(self.address.end..to);
        let head = self.get(from..self.address.start);
        let words = head.char_indices().rev().filter(|(_, c)| !c.is_alphanumeric()).map(|(i, _)| i);
        let ends: Vec<&str> = words.take(MOST_WORDS).filter_map(|i| head.get(i..)).collect();
        for at in self.places() {
            let rest = self.get(at.min(self.address.start)..self.address.start);
            let mut forged = vec![
                format!(" {other} "),
                format!("{rest}{other} "),
                format!("{rest}{other}{tail} "),
                format!("{rest}{other}{tail}"),
                format!(" {head}{other} "),
                format!(" {head}{other}{tail} "),
                format!(" {head}{other}{tail}"),
            ];
            for end in &ends {
                forged.push(format!(" {end}{other} "));
                forged.push(format!(" {end}{other}{tail}"));
            }
            for piece in forged.iter().filter(|piece| !piece.contains('\n')) {
                let line = self.with(at, piece);
                if self.accuses_somebody_else(&line) {
                    return Some(line);
                }
            }
        }
        None
    }

    /// Of several lines that a rule looks at, the one with the address: a client is not taken to write line breaks.
    fn line_within(&self, region: &Range<usize>) -> Range<usize> {
        let start = self
            .get(region.start..self.address.start)
            .rfind('\n')
            .map_or(region.start, |at| region.start + at + 1);
        let end =
            self.get(self.address.end..region.end).find('\n').map_or(region.end, |at| self.address.end + at);
        start..end
    }

    /// The ends and the middle of each run of places where a client's text may stand.
    fn places(&self) -> Vec<usize> {
        let (from, to) = (self.region.start, self.region.end);
        let mut places: Vec<usize> = Vec::new();
        let mut before = false;
        for (i, _) in self.line.char_indices().chain([(self.line.len(), ' ')]) {
            let free = (from..=to).contains(&i) && self.is_free(i);
            match (before, free, places.len()) {
                (false, true, _) => places.extend([i, i]),
                (true, true, n) if n > 0 => places[n - 1] = i,
                _ => {}
            }
            before = free;
        }
        places.dedup();
        places
    }

    fn get(&self, range: Range<usize>) -> &str {
        self.line.get(range).unwrap_or_default()
    }

    fn with(&self, at: usize, piece: &str) -> String {
        let (before, after) = self.line.split_at_checked(at).unwrap_or((self.line, ""));
        match self.values {
            None => format!("{before}{piece}{after}"),
            Some(_) => format!("{before}{}{after}", json::escaped(piece)),
        }
    }

    fn accuses_somebody_else(&self, line: &str) -> bool {
        scan(&self.scanner, line).iter().any(|m| m.address.to_string() == self.somebody_else)
    }

    /// Whether the rule does not care for a few more letters here: then it may be a client's text.
    fn is_free(&self, at: usize) -> bool {
        if self.address.start < at && at < self.address.end {
            return false;
        }
        if let Some(values) = &self.values
            && !values.iter().any(|value| value.clients && value.has_place(self.line, at))
        {
            return false;
        }
        let found = scan(&self.scanner, &self.with(at, "q"));
        let address = parse_address(self.get(self.address.clone()));
        let accused = |m: &Match| address.is_some_and(|address| address == m.address);
        !found.is_empty() && found.iter().all(accused)
    }
}
