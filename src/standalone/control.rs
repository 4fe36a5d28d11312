//! The control socket: what `gaoler status`, `bans`, `ban`, `unban`, `why` and `reload` speak to.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

use super::daemon::Daemon;
use super::protocol::{Answer, MAX_REQUEST, Request, VERSION, Verb};
use crate::agent::handle::Gone;
use crate::engine::JailName;

/// Conversations at once. The socket is the owner's, so this only bounds mistakes.
const MAX_CONVERSATIONS: usize = 64;
/// A client that says nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(3);

/// So many bans of a long list are held ready at once.
const PORTION: usize = 1_000;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another daemon answers there.
    #[error("another gaoler listens on {0}; give this one its own --socket")]
    InUse(PathBuf),
    /// Something else lies there.
    #[error("{0} is there and is no socket; it is left alone")]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The socket; its file goes with it.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens at `path`, for the owner only. A socket that nobody answers is replaced.
    ///
    /// # Errors
    /// When somebody answers there, or the socket cannot be made.
    pub fn listen(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Listen { path: path.to_path_buf(), source };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(ControlError::NotASocket(path.to_path_buf()));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(ControlError::InUse(path.to_path_buf()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        // Through the umask and not by chmod afterwards: there is no moment at which others may connect.
        let before = rustix::process::umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        Ok(Self { listener: listener.map_err(failed)?, path: path.to_path_buf() })
    }

    /// Answers until the future is dropped.
    pub async fn serve(&self, daemon: Rc<Daemon>) {
        let places = Arc::new(Semaphore::new(MAX_CONVERSATIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let daemon = daemon.clone();
                    tokio::task::spawn_local(async move {
                        if let Err(error) = converse(stream, &daemon).await {
                            tracing::debug!(%error, "a conversation on the control socket broke");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, daemon: &Daemon) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader).take(MAX_REQUEST as u64);
    let mut voice = Voice(BufWriter::new(writer));
    let mut line = Vec::new();
    match tokio::time::timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await {
        Ok(read) => read?,
        Err(_) => return Ok(()),
    };
    if line.is_empty() {
        return Ok(());
    }
    match understand(&line) {
        Ok(verb) => answer(verb, daemon, reader.into_inner(), &mut voice).await?,
        Err(reason) => voice.say(&Answer::Refused(reason)).await?,
    }
    voice.0.flush().await
}

fn understand(line: &[u8]) -> Result<Verb, String> {
    #[derive(serde::Deserialize)]
    struct Spoken {
        version: u32,
    }
    let spoken: Spoken = serde_json::from_slice(line).map_err(|e| format!("not a request: {e}"))?;
    if spoken.version != VERSION {
        return Err(format!(
            "this daemon is gaoler {} and speaks version {VERSION} of the control socket, you speak version {}: \
             restart the daemon after an upgrade",
            env!("CARGO_PKG_VERSION"),
            spoken.version
        ));
    }
    serde_json::from_slice::<Request>(line).map(|r| r.verb).map_err(|e| format!("not a request: {e}"))
}

async fn answer(
    verb: Verb,
    daemon: &Daemon,
    reader: BufReader<OwnedReadHalf>,
    voice: &mut Voice,
) -> io::Result<()> {
    match verb {
        Verb::Status => voice.done(daemon.status().await).await,
        Verb::Why { address } => voice.done(daemon.agent.why(address).await).await,
        Verb::Reload => voice.done(Ok(daemon.reload().await)).await,
        Verb::Ban(order) => match daemon.agent.ban(order).await {
            Ok(Err(refusal)) => voice.say(&Answer::Refused(refusal.to_string())).await,
            Ok(Ok(banned)) => voice.done(Ok(banned)).await,
            Err(gone) => voice.done::<()>(Err(gone)).await,
        },
        Verb::Unban(order) => match daemon.agent.unban(order).await {
            Ok(Err(refusal)) => voice.say(&Answer::Refused(refusal.to_string())).await,
            Ok(Ok(unbanned)) => voice.done(Ok(unbanned)).await,
            Err(gone) => voice.done::<()>(Err(gone)).await,
        },
        Verb::Bans { jail, watch } => bans(jail, watch, daemon, reader, voice).await,
    }
}

async fn bans(
    jail: Option<JailName>,
    watch: bool,
    daemon: &Daemon,
    mut reader: BufReader<OwnedReadHalf>,
    voice: &mut Voice,
) -> io::Result<()> {
    // Before the list, so that nothing falls between.
    let mut events = daemon.agent.subscribe();
    match list(jail.clone(), daemon, voice).await? {
        Ok(_) if watch => {}
        listed => return voice.done(listed).await,
    }
    voice.0.flush().await?;
    let mut nothing = [0];
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            // The client says nothing more; when it goes away, so do we.
            _ = reader.read(&mut nothing) => return Ok(()),
        };
        match event {
            Ok(event) if jail.is_none() || event.ban.jail == jail => voice.item(&*event).await?,
            Ok(_) => {}
            Err(RecvError::Lagged(lost)) => {
                return voice.say(&Answer::Refused(format!("{lost} events came faster than you read"))).await;
            }
            Err(RecvError::Closed) => return voice.done(Ok(0)).await,
        }
        if events.is_empty() {
            voice.0.flush().await?;
        }
    }
}

/// Says which bans are in force, and tells how many that were.
async fn list(jail: Option<JailName>, daemon: &Daemon, voice: &mut Voice) -> io::Result<Result<usize, Gone>> {
    let places = match daemon.agent.places(jail).await {
        Ok(places) => places,
        Err(gone) => return Ok(Err(gone)),
    };
    let mut listed = 0;
    for portion in places.chunks(PORTION) {
        match daemon.agent.bans_at(portion.to_vec()).await {
            Ok(bans) => {
                for ban in &bans {
                    voice.item(ban).await?;
                }
                listed += bans.len();
            }
            Err(gone) => return Ok(Err(gone)),
        }
    }
    Ok(Ok(listed))
}

/// Writes answers.
struct Voice(BufWriter<OwnedWriteHalf>);

impl Voice {
    async fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }

    async fn item(&mut self, item: &impl Serialize) -> io::Result<()> {
        let item = serde_json::to_value(item)?;
        self.say(&Answer::Item(item)).await
    }

    async fn done<T: Serialize>(&mut self, answer: Result<T, Gone>) -> io::Result<()> {
        let answer = match answer {
            Ok(answer) => Answer::Done(serde_json::to_value(answer)?),
            Err(gone) => Answer::Refused(gone.to_string()),
        };
        self.say(&answer).await
    }
}
