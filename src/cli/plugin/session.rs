//! A conversation with the API server.

use anyhow::Context as _;
use kube::Client;

use crate::cli::{Context, when};
use crate::engine::{JailName, Timestamp};
use crate::kubernetes::clock::glance;
use crate::kubernetes::connect::{Access, connect};
use crate::kubernetes::view::{AskError, NoJail, Objects, Scope, View, meant, read};

/// Which server, whose jails, and how answers look.
pub(super) struct Session<'c> {
    pub(super) context: &'c Context,
    access: Access,
    /// As given.
    pub(super) namespace: Option<String>,
}

impl<'c> Session<'c> {
    pub(super) fn new(context: &'c Context, access: Access, namespace: Option<String>) -> Self {
        Self { context, access, namespace }
    }

    /// Does something with a client, and waits for it.
    pub(super) fn ask<T>(&self, work: impl AsyncFnOnce(Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the runtime")?;
        runtime.block_on(async {
            let client = connect(&self.access).await.map_err(AskError::from)?;
            work(client).await
        })
    }

    /// Whose jails are read.
    pub(super) fn scope(&self) -> Scope {
        self.namespace.clone().map_or(Scope::All, Scope::Namespace)
    }

    /// Reads everything.
    pub(super) async fn objects(&self, client: &Client) -> Result<Objects, AskError> {
        let scope = self.scope();
        // Nodes wrote all this by the server's clock, and will go by it.
        let (objects, ahead) = tokio::join!(read(client, &scope), glance(client));
        when::correct_by(ahead);
        objects
    }

    /// Reads everything and computes the bans in force.
    pub(super) async fn view(&self, client: &Client) -> Result<View, AskError> {
        Ok(View::new(self.objects(client).await?, now()))
    }

    /// The jail a person means.
    pub(super) fn meant(&self, view: &View, client: &Client, name: &str) -> Result<JailName, NoJail> {
        let own = self.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
        meant(view.loaded(), name, own)
    }
}

/// The moment of this call; by the server's clock once something was read of it.
pub(super) fn now() -> Timestamp {
    when::now().0
}
