//! `gaoler run` and the verbs that speak to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use rustix::process::Signal;

use crate::host::{Host, JAMES, gaoler, said, until};

#[test]
fn status_bans_and_why_tell_the_same_story() {
    let host = Host::guarded();
    host.fail(&["203.0.113.7", "203.0.113.7", "203.0.113.8"]);
    host.holds(1);
    let status = host.json(&["status"]);
    assert_eq!((&status["bans"], &status["jails"][0]["banned"]), (&1.into(), &1.into()));
    assert_eq!(status["firewall"]["state"], "observing");
    assert_eq!(status["config"]["objects"][0]["accepted"], true);
    assert_eq!(host.json(&["status", "james"])["counters"]["failures"], 3);
    assert_eq!(host.json(&["bans"])["subject"], "203.0.113.7");
    let why = host.json(&["why", "203.0.113.7"]);
    assert_eq!((&why["bans"][0]["jail"], &why["closed"][0]["ports"][1]), (&"james".into(), &143.into()));
    // Nothing is dropped by who observes only.
    assert_eq!(host.ask(&["why", "203.0.113.7"]).status.code(), Some(1));
    let text = said(&host.ask(&["bans"]));
    assert!(text.starts_with("ADDRESS") && text.contains("203.0.113.7  james  1"), "{text}");
}

