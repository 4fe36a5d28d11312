//! How jails and agents are, over the whole cluster.

use kube::ResourceExt;
use serde::Serialize;

use super::look::View;
use super::read::Objects;
use crate::api::v1alpha1 as api;
use crate::engine::{Duration, Timestamp};

/// Agents write at least every five minutes; one that missed two of these is silent.
const SILENT: Duration = Duration::from_secs(11 * 60);

/// The whole cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Subjects kept out now, entries of BanLists included.
    pub bans: usize,
    /// Entries of BanSlices that no node takes.
    pub left_out: usize,
    /// Jails, by namespace and name.
    pub jails: Vec<JailOverview>,
    /// Rate limits, by namespace and name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<LimitOverview>,
    /// Agents, by node.
    pub agents: Vec<AgentReport>,
    /// Objects that are refused or not wholly what their author meant.
    pub troubles: Vec<Trouble>,
}

/// One jail.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JailOverview {
    /// `namespace/name`
    pub name: String,
    /// As declared.
    pub mode: api::JailMode,
    /// As declared.
    pub filters: Vec<String>,
    /// Subjects it keeps out now.
    pub banned: usize,
    /// What the controller says of it over all nodes.
    pub status: api::JailStatus,
}

/// One rate limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitOverview {
    /// `namespace/name`
    pub name: String,
    /// As declared.
    pub mode: api::LimitMode,
    /// What it counts: `TCP 25,587`, `TCP james-smtp`.
    pub at: String,
    /// `61 in 1m, Excess`
    pub limit: String,
    /// What the controller says of it over all nodes.
    pub status: api::RateLimitStatus,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    /// Its node.
    pub node: String,
    /// Whether it has not been heard of for longer than it may be silent.
    pub silent: bool,
    /// What it says of itself.
    pub status: api::NodeAgentStatus,
}

/// Something a person should look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The object, or the agent.
    pub who: String,
    /// A sentence.
    pub what: String,
}

impl ClusterStatus {
    /// Whether nothing needs a look.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.troubles.is_empty()
    }
}

/// How everything is at `now`.
#[must_use]
pub fn status(objects: Objects, now: Timestamp) -> ClusterStatus {
    let mut agents: Vec<AgentReport> = objects.agents.iter().map(|agent| report(agent, now)).collect();
    agents.sort_by(|a, b| a.node.cmp(&b.node));
    let mut declared = objects.jails.clone();
    declared.sort_by_key(|jail| (jail.namespace(), jail.name_any()));
    let mut limits: Vec<LimitOverview> = objects.limits.iter().map(limit).collect();
    limits.sort_by(|a, b| a.name.cmp(&b.name));
    let view = View::new(objects, now);
    limits.iter_mut().for_each(|limit| spare(&mut limit.status, &view));
    let jails: Vec<JailOverview> = declared.iter().map(|jail| overview(jail, &view, now)).collect();
    let mut troubles = troubles(&view, &jails, &agents);
    for limit in &limits {
        let who = format!("RateLimit {}", limit.name);
        let special = limit.status.conditions.iter().filter(|c| is_trouble(c));
        troubles.extend(special.map(|c| Trouble { who: who.clone(), what: sentence(c) }));
    }
    let (bans, left_out) = (view.held(now), view.left_out());
    ClusterStatus { bans, left_out, jails, rate_limits: limits, agents, troubles }
}

fn report(agent: &api::NodeAgent, now: Timestamp) -> AgentReport {
    let status = agent.status.clone().unwrap_or_default();
    let heard = moment(&status.reported);
    let silent = heard.is_none_or(|heard| heard + SILENT < now);
    AgentReport { node: agent.name_any(), silent, status }
}

fn limit(limit: &api::RateLimit) -> LimitOverview {
    let spec = &limit.spec;
    let ports = spec.ports.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let services: Vec<&str> = spec.services.iter().flatten().map(api::Name::as_str).collect();
    let at = [format!("{:?}", spec.protocol), services.join(","), ports];
    LimitOverview {
        name: format!("{}/{}", limit.namespace().unwrap_or_default(), limit.name_any()),
        mode: spec.mode,
        at: at.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" "),
        limit: format!("{} in {}, {}", spec.hits, spec.window, spec.penalty),
        status: limit.status.clone().unwrap_or_default(),
    }
}

/// Leaves out who came to be never limited after the nodes told of it.
fn spare(status: &mut api::RateLimitStatus, view: &View) {
    let before = status.latest_offenders.len();
    status.latest_offenders.retain(|one| !one.source.parse().is_ok_and(|source| view.spares(source)));
    let gone = before - status.latest_offenders.len();
    status.offenders = status.offenders.saturating_sub(u32::try_from(gone).unwrap_or(u32::MAX));
}

fn overview(jail: &api::Jail, view: &View, now: Timestamp) -> JailOverview {
    let name = format!("{}/{}", jail.namespace().unwrap_or_default(), jail.name_any());
    let held = view.ledger.holds(now).filter(|(of, ..)| of.is_some_and(|of| of.as_str() == name));
    JailOverview {
        banned: held.count(),
        mode: jail.spec.mode,
        filters: jail.spec.filters.iter().map(|filter| filter.as_str().to_owned()).collect(),
        status: jail.status.clone().unwrap_or_default(),
        name,
    }
}

fn troubles(view: &View, jails: &[JailOverview], agents: &[AgentReport]) -> Vec<Trouble> {
    let mut found = Vec::new();
    let mut add = |who: String, what: String| found.push(Trouble { who, what });
    for object in view.loaded.objects.iter().filter(|object| !object.accepted) {
        let first = object.problems.first().map_or_else(String::new, |p| format!(": {}", p.message));
        add(object.name.to_string(), format!("is refused{first}"));
    }
    for jail in jails {
        for condition in jail.status.conditions.iter().filter(|c| is_trouble(c)) {
            add(format!("Jail {}", jail.name), sentence(condition));
        }
    }
    if agents.is_empty() {
        add("agents".into(), "there are none: nobody guards anything".into());
    }
    for agent in agents {
        let who = format!("agent on {}", agent.node);
        if agent.silent {
            let last = moment(&agent.status.reported);
            let last = last
                .map_or_else(|| "it never reported".into(), |last| format!("the last report is of {last}"));
            add(who.clone(), format!("is silent: {last}"));
        }
        for condition in agent.status.conditions.iter().filter(|c| is_trouble(c)) {
            add(who.clone(), sentence(condition));
        }
        for jail in &agent.status.jails {
            for condition in jail.conditions.iter().filter(|c| is_trouble(c)) {
                add(format!("{who}, jail {}", jail.name.as_str()), sentence(condition));
            }
        }
    }
    if view.left_out() > 0 {
        add("BanSlices".into(), format!("{} entries are not bans and are left out", view.left_out()));
    }
    found
}

/// Whether a person should look: `Accepted` and `Ready` should be true, everything else should not.
fn is_trouble(condition: &api::Condition) -> bool {
    let good = matches!(condition.type_.as_str(), "Accepted" | "Ready");
    if good { condition.status == "False" } else { condition.status == "True" }
}

fn sentence(condition: &api::Condition) -> String {
    let not = if condition.status == "False" { "not " } else { "" };
    let message = if condition.message.is_empty() { &condition.reason } else { &condition.message };
    format!("{not}{}: {message}", condition.type_)
}

/// A time that somebody wrote.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(Into::into)
}

#[cfg(test)]
#[path = "tests/status.rs"]
mod tests;
