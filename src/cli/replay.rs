//! `gaoler replay`

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plural::counted;
use super::{Context, ExitStatus, Table, when};
use crate::agent::replay::{Replay, ReplayReport};
use crate::agent::report::BanReport;
use crate::config::{JailConfig, Loaded, load};
use crate::engine::{JailName, Timestamp};

/// Show who a jail would have banned, and when, had it read this log
///
/// Reads the log from its beginning with the clock of its own lines. Nothing is banned and no daemon is asked. Times of
/// day without a date are taken for the last ones before the file was modified; on standard input, before now.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  gaoler replay /opt/james/log/james.log --jail james
  gaoler replay james.log.2.gz james.log.1 james.log --jail james       rotated ones first, oldest first
  kubectl logs james-0 --timestamps=false | gaoler replay - --config jails.yaml
  gaoler replay james.log --jail james -o json | jq -r '.bans[].subject'")]
pub struct Args {
    /// Log files in the order they were written, plain or .gz, or `-` for standard input
    #[arg(required = true, value_name = "LOG")]
    pub(super) logs: Vec<PathBuf>,
    /// The jail; may be left out where only one is declared
    #[arg(short, long, value_name = "JAIL")]
    pub(super) jail: Option<String>,
    /// Manifests: a file, or a directory of .yaml files; may be given several times [default: /etc/gaoler]
    #[arg(short, long, value_name = "PATH")]
    pub(super) config: Vec<PathBuf>,
}

/// How much is read at once, in bytes.
const BLOCK: usize = 1 << 20;
/// A line longer than this is cut: no filter looks that far.
const LONGEST: usize = 16 << 20;

/// Reads, judges and prints.
///
/// # Errors
/// When the jail is not there or cannot be used, a log cannot be read, or stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let usual = [PathBuf::from("/etc/gaoler")];
    let config = if args.config.is_empty() { &usual[..] } else { &args.config };
    if let Some(path) = config.iter().find(|path| !path.exists()) {
        bail!("{} does not exist; name the manifests with --config", path.display());
    }
    judge(args, &load(config, None), context)
}

/// As [`run`], with jails and filters from elsewhere.
///
/// # Errors
/// As [`run`].
pub(super) fn judge(args: &Args, loaded: &Loaded, context: &Context) -> anyhow::Result<ExitStatus> {
    let jail = jail(loaded, args.jail.as_deref())?;
    if loaded.errors() > 0 {
        tracing::warn!("{} errors in the configuration: `gaoler check` tells them", loaded.errors());
    }
    let mut replay = Replay::new(&jail, &loaded.config.allowed)?;
    let bar = bar(&args.logs, context);
    for log in &args.logs {
        read(log, &mut replay, &bar).with_context(|| format!("cannot read {}", log.display()))?;
    }
    bar.finish_and_clear();
    let report = replay.finish();
    if context.data() {
        context.print_data(&report)?;
    } else {
        print(&report, context)?;
    }
    Ok(ExitStatus::Success)
}

fn jail(loaded: &Loaded, name: Option<&str>) -> anyhow::Result<Arc<JailConfig>> {
    let jails = &loaded.config.jails;
    let names = || jails.iter().map(|jail| jail.name().as_str()).collect::<Vec<_>>().join(", ");
    match (name, &jails[..]) {
        (_, []) => bail!("no jail is declared; name the manifests with --config and look at `gaoler check`"),
        (None, [only]) => Ok(Arc::clone(only)),
        (None, _) => bail!("say which jail with --jail: {}", names()),
        (Some(name), _) => match jails.iter().find(|jail| *jail.name() == JailName::new(name)) {
            Some(jail) => Ok(Arc::clone(jail)),
            None => bail!("there is no jail `{name}` in use; there is: {}", names()),
        },
    }
}

