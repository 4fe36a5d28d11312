//! Globs and exact paths to the files that are there now, and to the directories where others may appear.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use glob::MatchOptions;
use smallvec::SmallVec;

use super::GroupId;

/// How deep `**` goes.
const DEPTH: usize = 16;

/// Like a shell: `*` and `?` match no slash and no leading dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

enum Part {
    Literal(OsString),
    Glob(glob::Pattern),
    /// `**`: any number of directories.
    Deep,
}

impl Part {
    fn fits(&self, name: &std::ffi::OsStr) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Glob(pattern) => pattern.matches_with(&name.to_string_lossy(), OPTIONS),
            Self::Deep => true,
        }
    }
}

struct Pattern {
    group: GroupId,
    text: PathBuf,
    parts: Vec<Part>,
    exact: bool,
}

/// All patterns of all groups.
#[derive(Default)]
pub(super) struct Patterns(Vec<Pattern>);

/// A path that some pattern asks for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) groups: SmallVec<[GroupId; 2]>,
    /// Named by a path without wildcards: followed whatever its name looks like, and awaited when missing.
    pub(super) exact: bool,
}

/// What a walk over the file system found.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) files: BTreeMap<PathBuf, Wanted>,
    pub(super) directories: BTreeSet<PathBuf>,
}

impl Patterns {
    pub(super) fn new(watched: &[(GroupId, Vec<PathBuf>)]) -> Self {
        let all = watched.iter().flat_map(|(group, paths)| paths.iter().map(move |path| (*group, path)));
        Self(all.map(|(group, path)| Pattern::new(group, path)).collect())
    }

    /// Looks at the file system.
    pub(super) fn walk(&self) -> Walk {
        let mut walk = Walk::default();
        for pattern in &self.0 {
            pattern.descend(PathBuf::from("/"), &pattern.parts, DEPTH, &mut walk);
        }
        walk
    }

    /// The groups that ask for this path, whether it exists or not.
    pub(super) fn groups_of(&self, path: &Path) -> SmallVec<[GroupId; 2]> {
        let names = names(path);
        let mut groups = SmallVec::new();
        for pattern in &self.0 {
            if !groups.contains(&pattern.group) && fits(&pattern.parts, &names, false) {
                groups.push(pattern.group);
            }
        }
        groups
    }

    /// Whether the coming or going of this path, a file or a directory, may change what is found.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        let names = names(path);
        self.0.iter().any(|pattern| fits(&pattern.parts, &names, true))
    }

    /// The patterns with wildcards, as given.
    pub(super) fn globs(&self) -> impl Iterator<Item = (GroupId, &Path)> {
        self.0.iter().filter(|p| !p.exact).map(|p| (p.group, p.text.as_path()))
    }
}

fn names(path: &Path) -> Vec<&std::ffi::OsStr> {
    path.components().filter(|c| !matches!(c, Component::RootDir)).map(Component::as_os_str).collect()
}

/// Whether the names are what the parts describe; with `prefix`, or the beginning of it.
fn fits(parts: &[Part], names: &[&std::ffi::OsStr], prefix: bool) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((Part::Deep, rest)), None) => prefix || fits(rest, names, prefix),
        (Some(_), None) => prefix,
        (None, Some(_)) => false,
        (Some((Part::Deep, rest)), Some((_, later))) => {
            fits(rest, names, prefix) || fits(parts, later, prefix)
        }
        (Some((part, rest)), Some((name, later))) => part.fits(name) && fits(rest, later, prefix),
    }
}

impl Pattern {
    fn new(group: GroupId, path: &Path) -> Self {
        // Only fails for an empty path, or when the working directory is gone.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let mut parts: Vec<Part> = names(&path)
            .into_iter()
            .map(|name| match name.to_str() {
                Some("**") => Part::Deep,
                Some(text) if text.contains(['*', '?', '[']) => match glob::Pattern::new(text) {
                    Ok(pattern) => Part::Glob(pattern),
                    // An unclosed bracket means itself.
                    Err(_) => Part::Literal(name.to_owned()),
                },
                _ => Part::Literal(name.to_owned()),
            })
            .collect();
        parts.dedup_by(|a, b| matches!((a, b), (Part::Deep, Part::Deep)));
        let exact = parts.iter().all(|part| matches!(part, Part::Literal(_)));
        Self { group, text: path, parts, exact }
    }

