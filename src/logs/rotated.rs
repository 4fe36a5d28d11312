//! Names that rotation gives: `james.log.1`, `james.log-20260101.gz`, `0.log.20060102-150405`, `james-2026-01-01.log`.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use smallvec::SmallVec;

use crate::engine::Timestamp;

/// One way to read a name as that of a rotated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rotated {
    /// The name before rotation.
    pub(super) base: OsString,
    /// The suffix came behind the whole name (`james.log.1`), not before its extension (`james-20260101.log`).
    pub(super) appended: bool,
    /// Compressed.
    pub(super) gzip: bool,
    /// The numbers of the suffix.
    pub(super) numbers: SmallVec<[u64; 4]>,
}

/// All ways to read the name, the shortest base first. Empty for a name that does not look rotated.
pub(super) fn readings(name: &[u8]) -> Vec<Rotated> {
    let (plain, gzip) = match name.strip_suffix(b".gz") {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let mut found = Vec::new();
    for (i, _) in plain.iter().enumerate().filter(|(i, byte)| *i > 0 && is_separator(**byte)) {
        let (base, suffix) = (plain.get(..i).unwrap_or_default(), plain.get(i + 1..).unwrap_or_default());
        if is_suffix(suffix) || matches!(suffix, b"old" | b"bak" | b"prev") {
            found.push(Rotated { base: os(base), appended: true, gzip, numbers: numbers(suffix) });
        } else if let Some(dot) = suffix.iter().rposition(|&byte| byte == b'.') {
            let (middle, extension) =
                (suffix.get(..dot).unwrap_or_default(), suffix.get(dot..).unwrap_or_default());
            // Without a date it is as well the name of a second instance: `james-2.log`.
            let dated = gzip || middle.iter().filter(|byte| byte.is_ascii_digit()).count() >= 6;
            if dated && is_suffix(middle) && extension.iter().skip(1).any(u8::is_ascii_alphabetic) {
                let base = [base, extension].concat();
                found.push(Rotated { base: os(&base), appended: false, gzip, numbers: numbers(middle) });
            }
        }
    }
    if gzip && !plain.is_empty() {
        found.push(Rotated { base: os(plain), appended: true, gzip, numbers: SmallVec::new() });
    }
    found
}

/// What the names of all rotated files of this one begin with.
pub(super) fn stem(base: &[u8]) -> &[u8] {
    let dot = base.iter().rposition(|&byte| byte == b'.').filter(|&i| i > 0);
    base.get(..dot.unwrap_or(base.len())).unwrap_or_default()
}

/// Whether a name is surely that of a log file, so that `NAME.1` is its rotated sibling even when `NAME` is not there.
pub(super) fn is_log_name(name: &[u8]) -> bool {
    [".log", ".txt", ".out", ".err", ".json", ".jsonl"].iter().any(|e| name.ends_with(e.as_bytes()))
}

/// Whether the name ends in something that only rotation writes and nothing reads: a compression other than gzip, or
/// an archive that is still being written.
pub(super) fn is_unreadable(name: &[u8]) -> bool {
    [".bz2", ".xz", ".zst", ".zip", ".lz4", ".tmp"].iter().any(|e| name.ends_with(e.as_bytes()))
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b'_')
}

fn is_suffix(suffix: &[u8]) -> bool {
    suffix.first().is_some_and(u8::is_ascii_digit)
        && suffix.last().is_some_and(u8::is_ascii_alphanumeric)
        && suffix
            .iter()
            .all(|&b| b.is_ascii_digit() || is_separator(b) || matches!(b, b':' | b'+' | b'T' | b'Z'))
}

fn numbers(suffix: &[u8]) -> SmallVec<[u64; 4]> {
    suffix
        .split(|byte| !byte.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| {
            digits
                .iter()
                .fold(0_u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d.saturating_sub(b'0'))))
        })
        .collect()
}

/// What the age of a rotated file is told by.
pub(super) struct Age<'a> {
    pub(super) numbers: &'a [u64],
    pub(super) modified: Timestamp,
}

