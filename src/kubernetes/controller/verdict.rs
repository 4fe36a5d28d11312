//! What was found out about a declared object, as its condition `Accepted`.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::config::{Allowed, BanEntry, Loaded, ObjectStatus, Problem, Severity};
use crate::engine::house::{NeverBan, Why};
use crate::engine::{Subject, Timestamp};

use super::conditions::{Holds, LONGEST, Said};

/// Room kept in a message for the number of problems that are left out.
const RESERVE: usize = 64;

/// `Accepted` of one object.
pub(super) fn accepted(status: &ObjectStatus) -> Said {
    let errors = status.problems.iter().filter(|p| p.severity == Severity::Error);
    match errors.clone().next() {
        Some(first) => {
            let all = errors.chain(status.problems.iter().filter(|p| p.severity == Severity::Warning));
            Said::new("Accepted", Holds::No, reason(first), listed(all))
        }
        None if !status.accepted => {
            Said::new("Accepted", Holds::No, "Invalid", "it is refused, and no field could be named")
        }
        None if status.problems.is_empty() => Said::new("Accepted", Holds::Yes, "AsDeclared", ""),
        None => Said::new("Accepted", Holds::Yes, "WithWarnings", listed(status.problems.iter())),
    }
}

/// One word for what is wrong.
fn reason(problem: &Problem) -> &'static str {
    let field = problem.field.as_str();
    let inside = |prefix: &str| field.starts_with(prefix);
    if field == "metadata.namespace" {
        "TooMany"
    } else if inside("metadata") {
        "BadName"
    } else if inside("spec.examples") {
        "ExampleFails"
    } else if inside("spec.filters") {
        "NoSuchFilter"
    } else if inside("spec.entries") {
        "BadEntry"
    } else if inside("spec.source") {
        "BadSource"
    } else if inside("spec.enforce") {
        "BadEnforce"
    } else if field.to_ascii_lowercase().contains("regex") || field.ends_with(".message") {
        "BadRegex"
    } else {
        "Invalid"
    }
}