    /// `directory` exists.
    fn descend(&self, directory: PathBuf, parts: &[Part], depth: usize, walk: &mut Walk) {
        let Some((part, rest)) = parts.split_first() else { return };
        match part {
            Part::Literal(name) => {
                let path = directory.join(name);
                if rest.is_empty() {
                    if self.exact || path.symlink_metadata().is_ok() {
                        self.found(path, walk);
                    }
                    walk.directories.insert(directory);
                } else if path.is_dir() {
                    self.descend(path, rest, depth, walk);
                } else {
                    if self.exact {
                        self.found(self.text.clone(), walk);
                    }
                    walk.directories.insert(directory);
                }
            }
            Part::Glob(_) => {
                for entry in directory.read_dir().into_iter().flatten().flatten() {
                    let name = entry.file_name();
                    if !part.fits(&name) {
                        continue;
                    }
                    if rest.is_empty() {
                        self.found(directory.join(name), walk);
                    } else if directory.join(&name).is_dir() {
                        self.descend(directory.join(name), rest, depth, walk);
                    }
                }
                walk.directories.insert(directory);
            }
            Part::Deep => {
                if depth > 0 {
                    for entry in directory.read_dir().into_iter().flatten().flatten() {
                        // Not through symlinks, which may lead in circles.
                        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                            self.descend(directory.join(entry.file_name()), parts, depth - 1, walk);
                        }
                    }
                }
                self.descend(directory.clone(), rest, depth, walk);
                walk.directories.insert(directory);
            }
        }
    }

    fn found(&self, path: PathBuf, walk: &mut Walk) {
        let wanted = walk.files.entry(path).or_default();
        wanted.exact |= self.exact;
        if !wanted.groups.contains(&self.group) {
            wanted.groups.push(self.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(path: &str) -> Patterns {
        Patterns::new(&[(GroupId(1), vec![PathBuf::from(path)])])
    }

    #[test]
    fn a_star_stays_within_one_name_and_two_stars_do_not() {
        let one = patterns("/var/log/*/james*.log");
        assert!(!one.groups_of(Path::new("/var/log/a/james-1.log")).is_empty());
        assert!(one.groups_of(Path::new("/var/log/a/b/james.log")).is_empty());
        let deep = patterns("/var/log/**/james.log");
        for path in ["/var/log/james.log", "/var/log/a/james.log", "/var/log/a/b/james.log"] {
            assert!(!deep.groups_of(Path::new(path)).is_empty(), "{path}");
        }
        assert!(deep.groups_of(Path::new("/var/log/a/other.log")).is_empty());
    }

    #[test]
    fn the_coming_of_a_directory_on_the_way_concerns_a_pattern() {
        let p = patterns("/var/log/*/james.log");
        assert!(p.concerns(Path::new("/var/log")));
        assert!(p.concerns(Path::new("/var/log/new")));
        assert!(p.concerns(Path::new("/var/log/new/james.log")));
        assert!(!p.concerns(Path::new("/var/log/new/other.log")));
        assert!(!p.concerns(Path::new("/var/lib")));
    }

    #[test]
    fn an_exact_path_is_wanted_before_it_exists_and_its_nearest_directory_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/james.log");
        let walk = patterns(path.to_str().unwrap()).walk();
        assert!(walk.files[&path].exact);
        assert_eq!(walk.directories.into_iter().collect::<Vec<_>>(), [dir.path().to_path_buf()]);
    }

    #[test]
    fn hidden_files_are_not_matched_by_a_star() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".james.log.swp", "james.log"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let walk = patterns(dir.path().join("*").to_str().unwrap()).walk();
        assert_eq!(walk.files.into_keys().collect::<Vec<_>>(), [dir.path().join("james.log")]);
    }

    #[test]
    fn an_unclosed_bracket_means_itself() {
        let p = patterns("/var/log/odd[name.log");
        assert!(!p.groups_of(Path::new("/var/log/odd[name.log")).is_empty());
    }
}
