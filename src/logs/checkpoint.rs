//! How far a file was read, in a form that finds the place again after the file was renamed, copied or compressed.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::Timestamp;

/// How many of a file's first bytes name its content.
pub(super) const HEAD: usize = 256;
/// How many bytes before the offset prove that the offset is still where we left it. Wider than one line of James:
/// equal lines that differ only in their stamps would otherwise look alike after a truncation.
pub(super) const TAIL: usize = 1024;

/// How far one file of a stream was handed over.
///
/// A stream has one of these for the file being read and one for each rotated file that was read before, so that
/// nothing is read twice when the agent starts again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The path that is followed.
    #[serde(with = "escaped")]
    pub path: PathBuf,
    /// Where the file was seen last: `path` itself, a rotated name, or what a symlink points to.
    #[serde(with = "escaped")]
    pub at: PathBuf,
    /// The file's device.
    pub device: u64,
    /// The file's inode.
    pub inode: u64,
    /// Bytes handed over (of the decompressed text, for gzip); always right behind a newline, except inside a line
    /// that is passed over.
    pub offset: u64,
    /// The file's length when it was last looked at, in bytes of text.
    pub size: u64,
    /// The first bytes.
    pub head: Mark,
    /// The bytes before the offset.
    pub tail: Mark,
    /// Whether the offset lies between lines.
    pub inside: Inside,
    /// When bytes were last handed over.
    pub time: Timestamp,
}

/// A hash of some bytes, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Number of bytes hashed.
    pub len: u16,
    /// Their hash.
    pub hash: u64,
}

impl Mark {
    /// Hashes up to 64 KiB. Compares file content with itself; not meant to withstand somebody who chooses the
    /// bytes, who could only make a truncation of his own log go unnoticed.
    pub(super) fn of(bytes: &[u8]) -> Self {
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = bytes.len() as u64;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(K);
        }
        for byte in rest {
            hash = (hash.rotate_left(23) ^ u64::from(*byte)).wrapping_mul(K);
        }
        Self { len: u16::try_from(bytes.len()).unwrap_or(u16::MAX), hash: hash ^ (hash >> 29) }
    }

    /// The number of bytes.
    pub(super) fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Whether these bytes are the ones that were hashed.
    pub(super) fn fits(self, bytes: &[u8]) -> bool {
        Self::of(bytes) == self
    }
}

/// What the offset lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inside {
    /// Before the first byte that is not NUL. A writer that does not append leaves a hole after a truncation.
    #[default]
    Start,
    /// Between two lines.
    Lines,
    /// Within a line over the cap, which is passed over to its newline.
    LongLine,
}

/// Paths as text in any format, also those that are not UTF-8.
mod escaped {
    use super::*;

    pub(super) fn serialize<S: Serializer>(path: &std::path::Path, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for chunk in path.as_os_str().as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '%' => text.push_str("%25"),
                    c => text.push(c),
                }
            }
            for byte in chunk.invalid() {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let code = after.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
            if let Some(value) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            } else {
                bytes.push(byte);
                rest = after;
            }
        }
        Ok(PathBuf::from(OsString::from_vec(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_different_bytes_differ_in_any_position() {
        let bytes: Vec<u8> = (0..200_u8).collect();
        for i in 0..bytes.len() {
            let mut other = bytes.clone();
            other[i] ^= 1;
            assert_ne!(Mark::of(&bytes), Mark::of(&other), "byte {i}");
        }
        assert_ne!(Mark::of(b"\0"), Mark::of(b"\0\0"));
    }

    #[test]
    fn a_checkpoint_of_a_path_that_is_not_text_survives_json() {
        let path = PathBuf::from(OsString::from_vec(b"/var/log/100%/\xff\xe4.log".to_vec()));
        let checkpoint = Checkpoint {
            path: path.clone(),
            at: path,
            device: 1,
            inode: 2,
            offset: 3,
            size: 4,
            head: Mark::of(b"abc"),
            tail: Mark::of(b"abc"),
            inside: Inside::Lines,
            time: Timestamp::from_secs(5),
        };
        let text = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), checkpoint);
    }
}