/// Field, problem and fix of each, one a line, as many as find a place.
fn listed<'a>(problems: impl Iterator<Item = &'a Problem>) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for problem in problems {
        let line = told(problem);
        if left_out > 0 || text.len() + line.len() + 1 > LONGEST - RESERVE {
            // A first problem that is too long alone is cut by whoever writes it.
            if text.is_empty() {
                text = line;
            } else {
                left_out += 1;
            }
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    if left_out > 0 {
        text = super::conditions::shortened(text, LONGEST - RESERVE);
        text.push_str(&format!("\nand {left_out} more"));
    }
    text
}

fn told(problem: &Problem) -> String {
    let field = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
    let fix = if problem.fix.is_empty() { String::new() } else { format!("; fix: {}", problem.fix) };
    format!("{field}{}{fix}", problem.message)
}

/// For each BanList, the entries that an AllowList or the House keeps from biting `now`, as a condition. The others of the
/// list are in force: one slip does not stop a feed.
pub(super) fn spared(loaded: &Loaded, house: &[(IpNet, Why)], now: Timestamp) -> BTreeMap<String, Said> {
    let lasts = |until: Option<Timestamp>| until.is_none_or(|until| until > now);
    let allowed = loaded.config.allowed.iter().filter(|entry| lasts(entry.until)).filter_map(|entry| {
        match &entry.who {
            Allowed::Prefix(net) => Some((*net, Why::AllowList(entry.list.clone()))),
            Allowed::Host(_) => None,
        }
    });
    let allowed: Vec<(IpNet, Why)> = allowed.collect();
    let house = house.iter().cloned();
    let never = NeverBan::new(house.chain(allowed.iter().cloned()).chain(NeverBan::health_checks()));
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for BanEntry { list, subject, .. } in loaded.config.ban_entries.iter().filter(|e| lasts(e.until)) {
        if let Some(why) = never.overlap(*subject) {
            let of =
                allowed.iter().find(|(net, _)| subject.overlaps(*net)).map(|(net, _)| Subject::new(*net));
            let which = of.filter(|_| matches!(why, Why::AllowList(_))).map(|of| format!(" (`{of}`)"));
            let which = which.unwrap_or_default();
            lists.entry(list).or_default().push(format!("`{subject}` is not banned: {why}{which}"));
        }
    }
    lists
        .into_iter()
        .map(|(list, lines)| {
            let fix = "remove these entries, or write prefixes that leave those addresses out";
            let shown = 20.min(lines.len());
            let more = match lines.len() - shown {
                0 => String::new(),
                more => format!("\nand {more} more"),
            };
            let message = format!("{}{more}\nfix: {fix}", lines[..shown].join("\n"));
            (list.to_owned(), Said::new("EntriesSpared", Holds::Yes, "NeverBanned", message))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Surroundings;
    use crate::config::resources::{Object, assemble};

    fn judged(objects: Vec<Value>) -> Loaded {
        let around = Surroundings { cluster: true, ..Surroundings::default() };
        let objects = objects.into_iter().map(|value| Object::from_json("test", value)).collect();
        assemble(objects, &[], None, &around)
    }

    fn object(kind: &str, name: &str, spec: &Value) -> Value {
        let metadata = json!({"name": name, "namespace": "mail"});
        json!({"apiVersion": "gaoler.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
    }

    fn said(loaded: &Loaded, kind: &str) -> Said {
        accepted(loaded.objects.iter().find(|object| object.name.kind == kind).unwrap())
    }

    #[test]
    fn a_sound_object_is_accepted_without_words() {
        let jail = json!({"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}}});
        let said = said(&judged(vec![object("Jail", "james", &jail)]), "Jail");
        assert_eq!((said.holds, said.reason.as_str(), said.message.as_str()), (Holds::Yes, "AsDeclared", ""));
    }

    #[test]
    fn a_refused_object_is_told_field_problem_and_fix() {
        let jail = json!({"filters": ["james-smpt-auth"], "source": {"pods": {"selector": {}}}});
        let said = said(&judged(vec![object("Jail", "james", &jail)]), "Jail");
        assert_eq!((said.holds, said.reason.as_str()), (Holds::No, "NoSuchFilter"));
        assert!(
            said.message.starts_with(
                "spec.filters[0]: there is no filter `james-smpt-auth`; fix: write `james-smtp-auth`"
            ),
            "{}",
            said.message
        );
    }

    #[test]
    fn a_regex_that_the_schema_lets_pass_is_refused_with_a_word_of_its_own() {
        let filter = json!({"failRegex": ["^login failed from <HOST> (unclosed$"]});
        let said = said(&judged(vec![object("Filter", "bad", &filter)]), "Filter");
        assert_eq!((said.holds, said.reason.as_str()), (Holds::No, "BadRegex"), "{}", said.message);
    }

    #[test]
    fn what_is_said_of_a_failing_example_repeats_nothing_of_its_line() {
        let line = "login of bob with s3cret from 203.0.113.7";
        let examples = json!([{"line": line, "match": true, "address": "203.0.113.7"}]);
        let filter = json!({"failRegex": ["^login of bob with <HOST> from"], "examples": examples});
        let said = said(&judged(vec![object("Filter", "bad", &filter)]), "Filter");
        assert_eq!((said.holds, said.reason.as_str()), (Holds::No, "ExampleFails"), "{}", said.message);
        assert!(said.message.contains("holds no address"), "{}", said.message);
        assert!(!said.message.contains("s3cret"), "{}", said.message);
    }

    #[test]
    fn of_many_problems_as_many_are_told_as_find_a_place() {
        let entries: Vec<Value> = (0..300).map(|_| json!({"prefix": "0.0.0.0/0"})).collect();
        let said = said(&judged(vec![object("AllowList", "all", &json!({"entries": entries}))]), "AllowList");
        assert!(said.message.len() <= LONGEST && said.message.contains("\nand "), "{}", said.message);
        assert!(said.message.ends_with(" more"), "{}", said.message);
        assert_eq!((said.holds, said.reason.as_str()), (Holds::No, "BadEntry"));
    }

    #[test]
    fn a_ban_list_that_covers_everybody_is_refused() {
        let list = object("BanList", "feed", &json!({"entries": [{"prefix": "0.0.0.0/0"}]}));
        let said = said(&judged(vec![list]), "BanList");
        assert_eq!((said.holds, said.reason.as_str()), (Holds::No, "BadEntry"));
    }

    #[test]
    fn an_entry_that_covers_a_node_is_named_and_the_rest_of_its_list_stands() {
        let house = [("10.89.0.11/32".parse().unwrap(), Why::Cluster("node n1".into()))];
        for prefix in ["10.89.0.0/24", "10.89.0.11"] {
            let entries = json!({"entries": [{"prefix": prefix}, {"prefix": "203.0.113.9"}]});
            let loaded = judged(vec![object("BanList", "feed", &entries)]);
            assert_eq!(said(&loaded, "BanList").holds, Holds::Yes);
            assert_eq!(loaded.config.ban_entries.len(), 2);
            let message = &spared(&loaded, &house, Timestamp::from_secs(0))["feed"].message;
            let told = format!("`{prefix}` is not banned: part of the cluster (node n1)\nfix: ");
            assert!(message.starts_with(&told), "{message}");
            assert!(!message.contains("203.0.113.9"), "{message}");
        }
    }

    #[test]
    fn a_ban_list_entry_that_an_allow_list_spares_is_named() {
        let bans = json!({"entries": [{"prefix": "198.51.100.0/24"}, {"prefix": "203.0.113.9"}]});
        let allow = json!({"entries": [{"prefix": "198.51.100.7"}]});
        let loaded = judged(vec![object("BanList", "feed", &bans), object("AllowList", "office", &allow)]);
        assert_eq!(said(&loaded, "BanList").holds, Holds::Yes);
        let spared = spared(&loaded, &[], Timestamp::from_secs(0));
        let message = &spared["feed"].message;
        assert!(
            message.starts_with(
                "`198.51.100.0/24` is not banned: on the allow list office (`198.51.100.7`)\nfix: "
            ),
            "{message}"
        );
        assert!(!message.contains("203.0.113.9"), "{message}");
    }

    #[test]
    fn what_an_allow_list_no_longer_spares_and_a_ban_list_no_longer_bans_is_not_named() {
        let bans = json!({"entries": [
            {"prefix": "198.51.100.0/24"}, {"prefix": "203.0.113.9", "until": "2026-11-23T08:00:00Z"},
        ]});
        let allow = json!({"entries": [
            {"prefix": "198.51.100.7", "until": "2026-11-23T07:00:00Z"}, {"prefix": "203.0.113.9"},
        ]});
        let loaded = judged(vec![object("BanList", "feed", &bans), object("AllowList", "office", &allow)]);
        let at = |time: &str| Timestamp::from(time.parse::<jiff::Timestamp>().unwrap());
        let told = |time| spared(&loaded, &[], at(time)).get("feed").map(|said| said.message.clone());
        let first = told("2026-11-23T06:00:00Z").unwrap();
        assert!(first.contains("`198.51.100.0/24`") && first.contains("`203.0.113.9`"), "{first}");
        let second = told("2026-11-23T07:30:00Z").unwrap();
        assert!(!second.contains("`198.51.100.0/24`") && second.contains("`203.0.113.9`"), "{second}");
        assert_eq!(told("2026-11-23T09:00:00Z"), None);
    }
}
