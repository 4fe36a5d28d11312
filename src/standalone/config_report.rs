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

    /// The same without problems that have ended by themselves.
    #[must_use]
    pub fn at(&self, now: Moment) -> Self {
        let mut report = self.clone();
        report.problems.retain(|problem| problem.until.is_none_or(|until| until > now));
        report
    }

    /// Objects whose declaration is not in force.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.objects.iter().filter(|object| !object.accepted).count()
    }

    /// How many errors there are in files and documents of which nobody can tell which object they are.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.unread_problems().count()
    }

    /// Errors of one object.
    pub fn problems_of(&self, kind: &str, name: &str) -> impl Iterator<Item = &ProblemReport> {
        let object = format!("{kind} {name}");
        self.problems.iter().filter(move |problem| problem.object == object && problem.severity == "error")
    }

    /// Where what keeps this object from being in force stands: errors of its own where it is `refused`, else those of
    /// which nobody can tell which object they are.
    #[must_use]
    pub fn places_of(&self, kind: &str, name: &str, refused: bool) -> Vec<String> {
        let place = |problem: &ProblemReport| match problem.line {
            0 => problem.file.clone(),
            line => format!("{}:{line}", problem.file),
        };
        let mut places: Vec<String> = match refused {
            true => self.problems_of(kind, name).map(place).collect(),
            false => self.unread_problems().map(place).collect(),
        };
        places.dedup();
        places
    }

    /// Errors in files and documents of which nobody can tell which object they are.
    pub fn unread_problems(&self) -> impl Iterator<Item = &ProblemReport> {
        let named = move |problem: &ProblemReport| {
            self.objects.iter().any(|object| problem.object == format!("{} {}", object.kind, object.name))
        };
        self.problems.iter().filter(move |problem| problem.severity == "error" && !named(problem))
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
    /// When it ends by itself; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Timestamp;

    fn nowhere() -> ProblemReport {
        ProblemReport {
            severity: "error".into(),
            file: String::new(),
            line: 0,
            column: 0,
            object: String::new(),
            field: String::new(),
            message: String::new(),
            fix: String::new(),
            text: String::new(),
            until: None,
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_place_without_a_line() {
        let problem = |file: &str, line| ProblemReport { file: file.into(), line, ..nowhere() };
        let report = ConfigReport {
            read: Moment(Timestamp::from_micros(0)),
            objects: Vec::new(),
            problems: vec![problem("a.yaml", 0), problem("b.yaml", 7)],
        };
        assert_eq!(report.places_of("Jail", "james", false), ["a.yaml", "b.yaml:7"]);
    }

    #[test]
    fn a_problem_that_has_ended_by_itself_is_not_told_any_more() {
        let problem = |until: Option<i64>| ProblemReport {
            until: until.map(|secs| Moment(Timestamp::from_secs(secs))),
            ..nowhere()
        };
        let read = Moment(Timestamp::from_secs(10));
        let problems = vec![problem(None), problem(Some(20)), problem(Some(30))];
        let report = ConfigReport { read, objects: Vec::new(), problems };
        assert_eq!(report.at(Moment(Timestamp::from_secs(19))).problems.len(), 3);
        assert_eq!(report.at(Moment(Timestamp::from_secs(20))).problems, [problem(None), problem(Some(30))]);
    }
}
