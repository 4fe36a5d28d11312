//! Could a client write a text that gets somebody else banned?
//!
//! A log holds what clients sent: names, greetings, subjects. Wherever a rule lets any text stand, a client may have
//! put a piece of another line there, with somebody else's address. This is tried out on the filter's own examples: at
//! every place where the rule does not care for a few more letters, a forged piece is put in, and the filter is asked
//! whom it accuses now.

use std::sync::Arc;

use crate::api::v1alpha1::{Example, ExpectedOutcome};
use crate::engine::LayoutSpec;
use crate::engine::scanner::{Reason, ScanState, Scanner};

use super::examples::{Scanners, clock, scan};
use super::origin::Notes;

/// Somebody who never wrote a line (documentation address, RFC 5737).
const SOMEBODY_ELSE: &str = "192.0.2.66";
/// Longer examples are not tried; their number of places is too large.
const MOST_BYTES: usize = 2000;
/// Examples tried for each rule.
const TRIED: usize = 2;

/// Notes a warning for each rule that a client's text could lead astray, with a line that would do it.
pub(super) fn run(scanners: &mut Scanners<'_>, examples: &[Example], notes: &mut Notes<'_>) {
    let mut tried: Vec<String> = Vec::new();
    let mut guilty: Vec<String> = Vec::new();
    let positive = examples.iter().filter(|example| {
        example.matches
            && example.outcome.unwrap_or_default() == ExpectedOutcome::Failure
            && !example.line.contains('\n')
    });
    for example in positive.filter(|example| example.line.len() <= MOST_BYTES) {
        let Some(attack) = Attack::prepare(scanners, example, notes) else { continue };
        let often = tried.iter().filter(|field| **field == attack.field).count() >= TRIED;
        if often || guilty.contains(&attack.field) {
            continue;
        }
        tried.push(attack.field.clone());
        if let Some(line) = attack.find() {
            notes.warning(
                &format!("spec.{}", attack.field),
                format!(
                    "a client could get somebody else banned: this rule also accuses {SOMEBODY_ELSE}, whose address \
                     a client wrote into its own text"
                ),
                format!(
                    "anchor the regex with `^` and `$`, and let nothing but fixed text stand behind the address; this \
                     line shows it:\n{}",
                    line.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
                ),
            );
            guilty.push(attack.field);
        }
    }
    if examples.is_empty() {
        notes.warning(
            "spec",
            "no example shows that the filter works, and it could not be tried out what a client may do to it",
            "add `examples` with real lines; `gaoler filters show sshd` shows how",
        );
    }
}

/// One example whose address stands in text, made ready.
struct Attack<'a> {
    scanner: Arc<Scanner>,
    line: &'a str,
    /// The rule's field.
    field: String,
    /// Where client's text may stand.
    region: std::ops::Range<usize>,
    /// The address as written.
    address: std::ops::Range<usize>,
}

impl<'a> Attack<'a> {
    fn prepare(scanners: &mut Scanners<'_>, example: &'a Example, notes: &mut Notes<'_>) -> Option<Self> {
        let layout = super::examples::layout(example, "spec.examples", notes)?;
        // In JSON a client's quote is escaped; there is no way out of its field.
        let json = matches!(layout, LayoutSpec::JsonEncoder | LayoutSpec::JsonLayout | LayoutSpec::Logstash);
        if json || example.line.starts_with('{') {
            return None;
        }
        let scanner = scanners.of(&layout).ok()?;
        let line = example.line.as_str();
        let said = scanner.explain(&mut ScanState::default(), line.as_bytes(), clock());
        let account = said.filters.first()?;
        let (field, text) = account.rules.iter().find_map(|rule| match &rule.reason {
            // An address from the context is the program's own.
            Reason::Matched { key: None, text, .. } => Some((rule.field.clone()?, text.clone())),
            _ => None,
        })?;
        let region = match &said.event {
            Some(event) if field.starts_with("rules") => {
                let start = line.rfind(event.message.as_str())?;
                start..start + event.message.len()
            }
            _ => 0..line.len(),
        };
        let start = region.start + line.get(region.clone())?.rfind(&text)?;
        Some(Self { scanner, line, field, region, address: start..start + text.len() })
    }

    /// A line that accuses somebody else.
    fn find(&self) -> Option<String> {
        let (from, to) = (self.region.start, self.region.end);
        let get = |range: std::ops::Range<usize>| self.line.get(range).unwrap_or_default();
        let tail = get(self.address.end..to);
        let mut places: Vec<usize> = Vec::new();
        let mut before = false;
        for (i, _) in self.line.char_indices().chain([(self.line.len(), ' ')]) {
            let free = (from..=to).contains(&i) && self.is_free(i);
            // The ends and the middle of a run of free places stand for the run.
            match (before, free, places.len()) {
                (false, true, _) => places.extend([i, i]),
                (true, true, n) if n > 0 => places[n - 1] = i,
                _ => {}
            }
            before = free;
        }
        places.dedup();
        for at in places {
            let head = get(from..self.address.start);
            let rest = get(at.min(self.address.start)..self.address.start);
            let forged = [
                format!(" {SOMEBODY_ELSE} "),
                format!("{rest}{SOMEBODY_ELSE} "),
                format!("{rest}{SOMEBODY_ELSE}{tail} "),
                format!("{rest}{SOMEBODY_ELSE}{tail}"),
                format!(" {head}{SOMEBODY_ELSE} "),
                format!(" {head}{SOMEBODY_ELSE}{tail} "),
                format!(" {head}{SOMEBODY_ELSE}{tail}"),
            ];
            for piece in forged {
                let line = self.with(at, &piece);
                if scan(&self.scanner, &line).iter().any(|m| m.address.to_string() == SOMEBODY_ELSE) {
                    return Some(line);
                }
            }
        }
        None
    }

