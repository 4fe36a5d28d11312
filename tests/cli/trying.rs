//! Verbs that try things and ask no daemon: regex, explain, check, replay.

use crate::host::{JAMES, gaoler, said};

const SEED_LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed/james.log");
const SEED_FILTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed/filter.d/james.conf");

#[test]
fn the_missions_filter_finds_what_fail2ban_regex_finds_in_the_missions_log() {
    let text = said(&gaoler(&["regex", SEED_LOG, SEED_FILTER]).output().unwrap());
    assert!(text.contains("\nFailregex: 8 total\n"), "{text}");
    assert!(text.contains("\nLines: 8 lines, 0 ignored, 8 matched, 0 missed\n"), "{text}");
    let output = gaoler(&["regex", "-o", "json", SEED_LOG, SEED_FILTER]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["lines"], &json["rules"][1]["hits"]), (&8.into(), &4.into()));
}

#[test]
fn a_filter_that_is_not_there_is_no_regex() {
    for path in ["/nonexistent/james", "james.conf", "/nonexistent/james.conf"] {
        let output = gaoler(&["regex", SEED_LOG, path]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(&format!("{path} does not exist")), "{}", said(&output));
    }
}

#[test]
fn a_regex_that_vetoes_is_named_and_vetoes() {
    let line = "2026-11-22 16:45:34 login failed from 192.0.2.1";
    let output = gaoler(&["regex", line, "login failed from <HOST>", "failed"]).output().unwrap();
    let text = said(&output);
    assert!(text.contains("\nUse ignoreregex line : failed\n"), "{text}");
    assert!(text.contains("\nLines: 1 lines, 1 ignored, 0 matched, 0 missed\n"), "{text}");
}

#[test]
fn an_explained_line_names_layout_rule_and_address() {
    let line = "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@198.51.100.7";
    let output = gaoler(&["explain", "--filter", "james-smtp-auth", line]).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("JamesDefault") && text.contains("failure of 198.51.100.7"), "{text}");
}

#[test]
fn the_only_jail_is_meant_and_a_time_to_come_is_told_with_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let explain = |zone: &str| {
        let layout = format!(
            "layout: {{type: Pattern, pattern: '%d{{yyyy-MM-dd HH:mm:ss.SSS{zone}}} %logger - %msg%n'}}"
        );
        let log = dir.path().join("james.log");
        let log = format!("{}], {layout}", log.display());
        std::fs::write(dir.path().join("jail.yaml"), crate::host::JAMES.replace("$LOG]", &log)).unwrap();
        let there = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(9);
        let time = there.strftime("%F %T.000");
        let smtp = "org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler";
        let line = format!("{time} {smtp} - AUTH method LOGIN failed from bob@198.51.100.7");
        said(&gaoler(&["explain", &line, "--config"]).arg(dir.path()).env("TZ", "UTC").output().unwrap())
    };
    let text = explain("");
    assert!(text.contains(" Pattern %d") && text.contains("→ in the future"), "{text}");
    let text = explain(", Asia/Tokyo");
    assert!(text.lines().any(|line| line.starts_with("time ")) && !text.contains("in the future"), "{text}");
}

#[test]
fn a_line_of_no_known_layout_is_told_what_helps() {
    let output = gaoler(&["explain", "--filter", "james-smtp-auth", "what is this"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("source.layout: {type: Pattern"), "{}", said(&output));
}

#[test]
fn checking_tells_every_problem_to_programs_too() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = JAMES.replace("$LOG", "/var/log/james.log").replace("maxRetry: 2", "maxRetrie: 2");
    std::fs::write(directory.path().join("jail.yaml"), manifest).unwrap();
    let output = gaoler(&["check", "-o", "json"]).arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["errors"], 1);
    let problem = &answer["problems"][0];
    assert_eq!((&problem["field"], &problem["line"]), (&"spec.maxRetrie".into(), &8.into()));
    assert!(problem["fix"].as_str().unwrap().contains("maxRetry"), "{problem}");
}

#[test]
fn a_replay_tells_who_would_have_been_banned() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jail.yaml"), JAMES.replace("$LOG", SEED_LOG)).unwrap();
    let output =
        gaoler(&["replay", SEED_LOG, "-o", "json", "--config"]).arg(directory.path()).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let subjects: Vec<_> =
        answer["bans"].as_array().unwrap().iter().map(|ban| ban["subject"].clone()).collect();
    assert_eq!(subjects.len(), 4, "{answer}");
    assert!(subjects.contains(&"45.129.14.40".into()), "{answer}");
}

/// A line of an access log, so many seconds after 16:47.
fn request(address: &str, target: &str, status: u16, second: usize) -> String {
    let time = format!("22/Nov/2026:16:{}:{:02} +0000", 47 + second / 60, second % 60);
    format!("{address} - - [{time}] \"GET {target} HTTP/1.1\" {status} 0 \"-\" \"curl/8.5\"\n")
}

#[test]
fn the_sample_jails_for_jmap_and_webadmin_ban_who_guesses_and_nobody_else() {
    let jails = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/james-http/jails.yaml");
    let output = gaoler(&["check", jails]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success() && !text.contains("warning"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("access.log");
    for (jail, target, hidden, most) in [
        ("james-jmap", "/jmap/session", "/a/b/../../%2Ewell-known/jmap", 20),
        ("james-webadmin", "/users", "/a/b/../../users", 5),
    ] {
        let mut lines = String::new();
        for second in 0..most {
            lines += &request("203.0.113.7", target, 401, second);
            lines += &request("203.0.113.8", hidden, 401, second);
            // One less; who logs in; who guesses elsewhere, or at a path that only looks like it.
            if second > 0 {
                lines += &request("198.51.100.1", target, 401, second);
            }
            lines += &request("198.51.100.2", target, 200, second);
            lines += &request("198.51.100.3", "/shop/login", 401, second);
            lines += &request("198.51.100.4", &format!("/a/b/..{target}"), 401, second);
        }
        std::fs::write(&log, lines).unwrap();
        let replay = ["replay", "-o", "json", "--jail", jail, "--config", jails];
        let output = gaoler(&replay).arg(&log).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let banned: Vec<_> = json["bans"].as_array().unwrap().iter().map(|ban| &ban["subject"]).collect();
        assert_eq!(banned, ["203.0.113.7", "203.0.113.8"], "{json}");
        assert_eq!(
            (&json["lines"], &json["matched"]),
            (&(6 * most - 1).into(), &(3 * most - 1).into()),
            "{json}"
        );
    }
}
