//! `gaoler regex`

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Context, ExitStatus};
use crate::config::library::built_in;
use crate::config::{FilterLibrary, fail2ban, load};
use crate::engine::filter::Filter;
use crate::engine::scanner::{Envelope, Trial, Tried};
use crate::engine::{FilterName, FilterSpec, LayoutSpec, ReadClock, TextSpec, cri};

/// Try a filter or a regex on a log, as fail2ban-regex does
///
/// Tells how often each regex matches, which dates are found, and which lines nothing matches. Every regex is asked
/// about every line, other than when reading logs, where the first that matches speaks.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler regex /opt/james/log/james.log /etc/fail2ban/filter.d/james.conf
  gaoler regex james.log james-smtp-auth                        a built-in filter
  gaoler regex james.log filters/mine.yaml                      a Gaoler Filter
  gaoler regex james.log '^.*failed from .*@<HOST>$' 'user=test'
  gaoler regex '2026-11-22 16:45:34 login failed from 192.0.2.1' '^ login failed from <HOST>$'")]
pub struct Args {
    /// A log file, `-` for standard input, or one line
    #[arg(value_name = "LOG")]
    log: String,
    /// A fail2ban filter file, a Gaoler Filter, the name of a built-in filter, or a regex
    #[arg(value_name = "FILTER|REGEX")]
    filter: String,
    /// A regex that vetoes
    #[arg(value_name = "IGNOREREGEX")]
    ignore: Option<String>,
    /// The pattern of dates, in fail2ban's notation
    #[arg(short, long, value_name = "PATTERN")]
    datepattern: Option<String>,
    /// Look at so many lines together
    #[arg(short = 'L', long, value_name = "N")]
    maxlines: Option<u32>,
    /// The zone of dates that name none, e.g. Europe/Paris
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Print all lines that nothing matched, however many
    #[arg(long)]
    print_all_missed: bool,
    /// Print all lines that were ignored, however many
    #[arg(long)]
    print_all_ignored: bool,
    /// Print all lines that matched
    #[arg(long)]
    print_all_matched: bool,
    /// Print no line that nothing matched
    #[arg(long)]
    print_no_missed: bool,
}

/// Fewer lines of a kind than this are printed without being asked for.
const FEW: usize = 20;
/// Lines kept to be printed.
const MOST_KEPT: usize = 100_000;
/// A longer line counts as several; no filter looks that far.
const LONGEST: u64 = 16 << 20;

/// Tries and prints.
///
/// # Errors
/// When the filter is broken, the log cannot be read, or stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let (mut spec, mut origin) = filter(&args.filter)?;
    if let Some(regex) = &args.ignore {
        let _ = write!(origin, "\nUse ignoreregex line : {}", shown(regex.as_bytes()));
    }
    adjust(&mut spec, args);
    let filter = Arc::new(Filter::compile(&spec).map_err(|e| match e.fix.as_str() {
        "" => anyhow::anyhow!("{e}"),
        fix => anyhow::anyhow!("{e}\n  fix: {fix}"),
    })?);
    let (mut log, log_origin, size) = log(&args.log)?;
    let zone = match &args.timezone {
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name).with_context(|| format!("there is no time zone `{name}`"))?,
    };
    let clock = ReadClock { now: jiff::Timestamp::now().into(), live: false, zone: &zone };
    let begun = Instant::now();
    let first = log.fill_buf()?.split(|b| *b == b'\n').next().unwrap_or_default();
    let envelope = if cri::parse(first).is_some() { Envelope::Cri } else { Envelope::None };
    let trial = Trial::new(Arc::clone(&filter), &LayoutSpec::Auto, envelope)?;
    let mut tally = Tally { args, trial, lines: Default::default(), found: Vec::new() };
    tally.read(log.as_mut(), size, clock, context)?;
    if context.json() {
        context.print_json(&tally.json(&filter))?;
    } else {
        context.say(format!("\nRunning tests\n=============\n\n{origin}\n{log_origin}\n"))?;
        context.say(tally.text(&filter, begun.elapsed().as_secs_f64(), context))?;
    }
    Ok(ExitStatus::Success)
}