/// How the numbers of a name tell its age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Not at all.
    Silent,
    /// logrotate's count: the highest is the oldest.
    Counted,
    /// A date, or more than one number: the highest is the youngest.
    Dated,
}

impl Age<'_> {
    fn kind(&self) -> Kind {
        match self.numbers {
            [] => Kind::Silent,
            [n] if *n < 100_000 => Kind::Counted,
            _ => Kind::Dated,
        }
    }

    fn by_name(&self, other: &Age<'_>) -> Ordering {
        self.kind().cmp(&other.kind()).then_with(|| match self.kind() {
            Kind::Silent => self.modified.cmp(&other.modified),
            Kind::Counted => other.numbers.cmp(self.numbers),
            Kind::Dated => self.numbers.cmp(other.numbers),
        })
    }
}

/// Sorts from the oldest to the youngest: by name where the names agree on how to tell it (those that do not tell are
/// files of former names, and come first), otherwise by the time of the last write.
pub(super) fn oldest_first<T>(files: &mut [T], age: impl Fn(&T) -> Age<'_>) {
    let mut kinds = files.iter().map(|file| age(file).kind()).filter(|kind| *kind != Kind::Silent);
    let first = kinds.next();
    if kinds.all(|kind| Some(kind) == first) {
        files.sort_by(|a, b| age(a).by_name(&age(b)));
    } else {
        files.sort_by(|a, b| age(a).modified.cmp(&age(b).modified).then_with(|| age(a).by_name(&age(b))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(name: &str) -> Vec<String> {
        readings(name.as_bytes()).iter().map(|r| r.base.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_names_of_logrotate_logback_and_the_kubelet_lead_to_the_file_they_came_from() {
        for (name, base) in [
            ("james.log.1", "james.log"),
            ("james.log.2.gz", "james.log"),
            ("james.log-20260101", "james.log"),
            ("james.log-20260101-1714000000.gz", "james.log"),
            ("james.log.old", "james.log"),
            ("0.log.20060102-150405", "0.log"),
            ("0.log.20060102-150405.gz", "0.log"),
            ("james-2026-01-01.log", "james.log"),
            ("james.2026-01-01.0.log.gz", "james.log"),
            ("james.1.log.gz", "james.log"),
            ("james.log.gz", "james.log"),
            ("james.log.260101", "james.log"),
            ("james-260101.log", "james.log"),
        ] {
            assert!(bases(name).iter().any(|b| b == base), "{name}: {:?}", bases(name));
        }
    }

    #[test]
    fn names_of_other_files_are_not_taken_for_rotated_ones() {
        for name in [
            "james.log",
            "james-2.log",
            "james-26011.log",
            "mail.log",
            "a.b.c",
            "access.log.tmp",
            "10.log",
            "james.log.x1",
        ] {
            assert_eq!(bases(name), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn the_highest_number_is_the_oldest_and_the_lowest_date() {
        let sort = |names: &[&'static str]| {
            let mut files: Vec<_> = names
                .iter()
                .map(|n| (*n, readings(n.as_bytes()).first().map(|r| r.numbers.clone()).unwrap_or_default()))
                .collect();
            oldest_first(&mut files, |f| Age { numbers: &f.1, modified: Timestamp::MIN });
            files.into_iter().map(|f| f.0).collect::<Vec<_>>()
        };
        assert_eq!(sort(&["a.log.1", "a.log.10.gz", "a.log.2.gz"]), ["a.log.10.gz", "a.log.2.gz", "a.log.1"]);
        assert_eq!(
            sort(&["0.log.20260102-150405", "0.log.20260101-235959.gz"]),
            ["0.log.20260101-235959.gz", "0.log.20260102-150405"]
        );
        // Six digits are a date without its century, five are a count.
        assert_eq!(sort(&["a.log.260101", "a.log.251231"]), ["a.log.251231", "a.log.260101"]);
        assert_eq!(sort(&["a.log.99998", "a.log.99999"]), ["a.log.99999", "a.log.99998"]);
        assert_eq!(sort(&["a.log.100001", "a.log.100000"]), ["a.log.100000", "a.log.100001"]);
    }
}
