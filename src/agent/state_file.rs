//! One file that is either the old or the new state, never half of one.
//!
//! Layout: a line `gaoler-state VERSION`, one line of JSON, a line `crc32 XXXXXXXX` over all before it. A new state
//! is written beside the old one, synced, and renamed over it; the one before stays as `.1`. A file that is cut
//! off or changed is put aside as `.damaged`, and `.1` is used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::{Crc, CrcReader};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Raised when the content changes so that older programs must not read it.
const VERSION: u32 = 1;
const MAGIC: &str = "gaoler-state ";
const TRAILER: usize = "\ncrc32 01234567\n".len();
/// Bytes read or written at once.
const PIECE: usize = 64 << 10;

/// Why state could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process holds the file.
    #[error("{path} is in use by another gaoler (process {holder}); two would undo each other's bans")]
    InUse {
        /// The state file.
        path: PathBuf,
        /// Its process id, as it wrote it.
        holder: String,
    },
    /// There is a directory of that name.
    #[error("{path} is a directory; name a file in it, e.g. {}", .path.join("state").display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// There is somebody else's file of that name.
    #[error(
        "{path} is there and no state of gaoler: it is left as it is; name a file of gaoler's own, or remove it"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The directory or file cannot be used.
    #[error("cannot use {path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The state file of this process; nobody else can open it meanwhile.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    _lock: File,
}

/// What was found at start.
#[derive(Debug)]
pub struct Found<T> {
    /// The newest good state; `None` at the first start or when nothing good is left.
    pub state: Option<T>,
    /// What was wrong with newer files, one sentence each.
    pub troubles: Vec<String>,
}

