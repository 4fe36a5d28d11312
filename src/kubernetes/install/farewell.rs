//! Asking every node to remove its table, and waiting for the answers.

use std::time::Duration;

use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::LOOK;
use crate::api::v1alpha1::{Condition, NodeAgent, NodeAgentStatus};
use crate::kubernetes::FIELD_MANAGER;
use crate::kubernetes::view::{AskError, answer};

const KIND: &str = "nodeagents";

/// What one node said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The node.
    pub node: String,
    /// Why the node is not known to be clean; `None`: its table is gone.
    pub missing: Option<String>,
}

/// Asks every NodeAgent to clean up, also those that appear meanwhile, and waits until all have or `wait` is over.
///
/// # Errors
/// When the server does not answer or does not take the request.
pub async fn ask(client: &Client, wait: Duration) -> Result<Vec<Answer>, AskError> {
    let api: Api<NodeAgent> = Api::all(client.clone());
    let end = Instant::now() + wait;
    loop {
        let agents = answer(KIND, api.list(&ListParams::default())).await?;
        for agent in agents.iter().filter(|agent| !agent.spec.clean_up) {
            let order = Patch::Merge(json!({"spec": {"cleanUp": true}}));
            let how = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            match answer(KIND, api.patch(&agent.name_any(), &how, &order)).await {
                // A node that went away meanwhile took its kernel along.
                Ok(_) | Err(AskError::UnknownKind(_)) => {}
                Err(AskError::Refused(why)) if why.ends_with("(404)") => {}
                Err(error) => return Err(error),
            }
        }
        let mut answers: Vec<Answer> = agents.iter().map(read).collect();
        if answers.iter().all(|answer| answer.missing.is_none()) || Instant::now() >= end {
            answers.sort_by(|a, b| a.node.cmp(&b.node));
            return Ok(answers);
        }
        sleep(LOOK).await;
    }
}

fn read(agent: &NodeAgent) -> Answer {
    let status = agent.status.clone().unwrap_or_default();
    let clean = agent.spec.clean_up && holds(&status, "CleanedUp");
    Answer { node: agent.name_any(), missing: (!clean).then(|| why(&status)) }
}

fn condition<'a>(status: &'a NodeAgentStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

fn holds(status: &NodeAgentStatus, type_: &str) -> bool {
    condition(status, type_).is_some_and(|condition| condition.status == "True")
}

fn why(status: &NodeAgentStatus) -> String {
    if status.reported.is_empty() {
        return "its agent never reported".into();
    }
    let last = format!("its agent reported last at {}", status.reported);
    match condition(status, "Ready") {
        Some(ready) if ready.status != "True" && !ready.message.is_empty() => {
            format!("{last}: {}", ready.message)
        }
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(asked: bool, conditions: &[serde_json::Value]) -> NodeAgent {
        let value = json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": "n1"},
            "spec": {"cleanUp": asked},
            "status": {"reported": "2026-01-01T00:00:00Z", "conditions": conditions},
        });
        serde_json::from_value(value).unwrap()
    }

    fn said(type_: &str, status: &str, message: &str) -> serde_json::Value {
        json!({"type": type_, "status": status, "reason": "R", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn a_node_is_clean_when_it_says_so_after_it_was_asked() {
        let clean = [said("CleanedUp", "True", "")];
        assert_eq!(read(&agent(true, &clean)).missing, None);
        assert!(read(&agent(false, &clean)).missing.is_some());
        assert!(read(&agent(true, &[said("CleanedUp", "False", "")])).missing.is_some());
    }

    #[test]
    fn one_that_does_not_answer_is_told_with_its_last_words() {
        let failing = agent(true, &[said("Ready", "False", "nft is missing")]);
        let told = read(&failing).missing.unwrap();
        assert_eq!(told, "its agent reported last at 2026-01-01T00:00:00Z: nft is missing");
        assert_eq!(why(&NodeAgentStatus::default()), "its agent never reported");
    }
}
