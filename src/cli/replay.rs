//! `gaoler replay`

mod summary;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;

use super::days::{self, Part};
use super::{Context, ExitStatus};
use crate::agent::replay::Replay;
use crate::config::{JailConfig, Loaded, load};
use crate::engine::JailName;

/// Show who a jail would have banned, and when, had it read this log
///
/// Reads the log from its beginning with the clock of its own lines. Nothing is banned and no daemon is asked. Where lines
/// bear a time of day and no date, the last one was written when the file was modified, and a new day began where the
/// time goes back; on standard input and in .gz, all are taken for the last ones before now, or before the file was
/// modified.
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

/// How much is read at once, in bytes: what stays in the processor's cache until it was searched.
const BLOCK: usize = 256 * 1024;
/// What is kept of a line that does not fit into a block: enough for the jail to see that it is too long.
const KEPT: usize = BLOCK / 2;

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
        replay.begin(&log.to_string_lossy());
        read(log, &mut replay, &bar).with_context(|| format!("cannot read {}", log.display()))?;
    }
    bar.finish_and_clear();
    let report = replay.finish();
    if context.data() {
        context.print_data(&report)?;
    } else {
        summary::print(&report, context)?;
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
        let parts = days::whole(jiff::Timestamp::now().into());
        return lines(bar.wrap_read(io::stdin().lock()), replay, &parts);
    }
    let file = File::open(log)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a directory; name the log files in it");
    }
    let written = metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let written = written.unwrap_or_else(jiff::Timestamp::now).into();
    if log.extension().is_some_and(|extension| extension == "gz") {
        let file = MultiGzDecoder::new(BufReader::new(bar.wrap_read(file)));
        return lines(file, replay, &days::whole(written));
    }
    // What is no file in a file system cannot be looked at twice.
    let days = if metadata.is_file() {
        days::parts(&file, written, &TimeZone::system())?
    } else {
        days::whole(written)
    };
    lines(bar.wrap_read(file), replay, &days)
}

/// Gives whole lines to the jail. The last one may lack its newline.
fn lines(mut from: impl Read, replay: &mut Replay, parts: &[Part]) -> anyhow::Result<()> {
    // One buffer for the whole log: memory that was touched once costs no more page faults. Room for a last newline.
    let mut buffer = vec![0; BLOCK + 1];
    let mut held = 0;
    let mut total = 0;
    loop {
        let read = match from.read(buffer.get_mut(held..BLOCK).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let end = held + read;
        total += read as u64;
        match memchr::memrchr(b'\n', buffer.get(held..end).unwrap_or_default()) {
            Some(newline) => {
                let next = held + newline + 1;
                give(buffer.get(..next).unwrap_or_default(), total - (end - next) as u64, replay, parts)?;
                buffer.copy_within(next..end, 0);
                held = end - next;
            }
            None if end == BLOCK => held = KEPT,
            None => held = end,
        }
    }
    if held > 0
        && let Some(newline) = buffer.get_mut(held)
    {
        *newline = b'\n';
        give(buffer.get(..=held).unwrap_or_default(), total + 1, replay, parts)?;
    }
    Ok(())
}

/// Gives lines that end at this offset of the log to the jail, those of each day for themselves.
fn give(mut lines: &[u8], end: u64, replay: &mut Replay, parts: &[Part]) -> anyhow::Result<()> {
    for part in parts {
        // A line too long to be held whole began before.
        let behind = end.saturating_sub(part.end);
        let here = lines.len().saturating_sub(usize::try_from(behind).unwrap_or(usize::MAX));
        let (of_it, rest) = lines.split_at(here);
        if !of_it.is_empty() {
            replay.read(of_it, part.written)?;
        }
        lines = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::replay::sample;
    use crate::engine::Timestamp;

    /// Gives no more than so many bytes at once.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(buffer.get_mut(..most).unwrap_or_default())
        }
    }

    /// Lines read, and whom the filter accused how often.
    fn read(log: &[u8], piece: usize) -> (u64, Vec<(String, u64)>) {
        let loaded = sample::logins();
        let mut replay = Replay::new(loaded.config.jails.first().unwrap(), &[]).unwrap();
        lines(Pieces(log, piece), &mut replay, &days::whole(Timestamp::from_secs(1_700_000_000))).unwrap();
        let report = replay.finish();
        (report.lines, report.addresses.iter().map(|a| (a.address.to_string(), a.failures)).collect())
    }

    fn failure(n: usize) -> String {
        format!("2023-06-17 11:00:00 +0000 login failed from 203.0.113.{n}\n")
    }

    #[test]
    fn every_line_is_read_once_whatever_the_pieces_it_comes_in() {
        let mut log: String = (0..20_000).map(|n| failure(n % 250)).collect();
        log.pop();
        let whole = read(log.as_bytes(), usize::MAX);
        assert_eq!((whole.0, whole.1.len()), (20_000, 250));
        assert!(whole.1.iter().all(|(_, failures)| *failures == 80), "{whole:?}");
        for piece in [997, BLOCK - 1, BLOCK, BLOCK + 1] {
            assert_eq!(read(log.as_bytes(), piece), whole, "{piece}");
        }
    }

    #[test]
    fn a_line_longer_than_a_block_hides_neither_the_one_before_nor_the_one_after() {
        for length in [BLOCK - 1, BLOCK, 2 * BLOCK, 5 * BLOCK] {
            let log = [failure(1), "x".repeat(length), "\n".into(), failure(2)].concat();
            for piece in [4096, usize::MAX] {
                let expected = (3, vec![("203.0.113.1".into(), 1), ("203.0.113.2".into(), 1)]);
                assert_eq!(read(log.as_bytes(), piece), expected, "{length}");
            }
        }
    }

    #[test]
    fn failures_at_the_same_time_of_three_days_are_no_attack_and_those_around_midnight_are() {
        let dir = tempfile::tempdir().unwrap();
        let (log, file) = (dir.path().join("james.log"), dir.path().join("all.yaml"));
        std::fs::write(
            &file,
            r"
kind: Jail
apiVersion: gaoler.dev/v1alpha1
metadata: {name: james}
spec:
  filters: [james-smtp-auth]
  source: {files: [/nowhere.log]}
  maxRetry: 3
  findTime: 10m
  enforce: {ports: [25]}
",
        )
        .unwrap();
        let failure = |time: &str, host: u8| {
            format!(
                "{time}.000 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method LOGIN failed from bob@203.0.113.{host}\n"
            )
        };
        let noon = failure("12:00:00", 1);
        let midnight = [failure("23:59:50", 2), failure("23:59:59", 2), failure("00:00:01", 2)].concat();
        std::fs::write(&log, [noon.clone(), midnight, noon.clone(), failure("06:00:00", 3), noon].concat())
            .unwrap();
        let loaded = load(&[file], None);
        let mut replay = Replay::new(loaded.config.jails.first().unwrap(), &[]).unwrap();
        super::read(&log, &mut replay, &ProgressBar::hidden()).unwrap();
        let banned: Vec<String> = replay.finish().bans.iter().map(|ban| ban.subject.to_string()).collect();
        assert_eq!(banned, ["203.0.113.2"]);
    }
}
