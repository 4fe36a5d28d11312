//! What is wrong with a manifest, for people: where, what, and what to do.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::ObjectName;
use crate::engine::Timestamp;

/// Whether a problem refuses its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object is accepted, but somebody should look at it.
    Warning,
}

/// One problem. `Display` prints it over several lines, as a compiler does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Whether it refuses the object.
    pub severity: Severity,
    /// The file as it was named, or where else the object comes from.
    pub file: Arc<Path>,
    /// Line in the file, from 1; 0 when there is none.
    pub line: u32,
    /// Column in characters, from 1; 0 when there is none.
    pub column: u32,
    /// The object, when it could be told.
    pub object: Option<ObjectName>,
    /// The field, e.g. `spec.rules[0].message`; empty when the problem is the whole object's or file's.
    pub field: String,
    /// What is wrong: a sentence that begins in lower case and has no full stop.
    pub message: String,
    /// What to do, in the same form; may be empty.
    pub fix: String,
    /// When it ends by itself; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// How much of a long line is shown, in characters.
const SHOWN: usize = 110;

impl Problem {
    fn excerpt(&self, f: &mut fmt::Formatter<'_>, line: &str) -> fmt::Result {
        let chars: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let at = (self.column.max(1) as usize - 1).min(chars.len());
        // A long line is cut so that the place stays in sight.
        let from = if at > SHOWN - 20 { at - 20 } else { 0 };
        let shown: String = chars.iter().skip(from).take(SHOWN).collect();
        let (before, after) =
            (if from > 0 { "…" } else { "" }, if chars.len() > from + SHOWN { "…" } else { "" });
        let width = self.line.to_string().len();
        writeln!(f, "{:width$} |", "")?;
        writeln!(f, "{} | {before}{}{after}", self.line, shown.trim_end())?;
        let pad = at - from + before.chars().count();
        writeln!(f, "{:width$} | {:pad$}^", "", "")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", self.message)?;
        let width = self.line.to_string().len();
        write!(f, "{:width$}--> {}", "", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if let Some(object) = &self.object {
            write!(f, "  {object}")?;
        }
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        writeln!(f)?;
        if let Some(line) = &self.excerpt {
            self.excerpt(f, line)?;
        }
        if !self.fix.is_empty() {
            let mut lines = self.fix.lines();
            writeln!(f, "{:width$} = fix: {}", "", lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(f, "{:width$}        {line}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(excerpt: &str, column: u32) -> Problem {
        Problem {
            severity: Severity::Error,
            file: Path::new("jails.yaml").into(),
            line: 12,
            column,
            object: Some(ObjectName { kind: "Jail", name: "james".into() }),
            field: "spec.maxRetry".into(),
            message: "`maxRetry` must be at least 1, but is 0".into(),
            fix: "write how many failures are allowed".into(),
            until: None,
            excerpt: Some(excerpt.into()),
        }
    }

    #[test]
    fn it_prints_like_a_compiler() {
        insta::assert_snapshot!(problem("  maxRetry: 0", 13), @r"
        error: `maxRetry` must be at least 1, but is 0
          --> jails.yaml:12:13  Jail james, spec.maxRetry
           |
        12 |   maxRetry: 0
           |             ^
           = fix: write how many failures are allowed
        ");
    }

    #[test]
    fn the_place_stays_in_sight_in_a_long_line() {
        let line = format!("{}HERE{}", "x".repeat(5000), "y".repeat(5000));
        let shown = problem(&line, 5001).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[3].len() < 150 && lines[3].contains("HERE"), "{shown}");
        assert_eq!(lines[3].chars().position(|c| c == 'H'), lines[4].find('^'), "{shown}");
    }
}
