//! What `iptables-save` prints, or a script of `iptables -A …` lines.
//!
//! Two kinds of rules become rate limits: the pair of `-m recent --set` and `--update` or `--rcheck … -j DROP`, and
//! `-m hashlimit --hashlimit-above … -j DROP`. Every other rule that appends something is left out with a reason.

mod limits;
mod rule;

use super::{Imported, Left, Manifest, Spec, label};
use limits::{Recent, Unlimited};
use rule::{Rule, Unread};

/// Whether a text looks like iptables rules.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| {
        line.starts_with("*filter") || line.starts_with("-A ") || rule::after_program(line).is_some()
    })
}

/// Imports all rules of `text`.
#[must_use]
pub fn import(text: &str) -> Imported {
    let mut imported = Imported::default();
    let mut rules = Vec::new();
    for (line, text) in text.lines().enumerate().map(|(at, text)| (at + 1, text.trim())) {
        match Rule::read(line, text) {
            Ok(Some(rule)) => rules.push(rule),
            Ok(None) => {}
            Err(Unread(why)) => imported.left.push(Left { line, text: text.into(), why }),
        }
    }
    for rule in &rules {
        let outcome = match limits::recent(rule) {
            // Its partners say what it is good for.
            Some(Recent::Set) => match rules.iter().any(|other| limits::is_judge_of(other, rule)) {
                true => continue,
                false => Err(Unlimited::new("it only remembers sources; no rule drops by this list")),
            },
            Some(Recent::Judge) => limits::of_recent(rule, &rules),
            None => limits::of_hashlimit(rule),
        };
        match outcome {
            Ok(limit) => {
                let name = label(&limit.name, &imported.manifests);
                imported.manifests.push(Manifest {
                    name,
                    lines: limit.lines,
                    notes: limit.notes,
                    spec: Spec::RateLimit(limit.spec),
                });
            }
            Err(Unlimited(why)) => {
                imported.left.push(Left { line: rule.line, text: rule.text.clone(), why });
            }
        }
    }
    imported.left.sort_by_key(|left| left.line);
    imported
}

#[cfg(test)]
mod tests;
