//! The custom resource definitions as JSON.

use kube::CustomResourceExt;
use serde_json::Value;

/// All definitions: those of people in the order of [`super::Kind::ALL`], then those that machines write.
#[must_use]
pub fn crds() -> Vec<Value> {
    [
        super::Filter::crd(),
        super::Jail::crd(),
        super::RateLimit::crd(),
        super::BanList::crd(),
        super::AllowList::crd(),
        super::Pardon::crd(),
        super::BanSlice::crd(),
        super::SightingList::crd(),
        super::House::crd(),
        super::NodeAgent::crd(),
    ]
    .iter()
    .filter_map(|crd| serde_json::to_value(crd).ok())
    .map(|mut crd| {
        tidy(&mut crd);
        crd
    })
    .collect()
}

/// Takes out what the API server warns about: formats it does not know.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// File names and texts of the definitions, as they are committed in `crds/`.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn files() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    crds()
        .iter()
        .map(|crd| {
            let name = crd["metadata"]["name"].as_str().unwrap_or_default();
            let plural = name.split('.').next().unwrap_or_default();
            let text = serde_yaml::to_string(crd)?;
            Ok((
                format!("{plural}.yaml"),
                format!("# Generated from src/api by `gaoler crds --to crds`; do not edit.\n{text}"),
            ))
        })
        .collect()
}
