//! What README and docs say can be done as they say it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use gaoler::config::load;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![root().join("README.md"), root().join("charts/gaoler/README.md")];
    for directory in ["docs", "docs/how-to", "docs/reference"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            pages.push(entry.unwrap().path());
        }
    }
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    assert!(pages.len() >= 20, "{pages:?}");
    pages.into_iter().map(|page| (page.clone(), fs::read_to_string(&page).unwrap())).collect()
}

/// The fenced blocks of a language, those in lists too, without their indentation.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let (opening, mut found) = (format!("```{language}"), Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != opening {
            continue;
        }
        let indentation = line.len() - line.trim_start().len();
        let inner = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let inner: Vec<&str> = inner.map(|line| line.get(indentation..).unwrap_or_default()).collect();
        found.push(inner.join("\n"));
    }
    found
}

/// Where a heading is linked to: in lower case, spaces as dashes, without punctuation.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// What stands between `open` and `close`, everywhere.
fn between<'p>(page: &'p str, open: &str, close: char) -> Vec<&'p str> {
    page.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inner, _)| inner).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for (page, text) in pages() {
        for link in between(&text, "](", ')').into_iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                let mut headings = target.lines().filter(|line| line.starts_with('#')).map(anchor_of);
                assert!(headings.any(|heading| heading == anchor), "{}: {link}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 5);
}

/// What is typed after the program's name, and which program: `true` for kubectl's plugin.
fn typed(line: &str) -> Option<(bool, &str)> {
    let line = line.split('#').next()?;
    if let Some((_, rest)) = line.split_once("kubectl gaoler ") {
        return Some((true, rest));
    }
    // Helm and kubectl have verbs of their own, and a namespace of our name; nft has a table of it.
    let others = ["helm ", "kubectl ", "inet gaoler "].iter().any(|other| line.contains(other));
    line.split_once("gaoler ").filter(|_| !others).map(|(_, rest)| (false, rest))
}

#[test]
fn every_command_has_its_verb_and_options() {
    let mut seen = 0;
    for (page, text) in pages() {
        let spans = between(&text, "`gaoler ", '`').into_iter().map(|rest| (false, rest));
        let spans = spans.chain(between(&text, "`kubectl gaoler ", '`').into_iter().map(|rest| (true, rest)));
        let console = blocks(&text, "console");
        let shell = console.iter().flat_map(|block| block.lines()).filter_map(typed);
        for (plugin, command) in spans.chain(shell) {
            let Some(tree) = tree(plugin) else { continue };
            let words: Vec<&str> = command.split_whitespace().collect();
            // `gaoler import` is announced, not there.
            let Some(name) = words.first().filter(|name| **name != "import") else { continue };
            let Some(mut verb) = tree.find_subcommand(name) else {
                assert!(!name.starts_with(|c: char| c.is_ascii_lowercase()), "{}: {words:?}", page.display());
                continue;
            };
            if let Some(inner) = words.get(1).and_then(|word| verb.find_subcommand(word)) {
                verb = inner;
            }
            for option in words.iter().filter_map(|word| word.strip_prefix("--")) {
                let option = option.split('=').next().unwrap();
                let known =
                    |command: &clap::Command| command.get_arguments().any(|a| a.get_long() == Some(option));
                assert!(known(verb) || known(&tree), "{}: {words:?}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
}

/// The verbs of `gaoler`, or of kubectl's plugin where it is built.
fn tree(plugin: bool) -> Option<clap::Command> {
    if !plugin {
        return Some(gaoler::cli::command());
    }
    #[cfg(feature = "kubernetes")]
    return Some(gaoler::cli::plugin::command());
    #[cfg(not(feature = "kubernetes"))]
    None
}

#[test]
fn every_manifest_is_accepted_without_a_warning() {
    let mut seen = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "yaml").into_iter().filter(|block| block.contains("apiVersion:")) {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("page.yaml"), block).unwrap();
            let loaded = load(&[directory.path().to_owned()], None);
            let problems: Vec<String> = loaded.all_problems().map(ToString::to_string).collect();
            assert!(problems.is_empty(), "{}: {}", page.display(), problems.join("\n"));
            seen += loaded.objects.len();
        }
    }
    assert!(seen >= 3, "only {seen} objects were found");
}

#[test]
fn every_path_of_the_repository_is_there() {
    for (page, text) in pages() {
        for path in between(&text, "`", '`')
            .into_iter()
            .filter(|p| p.starts_with("deploy/") || p.starts_with("docs/"))
        {
            assert!(root().join(path).exists(), "{}: {path}", page.display());
        }
    }
}
