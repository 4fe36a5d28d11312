//! Questions to the API server, and what can keep it from answering.

use std::time::Duration;

use crate::kubernetes::connect::ConnectError;
use crate::kubernetes::mirror::chain;

/// A person waits no longer for one answer.
pub const REACH: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no way to a server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Nobody answers.
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
    /// It does not know the kind.
    #[error(
        "the API server does not know {0}: is Gaoler installed? `gaoler crds | kubectl apply --server-side -f -`"
    )]
    UnknownKind(String),
    /// It knows us, and says no.
    #[error("the API server does not let you {0}")]
    Forbidden(String),
    /// It answered with something else.
    #[error("the API server refuses: {0}")]
    Refused(String),
}

impl AskError {
    /// What kube's client says of a request about `kind`.
    #[must_use]
    pub fn of(kind: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status)
                if status.code == 404 && status.details.as_ref().is_none_or(|d| d.name.is_empty()) =>
            {
                Self::UnknownKind(kind.to_owned())
            }
            kube::Error::Api(status) if status.code == 403 => {
                let told =
                    status.message.rsplit_once(" cannot ").map_or(status.message.as_str(), |(_, told)| told);
                Self::Forbidden(told.to_owned())
            }
            kube::Error::Api(status) if status.code == 504 || status.code == 503 => {
                Self::Unreachable(status.message.clone())
            }
            kube::Error::Api(status) => Self::Refused(format!("{} ({})", status.message, status.code)),
            kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::HttpError(_) => {
                Self::Unreachable(chain(error))
            }
            other => Self::Refused(chain(other)),
        }
    }

    /// Whether nobody answered, rather than somebody with a no.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Waits for one answer, not for ever.
pub(in crate::kubernetes) async fn answer<T>(
    kind: &str,
    question: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, AskError> {
    match tokio::time::timeout(REACH, question).await {
        Ok(answer) => answer.map_err(|error| AskError::of(kind, &error)),
        Err(_) => Err(AskError::Unreachable(format!("no answer about {kind} within {} s", REACH.as_secs()))),
    }
}