impl StateFile {
    /// Takes the file, making its directory when needed.
    ///
    /// # Errors
    /// When another process holds it, it is a directory or somebody else's file, or the directory it is in cannot be written.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(StateError::Directory { path: path.to_path_buf() });
        }
        // A link is followed once: what is saved takes the place of the file, not of the link.
        let linked = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
        let path = linked.as_deref().unwrap_or(path);
        if is_foreign(path) {
            return Err(StateError::Foreign { path: path.to_path_buf() });
        }
        let unusable = |path: &Path| {
            let path = path.to_path_buf();
            move |source| StateError::Unusable { path, source }
        };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(unusable(directory))?;
        }
        let lock_path = beside(path, ".lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(unusable(&lock_path))?;
        if let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error == rustix::io::Errno::WOULDBLOCK {
                let holder = io::read_to_string(&lock).unwrap_or_default().trim().to_string();
                return Err(StateError::InUse { path: path.to_path_buf(), holder });
            }
            return Err(unusable(&lock_path)(error.into()));
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(unusable(&lock_path))?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the newest good state.
    #[must_use]
    pub fn load<T: DeserializeOwned>(&self) -> Found<T> {
        let mut troubles = Vec::new();
        for path in [self.path.clone(), beside(&self.path, ".1")] {
            match File::open(&path).and_then(|file| decode(&file)) {
                Ok(Ok(state)) => return Found { state: Some(state), troubles },
                Ok(Err(reason)) => {
                    let aside = beside(&self.path, ".damaged");
                    let kept = match fs::rename(&path, &aside) {
                        Ok(()) => format!("kept as {}", aside.display()),
                        Err(error) => format!("left where it is: {error}"),
                    };
                    troubles.push(format!("{} is damaged ({reason}); {kept}", path.display()));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => troubles.push(format!("cannot read {}: {error}", path.display())),
            }
        }
        Found { state: None, troubles }
    }

    /// Writes `state` beside the file. [`Staged::commit`] makes it the state; that part waits for the disk and may
    /// be done by another thread.
    ///
    /// # Errors
    /// When the disk takes no more. The state before stays as it is.
    pub fn stage(&self, state: &impl Serialize) -> io::Result<Staged> {
        let path = beside(&self.path, ".new");
        let write = || {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            let mut out = Summed { out: BufWriter::with_capacity(PIECE, file), crc: Crc::new() };
            writeln!(out, "{MAGIC}{VERSION}")?;
            serde_json::to_writer(&mut out, state)?;
            let sum = out.crc.sum();
            write!(out, "\ncrc32 {sum:08x}\n")?;
            out.out.into_inner().map_err(io::IntoInnerError::into_error)
        };
        match write() {
            Ok(file) => Ok(Staged { file, staged: path, target: self.path.clone() }),
            Err(error) => {
                // Gives the room back: on a full disk half a file helps nobody.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }
}

/// A state that is written but not yet in force.
#[derive(Debug)]
pub struct Staged {
    file: File,
    staged: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Syncs it, keeps the state before as `.1`, and puts it in its place. At every moment the file is there and
    /// whole.
    ///
    /// # Errors
    /// When the disk fails. The state before stays as it is.
    pub fn commit(self) -> io::Result<()> {
        let outcome = self.file.sync_data().and_then(|()| {
            self.keep_previous();
            fs::rename(&self.staged, &self.target)
        });
        if outcome.is_err() {
            let _ = fs::remove_file(&self.staged);
        }
        outcome?;
        match self.target.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }
}

impl Staged {
    /// Gives the file in force the second name `.1`, so that there is no moment without a state. When there is
    /// none in force (it was damaged), the `.1` that served instead stays.
    fn keep_previous(&self) {
        let (previous, link) = (beside(&self.target, ".1"), beside(&self.target, ".1.new"));
        let _ = fs::remove_file(&link);
        match fs::hard_link(&self.target, &link).and_then(|()| fs::rename(&link, &previous)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, "the state before is not kept");
            }
            _ => {}
        }
        // Renaming one name of a file over another of the same file leaves both.
        let _ = fs::remove_file(&link);
    }
}

/// Counts the checksum of what passes.
struct Summed<W> {
    out: W,
    crc: Crc,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.crc.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The state in a file, or what is wrong with it. Reads it twice in small pieces, once for the checksum and once for
/// the state: a hundred thousand bans never stand in memory as text.
fn decode<T: DeserializeOwned>(mut file: &File) -> io::Result<Result<T, String>> {
    let Some(split) = file.metadata()?.len().checked_sub(TRAILER as u64) else {
        return Ok(Err("it is cut off".into()));
    };
    let mut content = CrcReader::new(BufReader::with_capacity(PIECE, file.take(split)));
    io::copy(&mut content, &mut io::sink())?;
    let mut trailer = String::new();
    let sum = match file.take(TRAILER as u64).read_to_string(&mut trailer) {
        Ok(_) => trailer.strip_prefix("\ncrc32 ").and_then(|rest| rest.strip_suffix('\n')),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => return Err(error),
    };
    let Some(sum) = sum.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else {
        return Ok(Err("it is cut off".into()));
    };
    if content.crc().sum() != sum {
        return Ok(Err("its checksum is wrong".into()));
    }
    file.rewind()?;
    let mut content = BufReader::with_capacity(PIECE, file.take(split));
    let mut first = Vec::new();
    content.read_until(b'\n', &mut first)?;
    let version = std::str::from_utf8(&first).ok().and_then(|line| line.strip_prefix(MAGIC));
    let Some(version) = version.and_then(|version| version.trim_end().parse::<u32>().ok()) else {
        return Ok(Err("it is no state of gaoler".into()));
    };
    if version != VERSION {
        return Ok(Err(format!("it has version {version}, this gaoler reads version {VERSION}")));
    }
    match serde_json::from_reader(content) {
        Err(error) if error.is_io() => Err(error.into()),
        read => Ok(read.map_err(|error| error.to_string())),
    }
}

/// Whether a file is certainly not a state. Where gaoler was before, its lock is still there: then it is a damaged one.
fn is_foreign(path: &Path) -> bool {
    let Ok(found) = path.metadata() else { return false };
    if !found.is_file() {
        // A device or a pipe: renamed it would be missed, and reading it may wait for ever.
        return true;
    }
    if beside(path, ".lock").exists() {
        return false;
    }
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut first));
    read.is_ok() && !MAGIC.as_bytes().starts_with(&first)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
