//! Objects that somebody keeps as files, in the cluster: those that are gone from the files go there too.

use std::collections::BTreeSet;

use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::api::v1alpha1::{self as api, Kind};
use crate::kubernetes::view::{AskError, answer};

/// Who writes such objects: not the same as who bans by hand.
const MANAGER: &str = "gaoler-apply";
/// Whose an object is. Deleting spares what has no such label or another one.
pub const OWNER: &str = "gaoler.dev/owner";
/// Kinds that stay as they are written. A Pardon's moment is its creation: it is none of them.
const KINDS: [Kind; 5] = [Kind::Filter, Kind::Jail, Kind::RateLimit, Kind::BanList, Kind::AllowList];

/// One object that is declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    kind: Kind,
    /// Empty for kinds of the whole cluster.
    namespace: String,
    name: String,
    value: Value,
}

/// Why a document cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplicable {
    /// Another group, or a kind that only machines write.
    #[error("{0} is not a Filter, Jail, RateLimit, BanList or AllowList of {group}", group = api::API_VERSION)]
    Kind(String),
    /// `metadata.name` is missing.
    #[error("a {0} without `metadata.name`")]
    Nameless(&'static str),
    /// `metadata.namespace` is missing where it must be.
    #[error("{0} {1} has no `metadata.namespace`: in which one shall it live?")]
    Homeless(&'static str, String),
}

impl Declared {
    /// A document of a manifest.
    ///
    /// # Errors
    /// When it is of no kind that can be applied, or does not say where it lives.
    pub fn of(mut value: Value) -> Result<Self, NotApplicable> {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = Some(text("/kind")).filter(|_| text("/apiVersion") == api::API_VERSION);
        let kind = kind.and_then(|kind| Kind::from_name(&kind)).filter(|kind| KINDS.contains(kind));
        let Some(kind) = kind else {
            return Err(NotApplicable::Kind(format!("`{} {}`", text("/apiVersion"), text("/kind"))));
        };
        let (name, mut namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        if name.is_empty() {
            return Err(NotApplicable::Nameless(kind.as_str()));
        }
        if !kind.is_namespaced() {
            namespace.clear();
        } else if namespace.is_empty() {
            return Err(NotApplicable::Homeless(kind.as_str(), name));
        }
        if let Some(fields) = value.as_object_mut() {
            // Others write it.
            fields.remove("status");
        }
        Ok(Self { kind, namespace, name, value })
    }

    /// The object with its owner's name on it.
    fn owned(&self, owner: Option<&str>) -> Value {
        let mut value = self.value.clone();
        if let (Some(owner), Some(metadata)) = (owner, value["metadata"].as_object_mut()) {
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            labels[OWNER] = owner.into();
        }
        value
    }

    fn told(&self) -> String {
        told(self.kind, &self.namespace, &self.name)
    }
}

/// What was done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Objects that are now as declared: `Jail mail/james`.
    pub applied: Vec<String>,
    /// Objects of the owner's that are declared no longer and were deleted.
    pub removed: Vec<String>,
    /// Objects that the server did not take, with its reason.
    pub refused: Vec<(String, AskError)>,
}

/// Applies the objects by server-side apply, whoever wrote them last. With an owner, what it applied before and declares
/// no longer is deleted.
///
/// # Errors
/// When the server does not answer or knows a kind not. One object that is refused keeps no other from being applied.
pub async fn apply(client: &Client, declared: &[Declared], owner: Option<&str>) -> Result<Outcome, AskError> {
    let mut outcome = Outcome::default();
    let how = PatchParams::apply(MANAGER).force();
    for object in declared {
        let patch = Patch::Apply(object.owned(owner));
        let objects = collection(client, object.kind, Some(&object.namespace));
        match answer(object.kind.as_str(), objects.patch(&object.name, &how, &patch)).await {
            Ok(_) => outcome.applied.push(object.told()),
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => outcome.refused.push((object.told(), error)),
        }
    }
    if let Some(owner) = owner {
        let kept: BTreeSet<String> = declared.iter().map(Declared::told).collect();
        outcome.removed = remove(client, owner, &kept).await?;
    }
    Ok(outcome)
}

/// Deletes the owner's objects beside those that are `kept` (as [`Outcome`] calls them).
///
/// # Errors
/// As [`apply`].
pub async fn remove(client: &Client, owner: &str, kept: &BTreeSet<String>) -> Result<Vec<String>, AskError> {
    let mut removed = Vec::new();
    for kind in KINDS {
        let own = ListParams::default().labels(&format!("{OWNER}={owner}"));
        for object in answer(kind.as_str(), collection(client, kind, None).list(&own)).await? {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            let which = told(kind, &namespace, &name);
            if kept.contains(&which) {
                continue;
            }
            let objects = collection(client, kind, Some(&namespace));
            match objects.delete(&name, &DeleteParams::default()).await {
                Ok(_) => removed.push(which),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(AskError::of(kind.as_str(), &error)),
            }
        }
    }
    Ok(removed)
}

fn told(kind: Kind, namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        format!("{} {name}", kind.as_str())
    } else {
        format!("{} {namespace}/{name}", kind.as_str())
    }
}

/// The objects of a kind: of one namespace where the kind has any, else of the whole cluster.
fn collection(client: &Client, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = resource(kind);
    match namespace {
        Some(namespace) if kind.is_namespaced() => Api::namespaced_with(client.clone(), namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    }
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Filter => ApiResource::erase::<api::Filter>(&()),
        Kind::Jail => ApiResource::erase::<api::Jail>(&()),
        Kind::RateLimit => ApiResource::erase::<api::RateLimit>(&()),
        Kind::BanList => ApiResource::erase::<api::BanList>(&()),
        Kind::AllowList => ApiResource::erase::<api::AllowList>(&()),
        Kind::Pardon => ApiResource::erase::<api::Pardon>(&()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Result<Declared, String> {
        Declared::of(value).map_err(|why| why.to_string())
    }

    #[test]
    fn a_jail_wants_a_namespace_and_an_allow_list_has_none() {
        let jail =
            json!({"apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": "james"}});
        assert_eq!(
            of(jail).unwrap_err(),
            "Jail james has no `metadata.namespace`: in which one shall it live?"
        );
        let list = json!({"apiVersion": "gaoler.dev/v1alpha1", "kind": "AllowList",
            "metadata": {"name": "office", "namespace": "mail"}});
        assert_eq!(of(list).unwrap().told(), "AllowList office");
    }

    #[test]
    fn what_only_machines_write_or_is_not_ours_is_refused() {
        for (version, kind) in
            [("v1", "Secret"), ("gaoler.dev/v1alpha1", "House"), ("gaoler.dev/v1alpha1", "Pardon")]
        {
            let value =
                json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "y"}});
            let told = of(value).unwrap_err();
            assert!(told.starts_with(&format!("`{version} {kind}` is not a Filter")), "{told}");
        }
    }

    #[test]
    fn the_owner_is_written_beside_other_labels_and_a_status_is_not_applied() {
        let value = json!({"apiVersion": "gaoler.dev/v1alpha1", "kind": "BanList",
            "metadata": {"name": "feed", "labels": {"a": "b"}}, "spec": {}, "status": {"conditions": []}});
        let declared = of(value).unwrap();
        let owned = declared.owned(Some("gaoler"));
        assert_eq!(owned["metadata"]["labels"], json!({"a": "b", OWNER: "gaoler"}));
        assert!(owned.get("status").is_none());
        assert_eq!(declared.owned(None)["metadata"]["labels"], json!({"a": "b"}));
    }
}
