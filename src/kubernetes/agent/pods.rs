//! Which of this node's pods a jail reads, and where their logs lie.

use std::path::{Path, PathBuf};

use super::picture::LocalPod;
use crate::config::{JailConfig, Source};

/// Whether a jail chooses this pod: one of its own namespace with the labels it asks for.
#[must_use]
pub fn chooses(jail: &JailConfig, pod: &LocalPod) -> bool {
    match &jail.source {
        Source::Pods { selector, .. } => namespace_of(jail) == pod.namespace && selector.matches(&pod.labels),
        Source::Files(_) | Source::Journal(_) => false,
    }
}

/// The namespace of a jail.
#[must_use]
pub fn namespace_of(jail: &JailConfig) -> &str {
    jail.name().as_str().split_once('/').map_or("", |(namespace, _)| namespace)
}

/// The logs of a pod's containers that a jail reads, below the kubelet's directory `root`, as globs: one file for
/// each start of a container. Nothing where the jail does not choose the pod.
#[must_use]
pub fn logs(jail: &JailConfig, pod: &LocalPod, root: &Path) -> Vec<PathBuf> {
    let Source::Pods { containers: named, .. } = &jail.source else { return Vec::new() };
    if !chooses(jail, pod) {
        return Vec::new();
    }
    let read = pod.containers.iter().filter(|container| {
        if named.is_empty() { !container.auxiliary } else { named.contains(&container.name) }
    });
    let directory = directory(pod, root);
    let directory = glob::Pattern::escape(&directory.to_string_lossy());
    // Names of containers are DNS labels: nothing in them is special in a glob.
    read.map(|container| PathBuf::from(format!("{directory}/{}/*.log", container.name))).collect()
}

/// The directory of a pod's logs, as the kubelet names it.
#[must_use]
pub fn directory(pod: &LocalPod, root: &Path) -> PathBuf {
    root.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{jail, pod};
    use super::*;

    const ROOT: &str = "/var/log/pods";

    fn globs(jail: &JailConfig, pod: &LocalPod) -> Vec<String> {
        logs(jail, pod, Path::new(ROOT)).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_jail_reads_the_main_containers_of_the_pods_it_chooses() {
        let pod = pod("mail", "james-0", &[("app", "james")]).init("setup").container("backup");
        let found = globs(&jail("mail/auth", "{selector: {matchLabels: {app: james}}}", "{}"), &pod);
        assert_eq!(
            found,
            [
                "/var/log/pods/mail_james-0_uid-james-0/james/*.log",
                "/var/log/pods/mail_james-0_uid-james-0/backup/*.log"
            ]
        );
    }

    #[test]
    fn containers_that_are_named_are_read_whatever_they_are_and_no_others() {
        let pod = pod("mail", "james-0", &[("app", "james")]).init("setup").container("backup");
        let source = "{selector: {matchLabels: {app: james}}, containers: [setup, unheard-of]}";
        let found = globs(&jail("mail/auth", source, "{}"), &pod);
        assert_eq!(found, ["/var/log/pods/mail_james-0_uid-james-0/setup/*.log"]);
    }

    #[test]
    fn pods_of_other_namespaces_and_labels_are_nobodys_business() {
        let jail = jail(
            "mail/auth",
            "{selector: {matchExpressions: [{key: app, operator: In, values: [james]}]}}",
            "{}",
        );
        assert!(chooses(&jail, &pod("mail", "a", &[("app", "james")])));
        assert!(!chooses(&jail, &pod("other", "a", &[("app", "james")])));
        assert!(!chooses(&jail, &pod("mail", "a", &[("app", "imap")])));
        // `mail` is no prefix of `mail-2`.
        assert!(!chooses(&jail, &pod("mail-2", "a", &[("app", "james")])));
    }

    #[test]
    fn a_directory_with_special_characters_is_taken_as_it_is() {
        let jail = jail("mail/auth", "{selector: {matchLabels: {app: james}}}", "{}");
        let found = logs(&jail, &pod("mail", "a", &[("app", "james")]), Path::new("/x[1]*"));
        let pattern = glob::Pattern::new(&found[0].to_string_lossy()).unwrap();
        assert!(pattern.matches("/x[1]*/mail_a_uid-a/james/0.log"));
        assert!(!pattern.matches("/x1y/mail_a_uid-a/james/0.log"));
    }
}
