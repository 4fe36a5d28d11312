//! Where an object comes from, and a notebook for what is wrong with it.

use std::path::Path;
use std::sync::Arc;

use super::node::{Node, Position};
use super::{ObjectName, Problem, Severity};
use crate::engine::Timestamp;

/// A file (or another source) and its text.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file as it was named.
    pub file: Arc<Path>,
    /// Its text, for excerpts; empty when there is none.
    pub text: Arc<str>,
}

impl Origin {
    /// A problem at a place of this origin.
    #[must_use]
    pub fn problem(&self, severity: Severity, at: Position, message: &str, fix: &str) -> Problem {
        let line = at.line.checked_sub(1).and_then(|n| self.text.lines().nth(n as usize));
        Problem {
            severity,
            file: Arc::clone(&self.file),
            line: at.line,
            column: at.column,
            object: None,
            field: String::new(),
            message: message.into(),
            fix: fix.into(),
            until: None,
            excerpt: line.map(Into::into),
        }
    }
}

/// Collects the problems of one object.
pub(super) struct Notes<'a> {
    origin: &'a Origin,
    root: &'a Node,
    object: ObjectName,
    problems: Vec<Problem>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(origin: &'a Origin, root: &'a Node, object: ObjectName) -> Self {
        Self { origin, root, object, problems: Vec::new() }
    }

    /// Notes an error at a field, given by its path from the root.
    pub(super) fn error(&mut self, field: &str, message: impl AsRef<str>, fix: impl AsRef<str>) {
        self.add(Severity::Error, self.root.place(field), field, message.as_ref(), fix.as_ref());
    }

    /// Notes a warning at a field.
    pub(super) fn warning(&mut self, field: &str, message: impl AsRef<str>, fix: impl AsRef<str>) {
        self.add(Severity::Warning, self.root.place(field), field, message.as_ref(), fix.as_ref());
    }

    /// Notes a warning at a field that holds until then.
    pub(super) fn warning_until(
        &mut self,
        until: Option<Timestamp>,
        field: &str,
        message: impl AsRef<str>,
        fix: impl AsRef<str>,
    ) {
        self.warning(field, message, fix);
        if let Some(problem) = self.problems.last_mut() {
            problem.until = until;
        }
    }

    /// Where a field stands.
    pub(super) fn place(&self, field: &str) -> Position {
        self.root.place(field)
    }

    /// Notes an error at a place.
    pub(super) fn error_at(
        &mut self,
        at: Position,
        field: &str,
        message: impl AsRef<str>,
        fix: impl AsRef<str>,
    ) {
        self.add(Severity::Error, at, field, message.as_ref(), fix.as_ref());
    }

    fn add(&mut self, severity: Severity, at: Position, field: &str, message: &str, fix: &str) {
        let mut problem = self.origin.problem(severity, at, message, fix);
        problem.object = Some(self.object.clone());
        problem.field = field.into();
        self.problems.push(problem);
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error)
    }

    /// The problems, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.line, p.column));
        self.problems
    }
}
