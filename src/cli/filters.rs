//! `gaoler filters`

use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, ExitStatus, Table};
use crate::config::library::{BuiltIn, built_in};
use crate::engine::{FilterName, FilterSpec};

/// List the built-in filters, or show one
///
/// A jail names a filter; a Filter of the same name that you declare takes the place of the built-in one.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler filters
  gaoler filters show james-smtp-auth
  gaoler filters show sshd > /etc/gaoler/sshd.yaml     # to change it")]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print the manifest of a built-in filter, examples included
    Show {
        /// Its name
        name: String,
    },
}

/// Prints the list or one filter.
///
/// # Errors
/// When there is no such filter, or stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let library = built_in();
    match &args.verb {
        Some(Verb::Show { name }) => {
            let Some(filter) = library.built_in(&FilterName::new(name)) else {
                bail!("there is no built-in filter `{name}`; `gaoler filters` lists them");
            };
            if context.data() {
                context.print_data(&filter.declared)?;
            } else {
                context.say(filter.manifest.trim_end())?;
            }
        }
        None => return list(&[], context),
    }
    Ok(ExitStatus::Success)
}

/// Lists the built-in filters and these declared ones.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn list(declared: &[Arc<FilterSpec>], context: &Context) -> anyhow::Result<ExitStatus> {
    let library = built_in();
    if context.data() {
        let built_in = library.iter().map(|(name, filter)| described(name, filter));
        let declared = declared.iter().map(|filter| json!({"name": filter.name, "rules": rules(filter), "successes": filter.successes.len(), "declared": true}));
        context.print_data(&built_in.chain(declared).collect::<Vec<_>>())?;
    } else {
        let mut table = Table::new(&["NAME", "RULES", "SUCCESSES", "EXAMPLES", "DESCRIPTION"]);
        for (name, filter) in library.iter() {
            let Counts { rules, successes, examples } = Counts::of(filter);
            table.row([
                context.bold(name),
                rules.to_string(),
                successes.to_string(),
                examples.to_string(),
                filter.declared.description.clone().unwrap_or_default(),
            ]);
        }
        for filter in declared {
            let counts = [rules(filter), filter.successes.len()].map(|n| n.to_string());
            let cells = [context.bold(&filter.name)].into_iter().chain(counts);
            table.row(cells.chain([String::new(), "(declared)".to_owned()]));
        }
        context.say(table)?;
    }
    Ok(ExitStatus::Success)
}

impl Args {
    /// Whether one filter is asked for by name.
    #[cfg(feature = "kubernetes")]
    pub(super) fn is_about_one(&self) -> bool {
        self.verb.is_some()
    }
}

fn rules(filter: &FilterSpec) -> usize {
    filter.rules.len() + filter.text.as_ref().map_or(0, |text| text.fail_regex.len())
}

struct Counts {
    rules: usize,
    successes: usize,
    examples: usize,
}

impl Counts {
    fn of(filter: &BuiltIn) -> Self {
        Self {
            rules: rules(&filter.spec),
            successes: filter.spec.successes.len(),
            examples: filter.declared.examples.as_ref().map_or(0, Vec::len),
        }
    }
}

fn described(name: &FilterName, filter: &BuiltIn) -> Value {
    let Counts { rules, successes, examples } = Counts::of(filter);
    json!({
        "name": name,
        "description": filter.declared.description,
        "rules": rules,
        "successes": successes,
        "examples": examples,
    })
}
