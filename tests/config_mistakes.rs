//! Mistakes in manifests, one file each, and what is said about them. The snapshots are the messages.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use gaoler::config::load;

const DIRECTORY: &str = "tests/config_mistakes";

fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(DIRECTORY)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn every_mistake_is_told_as_the_snapshot_says() {
    for name in names() {
        // The path is relative, so that it is the same on every machine.
        let loaded = load(&[Path::new(DIRECTORY).join(format!("{name}.yaml"))], None);
        let told: String = loaded.all_problems().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        insta::with_settings!({
            snapshot_path => "config_mistakes",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, told);
        });
    }
}

#[test]
fn every_message_names_the_file_the_line_and_the_fix() {
    for name in names() {
        let loaded = load(&[Path::new(DIRECTORY).join(format!("{name}.yaml"))], None);
        assert!(loaded.all_problems().count() > 0, "{name} is no mistake");
        for problem in loaded.all_problems() {
            assert!(problem.file.ends_with(format!("{name}.yaml")), "{problem}");
            assert!(problem.line > 0 && problem.column > 0, "{name} has no place:\n{problem}");
            assert!(problem.excerpt.is_some(), "{problem}");
            // Some warnings only tell.
            let told = problem.severity == gaoler::config::Severity::Warning;
            assert!(told || !problem.fix.is_empty(), "{name} has no fix:\n{problem}");
            assert!(problem.object.is_none() || !problem.field.is_empty(), "{name} has no field:\n{problem}");
        }
    }
}

#[test]
fn there_are_enough_of_them_and_each_snapshot_belongs_to_one() {
    let names = names();
    assert!(names.len() >= 25);
    for entry in fs::read_dir(DIRECTORY).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = file.strip_suffix(".snap") {
            assert!(names.iter().any(|known| known == name), "{file} belongs to no manifest");
        }
    }
}
