//! The custom resource definitions in `crds/` are what the types say.
#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use gaoler::api::v1alpha1::crds;

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let wanted = crds::files().unwrap();
    for directory in ["crds", "charts/gaoler/crds"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        for (name, text) in &wanted {
            let committed = fs::read_to_string(path.join(name)).unwrap_or_default();
            assert!(committed == *text, "{directory}/{name} is stale: run `make crds`");
        }
        let present = fs::read_dir(&path).unwrap().count();
        assert_eq!(present, wanted.len(), "a file in {directory} belongs to no kind");
    }
}

#[test]
fn every_field_is_documented_and_every_list_and_string_bounded() {
    fn walk(path: &str, schema: &serde_json::Value, complaints: &mut Vec<String>) {
        let kind = schema["type"].as_str().unwrap_or_default();
        let bounded = match kind {
            "string" => schema.get("maxLength").or_else(|| schema.get("enum")).is_some(),
            "array" => schema.get("maxItems").is_some(),
            "object" => schema.get("properties").or_else(|| schema.get("maxProperties")).is_some(),
            "integer" | "number" | "boolean" => true,
            other => {
                complaints.push(format!("{path}: not structural: type `{other}`"));
                true
            }
        };
        if !bounded {
            complaints.push(format!("{path}: not bounded"));
        }
        if let Some(each) = schema.get("items") {
            walk(&format!("{path}[]"), each, complaints);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            // YAML 1.1, which kubectl and Helm read: a key without quotes that would be a truth value there.
            if ["y", "n", "yes", "no", "on", "off"].contains(&name.to_ascii_lowercase().as_str()) {
                complaints.push(format!("{path}: kubectl reads the name as true or false"));
            }
            if field.get("description").is_none() {
                complaints.push(format!("{path}: not documented"));
            }
            walk(&path, field, complaints);
        }
    }
    let mut complaints = Vec::new();
    for crd in crds::crds() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"].into_iter().filter(|part| schema["properties"].get(part).is_some()) {
            walk(
                &format!("{} {part}", crd["spec"]["names"]["kind"]),
                &schema["properties"][part],
                &mut complaints,
            );
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
