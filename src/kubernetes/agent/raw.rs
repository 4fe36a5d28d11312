//! An object as JSON, whatever is in it, watched under its kind: what is declared badly must break no watch. Whether
//! it is good is for [`crate::config`] to say.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::api::v1alpha1::API_VERSION;

/// An object of kind `K`, unread.
#[derive(Clone)]
pub struct Raw<K> {
    metadata: ObjectMeta,
    spec: Option<Value>,
    kind: PhantomData<fn() -> K>,
}

impl<K> fmt::Debug for Raw<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw").field("name", &self.metadata.name).field("spec", &self.spec).finish()
    }
}

impl<K: Resource<DynamicType = ()>> Raw<K> {
    /// What is declared: kind, name, namespace and `spec`. Not what machines wrote since, so that a status alone
    /// changes nothing.
    #[must_use]
    pub fn declared(self) -> Value {
        let mut metadata = Map::new();
        for (field, value) in [("name", self.metadata.name), ("namespace", self.metadata.namespace)] {
            if let Some(value) = value {
                metadata.insert(field.into(), value.into());
            }
        }
        let mut object = json!({ "apiVersion": API_VERSION, "kind": K::kind(&()), "metadata": metadata });
        if let (Some(spec), Some(object)) = (self.spec, object.as_object_mut()) {
            object.insert("spec".into(), spec);
        }
        object
    }
}

impl<'de, K> Deserialize<'de> for Raw<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            metadata: ObjectMeta,
            spec: Option<Value>,
        }
        let Parts { metadata, spec } = Parts::deserialize(from)?;
        Ok(Self { metadata, spec, kind: PhantomData })
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Raw<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
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
    use super::*;
    use crate::api::v1alpha1::Jail;

    #[test]
    fn whatever_stands_in_the_spec_is_kept_and_the_status_is_not() {
        let raw: Raw<Jail> = serde_json::from_value(json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail",
            "metadata": {"name": "a", "namespace": "mail", "generateName": "a-", "resourceVersion": "7"},
            "spec": {"filters": 7}, "status": {"banned": 3},
        }))
        .unwrap();
        let declared = json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": "a", "namespace": "mail"},
            "spec": {"filters": 7},
        });
        assert_eq!(raw.declared(), declared);
    }
}
