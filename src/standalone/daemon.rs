//! The one thing everybody in this process talks to: the agent and the configuration it runs on.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::config_report::{ConfigReport, ObjectReport, ProblemReport};
use crate::agent::handle::{AgentHandle, Gone, Unusable};
use crate::agent::report::{Condition, ConditionType, Moment, Status};
use crate::config::{Loaded, ObjectName, Problem, Severity, load};
use crate::engine::Timestamp;
use crate::service::notify::Notifier;

/// The status of the whole daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// The agent's.
    #[serde(flatten)]
    pub agent: Status,
    /// What became of the configuration.
    pub config: ConfigReport,
}

/// The agent and the configuration it runs on.
#[derive(Debug)]
pub struct Daemon {
    /// The agent.
    pub agent: AgentHandle,
    /// The service manager.
    pub notifier: Notifier,
    paths: Vec<PathBuf>,
    /// Held while a configuration is read and handed over: two reloads never overtake each other.
    reloading: Mutex<()>,
    current: RefCell<Current>,
}

#[derive(Debug)]
struct Current {
    loaded: Loaded,
    report: ConfigReport,
}

impl Daemon {
    /// Hands `loaded`, the configuration found at start in `paths`, to the agent.
    ///
    /// # Errors
    /// When the agent has ended.
    pub async fn start(
        agent: AgentHandle,
        notifier: Notifier,
        paths: Vec<PathBuf>,
        loaded: Loaded,
    ) -> Result<Self, Gone> {
        let unusable = agent.configure(Arc::new(loaded.config.clone())).await?;
        let report = report(&loaded, &unusable);
        let current = RefCell::new(Current { loaded, report });
        Ok(Self { agent, notifier, paths, reloading: Mutex::new(()), current })
    }

    /// Reads the configuration again. Objects that are broken now keep the state they had before.
    pub async fn reload(&self) -> ConfigReport {
        let _alone = self.reloading.lock().await;
        self.notifier.reloading();
        let loaded = load(&self.paths, Some(&self.current.borrow().loaded));
        let unusable = match self.agent.configure(Arc::new(loaded.config.clone())).await {
            Ok(unusable) => unusable,
            Err(gone) => {
                tracing::error!(error = %gone, "cannot hand over the configuration");
                Vec::new()
            }
        };
        let report = report(&loaded, &unusable);
        self.current.replace(Current { loaded, report: report.clone() });
        self.notifier.ready(&self.summary());
        report
    }

    /// How everything is.
    ///
    /// # Errors
    /// When the agent has ended.
    pub async fn status(&self) -> Result<DaemonStatus, Gone> {
        let mut agent = self.agent.status().await?;
        let current = self.current.borrow();
        let verdict = |kind: &str, name: &str| {
            let object = current.report.objects.iter().find(|o| o.kind == kind && o.name == name);
            object.map(accepted)
        };
        for jail in &mut agent.jails {
            jail.conditions.splice(0..0, verdict("Jail", jail.name.as_str()));
        }
        for limit in &mut agent.rate_limits {
            limit.conditions.splice(0..0, verdict("RateLimit", &limit.name));
        }
        let now = Moment(jiff::Timestamp::now().into());
        Ok(DaemonStatus { agent, config: current.report.at(now) })
    }

    /// One line for `systemctl status`.
    #[must_use]
    pub fn summary(&self) -> String {
        let current = self.current.borrow();
        let jails = current.loaded.config.jails.len();
        let plural = if jails == 1 { "" } else { "s" };
        let guarding = format!("Guarding with {jails} jail{plural}");
        match (current.report.refused(), current.report.unread()) {
            (0, 0) => guarding,
            (refused, 0) => format!("{guarding}; {refused} refused, see gaoler status"),
            (refused, unread) => {
                format!("{guarding}; {refused} refused, {unread} unreadable, see gaoler status")
            }
        }
    }
}

fn accepted(object: &ObjectReport) -> Condition {
    let (reason, message) = match (object.accepted, object.last_good) {
        (true, _) => ("Valid", String::new()),
        (false, true) => ("Invalid", format!("{} is refused; the declaration before goes on", object.origin)),
        (false, false) => ("Invalid", format!("{} is refused", object.origin)),
    };
    Condition { kind: ConditionType::Accepted, status: object.accepted, reason: reason.into(), message }
}

/// Says what is wrong on stderr and keeps it for `status`.
fn report(loaded: &Loaded, unusable: &[Unusable]) -> ConfigReport {
    let mut problems: Vec<ProblemReport> = loaded.all_problems().map(problem).collect();
    for Unusable { jail, reason } in unusable {
        problems.push(ProblemReport {
            severity: "error".into(),
            file: String::new(),
            line: 0,
            column: 0,
            object: ObjectName { kind: "Jail", name: jail.to_string() }.to_string(),
            field: String::new(),
            message: reason.clone(),
            fix: String::new(),
            text: format!("error: Jail {jail}: {reason}\n"),
            until: None,
        });
    }
    for problem in &problems {
        let ProblemReport { file, line, object, field, message, fix, .. } = problem;
        if problem.severity == "error" {
            tracing::error!(file, line, object, field, fix, "{message}");
        } else {
            tracing::warn!(file, line, object, field, fix, "{message}");
        }
    }
    let objects = loaded.objects.iter().map(|object| ObjectReport {
        kind: object.name.kind.into(),
        name: object.name.name.clone(),
        origin: format!("{}:{}", object.file.display(), object.line),
        accepted: object.accepted,
        last_good: object.last_good,
    });
    ConfigReport {
        read: Moment(Timestamp::from(jiff::Timestamp::now())),
        objects: objects.collect(),
        problems,
    }
}

fn problem(problem: &Problem) -> ProblemReport {
    ProblemReport {
        severity: match problem.severity {
            Severity::Error => "error".into(),
            Severity::Warning => "warning".into(),
        },
        file: problem.file.display().to_string(),
        line: problem.line,
        column: problem.column,
        object: problem.object.as_ref().map(ToString::to_string).unwrap_or_default(),
        field: problem.field.clone(),
        message: problem.message.clone(),
        fix: problem.fix.clone(),
        text: problem.to_string(),
        until: problem.until.map(Moment),
    }
}
