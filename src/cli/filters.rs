//! `gaoler filters`

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, ExitStatus, Table};
use crate::config::library::{BuiltIn, built_in};
use crate::engine::FilterName;

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
        None if context.data() => {
            context.print_data(
                &library.iter().map(|(name, filter)| described(name, filter)).collect::<Vec<_>>(),
            )?;
        }
        None => {
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
            context.say(table)?;
        }
    }
    Ok(ExitStatus::Success)
}

struct Counts {
    rules: usize,
    successes: usize,
    examples: usize,
}

impl Counts {
    fn of(filter: &BuiltIn) -> Self {
        let text = filter.spec.text.as_ref().map_or(0, |text| text.fail_regex.len());
        Self {
            rules: filter.spec.rules.len() + text,
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
