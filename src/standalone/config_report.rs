//! What became of the configuration, for `status` and `reload`.

use serde::{Deserialize, Serialize};

use crate::agent::report::Moment;

/// What became of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigReport {
    /// When it was read.
    pub read: Moment,
    /// Every object, in the order of the files.
    pub objects: Vec<ObjectReport>,
    /// Problems of files and objects, and of accepted jails that cannot be used here.
    pub problems: Vec<ProblemReport>,
}

impl ConfigReport {
    /// How many objects there are and how many of them are refused, in words; and what nobody can tell which object it
    /// is, such as a manifest without a kind: it may be a jail that somebody believes in.
    #[must_use]
    pub fn counts(&self) -> String {
        let objects = self.objects.len();
        let plural = if objects == 1 { "" } else { "s" };
        let counts = format!("{objects} object{plural}, {} refused", self.refused());
        match self.unread() {
            0 => counts,
            n => format!("{counts}, {n} unreadable"),
        }
    }

    /// Objects whose declaration is not in force.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.objects.iter().filter(|object| !object.accepted).count()
    }

    /// Errors in files and documents of which nobody can tell which object they are.
    #[must_use]
    pub fn unread(&self) -> usize {
        let named = |problem: &ProblemReport| {
            self.objects.iter().any(|object| problem.object == format!("{} {}", object.kind, object.name))
        };
        self.problems.iter().filter(|problem| problem.severity == "error" && !named(problem)).count()
    }
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// `Jail`, `Filter`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub origin: String,
    /// Whether the declaration is in force.
    pub accepted: bool,
    /// Whether an earlier declaration is in force instead.
    pub last_good: bool,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemReport {
    /// `error` or `warning`.
    pub severity: String,
    /// The file.
    pub file: String,
    /// Line, from 1; 0: none.
    pub line: u32,
    /// Column, from 1; 0: none.
    pub column: u32,
    /// Kind and name of the object; empty: none.
    pub object: String,
    /// The field; empty: the whole object.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// All of it over several lines, as `gaoler check` prints it.
    pub text: String,
}
