//! The bytes of one open file by position, plain or gzip.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rustix::fs::{FileType, Mode, OFlags};

use crate::engine::Timestamp;

/// Which file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What `stat` says about a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    pub(super) identity: Identity,
    pub(super) size: u64,
    pub(super) modified: Timestamp,
    pub(super) kind: FileType,
}

impl Stat {
    /// Follows symlinks.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from_raw(&rustix::fs::stat(path)?))
    }

    fn from_raw(raw: &rustix::fs::Stat) -> Self {
        // The fields' types differ between architectures.
        #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
        let micros = i64::try_from(raw.st_mtime)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000)
            .saturating_add(i64::try_from(raw.st_mtime_nsec / 1000).unwrap_or(0));
        Self {
            identity: Identity { device: raw.st_dev, inode: raw.st_ino },
            size: u64::try_from(raw.st_size).unwrap_or(0),
            modified: Timestamp::from_micros(micros),
            kind: FileType::from_raw_mode(raw.st_mode),
        }
    }

    /// Why a file of this kind is not read; `None` for a regular file.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self.kind {
            FileType::RegularFile => None,
            FileType::Directory => Some("is a directory, not a log file"),
            FileType::Fifo => Some("is a named pipe; only regular files can be followed"),
            FileType::Socket => Some("is a socket; only regular files can be followed"),
            FileType::CharacterDevice | FileType::BlockDevice => {
                Some("is a device; only regular files can be followed")
            }
            FileType::Symlink | FileType::Unknown => Some("is no regular file"),
        }
    }
}

/// Whether the name says that the content is compressed.
pub(super) fn is_gzip(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b".gz")
}

/// An open file.
pub(super) enum Body {
    /// Read in place; grows, shrinks, changes.
    Plain(File),
    /// Decompressed forwards; finished when it appears under its name.
    Gzip(Box<Gzip>),
}

impl Body {
    /// Opens a regular file. Never blocks on a pipe that took the file's place in the meantime.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Stat)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let stat = Stat::from_raw(&rustix::fs::fstat(&file)?);
        if let Some(reason) = stat.refusal() {
            return Err(io::Error::other(reason));
        }
        let body = if is_gzip(path) { Self::Gzip(Box::new(Gzip::new(file))) } else { Self::Plain(file) };
        Ok((body, stat))
    }

    /// The same file once more, to be read from its beginning; `at` is where it was opened. Meanwhile it may have been
    /// rotated away from there.
    pub(super) fn again(&self, at: &Path) -> io::Result<Self> {
        match self {
            Self::Plain(file) => Ok(Self::Plain(file.try_clone()?)),
            Self::Gzip(_) => {
                let (body, stat) = Self::open(at)?;
                let same = stat.identity == self.stat()?.identity;
                if same { Ok(body) } else { Err(io::ErrorKind::NotFound.into()) }
            }
        }
    }

    /// The file's present size (as stored) and times.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(gzip) => gzip.file(),
        };
        Ok(Stat::from_raw(&rustix::fs::fstat(file)?))
    }

    /// Whether the file may still change.
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Fills `buffer` from the text's byte `at` on; fewer bytes mean the end. In gzip `at` never goes backwards.
    pub(super) fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => {
                let mut filled = 0;
                while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, at.saturating_add(filled as u64)) {
                        Ok(0) => break,
                        Ok(n) => filled += n,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok(filled)
            }
            Self::Gzip(gzip) => gzip.read_at(at, buffer),
        }
    }

    /// The length of the text: the file's own, or what gzip's trailer claims (modulo 4 GiB).
    pub(super) fn text_size(&self, stat: &Stat) -> io::Result<u64> {
        match self {
            Self::Plain(_) => Ok(stat.size),
            Self::Gzip(gzip) => gzip.claimed_size(stat.size),
        }
    }
}

/// Forward reader that keeps what it decompressed since the last position asked for.
pub(super) struct Gzip {
    decoder: MultiGzDecoder<BufReader<File>>,
    start: u64,
    window: Vec<u8>,
    ended: bool,
}

impl Gzip {
    fn new(file: File) -> Self {
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, file));
        Self { decoder, start: 0, window: Vec::new(), ended: false }
    }

    fn file(&self) -> &File {
        self.decoder.get_ref().get_ref()
    }

    fn claimed_size(&self, stored: u64) -> io::Result<u64> {
        let mut trailer = [0; 4];
        self.file().read_exact_at(&mut trailer, stored.saturating_sub(4))?;
        Ok(u64::from(u32::from_le_bytes(trailer)))
    }

    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if at < self.start {
            return Err(io::Error::other("compressed file asked to go backwards"));
        }
        loop {
            let before = usize::try_from(at - self.start).unwrap_or(usize::MAX).min(self.window.len());
            self.window.drain(..before);
            self.start += before as u64;
            if self.ended || (self.start == at && self.window.len() >= buffer.len()) {
                break;
            }
            self.decompress()?;
        }
        if self.start < at {
            return Ok(0);
        }
        let n = buffer.len().min(self.window.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), self.window.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    /// One step. An archive that ends too soon (still being written, disk full) or turns to garbage ends there: what
    /// came out is good, and a change of the file makes it be opened again.
    fn decompress(&mut self) -> io::Result<()> {
        let old = self.window.len();
        self.window.resize(old + 64 * 1024, 0);
        let got = match self.window.get_mut(old..) {
            Some(room) => self.decoder.read(room),
            None => Ok(0),
        };
        let n = match got {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                self.window.truncate(old);
                return Ok(());
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                ) =>
            {
                0
            }
            Err(e) => {
                self.window.truncate(old);
                return Err(e);
            }
        };
        self.window.truncate(old + n);
        self.ended = n == 0;
        Ok(())
    }
}
