//! Rules of other programs, said in our own resources. Each format is a module that returns an [`Imported`]: what could
//! be said, and line by line what was left out and why. Nothing is left out silently.

pub mod iptables;

use std::fmt::Write as _;

use crate::api::v1alpha1::{API_VERSION, Kind, RateLimitSpec};

/// What became of a file.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// What is said anew, in the order of the file.
    pub manifests: Vec<Manifest>,
    /// What is not, in the order of the file.
    pub left: Vec<Left>,
}

/// One object made of rules.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its name: a DNS label, unlike every other of its kind in the same import.
    pub name: String,
    /// The lines it was made of.
    pub lines: Vec<usize>,
    /// What a person should know: where it differs from the rules.
    pub notes: Vec<String>,
    /// What it declares.
    pub spec: Spec,
}

/// What a manifest declares.
#[derive(Clone, Debug)]
pub enum Spec {
    /// A rate limit.
    RateLimit(RateLimitSpec),
}

/// One line that says nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Left {
    /// Its number, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// Why it was left out, and what to do.
    pub why: String,
}

impl Manifest {
    /// The kind of the object.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.spec {
            Spec::RateLimit(_) => Kind::RateLimit,
        }
    }

    /// The object as an API server takes it.
    ///
    /// # Errors
    /// Never: every spec can be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        let spec = match &self.spec {
            Spec::RateLimit(spec) => serde_json::to_value(spec)?,
        };
        Ok(serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": self.kind().as_str(),
            "metadata": {"name": self.name},
            "spec": spec,
        }))
    }

    /// The object as a YAML document, with its notes as comments before it.
    ///
    /// # Errors
    /// Never: every spec can be written as YAML.
    pub fn to_yaml(&self) -> Result<String, serde_yaml::Error> {
        let mut text = String::new();
        let lines: Vec<String> = self.lines.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "# from line {}", lines.join(", "));
        for note in &self.notes {
            let _ = writeln!(text, "# {note}");
        }
        let json = self.to_json().map_err(<serde_yaml::Error as serde::ser::Error>::custom)?;
        text += &serde_yaml::to_string(&json)?;
        Ok(text)
    }
}

/// A DNS label made of any text, and of `taken` none.
fn label(text: &str, taken: &[Manifest]) -> String {
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(50)
        .collect();
    clean = clean.trim_matches('-').to_owned();
    if clean.is_empty() {
        clean = "limit".into();
    }
    let free = |name: &str| taken.iter().all(|manifest| manifest.name != name);
    if free(&clean) {
        return clean;
    }
    (2..).map(|n: u32| format!("{clean}-{n}")).find(|name| free(name)).unwrap_or(clean)
}
