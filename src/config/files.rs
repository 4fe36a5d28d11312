//! Directories and files to [`Object`]s.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::node::{Node, Position};
use super::origin::Origin;
use super::resources::Object;
use super::{Problem, Severity, yaml};

/// A file of manifests at most, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Directories inside each other at most; links may make circles.
const MAX_DEPTH: usize = 16;

/// What was read.
#[derive(Debug, Default)]
pub struct Manifests {
    /// One for each document.
    pub objects: Vec<Object>,
    /// Files and documents that cannot be read.
    pub problems: Vec<Problem>,
    /// Files of which something could not be read: what they declared before may still be meant.
    pub damaged: Vec<Arc<Path>>,
}

/// Reads files, and directories with all their `*.yaml`, `*.yml` and `*.json`, sorted by path. Names that begin with
/// a dot are left out (editors, mounted config maps).
#[must_use]
pub fn read(paths: &[PathBuf]) -> Manifests {
    let mut read = Manifests::default();
    for path in paths {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let mut files = Vec::new();
                walk(path, 0, &mut files, &mut read);
                if files.is_empty() {
                    let name = path.as_path().into();
                    let message = format!("there is no manifest in `{}`", path.display());
                    read.note(
                        &name,
                        Severity::Warning,
                        &message,
                        "put files that end in `.yaml` or `.json` there",
                    );
                }
                for file in files {
                    file_into(&file, &mut read);
                }
            }
            Ok(_) => file_into(path, &mut read),
            Err(error) => {
                read.damage(
                    &path.as_path().into(),
                    &format!("`{}` cannot be read: {error}", path.display()),
                    "check the path and its permissions",
                );
            }
        }
    }
    read
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>, into: &mut Manifests) {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut paths: Vec<PathBuf> = match listed {
        Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
        Err(error) => {
            let message = format!("`{}` cannot be listed: {error}", directory.display());
            into.damage(&directory.into(), &message, "check its permissions");
            return;
        }
    };
    paths.sort();
    for path in paths {
        if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, files, into);
            }
        } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json") {
            files.push(path);
        }
    }
}

fn file_into(path: &Path, into: &mut Manifests) {
    let name: Arc<Path> = path.into();
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > MAX_FILE => {
            let message = format!("`{}` is larger than {} MiB", path.display(), MAX_FILE >> 20);
            into.damage(&name, &message, "divide it into several files");
        }
        Ok(_) => text_into(&name, bytes, into),
        Err(error) => {
            into.damage(
                &name,
                &format!("`{}` cannot be read: {error}", path.display()),
                "check its permissions",
            );
        }
    }
}

/// Adds the documents of one text, e.g. of standard input.
pub fn text_into(name: &Arc<Path>, bytes: Vec<u8>, into: &mut Manifests) {
    let text: Arc<str> = match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before =
                String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let message = "the file is not UTF-8";
            let mut problem = Origin { file: Arc::clone(name), text: "".into() }.problem(
                Severity::Error,
                Position { line: line as u32, column: column as u32 },
                message,
                "save it as UTF-8",
            );
            problem.excerpt = None;
            into.problems.push(problem);
            into.damaged.push(Arc::clone(name));
            return;
        }
    };
    let origin = Origin { file: Arc::clone(name), text: Arc::clone(&text) };
    for document in yaml::documents(&text) {
        match document {
            Ok(node) => into
                .objects
                .extend(unfold(node).into_iter().map(|node| Object { origin: origin.clone(), node })),
            Err(error) => {
                into.problems.push(origin.problem(Severity::Error, error.at, &error.message, &error.fix));
                into.damaged.push(Arc::clone(name));
            }
        }
    }
}

/// The items of a `kind: List`, as `kubectl get -o yaml` prints it; else the document itself.
fn unfold(node: Node) -> Vec<Node> {
    use super::node::NodeValue;
    let is_list = node.text("kind").is_some_and(|kind| kind == "List");
    match node.value {
        NodeValue::Map(entries) if is_list => entries
            .into_iter()
            .filter(|(key, _)| key.name == "items")
            .flat_map(|(_, items)| match items.value {
                NodeValue::List(items) => items,
                _ => Vec::new(),
            })
            .collect(),
        value => vec![Node { at: node.at, value }],
    }
}

impl Manifests {
    fn note(&mut self, name: &Arc<Path>, severity: Severity, message: &str, fix: &str) {
        let origin = Origin { file: Arc::clone(name), text: "".into() };
        self.problems.push(origin.problem(severity, Position::default(), message, fix));
    }

    fn damage(&mut self, name: &Arc<Path>, message: &str, fix: &str) {
        self.note(name, Severity::Error, message, fix);
        self.damaged.push(Arc::clone(name));
    }
}
