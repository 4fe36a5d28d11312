//! `gaoler regex`

mod tally;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;

use self::tally::Tally;
use super::{Context, ExitStatus};
use crate::config::library::built_in;
use crate::config::{FilterLibrary, fail2ban, load};
use crate::engine::filter::Filter;
use crate::engine::scanner::{Envelope, Trial};
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

/// Tries and prints.
///
/// # Errors
/// When the filter is broken, the log cannot be read, or stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let begun = Instant::now();
    let (filter, tally, origin) = tried(args, context)?;
    if context.data() {
        context.print_data(&tally.json(&filter))?;
    } else {
        context.say(format!("\nRunning tests\n=============\n\n{origin}\n"))?;
        context.say(tally.text(&filter, begun.elapsed(), context))?;
    }
    Ok(ExitStatus::Success)
}

/// The filter, what it did with the log, and how both were read.
fn tried<'a>(args: &'a Args, context: &Context) -> anyhow::Result<(Arc<Filter>, Tally<'a>, String)> {
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
    let now = jiff::Timestamp::now().into();
    let clock = ReadClock { now, live: false, newest: now, zone: &zone };
    let first = log.fill_buf()?.split(|b| *b == b'\n').next().unwrap_or_default();
    let envelope = if cri::parse(first).is_some() { Envelope::Cri } else { Envelope::None };
    let mut tally = Tally::new(args, Trial::new(Arc::clone(&filter), &LayoutSpec::Auto, envelope)?);
    tally.read(log.as_mut(), size, clock, context)?;
    Ok((filter, tally, format!("{origin}\n{log_origin}")))
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Format;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn context(verbose: u8) -> Context {
        Context { format: Format::Text, color: false, socket: "/nowhere".into(), verbose }
    }

    fn answer(words: &[&str], verbose: u8) -> String {
        let line = Line::try_parse_from([&["regex"], words].concat()).unwrap();
        let context = context(verbose);
        let (filter, tally, _) = tried(&line.args, &context).unwrap();
        tally.text(&filter, std::time::Duration::ZERO, &context)
    }

    fn refusal(words: &[&str]) -> String {
        let line = Line::try_parse_from([&["regex"], words].concat()).unwrap();
        format!("{:#}", tried(&line.args, &context(0)).map(|_| ()).unwrap_err())
    }

    const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed/james.log");
    const CONF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed/filter.d/james.conf");

    #[test]
    fn the_missions_log_and_filter_match_in_all_lines() {
        let text = answer(&[SEED, CONF], 0);
        assert!(
            text.contains("\nFailregex: 8 total\n|-  #) [# of hits] regular expression\n|   1) [4] ^.-.org"),
            "{text}"
        );
        assert!(
            text.contains("\nDate template hits:\n|- [# of hits] date format\n|  [8] {^LN-BEG}"),
            "{text}"
        );
        assert!(text.contains("\nLines: 8 lines, 0 ignored, 8 matched, 0 missed\n"), "{text}");
        assert!(!text.contains("Missed"), "{text}");
    }

    #[test]
    fn lines_that_nothing_matches_are_shown_and_vetoed_ones_are_ignored() {
        let text = answer(&[SEED, "^.*LOGIN failed from .*@<HOST>$", r"@45\.129\.14\.41$"], 1);
        assert!(text.contains("\nLines: 8 lines, 2 ignored, 2 matched, 4 missed\n"), "{text}");
        assert!(text.contains("\nIgnoreregex: 2 total\n"), "{text}");
        assert!(text.contains("    45.129.14.40  2023-06-17T09:11:50.206Z"), "{text}");
        assert!(text.contains("|- Missed line(s):\n|  2023-06-17 11:11:50.206 +0200 - org"), "{text}");
    }

    #[test]
    fn a_line_may_stand_in_place_of_a_log_and_control_characters_do_not_reach_the_terminal() {
        let text = answer(&["2026-11-22 16:45:34 no \x1b]0;evil\x07", "^ login failed from <HOST>$"], 0);
        assert!(text.contains("Lines: 1 lines, 0 ignored, 0 matched, 1 missed"), "{text}");
        assert!(text.contains(r"no \u{1b}]0;evil\u{7}"), "{text}");
    }

    #[test]
    fn host_names_are_missed_with_a_note() {
        let text = answer(
            &["2026-11-22 16:45:34 login failed from mx.example.org", "^ login failed from <HOST>$"],
            0,
        );
        assert!(text.contains("0 matched, 1 missed"), "{text}");
        assert!(
            text.contains("Note: in 1 lines a regex found a host name; only addresses are banned"),
            "{text}"
        );
    }

    #[test]
    fn a_built_in_filter_is_tried_by_name() {
        let line = "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@192.0.2.1";
        let text = answer(&[line, "james-smtp-auth"], 0);
        assert!(text.contains("\nRules: 1 total\n"), "{text}");
        assert!(text.contains("1 lines, 0 ignored, 1 matched, 0 missed"), "{text}");
    }

    #[test]
    fn mistakes_are_named() {
        for (words, message) in [
            (
                ["x", "<HOST> (abc"],
                "failRegex[0]: unbalanced parenthesis at character 8 of the regex\n  fix: close it, or escape it with a backslash",
            ),
            (
                ["x", "no address"],
                "failRegex[0]: no <HOST> or <ADDR>: the regex names nobody\n  fix: mark the address with <HOST> or <ADDR>",
            ),
            (["/nowhere.log", "^<HOST>$"], "/nowhere.log does not exist"),
            (["x", "nowhere.conf"], "nowhere.conf does not exist"),
        ] {
            assert_eq!(refusal(&words), message);
        }
    }
}