fn bar(logs: &[PathBuf], context: &Context) -> ProgressBar {
    let sizes: Option<u64> = logs.iter().map(|log| std::fs::metadata(log).ok().map(|m| m.len())).sum();
    let target = if context.progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(sizes, target);
    let shape = "{bytes} of {total_bytes} [{wide_bar}] {bytes_per_sec}, {eta} to go";
    if let Ok(style) = ProgressStyle::with_template(shape) {
        bar.set_style(style);
    }
    bar
}

fn read(log: &Path, replay: &mut Replay, bar: &ProgressBar) -> anyhow::Result<()> {
    if log.as_os_str() == "-" {
        return lines(bar.wrap_read(io::stdin().lock()), replay, jiff::Timestamp::now().into());
    }
    let file = File::open(log)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a directory; name the log files in it");
    }
    let written = metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let written = written.unwrap_or_else(jiff::Timestamp::now).into();
    let file = bar.wrap_read(file);
    match log.extension() {
        Some(gz) if gz == "gz" => lines(MultiGzDecoder::new(BufReader::new(file)), replay, written),
        _ => lines(file, replay, written),
    }
}

/// Gives whole lines to the jail. The last one may lack its newline.
fn lines(mut from: impl Read, replay: &mut Replay, written: Timestamp) -> anyhow::Result<()> {
    let mut held = Vec::new();
    loop {
        let before = held.len();
        from.by_ref().take(BLOCK as u64).read_to_end(&mut held)?;
        if held.len() == before {
            break;
        }
        match memchr::memrchr(b'\n', held.get(before..).unwrap_or_default()) {
            Some(end) => {
                let rest = held.split_off(before + end + 1);
                replay.read(&held, written)?;
                held = rest;
            }
            None => held.truncate(LONGEST),
        }
    }
    if !held.is_empty() {
        held.push(b'\n');
        replay.read(&held, written)?;
    }
    Ok(())
}

fn print(report: &ReplayReport, context: &Context) -> anyhow::Result<()> {
    if !report.bans.is_empty() {
        let mut table = Table::new(&["ADDRESS", "N", "FROM", "UNTIL", "FAILURES", "RULES"]);
        for ban in &report.bans {
            table.row([
                context.bold(ban.subject),
                ban.n.to_string(),
                when::local(ban.since),
                ban.until.map_or_else(|| "for ever".into(), when::local),
                ban.weight.to_string(),
                rules(ban),
            ]);
        }
        context.say(table)?;
    }
    context.say(summary(report))
}

fn rules(ban: &BanReport) -> String {
    let rule = |r: &crate::agent::report::RuleCount| format!("{} x{}", r.rule, r.matches);
    ban.rules.iter().map(rule).collect::<Vec<_>>().join(", ")
}

/// `8 lines, 8 failures: jail james would have banned 4 addresses 4 times`, and what else is worth a word.
fn summary(report: &ReplayReport) -> String {
    let tallies = &report.tallies;
    let failures = tallies.failures + tallies.while_banned + tallies.never_banned + tallies.too_late;
    let mut who: Vec<_> = report.bans.iter().map(|ban| ban.subject).collect();
    who.sort_unstable();
    who.dedup();
    let bans = match report.bans.len() {
        0 => "nobody".to_string(),
        n if n == who.len() => counted(n as u64, "subject"),
        n => format!("{}, {n} times", counted(who.len() as u64, "subject")),
    };
    let (lines, failures) = (counted(report.lines, "line"), counted(failures, "failure"));
    let mut text = format!("{lines}, {failures}: jail {} would have banned {bans}", report.jail);
    for (n, what) in [
        (tallies.never_banned, "of somebody who is never banned"),
        (tallies.too_late, "written more than findTime too late"),
    ] {
        if n > 0 {
            text += &format!("; {} {what}", counted(n, "failure"));
        }
    }
    if tallies.braked > 0 {
        text += &format!("; {} held back by the brake", counted(tallies.braked, "ban"));
    }
    text
}
