//! Asks the daemon. Synchronous: a verb has nothing else to do.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::protocol::{Answer, Request, Verb};

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no answer on {path}: is `gaoler run` running? ({source})\n  systemctl status gaoler    how the service is\n  --socket PATH              another socket (or GAOLER_SOCKET)"
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What connecting said.
        #[source]
        source: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("{path} may be used by its owner only: try sudo")]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke.
    #[error("the daemon ended the conversation early: {0}")]
    Broken(#[source] io::Error),
    /// The daemon speaks another language.
    #[error("the daemon answered what this gaoler does not understand: {0}")]
    Unintelligible(#[source] serde_json::Error),
    /// The daemon understood and said no.
    #[error("{0}")]
    Refused(String),
}

/// One conversation.
#[derive(Debug)]
pub struct Client {
    answers: BufReader<UnixStream>,
}

impl Client {
    /// Connects and asks.
    ///
    /// # Errors
    /// When nobody listens, or only the socket's owner may speak.
    pub fn ask(socket: &Path, verb: Verb) -> Result<Self, ClientError> {
        let mut stream = UnixStream::connect(socket).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed { path: socket.to_path_buf() },
            _ => ClientError::NotRunning { path: socket.to_path_buf(), source },
        })?;
        let mut line = serde_json::to_vec(&Request::new(verb)).map_err(ClientError::Unintelligible)?;
        line.push(b'\n');
        stream.write_all(&line).map_err(ClientError::Broken)?;
        Ok(Self { answers: BufReader::new(stream) })
    }

    /// The one answer.
    ///
    /// # Errors
    /// When the daemon refuses, or goes away.
    pub fn answer<T: DeserializeOwned>(mut self) -> Result<T, ClientError> {
        match self.line()? {
            Answer::Item(value) | Answer::Done(value) => {
                serde_json::from_value(value).map_err(ClientError::Unintelligible)
            }
            Answer::Refused(reason) => Err(ClientError::Refused(reason)),
        }
    }

    /// The next of several; `None` at the end.
    ///
    /// # Errors
    /// When the daemon refuses, or goes away.
    pub fn item<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        match self.line()? {
            Answer::Item(value) => {
                serde_json::from_value(value).map(Some).map_err(ClientError::Unintelligible)
            }
            Answer::Done(_) => Ok(None),
            Answer::Refused(reason) => Err(ClientError::Refused(reason)),
        }
    }

    fn line(&mut self) -> Result<Answer, ClientError> {
        let mut line = Vec::new();
        self.answers.read_until(b'\n', &mut line).map_err(ClientError::Broken)?;
        if line.is_empty() {
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&line).map_err(ClientError::Unintelligible)
    }
}
