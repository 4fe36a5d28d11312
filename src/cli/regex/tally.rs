//! What a trial found, and how it is printed.

use std::fmt::Write as _;
use std::io::{BufRead, Read as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{Args, shown};
use crate::cli::Context;
use crate::engine::ReadClock;
use crate::engine::filter::Filter;
use crate::engine::scanner::{Trial, Tried};

/// Fewer lines of a kind than this are printed without being asked for.
const FEW: usize = 20;
/// Lines kept to be printed.
const MOST_KEPT: usize = 100_000;
/// A longer line counts as several; no filter looks that far.
const LONGEST: u64 = 16 << 20;

/// What was tried so far.
pub(super) struct Tally<'a> {
    args: &'a Args,
    trial: Trial,
    /// Lines to be printed: matched, ignored, missed.
    lines: [Vec<String>; 3],
    /// Addresses to be printed, each with its rule.
    found: Vec<(u16, String)>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(args: &'a Args, trial: Trial) -> Self {
        Self { args, trial, lines: Default::default(), found: Vec::new() }
    }

    /// Tries every line of `log`.
    pub(super) fn read(
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

    pub(super) fn json(&self, filter: &Filter) -> serde_json::Value {
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

    /// What `fail2ban-regex` would print.
    pub(super) fn text(&self, filter: &Filter, took: Duration, context: &Context) -> String {
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
            "\nLines: {} lines, {} ignored, {} matched, {} missed\n[processed in {:.2} sec]",
            counts.tested(),
            counts.ignored,
            counts.matched,
            counts.missed,
            took.as_secs_f64(),
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
