//! What the controller writes, and only while it may.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::lease::Tenure;
use crate::kubernetes::mirror::chain;

/// Field manager of what the controller writes.
const MANAGER: &str = "gaoler-controller";

/// What was written since the process began.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// Writes for as long as the lease is ours.
#[derive(Clone)]
pub(super) struct Pen {
    client: Client,
    tenure: Tenure,
    counts: std::sync::Arc<Counts>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It stands there.
    Done,
    /// There is one of this name.
    Exists,
    /// The object it was about is gone, or is another one by now.
    Gone,
    /// It was refused, or may not be written; the log says why.
    Failed,
}

impl Pen {
    pub(super) fn new(client: Client, tenure: Tenure, counts: std::sync::Arc<Counts>) -> Self {
        Self { client, tenure, counts }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Writes the status of an object, if it is still the one with this uid.
    pub(super) async fn status<K>(
        &self,
        namespace: Option<&str>,
        name: &str,
        uid: Option<&str>,
        status: Value,
    ) -> Written
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<kube::api::DynamicObject> = self.any::<K>(namespace);
        let body = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": namespace, "uid": uid}, "status": status,
        });
        let how = PatchParams::apply(MANAGER).force();
        self.write::<K, _>("status", name, async { api.patch_status(name, &how, &Patch::Apply(&body)).await })
            .await
    }

    /// Writes the `spec` of an object of which we are the only author.
    pub(super) async fn spec<K>(&self, name: &str, spec: &impl Serialize) -> Written
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let body = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec,
        });
        let how = PatchParams::apply(MANAGER).force();
        self.write::<K, _>("spec", name, async { api.patch(name, &how, &Patch::Apply(&body)).await }).await
    }

    /// Makes a cluster-scoped object.
    pub(super) async fn create<K>(&self, name: &str, object: &K) -> Written
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let how = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        self.write::<K, _>("create", name, async { api.create(&how, object).await }).await
    }

    /// Makes an object in a namespace.
    pub(super) async fn create_in<K>(&self, namespace: &str, name: &str, object: &K) -> Written
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let how = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        self.write::<K, _>("create", name, async { api.create(&how, object).await }).await
    }

    /// Deletes a cluster-scoped object, if it is still the one with this uid.
    pub(super) async fn delete<K>(&self, name: &str, uid: Option<&str>) -> Written
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let only = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let how = DeleteParams { preconditions: only, ..DeleteParams::default() };
        self.write::<K, _>("delete", name, async { api.delete(name, &how).await }).await
    }

    fn any<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) -> Api<kube::api::DynamicObject> {
        let kind = kube::api::ApiResource::erase::<K>(&());
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        }
    }

    async fn write<K, T>(
        &self,
        what: &str,
        name: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Written
    where
        K: Resource<DynamicType = ()>,
    {
        if !self.tenure.is_held() {
            return Written::Failed;
        }
        match request.await {
            Ok(_) => {
                self.counts.written.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(kind = %K::kind(&()), name, what, "written");
                Written::Done
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Written::Gone,
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                Written::Exists
            }
            // Another uid, or deleted in between.
            Err(kube::Error::Api(status)) if status.code == 409 => Written::Gone,
            Err(error) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(kind = %K::kind(&()), name, what, error = %chain(&error), "cannot write");
                Written::Failed
            }
        }
    }
}