/// The filter meant, and how it was read.
fn filter(text: &str) -> anyhow::Result<(FilterSpec, String)> {
    let path = Path::new(text);
    let name = || FilterName::new(&path.file_stem().unwrap_or_default().to_string_lossy());
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if path.is_file() {
        let shown = path.display();
        if matches!(extension, "yaml" | "yml" | "json") {
            let loaded = load(&[path.to_owned()], None);
            let mut filters = loaded.filters();
            let Some(spec) = filters.next() else {
                let problems: Vec<String> = loaded.all_problems().map(ToString::to_string).collect();
                bail!("{shown} holds no usable Filter\n{}", problems.join("\n"));
            };
            if filters.next().is_some() {
                bail!("{shown} holds several Filters; write the one to try into a file of its own");
            }
            return Ok(((**spec).clone(), format!("Use      filter manifest : {}, {shown}", spec.name)));
        }
        let content = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
        let spec =
            fail2ban::read(&name(), &String::from_utf8_lossy(&content)).with_context(|| shown.to_string())?;
        let basedir =
            path.parent().and_then(Path::parent).map(|p| p.display().to_string()).unwrap_or_default();
        return Ok((spec, format!("Use   failregex filter file : {}, basedir: {basedir}", name())));
    }
    if let Some(spec) = built_in().get(&FilterName::new(text)) {
        return Ok(((*spec).clone(), format!("Use     built-in filter : {text}")));
    }
    let like_a_path = text.starts_with('/') || matches!(extension, "conf" | "local" | "yaml" | "yml");
    if like_a_path && !text.contains(['<', ' ', '^', '(', '\\']) {
        bail!("{text} does not exist");
    }
    let rules = TextSpec { fail_regex: vec![text.to_owned()], max_lines: 1, ..TextSpec::default() };
    let spec = FilterSpec {
        name: "regex".into(),
        rules: vec![],
        successes: vec![],
        text: Some(rules),
        one_per: None,
    };
    Ok((spec, format!("Use   failregex line : {text}")))
}

fn adjust(spec: &mut FilterSpec, args: &Args) {
    let Some(text) = &mut spec.text else { return };
    text.ignore_regex.extend(args.ignore.clone());
    if let Some(pattern) = &args.datepattern {
        text.date_patterns = vec![pattern.clone()];
    }
    if let Some(lines) = args.maxlines {
        text.max_lines = lines;
    }
}

/// The log, how it was read, and its size if that is known.
fn log(text: &str) -> anyhow::Result<(Box<dyn BufRead>, String, Option<u64>)> {
    let path = Path::new(text);
    if text == "-" {
        let stdin = BufReader::new(std::io::stdin());
        return Ok((
            Box::new(stdin),
            "Use      standard input\nUse         encoding : UTF-8".to_owned(),
            None,
        ));
    }
    if path.is_file() {
        let file = File::open(path).with_context(|| format!("cannot read {text}"))?;
        let size = file.metadata()?.len();
        let origin = format!("Use         log file : {text}\nUse         encoding : UTF-8");
        return Ok((Box::new(BufReader::with_capacity(1 << 18, file)), origin, Some(size)));
    }
    if text.starts_with('/') && !text.contains(' ') {
        bail!("{text} does not exist");
    }
    let line = std::io::Cursor::new(text.as_bytes().to_vec());
    Ok((Box::new(line), format!("Use      single line : {}", shown(text.as_bytes())), None))
}

/// A line for a terminal: no control character of it gets through.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().chars().fold(String::new(), |mut out, c| {
        if c.is_control() && c != '\t' {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// What was tried so far.
struct Tally<'a> {
    args: &'a Args,
    trial: Trial,
    /// Lines to be printed: matched, ignored, missed.
    lines: [Vec<String>; 3],
    /// Addresses to be printed, each with its rule.
    found: Vec<(u16, String)>,
}

