//! `kubectl gaoler`: the verbs that speak to an API server instead of one host's daemon.
//!
//! kubectl runs a program called `kubectl-gaoler` for it, and `kubectl_complete-gaoler` to complete a word; both are
//! the `gaoler` binary under another name. A verb is a module as in [`super`], but its `run` gets a [`Session`].

mod ban;
mod bans;
mod check;
pub(super) mod complete;
mod declared;
mod session;
mod status;
mod support;
mod unban;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use self::session::Session;
use super::context::Color;
use super::{Context, ExitStatus, Format, explain, filters, regex, replay};
use crate::kubernetes::connect::Access;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; the answer is yes
  1  the answer is no, or problems were found
  2  wrong usage, or an error that kept the command from its work
  3  the API server does not answer

Examples:
  kubectl gaoler bans                     who is banned, over the whole cluster
  kubectl gaoler why 203.0.113.7          by which jail, on what evidence, seen by which nodes, until when
  kubectl gaoler unban 203.0.113.7        on every node, also on those that are away now
  kubectl gaoler status                   jails, agents, and what needs a look";

/// Who is banned in this cluster, why, and what to do about it
#[derive(Parser, Debug)]
#[command(name = "kubectl-gaoler", bin_name = "kubectl gaoler", version, after_help = EXIT_CODES)]
#[command(propagate_version = true, max_term_width = 110)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options every verb takes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Only this namespace's jails [default: all]; where a jail is named, the one to look in first
    #[arg(short, long, global = true, value_name = "NAME", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Every namespace's jails, as without --namespace
    #[arg(short = 'A', long, global = true)]
    all_namespaces: bool,
    /// The context within the kubeconfig [default: the current one]
    #[arg(long = "context", global = true, value_name = "NAME")]
    cluster: Option<String>,
    /// A kubeconfig [default: as kubectl finds it]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A table for people, with more columns, or JSON or YAML for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
    /// Colours; `auto` means on a terminal and without NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Ban(ban::Args),
    Bans(bans::Args),
    Check(check::Args),
    Explain(explain::Args),
    Filters(filters::Args),
    Regex(regex::Args),
    Replay(replay::Args),
    Status(status::Args),
    Support(support::Args),
    Unban(unban::Args),
    Why(why::Args),
}

/// Reads the command line of kubectl's plugin; ends the process where it is wrong or asks for help.
#[must_use]
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Cli {
    let matches = command().get_matches_from(arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The whole command tree.
#[must_use]
pub fn command() -> clap::Command {
    let config = |help: &'static str| move |arg: clap::Arg| arg.help(help);
    Cli::command()
        .mut_subcommand("explain", |verb| {
            verb.after_help(EXPLAIN)
                .mut_arg("config", config("Manifests instead of what the cluster declares"))
        })
        .mut_subcommand("replay", |verb| {
            verb.after_help(REPLAY)
                .mut_arg("config", config("Manifests instead of what the cluster declares"))
        })
        .mut_subcommand("filters", |verb| {
            verb.about("List built-in and declared filters, or show a built-in one").after_help(FILTERS)
        })
        .mut_subcommand("regex", |verb| verb.after_help(REGEX))
}

const EXPLAIN: &str = "\
Exit codes:
  0  some line would count
  1  none would

Examples:
  kubectl logs -n mail james-0 --tail=3 | kubectl gaoler explain -n mail --jail james -
  kubectl gaoler explain --filter james-smtp-auth 'LINE'
  kubectl gaoler explain --config jails.yaml 'LINE'        before it is applied";
const REPLAY: &str = "\
Examples:
  kubectl logs -n mail james-0 | kubectl gaoler replay -n mail --jail james -
  kubectl gaoler replay james.log.1 james.log --jail james
  kubectl gaoler replay james.log --config jails.yaml      before it is applied";
const FILTERS: &str = "\
Examples:
  kubectl gaoler filters
  kubectl gaoler filters show james-smtp-auth
  kubectl gaoler filters show james-smtp-auth | kubectl apply -n mail -f -     # to change it";
const REGEX: &str = "\
Examples:
  kubectl logs -n mail james-0 | kubectl gaoler regex - james-smtp-auth
  kubectl gaoler regex james.log filters/mine.yaml";

impl Cli {
    /// What is said on stderr.
    #[must_use]
    pub fn log_level(&self) -> LevelFilter {
        match self.global.verbose {
            // kube's client repeats what the verb says itself.
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::TRACE,
        }
    }

    /// Does what the command line says.
    ///
    /// # Errors
    /// What kept the verb from its work.
    pub fn run(&self) -> anyhow::Result<ExitStatus> {
        let Global { namespace, cluster, kubeconfig, output, color, verbose, .. } = &self.global;
        let context = Context::of(*output, *color, PathBuf::new(), *verbose);
        let access = Access { kubeconfig: kubeconfig.clone(), context: cluster.clone() };
        let session = Session::new(&context, access, namespace.clone());
        match &self.verb {
            Verb::Ban(args) => ban::run(args, &session),
            Verb::Bans(args) => bans::run(args, &session),
            Verb::Check(args) => check::run(args, &session),
            Verb::Explain(args) => declared::explain(args, &session),
            Verb::Filters(args) => declared::filters(args, &session),
            Verb::Regex(args) => regex::run(args, &context),
            Verb::Replay(args) => declared::replay(args, &session),
            Verb::Status(args) => status::run(args, &session),
            Verb::Support(args) => support::run(args, &session),
            Verb::Unban(args) => unban::run(args, &session),
            Verb::Why(args) => why::run(args, &session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does_and_shows_an_example_of_kubectl() {
        for verb in command().get_subcommands() {
            let name = verb.get_name();
            assert!(verb.get_about().is_some(), "{name} has no description");
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let own = format!("kubectl gaoler {name}");
            assert!(after.contains("Examples:\n") && after.contains(&own), "{name} shows no example");
        }
    }
}
