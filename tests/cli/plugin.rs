//! The same program under the names kubectl looks for. What needs an API server is tests/cluster/checks/plugin.py.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::host::said;

/// Runs the program under another name, where no kubeconfig and no service account are.
fn called(name: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(name);
    symlink(env!("CARGO_BIN_EXE_gaoler"), &program).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", directory.path());
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").output().unwrap()
}

#[test]
fn called_as_kubectls_plugin_it_has_the_verbs_of_a_cluster_and_no_daemon() {
    let output = called("kubectl-gaoler", &["--help"]);
    let help = said(&output);
    assert!(output.status.success() && help.contains("Usage: kubectl gaoler "), "{help}");
    for verb in ["ban", "bans", "check", "explain", "filters", "regex", "replay", "status", "unban", "why"] {
        assert!(help.contains(&format!("  {verb} ")), "{verb} is missing:\n{help}");
    }
    assert!(!help.contains("  run ") && help.contains("3  the API server does not answer"), "{help}");
}

#[test]
fn without_a_kubeconfig_it_says_what_to_give() {
    let output = called("kubectl-gaoler", &["bans"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("give --kubeconfig"), "{}", said(&output));
}

#[test]
fn what_is_wrong_is_told_before_any_server_is_asked() {
    let output = called("kubectl-gaoler", &["ban", "0.0.0.0/0"]);
    assert!(output.status.code() == Some(2) && said(&output).contains("is everybody"), "{}", said(&output));
    let output = called("kubectl-gaoler", &["bans", "-A", "-n", "mail"]);
    assert!(
        output.status.code() == Some(2) && said(&output).contains("cannot be used with"),
        "{}",
        said(&output)
    );
}

#[test]
fn verbs_that_need_no_server_ask_none() {
    let line = "2026-11-22 16:45:34 login failed from 192.0.2.1";
    let output = called("kubectl-gaoler", &["regex", line, "login failed from <HOST>"]);
    assert!(said(&output).contains("\nFailregex: 1 total\n"), "{}", said(&output));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/james/jails.yaml");
    let output = called("kubectl-gaoler", &["check", manifest]);
    // Those are jails of one host: it judges as the cluster will.
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("fix: write `pods: {selector"), "{}", said(&output));
}

#[test]
fn called_as_kubectls_completion_it_proposes_words() {
    let output = called("kubectl_complete-gaoler", &["bans", "--wa"]);
    let told = said(&output);
    assert!(told.starts_with("--watch\t") && told.trim_end().ends_with("\n:4"), "{told}");
    // Without a server there is nobody to propose; that is no error.
    assert_eq!(said(&called("kubectl_complete-gaoler", &["unban", ""])).trim(), ":4");
}