impl Tally<'_> {
    fn read(
        &mut self,
        mut log: &mut dyn BufRead,
        size: Option<u64>,
        clock: ReadClock<'_>,
        context: &Context,
    ) -> anyhow::Result<()> {
        let target =
            if context.progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(size, target);
        if let Ok(style) = ProgressStyle::with_template("{bytes} of {total_bytes} [{wide_bar}] {eta} to go") {
            bar.set_style(style);
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut log).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            bar.inc(line.len() as u64);
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let found = &mut self.found;
            let tried = self.trial.line(text, clock, &mut |hit| {
                if context.verbose > 0 && found.len() < MOST_KEPT {
                    let several = if hit.several { " (multiple regex matched)" } else { "" };
                    found.push((hit.rule.rule, format!("    {}  {}{several}", hit.address, hit.time)));
                }
            });
            self.keep(tried, text);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn keep(&mut self, tried: Tried, line: &[u8]) {
        let args = self.args;
        let (kind, wanted, all) = match tried {
            Tried::Skipped => return,
            Tried::Matched => (0, args.print_all_matched, args.print_all_matched),
            Tried::Ignored => (1, true, args.print_all_ignored),
            Tried::Missed => (2, !args.print_no_missed, args.print_all_missed),
        };
        let most = if all { MOST_KEPT } else { FEW };
        if let Some(kept) = self.lines.get_mut(kind).filter(|kept| wanted && kept.len() < most) {
            kept.push(shown(line));
        }
    }

    fn json(&self, filter: &Filter) -> serde_json::Value {
        let counts = &self.trial.counts;
        let rules = (0..).zip(&counts.rules).map(
            |(rule, hits)| json!({"field": filter.field(rule), "hits": hits, "regex": filter.describe(rule)}),
        );
        let dates = counts.dates.iter().map(|(form, hits)| json!({"form": form, "hits": hits}));
        let [matched, ignored, missed] = &self.lines;
        json!({
            "lines": counts.tested(), "ignored": counts.ignored, "matched": counts.matched, "missed": counts.missed,
            "prefix": counts.prefix, "rules": rules.collect::<Vec<_>>(), "vetoes": counts.ignore,
            "dates": dates.collect::<Vec<_>>(), "hostNames": counts.names, "gaveUp": counts.gave_up,
            "bounded": filter.bounded(), "incomplete": filter.incomplete(),
            "matchedLines": matched, "ignoredLines": ignored, "missedLines": missed,
        })
    }

    fn text(&self, filter: &Filter, seconds: f64, context: &Context) -> String {
        let counts = &self.trial.counts;
        let mut out = "\nResults\n=======\n".to_owned();
        if let Some(pref) = filter.pref_regex() {
            let _ = writeln!(out, "\nPrefregex: {} total", counts.prefix);
            list(&mut out, "", &[pref.to_owned()]);
        }
        let structured = filter.structured_rules();
        let (rules, regexes) = counts.rules.split_at(structured.min(counts.rules.len()));
        if !rules.is_empty() {
            self.section(&mut out, "Rules", rules, 0, filter, context);
        }
        self.section(&mut out, "Failregex", regexes, structured, filter, context);
        let vetoes: Vec<String> = (1..)
            .zip(counts.ignore.iter().zip(filter.ignore_regexes()))
            .filter(|(_, (hits, _))| **hits > 0 || context.verbose > 0)
            .map(|(number, (hits, regex))| format!("{number:2}) [{hits}] {regex}"))
            .collect();
        let _ = writeln!(out, "\nIgnoreregex: {} total", counts.ignore.iter().sum::<u64>());
        list(&mut out, " #) [# of hits] regular expression", &vetoes);
        let dates: Vec<String> = counts.dates.iter().map(|(form, hits)| format!("[{hits}] {form}")).collect();
        let _ = writeln!(out, "\nDate template hits:");
        list(&mut out, "[# of hits] date format", &dates);
        let _ = writeln!(
            out,
            "\nLines: {} lines, {} ignored, {} matched, {} missed\n[processed in {seconds:.2} sec]",
            counts.tested(),
            counts.ignored,
            counts.matched,
            counts.missed,
        );
        self.remarks(&mut out, filter);
        let [matched, ignored, missed] = &self.lines;
        for (name, lines, total, all) in [
            ("Matched", matched, counts.matched, self.args.print_all_matched),
            ("Ignored", ignored, counts.ignored, self.args.print_all_ignored),
            ("Missed", missed, counts.missed, self.args.print_all_missed),
        ] {
            if total == 0 || lines.is_empty() {
                continue;
            }
            if all || total < FEW as u64 {
                out.push('\n');
                list(&mut out, &format!("{name} line(s):"), lines);
            } else {
                let option = name.to_lowercase();
                let _ = write!(
                    out,
                    "\n{name} line(s): too many to print.  Use --print-all-{option} to print all {total} lines"
                );
            }
        }
        out.truncate(out.trim_end().len());
        out
    }

    fn section(
        &self,
        out: &mut String,
        name: &str,
        hits: &[u64],
        first: usize,
        filter: &Filter,
        context: &Context,
    ) {
        let _ = writeln!(out, "\n{name}: {} total", hits.iter().sum::<u64>());
        let mut lines = Vec::new();
        for (index, hits) in hits.iter().enumerate().filter(|(_, hits)| **hits > 0 || context.verbose > 0) {
            let rule = u16::try_from(first + index).unwrap_or(u16::MAX);
            lines.push(format!("{:2}) [{hits}] {}", index + 1, filter.describe(rule)));
            lines.extend(self.found.iter().filter(|(of, _)| *of == rule).map(|(_, text)| text.clone()));
        }
        list(out, " #) [# of hits] regular expression", &lines);
    }

    /// What fail2ban would do otherwise.
    fn remarks(&self, out: &mut String, filter: &Filter) {
        let counts = &self.trial.counts;
        let mut remark = |text: String| {
            let _ = writeln!(out, "Note: {text}");
        };
        if counts.names > 0 {
            remark(format!("in {} lines a regex found a host name; only addresses are banned", counts.names));
        }
        if counts.gave_up > 0 {
            remark(format!("on {} lines a regex with look-around reached its step limit", counts.gave_up));
        }
        if !filter.bounded().is_empty() {
            remark(format!("not linear, run with a step limit: {}", filter.bounded().join(", ")));
        }
        if !filter.incomplete().is_empty() {
            remark(format!(
                "names only a session (<F-MLFID>), which is not put together: {}",
                filter.incomplete().join(", ")
            ));
        }
    }
}

/// A list as fail2ban-regex draws it; nothing when it is empty.
fn list(out: &mut String, header: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    if !header.is_empty() {
        let _ = writeln!(out, "|- {header}");
    }
    for item in items {
        let _ = writeln!(out, "|  {item}");
    }
    let _ = writeln!(out, "`-");
}