    fn with(&self, at: usize, piece: &str) -> String {
        let (before, after) = self.line.split_at_checked(at).unwrap_or((self.line, ""));
        format!("{before}{piece}{after}")
    }

    /// Whether the rule does not care for a few more letters here: then it may be a client's text.
    fn is_free(&self, at: usize) -> bool {
        if self.address.start < at && at < self.address.end {
            return false;
        }
        let found = scan(&self.scanner, &self.with(at, "q"));
        let address = self.line.get(self.address.clone()).unwrap_or_default();
        let accused = |m: &crate::engine::Match| {
            crate::engine::address::parse_address(address).is_some_and(|address| address == m.address)
        };
        !found.is_empty() && found.iter().all(accused)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Surroundings, files, load::assemble};

    fn warnings(fail_regex: &str, line: &str) -> Vec<String> {
        let manifest = format!(
            "apiVersion: gaoler.dev/v1alpha1\nkind: Filter\nmetadata: {{name: f}}\nspec:\n  failRegex:\n  - \
             '{fail_regex}'\n  examples:\n  - line: '{line}'\n    match: true\n    address: 203.0.113.7\n"
        );
        let mut manifests = files::Manifests::default();
        files::text_into(&Path::new("f.yaml").into(), manifest.into_bytes(), &mut manifests);
        let loaded = assemble(manifests, None, &Surroundings { lint: true, ..Surroundings::default() });
        assert_eq!(loaded.errors(), 0, "{loaded:?}");
        loaded.all_problems().map(ToString::to_string).collect()
    }

    #[test]
    fn a_regex_without_an_end_believes_the_client() {
        let told =
            warnings("^login failed for .* from <HOST>", "login failed for bob from 203.0.113.7 (password)");
        assert!(told.len() == 1 && told[0].contains("from 192.0.2.66"), "{told:?}");
    }

    #[test]
    fn a_regex_without_a_beginning_believes_the_client() {
        let told = warnings("from <HOST>: login failed", "user bob from 203.0.113.7: login failed");
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn what_james_lets_clients_write_leads_loose_regexes_astray() {
        for (regex, line) in [
            // A recipient may be called `x from 192.0.2.66`.
            (
                "Rejected message. Unknown user.* from <HOST>",
                " - AbstractValidRcptHandler - Rejected message. Unknown user: bob@example.test from 203.0.113.7 (smtp)",
            ),
            // A greeting stands before the address.
            (
                r"ip=<HOST>\b.*Rejected message",
                " - greeting client.example ip=203.0.113.7 - Rejected message. Unknown user",
            ),
            // A name in front of the address James adds.
            (
                "AUTH method .* failed from .*?@<HOST>",
                " - AUTHENTICATION - AUTH method LOGIN failed from Username{localPart=bob, domainPart=x}@203.0.113.7",
            ),
            (
                "Bad credential supplied for .*? with remote address <HOST>",
                " - PassCmdHandler - Bad credential supplied for bob with remote address 203.0.113.7",
            ),
        ] {
            let told = warnings(regex, line);
            assert!(told.len() == 1 && told[0].contains("192.0.2.66"), "{regex}: {told:?}");
        }
        // The regexes of the article on fail2ban, as they are.
        for (regex, line) in [
            (
                r"^.-.org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler.\[ip=<HOST>\].-.Rejected message. Unknown user.*$",
                " - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=203.0.113.7] - Rejected message. Unknown user: bob@example.test",
            ),
            (
                r"^.-.org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from Username.*\@<HOST>$",
                " - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{localPart=bob, domainPart=x}@203.0.113.7",
            ),
        ] {
            let told = warnings(regex, line);
            assert!(told.is_empty(), "{regex}: {told:?}");
        }
    }

    #[test]
    fn a_regex_that_takes_the_last_address_believes_nobody() {
        let fine = warnings("^login failed for .* from <HOST>$", "login failed for bob from 203.0.113.7");
        assert!(fine.is_empty(), "{fine:?}");
        let first = warnings("^<HOST> - .* 401$", "203.0.113.7 - bob 401");
        assert!(first.is_empty(), "{first:?}");
    }

    #[test]
    fn no_built_in_filter_believes_a_client() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("filters");
        let loaded = assemble(
            files::read(&[directory]),
            None,
            &Surroundings { lint: true, ..Surroundings::default() },
        );
        let told: Vec<String> = loaded.all_problems().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}", told.join("\n"));
    }
}
