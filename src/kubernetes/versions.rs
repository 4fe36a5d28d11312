//! Whether the server's storage went back to an earlier state, as one that was restored does.
//!
//! A version counts every change of the whole storage, so it only grows, unless the storage is another.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::{sleep, timeout};

use super::follow;

/// How often to look. One small request.
const LOOK: Duration = Duration::from_secs(60);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks for ever; lets all watches begin anew when the storage went back.
pub(super) async fn run(client: Client) {
    let nodes: Api<Node> = Api::all(client);
    let mut highest = 0;
    loop {
        // Without a version of its own the answer is of the storage as it is now, whichever server gives it.
        let listed = timeout(PATIENCE, nodes.list_metadata(&ListParams::default().limit(1))).await;
        let version = listed.ok().and_then(Result::ok).and_then(|list| list.metadata.resource_version);
        if let Some(version) = version.and_then(|version| version.parse().ok()) {
            if went_back(&mut highest, version) {
                tracing::warn!(version, "the API server's storage went back; everything is listed anew");
                follow::renew();
            }
        }
        sleep(LOOK).await;
    }
}

/// Takes note of the storage's version now; whether it is lower than it was.
fn went_back(highest: &mut u64, version: u64) -> bool {
    let back = version < *highest;
    *highest = version;
    back
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_version_is_another_storage_and_that_is_told_once() {
        let mut highest = 0;
        let told: Vec<bool> = [10, 10, 5000, 300, 300, 400]
            .into_iter()
            .map(|version| went_back(&mut highest, version))
            .collect();
        assert_eq!(told, [false, false, false, true, false, false]);
    }
}
