//! Could a client write a text that gets somebody else banned?
//!
//! A log holds what clients sent: names, greetings, subjects. Wherever a rule lets any text stand, a client may have
//! put a piece of another line there, with somebody else's address. This is tried out on the filter's own examples, and
//! for rules that have none on lines made from their regex: a forged piece is put in wherever the rule does not care for
//! a few more letters, and at the end of another line, and the filter is asked whom it accuses now.

mod attack;
mod json;
mod made;

use crate::api::v1alpha1::{Example, ExpectedOutcome};
use crate::engine::filter::Filter;

use super::examples::Scanners;
use super::origin::Notes;
use attack::{ACCUSED, Attack};

/// Longer examples are not tried; their number of places is too large.
const MOST_BYTES: usize = 2000;
/// Examples tried for each rule.
const TRIED: usize = 2;

/// Notes a warning for each rule that a client's text could lead astray, with a line that does it.
pub(super) fn run(scanners: &mut Scanners<'_>, filter: &Filter, examples: &[Example], notes: &mut Notes<'_>) {
    let mut court = Court { tried: Vec::new(), guilty: Vec::new() };
    let positive = examples.iter().filter(|example| {
        example.matches
            && example.outcome.unwrap_or_default() == ExpectedOutcome::Failure
            && !example.line.contains('\n')
            && example.line.len() <= MOST_BYTES
    });
    for example in positive {
        let Some(layout) = super::examples::layout(example, "spec.examples", notes) else { continue };
        let Ok(scanner) = scanners.of(&layout) else { continue };
        court.judge(Attack::prepare(scanner, &layout, &example.line), notes);
    }
    for rule in 0..filter.len() {
        if court.tried.contains(&filter.field(u16::try_from(rule).unwrap_or(u16::MAX))) {
            continue;
        }
        for (layout, line) in ACCUSED.iter().flat_map(|address| made::lines(filter, rule, address)) {
            let Ok(scanner) = scanners.of(&layout) else { continue };
            let attack = Attack::prepare(scanner, &layout, &line);
            if attack.is_some() {
                court.judge(attack, notes);
                break;
            }
        }
    }
    if examples.is_empty() {
        notes.warning(
            "spec",
            "no example shows that the filter works; what a client may do to it was tried out only on lines made from \
             its regexes",
            "add `examples` with real lines; `gaoler filters show sshd` shows how",
        );
    }
}

/// What is known of each rule, by its field.
struct Court {
    tried: Vec<String>,
    guilty: Vec<String>,
}

impl Court {
    fn judge(&mut self, attack: Option<Attack<'_>>, notes: &mut Notes<'_>) {
        let Some(mut attack) = attack else { return };
        let field = attack.field.clone();
        let often = self.tried.iter().filter(|tried| **tried == field).count() >= TRIED;
        if often || self.guilty.contains(&field) {
            return;
        }
        self.tried.push(field.clone());
        let Some(line) = attack.find() else { return };
        notes.warning(
            &format!("spec.{field}"),
            format!(
                "a client could get somebody else banned: this rule also accuses {}, whose address a client wrote \
                 into its own text",
                attack.somebody_else
            ),
            format!(
                "anchor the regex with `^` and `$`, and let nothing but fixed text stand behind the address; this \
                 line shows it:\n{}",
                shown(&line)
            ),
        );
        self.guilty.push(field);
    }
}

/// A line for a terminal.
fn shown(line: &str) -> String {
    line.chars().fold(String::new(), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests;
