//! Loading as a whole: objects stand or fall alone, and what was good goes on.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const JAIL: &str = "apiVersion: gaoler.dev/v1alpha1\nkind: Jail\nmetadata: {name: NAME}\nspec:\n  \
                    filters: [f]\n  source: {files: [/var/log/x.log]}\n  maxRetry: RETRY\n";
const FILTER: &str = "apiVersion: gaoler.dev/v1alpha1\nkind: Filter\nmetadata: {name: f}\nspec:\n  failRegex: ['^bad <HOST>$']\n";

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, file: &str, text: &str) -> &Self {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn load(&self, previous: Option<&Loaded>) -> Loaded {
        load(&[self.0.path().to_owned()], previous)
    }
}

fn jail(name: &str, retry: &str) -> String {
    JAIL.replace("NAME", name).replace("RETRY", retry)
}

fn jails(loaded: &Loaded) -> Vec<(String, u32)> {
    loaded.config.jails.iter().map(|j| (j.name().to_string(), j.spec.max_retry)).collect()
}

fn named(pairs: &[(&str, u32)]) -> Vec<(String, u32)> {
    pairs.iter().map(|(name, retry)| ((*name).to_owned(), *retry)).collect()
}

#[test]
fn a_directory_is_read_with_all_below_it_but_hidden_and_other_files() {
    let dir = Directory::new();
    dir.put("filters/f.yml", FILTER)
        .put("jails/b.yaml", &jail("b", "3"))
        .put(
            "a.json",
            &serde_json::to_string(&serde_json::json!({
                "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": "a"},
                "spec": {"filters": ["f"], "source": {"files": ["/x"]}, "maxRetry": 2},
            }))
            .unwrap(),
        )
        .put(".hidden.yaml", "{{{")
        .put("README.md", "no manifest");
    let loaded = dir.load(None);
    assert_eq!(loaded.errors(), 0, "{loaded:?}");
    assert_eq!(jails(&loaded), named(&[("a", 2), ("b", 3)]));
}

#[test]
fn a_broken_object_is_refused_alone() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &format!("{}---\n{}", jail("a", "0"), jail("b", "3")));
    let loaded = dir.load(None);
    assert_eq!(jails(&loaded), named(&[("b", 3)]));
    let a = loaded.objects.iter().find(|o| o.name.name == "a").unwrap();
    assert!(!a.accepted && !a.last_good);
    assert_eq!(a.problems[0].field, "spec.maxRetry");
    assert_eq!(a.problems[0].line, 7);
}

#[test]
fn a_broken_object_goes_on_as_it_last_was_good() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &jail("a", "3"));
    let first = dir.load(None);
    let second = dir.put("j.yaml", &jail("a", "nine")).load(Some(&first));
    assert_eq!(jails(&second), named(&[("a", 3)]));
    let status = second.objects.iter().find(|o| o.name.name == "a").unwrap();
    assert!(status.last_good && !status.accepted && !status.problems.is_empty());
    // And once more: the state survives any number of broken loads.
    let third = dir.load(Some(&second));
    assert_eq!(jails(&third), named(&[("a", 3)]));
    let fourth = dir.put("j.yaml", &jail("a", "9")).load(Some(&third));
    assert_eq!(jails(&fourth), named(&[("a", 9)]));
    assert_eq!(fourth.errors(), 0);
}

#[test]
fn a_file_that_is_no_yaml_any_more_loses_no_object() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &jail("a", "3"));
    let first = dir.load(None);
    let second = dir.put("f.yaml", "a: [").put("j.yaml", "b: ]").load(Some(&first));
    assert_eq!(jails(&second), named(&[("a", 3)]));
    assert_eq!(second.config.jails[0].filters.len(), 1);
    assert_eq!(second.problems.len(), 2);
}

#[test]
fn a_deleted_object_is_gone() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &format!("{}---\n{}", jail("a", "1"), jail("b", "3")));
    let first = dir.load(None);
    let second = dir.put("j.yaml", &jail("b", "3")).load(Some(&first));
    assert_eq!(jails(&second), named(&[("b", 3)]));
}

#[test]
fn a_jail_follows_its_filter_and_keeps_it_when_the_filter_breaks() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &jail("a", "3"));
    let regex = |loaded: &Loaded| loaded.config.jails[0].filters[0].text.clone().unwrap().fail_regex;
    let first = dir.load(None);
    let second = dir.put("f.yaml", &FILTER.replace("bad", "worse")).load(Some(&first));
    assert_eq!(regex(&second), ["^worse <HOST>$"]);
    let third = dir.put("f.yaml", &FILTER.replace("<HOST>", "nobody")).load(Some(&second));
    assert_eq!(regex(&third), ["^worse <HOST>$"]);
    assert_eq!(third.errors(), 1, "only the filter is refused: {third:?}");
}

