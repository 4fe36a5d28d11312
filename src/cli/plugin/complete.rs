//! `kubectl_complete-gaoler`: kubectl runs it with the words of the command line, the last of them unfinished, and
//! reads proposals, one a line with its description behind a tab, and a last line that says what else the shell may
//! propose (the protocol of cobra).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command};

use super::session::{Session, now};
use crate::cli::context::Color;
use crate::cli::{Context, Format};
use crate::kubernetes::connect::Access;
use crate::kubernetes::view::readable;

/// Nobody who pressed a key waits longer for a server.
const PATIENCE: Duration = Duration::from_secs(2);
/// Nor reads more addresses.
const MOST: usize = 200;
/// The shell proposes files beside.
const FILES: &str = ":0";
/// The shell proposes nothing else.
const NOTHING_ELSE: &str = ":4";

/// The proposals for these words.
#[must_use]
pub(in crate::cli) fn proposals(words: &[String]) -> String {
    let (unfinished, words) = words.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
    let place = Place::of(words);
    let (mut found, end) = place.propose(unfinished, words);
    found.retain(|proposal| proposal.starts_with(unfinished));
    found.push(end.to_owned());
    found.join("\n")
}

/// Where in the command tree the unfinished word stands.
struct Place {
    root: Command,
    verb: Option<Command>,
    /// The option whose value it is.
    option: Option<Arg>,
    positionals: usize,
}

impl Place {
    fn of(words: &[String]) -> Self {
        let mut root = super::command();
        root.build();
        let mut place = Self { root, verb: None, option: None, positionals: 0 };
        for word in words {
            if place.option.take().is_some() {
                continue;
            }
            if word.starts_with('-') && word != "-" {
                place.option = place.named(word).filter(|arg| arg.get_action().takes_values()).cloned();
            } else if place.verb.is_none() {
                place.verb = place.root.find_subcommand(word).cloned();
            } else {
                place.positionals += 1;
            }
        }
        place
    }

    fn command(&self) -> &Command {
        self.verb.as_ref().unwrap_or(&self.root)
    }

    fn named(&self, word: &str) -> Option<&Arg> {
        self.command().get_arguments().find(|arg| {
            arg.get_long().is_some_and(|long| word == format!("--{long}"))
                || arg.get_short().is_some_and(|short| word == format!("-{short}"))
        })
    }

    fn propose(&self, unfinished: &str, words: &[String]) -> (Vec<String>, &'static str) {
        if let Some(option) = &self.option {
            return value(option, words);
        }
        if unfinished.starts_with('-') {
            let arguments = self.command().get_arguments().filter(|arg| !arg.is_hide_set());
            let long = |arg: &Arg| Some(told(&format!("--{}", arg.get_long()?), arg.get_help()));
            return (arguments.filter_map(long).collect(), NOTHING_ELSE);
        }
        let Some(verb) = &self.verb else {
            let verbs = self.root.get_subcommands();
            return (verbs.map(|verb| told(verb.get_name(), verb.get_about())).collect(), NOTHING_ELSE);
        };
        match verb.get_name() {
            "why" | "unban" if self.positionals == 0 => (banned(words), NOTHING_ELSE),
            "check" | "replay" | "regex" => (Vec::new(), FILES),
            "filters" => {
                (verb.get_subcommands().map(|v| told(v.get_name(), v.get_about())).collect(), NOTHING_ELSE)
            }
            _ => (Vec::new(), NOTHING_ELSE),
        }
    }
}

fn value(option: &Arg, words: &[String]) -> (Vec<String>, &'static str) {
    match option.get_id().as_str() {
        "jail" => (jails(words), NOTHING_ELSE),
        "config" | "kubeconfig" => (Vec::new(), FILES),
        _ => {
            let values = option.get_possible_values();
            (values.iter().map(|v| told(v.get_name(), v.get_help())).collect(), NOTHING_ELSE)
        }
    }
}

fn told(name: &str, help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    format!("{name}\t{}", help.lines().next().unwrap_or_default())
}

fn banned(words: &[String]) -> Vec<String> {
    let bans = asked(words, async |session, client| Ok(session.view(&client).await?.bans(now(), |_| true)));
    let bans = bans.unwrap_or_default();
    let told = |seen: &crate::kubernetes::view::SeenBan| {
        format!("{}\t{}", seen.ban.subject, crate::cli::show::why(&seen.ban))
    };
    bans.iter().take(MOST).map(told).collect()
}

fn jails(words: &[String]) -> Vec<String> {
    let names = asked(words, async |session, client| {
        let loaded = readable(&client, &session.scope()).await?;
        Ok(loaded.config.jails.iter().map(|jail| jail.name().to_string()).collect())
    });
    names.unwrap_or_default()
}

/// Asks the server that the words before name; `None` when it does not answer at once.
fn asked<T>(
    words: &[String],
    work: impl AsyncFnOnce(&Session<'_>, kube::Client) -> anyhow::Result<T>,
) -> Option<T> {
    let arguments = std::iter::once("kubectl-gaoler".into()).chain(words.iter().map(OsString::from));
    let given = super::command().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    // An option may stand before the verb or behind it.
    let inner = given.subcommand().map(|(_, inner)| inner);
    let text =
        |id: &str| inner.into_iter().chain([&given]).find_map(|m| m.try_get_one::<String>(id).ok()?.cloned());
    let path = |id: &str| {
        inner.into_iter().chain([&given]).find_map(|m| m.try_get_one::<PathBuf>(id).ok()?.cloned())
    };
    let access = Access { kubeconfig: path("kubeconfig"), context: text("cluster") };
    let context = Context::of(Format::Text, Color::Never, PathBuf::new(), 0);
    let session = Session::new(&context, access, text("namespace"));
    session
        .ask(async |client| Ok(tokio::time::timeout(PATIENCE, work(&session, client)).await))
        .ok()?
        .ok()?
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let names = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        proposals(&words).lines().map(names).collect()
    }

    #[test]
    fn verbs_options_and_words_are_proposed() {
        assert_eq!(proposed(&["ba"]), ["ban", "bans", ":4"]);
        assert_eq!(proposed(&["bans", "--wa"]), ["--watch", ":4"]);
        assert_eq!(proposed(&["bans", "--names"]), ["--namespace", ":4"]);
        assert_eq!(proposed(&["bans", "-o", ""]), ["text", "wide", "json", "yaml", ":4"]);
        assert_eq!(proposed(&["-o", "wide", "st"]), ["status", ":4"]);
    }

    #[test]
    fn files_are_proposed_where_files_are_meant() {
        assert_eq!(proposed(&["check", ""]), [":0"]);
        assert_eq!(proposed(&["bans", "--kubeconfig", ""]), [":0"]);
    }
}
