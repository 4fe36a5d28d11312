//! Which storage an API server has: it may have come back with another.

use std::time::Instant;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::mirror::chain;
use std::time::Duration;

/// Its UID is the identity of a cluster's storage, by common use.
const CLUSTER: &str = "kube-system";
/// How long that question may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The last answer and when it was asked for. All watches lose a server at the same moment and ask for the same.
static LAST: Mutex<Option<(Instant, String)>> = Mutex::const_new(None);

/// The identity of the server's storage, asked for at `moment` or later. `None` where the server does not say.
pub(super) async fn storage(client: &Client, moment: Instant) -> Option<String> {
    let mut last = LAST.lock().await;
    if let Some((asked, identity)) = &*last
        && *asked >= moment
    {
        return Some(identity.clone());
    }
    let asked = Instant::now();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let identity = match timeout(ANSWER, namespaces.get_metadata(CLUSTER)).await {
        Ok(Ok(namespace)) => namespace.metadata.uid?,
        Ok(Err(error)) => {
            tracing::debug!(error = %chain(&error), "cannot tell whether the server's storage is the same");
            return None;
        }
        Err(_) => return None,
    };
    *last = Some((asked, identity.clone()));
    Some(identity)
}