#[test]
fn of_two_objects_of_one_name_the_first_counts() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("1.yaml", &jail("a", "3")).put("2.yaml", &jail("a", "4"));
    let loaded = dir.load(None);
    assert_eq!(jails(&loaded), named(&[("a", 3)]));
    assert_eq!(loaded.errors(), 1);
    assert!(loaded.all_problems().any(|p| p.message.contains("1.yaml:3")), "{loaded:?}");
}

#[test]
fn a_declared_filter_takes_the_place_of_a_built_in_one() {
    let dir = Directory::new();
    dir.put("f.yaml", &FILTER.replace("name: f", "name: james-log4j2"))
        .put("j.yaml", &jail("a", "3").replace("[f]", "[james-log4j2]"));
    let loaded = dir.load(None);
    assert_eq!(loaded.config.jails[0].filters[0].text.as_ref().unwrap().fail_regex.len(), 1);
}

#[test]
fn a_disabled_jail_is_checked_but_not_run() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &format!("{}  mode: Disabled\n", jail("a", "3")));
    let loaded = dir.load(None);
    assert!(loaded.config.jails.is_empty() && loaded.errors() == 0);
    assert!(loaded.objects.iter().all(|o| o.accepted));
}

#[test]
fn a_jail_without_ports_closes_everything_on_a_plain_host() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER)
        .put("a.yaml", &jail("a", "3"))
        .put("b.yaml", &format!("{}  enforce: {{ports: [993, 25], action: Reject}}\n", jail("b", "3")));
    let loaded = dir.load(None);
    assert!(loaded.config.jails[0].enforce.all_ports);
    assert_eq!(loaded.config.jails[1].enforce.ports, [25, 993]);
    assert!(!loaded.config.jails[1].enforce.all_ports);
}

#[test]
fn other_peoples_objects_are_passed_over() {
    let dir = Directory::new();
    dir.put("d.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 1}\n");
    let loaded = dir.load(None);
    assert_eq!((loaded.errors(), loaded.warnings()), (0, 1));
}

#[test]
fn a_list_from_kubectl_is_unfolded() {
    let dir = Directory::new();
    let item = FILTER.lines().map(|l| format!("  {l}\n")).collect::<String>().replacen("  api", "- api", 1);
    dir.put("l.yaml", &format!("apiVersion: v1\nkind: List\nitems:\n{item}  status: {{conditions: []}}\n"));
    let loaded = dir.load(None);
    assert_eq!(loaded.errors(), 0, "{loaded:?}");
    assert_eq!(loaded.filters().count(), 1);
}

#[test]
fn the_same_loader_takes_objects_of_an_api_server() {
    let object = |name: &str, namespace: &str, spec: serde_json::Value, kind: &str| {
        resources::Object::from_json(
            "cluster",
            serde_json::json!({
                "apiVersion": "gaoler.dev/v1alpha1", "kind": kind,
                "metadata": {"name": name, "namespace": namespace, "uid": "1", "resourceVersion": "7"},
                "spec": spec, "status": {"observedGeneration": 1},
            }),
        )
    };
    let around = Surroundings { cluster: true, ..Surroundings::default() };
    let filter = serde_json::json!({"rules": [{"message": "^bad$"}]});
    let jail = serde_json::json!({
        "filters": ["f"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}},
    });
    let loaded = resources::assemble(
        vec![
            object("f", "mail", filter, "Filter"),
            object("a", "mail", jail.clone(), "Jail"),
            object("a", "other", jail, "Jail"),
        ],
        &[],
        None,
        &around,
    );
    assert_eq!(loaded.config.jails.len(), 1, "{loaded:?}");
    let jail = &loaded.config.jails[0];
    assert_eq!(jail.name().as_str(), "mail/a");
    let selector = PodSelector(vec![Requirement::Is("app".into(), "james".into())]);
    assert_eq!(jail.source, Source::Pods { selector, containers: vec![] });
    assert!(!jail.ban_private && !jail.enforce.all_ports);
    assert!(
        loaded.all_problems().any(|p| p.message == "there is no filter `f`"),
        "a filter of another namespace"
    );
}

#[test]
fn lists_are_in_force_with_their_ends() {
    let dir = Directory::new();
    dir.put(
        "l.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: BanList\nmetadata: {name: b}\nspec:\n  entries:\n  \
         - {prefix: 198.51.100.7/24, until: '2030-01-01T00:00:00Z', reason: feed}\n---\n\
         apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: a}\nspec:\n  entries:\n  \
         - {prefix: '2001:db8::/32'}\n  - {host: vpn.example.org, comment: the office}\n",
    );
    let loaded = dir.load(None);
    assert_eq!((loaded.errors(), loaded.warnings()), (0, 1), "{loaded:?}");
    let ban = &loaded.config.ban_entries[0];
    assert_eq!(ban.subject.to_string(), "198.51.100.0/24");
    assert_eq!(ban.until.unwrap().to_string(), "2030-01-01T00:00:00Z");
    assert_eq!(loaded.config.allowed[1].who, Allowed::Host("vpn.example.org".into()));
}