#[test]
fn a_jail_that_is_not_there_is_an_error() {
    let host = Host::guarded();
    let output = host.ask(&["status", "jams"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("there is no jail or rate limit jams"), "{}", said(&output));
    let output = host.ask(&["bans", "--jail", "jams"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("there is no jail jams"), "{}", said(&output));
    assert_eq!(said(&host.ask(&["bans", "--jail", "james"])), "nobody is banned\n");
}

#[test]
fn bans_and_unbans_by_hand() {
    let host = Host::guarded();
    let banned = host.json(&["ban", "203.0.113.0/24", "--for", "90m", "--reason", "a test"]);
    assert_eq!((&banned["saved"]["state"], &banned["ban"]["reason"]), (&"saved".into(), &"a test".into()));
    let refused = host.ask(&["ban", "127.0.0.1"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("never banned"), "{}", said(&refused));
    assert_eq!(host.ask(&["unban", "198.51.100.7"]).status.code(), Some(1));
    assert_eq!(host.ask(&["unban", "203.0.113.0/24"]).status.code(), Some(0));
    assert_eq!(said(&host.ask(&["bans"])), "nobody is banned\n");
}

#[test]
fn watching_shows_what_is_and_what_comes() {
    let host = Host::guarded();
    host.json(&["ban", "203.0.113.1"]);
    let mut watching = gaoler(&["bans", "--watch", "-o", "json", "--socket"])
        .arg(host.path("sock"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().unwrap()));
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["subject"], "203.0.113.1");
    host.json(&["ban", "203.0.113.2"]);
    let event = next();
    assert_eq!((&event["event"], &event["subject"]), (&"ban".into(), &"203.0.113.2".into()));
    host.json(&["unban", "203.0.113.1"]);
    assert_eq!(next()["event"], "unban");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn events_go_to_a_file() {
    let mut host = Host::new();
    let events = host.path("events");
    host.start(&["--events", events.to_str().unwrap()]);
    host.fail(&["203.0.113.7", "203.0.113.7"]);
    let text = until(|| std::fs::read_to_string(&events).ok().filter(|text| text.ends_with('\n')));
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&event["event"], &event["subject"]), (&"ban".into(), &"203.0.113.7".into()));
}

#[test]
fn a_changed_manifest_is_read_by_itself_and_a_broken_one_changes_nothing() {
    let host = Host::guarded();
    host.declare(&JAMES.replace("maxRetry: 2", "maxRetry: 7"));
    until(|| (host.json(&["status", "james"])["maxRetry"] == 7).then_some(()));
    host.declare(&JAMES.replace("maxRetry: 2", "maxRetry: many"));
    let object = until(|| {
        let status = host.json(&["status"]);
        let object = status["config"]["objects"][0].clone();
        (object["accepted"] == false).then_some(object)
    });
    assert_eq!(object["lastGood"], true);
    assert_eq!(host.json(&["status", "james"])["maxRetry"], 7);
    let output = host.ask(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("jails.yaml:8"), "the place is named: {}", said(&output));
    assert!(said(&output).contains("not Accepted\n"), "the table says what does not hold: {}", said(&output));
}

#[test]
fn a_reload_is_answered_with_what_came_of_it() {
    let host = Host::guarded();
    assert_eq!(host.ask(&["reload"]).status.code(), Some(0));
    host.declare(&JAMES.replace("james-log4j2", "jams"));
    let output = host.ask(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("jams"), "{}", said(&output));
}

#[test]
fn a_manifest_of_an_unknown_kind_is_counted_by_reload_and_status() {
    let host = Host::guarded();
    host.declare(&format!("{JAMES}---\n{}", JAMES.replace("kind: Jail", "kind: Jial")));
    let reloaded = host.ask(&["reload"]);
    assert_eq!(reloaded.status.code(), Some(1));
    assert!(said(&reloaded).contains("0 refused, 1 unreadable"), "{}", said(&reloaded));
    let status = host.ask(&["status"]);
    assert_eq!(status.status.code(), Some(1), "it needs a look");
    assert!(said(&status).contains("0 refused, 1 unreadable, read"), "{}", said(&status));
}

#[test]
fn sighup_reads_the_configuration_and_sigterm_ends_in_good_order() {
    let mut host = Host::guarded();
    host.fail(&["203.0.113.7"]);
    until(|| (host.json(&["status", "james"])["counters"]["failures"] == 1).then_some(()));
    host.signal(Signal::HUP);
    until(|| host.messages().contains("the configuration was read").then_some(()));
    assert_eq!(host.stop(), Some(0));
    assert!(!host.path("sock").exists(), "the socket goes with it");
    host.start(&[]);
    host.fail(&["203.0.113.7"]);
    host.holds(1);
}

#[test]
fn a_second_daemon_is_refused_and_told_why() {
    let host = Host::guarded();
    let output = host.run(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("in use by another gaoler"), "{}", said(&output));
    let output = host.run(&["--state", host.path("other").to_str().unwrap()]).output().unwrap();
    assert!(said(&output).contains("another gaoler listens"), "{}", said(&output));
    assert_eq!(host.ask(&["status"]).status.code(), Some(0), "the first one is not disturbed");
}

#[test]
fn a_socket_left_by_a_killed_daemon_is_replaced_and_a_file_is_not() {
    let mut host = Host::guarded();
    host.signal(Signal::KILL);
    until(|| (!host.is_running()).then_some(()));
    assert!(host.path("sock").exists());
    host.start(&[]);
    host.stop();
    std::fs::write(host.path("sock"), "precious").unwrap();
    let output = host.run(&[]).output().unwrap();
    assert!(said(&output).contains("is no socket"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(host.path("sock")).unwrap(), "precious");
}

#[test]
fn the_socket_is_the_owners_alone() {
    let host = Host::guarded();
    let meta = std::fs::symlink_metadata(host.path("sock")).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_configuration_that_is_not_there_is_an_error() {
    let host = Host::new();
    let output = host.run(&["--config", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("/nonexistent"), "{}", said(&output));
}

#[test]
fn a_directory_as_state_is_refused_before_anything_is_read() {
    let host = Host::new();
    let directory = host.path("kept");
    std::fs::create_dir(&directory).unwrap();
    let output = host.run(&["--state", directory.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("kept is a directory; name a file in it"), "{}", said(&output));
}

#[test]
fn a_usage_line_shows_no_option_that_only_the_environment_gives() {
    let output = gaoler(&["check"]).env("GAOLER_SOCKET", "/tmp/elsewhere.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("Usage: gaoler check <DIR|FILE>..."), "{}", said(&output));
    let asked = gaoler(&["status"]).env("GAOLER_SOCKET", "/nonexistent/elsewhere.sock").output().unwrap();
    assert!(said(&asked).contains("/nonexistent/elsewhere.sock"), "{}", said(&asked));
}

#[test]
fn colours_come_when_asked_for_and_never_in_pipes() {
    let host = Host::guarded();
    assert!(!said(&host.ask(&["status"])).contains('\x1b'));
    assert!(said(&host.ask(&["status", "--color", "always"])).contains('\x1b'));
}

#[test]
fn probes_and_metrics_are_served_without_any_address() {
    let mut host = Host::new();
    host.start(&["--metrics", "127.0.0.1:0"]);
    host.fail(&["203.0.113.7", "203.0.113.7"]);
    host.holds(1);
    let messages = host.messages();
    let (_, rest) = messages.split_once("address=127.0.0.1:").unwrap();
    let port: u16 = rest.split_whitespace().next().unwrap().parse().unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(get("/other").starts_with("HTTP/1.1 404"));
    let metrics = get("/metrics");
    assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(metrics.contains("gaoler_bans_total{jail=\"james\"} 1\n"), "{metrics}");
    // An alert on bans that do not bite leaves out who was told to observe.
    assert!(metrics.contains("gaoler_firewall_enforcing 0\n"), "{metrics}");
    assert!(metrics.contains("gaoler_firewall_observing 1\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    assert!(!metrics.contains("203.0.113"), "{metrics}");
}

#[test]
fn log_lines_are_not_in_our_own_messages() {
    let mut host = Host::new();
    host.start(&["--log-format", "json", "-v"]);
    host.fail(&["203.0.113.7", "203.0.113.7"]);
    host.holds(1);
    let messages = host.messages();
    assert!(!messages.contains("Unknown user"), "{messages}");
    for line in messages.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}

const LIMIT: &str = "
---
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: lg}
spec: {protocol: TCP, ports: [25], hits: 4, window: 60s}
";

#[test]
fn an_object_whose_newest_declaration_is_refused_is_told_with_what_is_wrong() {
    let host = Host::guarded();
    let declare = |limit: &str, jail: &str| {
        host.declare(&format!("{jail}{limit}"));
        host.ask(&["reload"]);
    };
    declare(LIMIT, JAMES);
    assert_eq!(host.ask(&["status", "lg"]).status.code(), Some(0));
    let both =
        format!("{}{}", LIMIT.replace("hits: 4", "hits: 1"), LIMIT.replace("lg", "new").replace("60s", "x"));
    declare(&both, &JAMES.replace("maxRetry: ", "maxRetry: -"));
    for (name, wrong) in [
        ("lg", "`hits` cannot be 1"),
        ("james", "`maxRetry` cannot be -"),
        ("new", "RateLimit new is refused"),
    ] {
        let output = host.ask(&["status", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(said(&output).contains(wrong) && said(&output).contains("fix: "), "{}", said(&output));
    }
    let refused = &host.json(&["status", "lg"])["conditions"][0];
    assert_eq!((&refused["type"], &refused["status"]), (&"Accepted".into(), &false.into()));
}

#[test]
fn what_goes_on_of_manifests_that_are_broken_at_a_start_is_told() {
    let office = "---\napiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: office}\nspec: \
                  {entries: [{prefix: 198.51.100.0/24}]}\n";
    let refused = JAMES.replace("maxRetry: 2", "maxRetry: none");
    for (broken, cause) in
        [(&*format!("{refused}{}", office.replace("prefix: 198", "prefix: x")), "Refused"), ("{", "Unread")]
    {
        let mut host = Host::new();
        host.declare(&format!("{JAMES}{office}"));
        host.start(&[]);
        host.fail(&["203.0.113.7", "203.0.113.7"]);
        host.holds(1);
        host.stop();
        host.declare(broken);
        host.start(&[]);
        let all = host.ask(&["status"]);
        assert_eq!(all.status.code(), Some(1));
        let one = host.ask(&["status", "james"]);
        assert_eq!(one.status.code(), Some(1), "{}", said(&one));
        for text in [said(&all), said(&one)] {
            assert!(text.contains("jail james is not in force: ") && text.contains("jails.yaml:"), "{text}");
            assert!(text.contains("; 1 ban of before drops nothing") && text.contains("error:"), "{text}");
        }
        let text = said(&all);
        assert!(
            text.contains("! AllowList office: ") && text.contains("its entry of before goes on"),
            "{text}"
        );
        assert!(!text.contains("no jail is declared"), "{text}");
        assert_eq!(host.json(&["status"])["absentJails"][0]["why"], cause);
        let checked = said(&gaoler(&["check"]).arg(host.path("etc")).output().unwrap());
        assert_eq!(
            checked.contains("a refused AllowList goes on as it was"),
            cause == "Refused",
            "{checked}"
        );
        let one = host.json(&["status", "james"]);
        assert_eq!((&one["absent"]["why"], &one["absent"]["banned"]), (&cause.into(), &1.into()));
        assert_eq!(one["problems"][0]["severity"], "error");
        let banned = host.ask(&["ban", "203.0.113.9", "--jail", "james"]);
        assert!(said(&banned).contains("`gaoler status james` says what is wrong"), "{}", said(&banned));
        host.ask(&["unban", "203.0.113.7"]);
        assert_eq!(said(&host.ask(&["bans", "--jail", "james"])), "nobody is banned\n");
    }
}

#[test]
fn a_jail_that_is_gone_is_told_to_drop_nothing() {
    let host = Host::guarded();
    host.fail(&["203.0.113.7", "203.0.113.7"]);
    host.holds(1);
    host.declare("");
    host.ask(&["reload"]);
    let text = said(&host.ask(&["status"]));
    assert!(text.contains("it is not declared any more; 1 ban of before drops nothing"), "{text}");
    let why = said(&host.ask(&["why", "203.0.113.7"]));
    assert!(
        why.contains("nothing, jail james is not declared any more") && !why.contains("observed"),
        "{why}"
    );
}

#[test]
fn a_status_without_jails_in_force_says_so() {
    let host = Host::guarded();
    host.declare(&format!("{}{LIMIT}", JAMES.replace("spec:", "spec:\n  mode: Disabled")));
    host.ask(&["reload"]);
    let text = said(&host.ask(&["status"]));
    assert!(
        text.contains("\nno jail is in force: the one that is declared is Disabled or refused\n"),
        "{text}"
    );
    assert!(!text.contains("JAIL"), "{text}");
    host.declare(LIMIT);
    host.ask(&["reload"]);
    assert!(said(&host.ask(&["status"])).contains("\nno jail is declared\n"));
}
