//! A picture of the cluster to what the detector is told of its surroundings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::house::{house, relays};
use super::limits::doors;
use super::picture::{LocalPod, Picture};
use super::pods::{chooses, logs};
use super::scopes::closed;
use crate::agent::report::{Condition, ConditionType};
use crate::agent::situation::{Placement, Situation};
use crate::config::{Config, JailConfig, Source};
use crate::engine::JailName;

/// Addresses named in one condition at most.
const NAMED: usize = 5;

/// Where the jails' lines lie below the kubelet's directory `root`, what their bans close, where rate limits count, who
/// belongs to the house.
#[must_use]
pub fn situation(config: &Config, picture: &Picture, root: &Path) -> Situation {
    let reads_pods = |jail: &&JailConfig| matches!(jail.source, Source::Pods { .. });
    let jails = config.jails.iter().map(|jail| &**jail).filter(reads_pods);
    let limits = config.rate_limits.iter();
    Situation {
        jails: jails.map(|jail| (jail.name().clone(), placement(jail, picture, root))).collect(),
        limits: limits.filter_map(|limit| Some((limit.name.clone(), doors(limit, picture)?))).collect(),
        house: house(picture),
        relays: relays(picture),
    }
}

/// How many of this node's pods each jail reads; those that are gone do not count.
#[must_use]
pub fn pods_by_jail(config: &Config, picture: &Picture) -> BTreeMap<JailName, u32> {
    let count = |jail: &JailConfig| picture.pods.iter().filter(|pod| !pod.over && chooses(jail, pod)).count();
    let jails = config.jails.iter().map(|jail| (jail.name().clone(), count(jail)));
    jails
        .filter(|(_, pods)| *pods > 0)
        .map(|(name, n)| (name, u32::try_from(n).unwrap_or(u32::MAX)))
        .collect()
}

/// How many of this node's pods any jail reads.
#[must_use]
pub fn pods_read(config: &Config, picture: &Picture) -> usize {
    let read = |pod: &&Arc<LocalPod>| !pod.over && config.jails.iter().any(|jail| chooses(jail, pod));
    picture.pods.iter().filter(read).count()
}

fn placement(jail: &JailConfig, picture: &Picture, root: &Path) -> Placement {
    let closed = closed(jail, picture);
    let mut remarks = Vec::new();
    if !closed.missing.is_empty() {
        let plural = if closed.missing.len() == 1 { "Service" } else { "Services" };
        remarks.push(Condition {
            kind: ConditionType::ServiceMissing,
            status: true,
            reason: "NotFound".into(),
            message: format!("the namespace has no {plural} {}", closed.missing.join(", ")),
        });
    } else if closed.guards.is_empty() && !jail.enforce.all_ports && jail.enforce.ports.is_empty() {
        remarks.push(Condition {
            kind: ConditionType::ServiceMissing,
            status: true,
            reason: "NothingToClose".into(),
            message: "no Service leads to the pods and no port of this node does: a ban closes nothing here"
                .into(),
        });
    }
    remarks.extend(left_out(&closed.left_out));
    Placement {
        logs: picture.pods.iter().flat_map(|pod| logs(jail, pod, root)).collect(),
        guards: closed.guards,
        remarks,
        masking: closed.masking,
    }
}

/// What is said of addresses that somebody names and that are not guarded; of many the first are named: a person begins
/// with those.
pub(super) fn left_out(addresses: &BTreeSet<String>) -> Option<Condition> {
    if addresses.is_empty() {
        return None;
    }
    let mut named = addresses.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if let Some(more) = addresses.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = write!(named, "; and {more} more");
    }
    Some(Condition {
        kind: ConditionType::AddressesLeftOut,
        status: true,
        reason: "NotItsOwn".into(),
        message: format!(
            "nothing is closed at {named}; fix: remove them, or have the operators close the port by `ports`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{jail, pod, service};
    use super::*;

    const JAMES: &str = "{selector: {matchLabels: {app: james}}}";

    fn remarks(enforce: &str, picture: &Picture) -> Vec<String> {
        let config = Config { jails: vec![Arc::new(jail("mail/auth", JAMES, enforce))], ..Config::default() };
        let situation = situation(&config, picture, Path::new("/var/log/pods"));
        situation
            .remarks(&"mail/auth".into())
            .iter()
            .map(|c| format!("{}: {}", c.reason, c.message))
            .collect()
    }

    #[test]
    fn a_person_is_told_what_is_missing() {
        let smtp = Arc::new(service("mail", "smtp", "{app: james}", "[{port: 25}]", "ClusterIP"));
        let picture = Picture { services: vec![smtp], ..Picture::default() };
        assert_eq!(remarks("{services: [smtp]}", &picture), Vec::<String>::new());
        assert_eq!(
            remarks("{services: [smtp, imap]}", &picture),
            ["NotFound: the namespace has no Service imap"]
        );
        // No pod of it is anywhere, so nothing says which Services are meant.
        assert!(remarks("{}", &picture)[0].starts_with("NothingToClose"));
        assert_eq!(remarks("{ports: [25]}", &picture), Vec::<String>::new());
        assert_eq!(remarks("{allPorts: true}", &picture), Vec::<String>::new());
    }

    #[test]
    fn a_person_is_told_which_addresses_are_not_closed_and_of_many_the_first() {
        let bound = |i: u8| {
            let pod = pod("mail", &format!("p{i}"), &[("app", "james")]);
            Arc::new(pod.host("smtp", 25, 25).bound(&format!("198.51.100.{i}")))
        };
        let picture = Picture { pods: (1..=7).map(bound).collect(), ..Picture::default() };
        let told = remarks("{}", &picture);
        let told = told.iter().find(|text| text.starts_with("NotItsOwn: ")).unwrap();
        assert!(told.contains("198.51.100.5 of `hostIP` of pod p5: it is no address of node"), "{told}");
        assert!(told.contains("; and 2 more; fix: remove them"), "{told}");
    }

    #[test]
    fn the_logs_of_a_pod_that_is_over_are_read_but_it_is_not_counted() {
        let mut gone = pod("mail", "a", &[("app", "james")]);
        gone.over = true;
        let pods = vec![Arc::new(gone), Arc::new(pod("mail", "b", &[("app", "james")]))];
        let picture = Picture { pods, ..Picture::default() };
        let config = Config { jails: vec![Arc::new(jail("mail/auth", JAMES, "{}"))], ..Config::default() };
        let situation = situation(&config, &picture, Path::new("/p"));
        assert_eq!(situation.logs(&"mail/auth".into()).len(), 2);
        assert_eq!(pods_by_jail(&config, &picture).get(&"mail/auth".into()), Some(&1));
    }
}