#[test]
fn an_entry_of_a_ban_list_that_an_allow_list_spares_is_told_with_the_one_that_spares_it() {
    let dir = Directory::new();
    dir.put(
        "bans.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: BanList\nmetadata: {name: feed}\nspec:\n  entries:\n  \
         - {prefix: 203.0.113.9}\n  - {prefix: 198.51.100.0/24}\n  - {prefix: 192.0.2.7}\n  \
         - {prefix: 198.51.100.8, until: '2020-01-01T00:00:00Z'}\n",
    )
    .put(
        "office.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: office}\nspec:\n  entries:\n  \
         - {prefix: 198.51.100.7}\n  - {prefix: 203.0.113.9, until: '2020-01-01T00:00:00Z'}\n",
    );
    let told = |loaded: &Loaded| {
        let of = |p: &Problem| (p.severity, p.line, p.field.clone(), p.message.clone());
        loaded.all_problems().map(of).collect::<Vec<_>>()
    };
    let message = "`198.51.100.0/24` is not banned: `198.51.100.7` is on the AllowList `office`".to_owned();
    let expected = vec![(Severity::Warning, 7, "spec.entries[1].prefix".to_owned(), message)];
    let first = dir.load(None);
    assert_eq!(told(&first), expected);
    assert_eq!(first.config.ban_entries.len(), 4, "the entry stands: the AllowList may go");
    // Also while a broken AllowList goes on as it was, and while its file cannot be read.
    for broken in ["spec: {entries: [{prefix: 7}]}\n", "{"] {
        let head = "apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: office}\n";
        dir.put("office.yaml", &format!("{head}{broken}"));
        let next = dir.load(Some(&first));
        assert!(told(&next).contains(&expected[0]), "{next:?}");
    }
    fs::remove_file(dir.0.path().join("office.yaml")).unwrap();
    assert_eq!(told(&dir.load(Some(&first))), []);
}

#[test]
fn that_an_entry_is_spared_is_told_until_the_last_entry_that_spares_it_ends_or_it_ends_itself() {
    let dir = Directory::new();
    dir.put(
        "bans.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: BanList\nmetadata: {name: feed}\nspec:\n  entries:\n  \
         - {prefix: 203.0.113.9}\n  - {prefix: 203.0.113.0/24, until: '2090-01-01T00:00:00Z'}\n  \
         - {prefix: 192.0.2.7}\n",
    )
    .put(
        "office.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: office}\nspec:\n  entries:\n  \
         - {prefix: 203.0.113.8/31, until: '2091-01-01T00:00:00Z'}\n  \
         - {prefix: 203.0.113.9, until: '2092-01-01T00:00:00Z'}\n  \
         - {prefix: 203.0.113.9, until: '2030-01-01T00:00:00Z'}\n  - {prefix: 192.0.2.7}\n",
    );
    let loaded = dir.load(None);
    let ends = loaded.all_problems().map(|problem| problem.until.map(|until| until.to_string()));
    let year = |year: u16| Some(format!("{year}-01-01T00:00:00Z"));
    assert_eq!(ends.collect::<Vec<_>>(), [year(2092), year(2090), None]);
}

#[test]
fn entries_of_an_unchanged_list_were_written_when_an_api_server_made_it() {
    let written = |metadata: serde_json::Value, cluster| {
        let list = resources::Object::from_json(
            "cluster",
            serde_json::json!({
                "apiVersion": "gaoler.dev/v1alpha1", "kind": "BanList", "metadata": metadata,
                "spec": {"entries": [{"prefix": "198.51.100.7"}]},
            }),
        );
        let around = Surroundings { cluster, ..Surroundings::default() };
        let loaded = resources::assemble(vec![list], &[], None, &around);
        assert_eq!(loaded.errors(), 0, "{loaded:?}");
        loaded.config.ban_entries[0].written.map(|at| at.to_string())
    };
    let of = |generation: u64| serde_json::json!({"name": "feed", "creationTimestamp": "2026-11-22T17:00:00Z", "generation": generation});
    assert_eq!(written(of(1), true).as_deref(), Some("2026-11-22T17:00:00Z"));
    assert_eq!(written(of(2), true), None, "nobody noted which entry changed when");
    assert_eq!(written(serde_json::json!({"name": "feed"}), true), None);
    assert_eq!(written(of(1), false), None, "a file that was saved somewhere says nothing of this host");
}

#[test]
fn a_path_that_is_not_there_is_a_problem_and_forgets_nothing() {
    let dir = Directory::new();
    dir.put("f.yaml", FILTER).put("j.yaml", &jail("a", "3"));
    let path: Vec<PathBuf> = vec![dir.0.path().join("f.yaml"), dir.0.path().join("j.yaml")];
    let first = load(&path, None);
    fs::remove_file(&path[1]).unwrap();
    let second = load(&path, Some(&first));
    assert_eq!(second.errors(), 1);
    assert_eq!(jails(&second), named(&[("a", 3)]));
}
