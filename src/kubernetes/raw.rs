//! Objects of our kinds as the API server sends them, whatever stands in them.
//!
//! [`crate::config`] reads these: it says of each field what is wrong with it, which a type that refuses to be read
//! could not.

use std::borrow::Cow;
use std::marker::PhantomData;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::config::resources::Object;

/// An object of kind `K`, its fields as JSON.
#[derive(Debug, Deserialize)]
#[serde(bound = "")]
pub struct Raw<K> {
    /// Names, versions, labels.
    pub metadata: ObjectMeta,
    /// Everything beside `metadata`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Raw<K> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), fields: self.fields.clone(), kind: PhantomData }
    }
}

impl<K: Resource<DynamicType = ()>> Raw<K> {
    /// What configurations are made of. `None` when the metadata cannot be written as JSON.
    #[must_use]
    pub fn object(&self) -> Option<Object> {
        let mut metadata = self.metadata.clone();
        // Who wrote which field is of no interest, and most of the text.
        metadata.managed_fields = None;
        let metadata = serde_json::to_value(metadata).ok()?;
        let mut fields = Map::with_capacity(self.fields.len() + 1);
        // In lists the server leaves both out.
        fields.insert("apiVersion".into(), K::api_version(&()).into());
        fields.insert("kind".into(), K::kind(&()).into());
        fields.insert("metadata".into(), metadata);
        let rest = self.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"));
        fields.extend(rest.map(|(name, value)| (name.clone(), value.clone())));
        Some(Object::from_json(&K::kind(&()), Value::Object(fields)))
    }

    /// Its `status`; the default where there is none, or none that can be read.
    #[must_use]
    pub fn status<S: DeserializeOwned + Default>(&self) -> S {
        let status = self.fields.get("status").cloned();
        status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default()
    }
}

impl<K: Resource> Resource for Raw<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }
    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }
    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }
    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::{Jail, Status};
    use crate::config::Surroundings;
    use crate::config::resources::assemble;

    #[test]
    fn a_jail_that_no_type_can_hold_is_still_judged_field_by_field() {
        let sent = json!({
            "metadata": {"name": "james", "namespace": "mail", "generation": 3, "managedFields": [{}]},
            "spec": {"maxRetry": "five"},
            "status": {"observedGeneration": 2},
        });
        let jail: DeserializeGuard<Raw<Jail>> = serde_json::from_value(sent).unwrap();
        let jail = jail.0.unwrap();
        let around = Surroundings { cluster: true, ..Surroundings::default() };
        let loaded = assemble(vec![jail.object().unwrap()], &[], None, &around);
        assert_eq!(loaded.objects[0].name.to_string(), "Jail mail/james");
        let fields: Vec<&str> = loaded.objects[0].problems.iter().map(|p| p.field.as_str()).collect();
        assert!(fields.contains(&"spec.maxRetry"), "{fields:?}");
        assert_eq!(jail.status::<Status>().observed_generation, Some(2));
    }

    #[test]
    fn what_the_server_keeps_in_metadata_is_no_mistake() {
        let sent = json!({
            "metadata": {"generateName": "james-", "name": "james-x7k2p", "namespace": "mail", "uid": "u", "generation": 1},
            "spec": {"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}}},
        });
        let jail: Raw<Jail> = serde_json::from_value(sent).unwrap();
        let around = Surroundings { cluster: true, ..Surroundings::default() };
        let loaded = assemble(vec![jail.object().unwrap()], &[], None, &around);
        assert!(
            loaded.objects[0].accepted && loaded.objects[0].problems.is_empty(),
            "{:?}",
            loaded.objects[0]
        );
    }
}
