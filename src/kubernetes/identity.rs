//! Which storage an API server has: it may have come back with another.

use std::fmt;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::mirror::chain;

/// Its UID is the identity of a cluster's storage, by common use.
const CLUSTER: &str = "kube-system";
/// How long that question may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The last answer and when it was asked for. All watches lose a server at the same moment and ask for the same: so also
/// that there was no answer is for all who waited for it, else each would wait for the server after the other. Who comes
/// later asks anew.
static LAST: Mutex<Option<(Instant, Option<String>)>> = Mutex::const_new(None);

/// The identity of the server's storage, asked for at `moment` or later. `None` where the server does not say.
async fn storage(client: &Client, moment: Instant) -> Option<String> {
    let waiting = Instant::now();
    let mut last = LAST.lock().await;
    match &*last {
        Some((asked, Some(identity))) if *asked >= moment => return Some(identity.clone()),
        Some((asked, None)) if *asked >= waiting => return None,
        Some(_) | None => {}
    }
    let asked = Instant::now();
    let identity = ask(client).await;
    *last = Some((asked, identity.clone()));
    identity
}

async fn ask(client: &Client) -> Option<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match timeout(ANSWER, namespaces.get_metadata(CLUSTER)).await {
        Ok(Ok(namespace)) => namespace.metadata.uid,
        Ok(Err(error)) => {
            tracing::debug!(error = %chain(&error), "cannot tell whether the server's storage is the same");
            None
        }
        Err(_) => None,
    }
}

/// The question which storage the server has, while a watch goes on being read: a server that begins anew sends many
/// their lists, and has no room for questions until those are taken.
#[derive(Default)]
pub(super) struct Question(Option<BoxFuture<'static, Option<String>>>);

impl Question {
    /// Asks after `wait`. An answer to what was asked for at `moment` or later will do.
    pub(super) fn put(client: Client, moment: Instant, wait: Duration) -> Self {
        let asked = async move {
            tokio::time::sleep(wait).await;
            storage(&client, moment).await
        };
        Self(Some(asked.boxed()))
    }

    /// Whether an answer is awaited.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// The answer; for ever where nothing was asked. `None` where the server does not say.
    pub(super) async fn answer(&mut self) -> Option<String> {
        let Some(asked) = &mut self.0 else { return std::future::pending().await };
        let answer = asked.await;
        self.0 = None;
        answer
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Question").field(&self.is_open()).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::kubernetes::{busy, connect};

    #[tokio::test]
    async fn that_the_server_does_not_say_is_heard_by_all_who_waited() {
        let server = busy::server(usize::MAX);
        let (client, _) = connect::open(&server.access).await.unwrap();
        let moment = Instant::now();
        let mut questions: Vec<Question> =
            (0..20).map(|_| Question::put(client.clone(), moment, Duration::ZERO)).collect();
        let answers = join_all(questions.iter_mut().map(Question::answer)).await;
        assert_eq!(answers, vec![None; 20]);
        let (asked, question) = (server.asked(), 1 + connect::AGAIN as usize);
        assert!(asked <= 2 * question, "one asks for all who wait, another for who came meanwhile: {asked}");
        assert!(questions.iter().all(|question| !question.is_open()));
        assert_eq!(Question::put(client, moment, Duration::ZERO).answer().await, None);
        assert_eq!(server.asked(), asked + question, "who comes later asks anew, of whatever moment");
    }
}
