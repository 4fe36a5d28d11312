//! What needs no daemon: help, completions, manual pages, exit codes.

use crate::host::{gaoler, said};

const VERBS: &[&str] = &[
    "ban",
    "bans",
    "check",
    "cleanup",
    "completions",
    "doctor",
    "explain",
    "filters",
    "man",
    "regex",
    "reload",
    "replay",
    "run",
    "schema",
    "status",
    "unban",
    "why",
];

#[test]
fn the_help_lists_the_verbs_and_documents_the_exit_codes() {
    let output = gaoler(&["--help"]).output().unwrap();
    let help = said(&output);
    assert!(output.status.success());
    for verb in VERBS {
        assert!(help.contains(&format!("  {verb} ")), "{verb} is missing:\n{help}");
    }
    assert!(help.contains("Exit codes:\n  0  done"));
}

#[test]
fn the_help_of_every_verb_shows_examples() {
    for verb in VERBS {
        let output = gaoler(&[verb, "--help"]).output().unwrap();
        assert!(
            output.status.success() && said(&output).contains("Examples:\n"),
            "{verb}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_typing_mistake_is_exit_code_2_and_gets_a_proposal() {
    let output = gaoler(&["statsu"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("status"), "{}", said(&output));
}

#[test]
fn without_a_daemon_the_verbs_say_so_and_exit_with_3() {
    for verb in [&["status"][..], &["bans"], &["why", "203.0.113.7"], &["unban", "--all"], &["reload"]] {
        let output = gaoler(verb).args(["--socket", "/nonexistent/sock"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{verb:?}");
        assert!(said(&output).contains("is `gaoler run` running?"), "{}", said(&output));
        assert_eq!(said(&output).matches("No such file").count(), 1, "{}", said(&output));
    }
}

#[test]
fn an_address_that_is_none_is_told_before_anybody_is_asked() {
    let output = gaoler(&["ban", "203.0.113.700"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("`203.0.113.700` is no address; write one"), "{}", said(&output));
    let output = gaoler(&["unban", "2001:db8::/129"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("write a number from 0 to 128"), "{}", said(&output));
    let output = gaoler(&["ban", "203.0.113.7", "--for", "2 days"]).output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("48h"), "{}", said(&output));
    assert_eq!(gaoler(&["unban"]).output().unwrap().status.code(), Some(2));
    assert_eq!(gaoler(&["unban", "203.0.113.7", "--all"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = gaoler(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && said(&output).contains("unban"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_one_per_verb() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    assert!(gaoler(&["man"]).arg(&pages).status().unwrap().success());
    for verb in VERBS {
        let page = std::fs::read_to_string(pages.join(format!("gaoler-{verb}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples"), "{verb}");
    }
    assert!(said(&gaoler(&["man"]).output().unwrap()).contains(".TH"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = gaoler(&["completions", "zsh"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_doctor_names_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("jail.yaml"),
        crate::host::JAMES.replace("$LOG", "/nonexistent/x.log"),
    )
    .unwrap();
    let output = gaoler(&["doctor", "-o", "json", "--config"]).arg(directory.path()).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = answer["findings"].as_array().unwrap();
    let source = findings.iter().find(|f| f["area"] == "sources").unwrap();
    assert_eq!((&source["health"], &source["what"]), (&"note".into(), &"james: /nonexistent/x.log".into()));
    let output = gaoler(&["doctor", "--config", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("/nonexistent"), "{}", said(&output));
}
