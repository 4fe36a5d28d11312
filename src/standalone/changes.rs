//! Notices that manifests changed.
//!
//! By looking at their names, sizes and times twice a second: a directory of a few files costs some microseconds,
//! and it works the same for editors that rename, for symlinks that are re-targeted and for file systems that send
//! no events.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often to look. A change counts when the next look finds the same, so that a half-written file is not read.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// What the manifests looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Appearance(Vec<(PathBuf, u64, u64, i64, i64)>);

/// Watches some files and directories.
#[derive(Debug)]
pub struct Changes {
    paths: Vec<PathBuf>,
    read: Appearance,
    seen: Appearance,
}

impl Changes {
    /// Begins with the paths as they are now.
    #[must_use]
    pub fn of(paths: &[PathBuf]) -> Self {
        let now = look(paths);
        Self { paths: paths.to_vec(), read: now.clone(), seen: now }
    }

    /// Whether they look different than when this last returned true, and did so at the look before, too.
    pub fn settled(&mut self) -> bool {
        let now = look(&self.paths);
        let settled = now == self.seen && now != self.read;
        if settled {
            self.read = now.clone();
        }
        self.seen = now;
        settled
    }
}

fn look(paths: &[PathBuf]) -> Appearance {
    let mut found = Vec::new();
    for path in paths {
        visit(path, 0, &mut found);
    }
    found.sort();
    Appearance(found)
}

fn visit(path: &Path, depth: u32, found: &mut Vec<(PathBuf, u64, u64, i64, i64)>) {
    let Ok(meta) = fs::metadata(path) else { return };
    if meta.is_dir() {
        // Deep enough for any directory of manifests, and an end for symlinks in a circle.
        if depth < 8
            && let Ok(entries) = fs::read_dir(path)
        {
            for entry in entries.flatten() {
                visit(&entry.path(), depth + 1, found);
            }
        }
    } else {
        found.push((path.to_path_buf(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_settled_and_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_path_buf()];
        let mut changes = Changes::of(&paths);
        assert!(!changes.settled());
        fs::write(directory.path().join("jail.yaml"), "kind: Ja").unwrap();
        assert!(!changes.settled());
        fs::write(directory.path().join("jail.yaml"), "kind: Jail").unwrap();
        assert!(!changes.settled());
        assert!(changes.settled());
        assert!(!changes.settled());
    }

    #[test]
    fn a_file_that_goes_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jail.yaml");
        fs::write(&path, "kind: Jail").unwrap();
        let mut changes = Changes::of(&[directory.path().to_path_buf()]);
        fs::remove_file(&path).unwrap();
        assert!(!changes.settled());
        assert!(changes.settled());
    }

    #[test]
    fn a_symlink_to_another_directory_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        for d in [&one, &two] {
            fs::create_dir(d).unwrap();
            fs::write(d.join("jail.yaml"), "kind: Jail").unwrap();
        }
        let data = directory.path().join("data");
        std::os::unix::fs::symlink(&one, &data).unwrap();
        let mut changes = Changes::of(std::slice::from_ref(&data));
        fs::remove_file(&data).unwrap();
        std::os::unix::fs::symlink(&two, &data).unwrap();
        assert!(!changes.settled());
        assert!(changes.settled());
    }
}
