//! `gaoler explain`

use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Context, ExitStatus, Table};
use crate::agent::replay::never_banned;
use crate::config::library::built_in;
use crate::config::{FilterLibrary, JailConfig, Loaded, load};
use crate::engine::filter::Filter;
use crate::engine::house::{NeverBan, Why};
use crate::engine::scanner::{Envelope, Explanation, FilterAccount, Reason, ScanState, Scanner};
use crate::engine::{AddressPolicy, FilterName, FilterSpec, JailName, LayoutSpec, ReadClock, cri};

/// Show how a log line is judged: layout, fields, rules, address, and whether it would count
///
/// The same code as in the daemon says why. Without --jail and --filter, the declared jail is meant if there is but one;
/// else the filters of all are asked, or all built-in filters if none is declared. Several lines are read as lines of
/// one source: an event that was counted is not counted again.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Exit codes:
  0  some line would count
  1  none would

Examples:
  gaoler explain '16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@192.0.2.1'
  tail -n 3 /opt/james/log/james.log | gaoler explain --jail james -
  gaoler explain --filter james-pop3-auth - < james.log
  gaoler explain -v LINE        every rule, not only the nearest")]
pub struct Args {
    /// The line, or `-` for lines from standard input
    #[arg(value_name = "LINE")]
    pub(super) line: String,
    /// The jail whose filters, layout and ignore list are used
    #[arg(short, long, value_name = "JAIL")]
    pub(super) jail: Option<String>,
    /// A filter, declared or built in; may be given several times
    #[arg(short, long, value_name = "FILTER", conflicts_with = "jail")]
    pub(super) filter: Vec<String>,
    /// Manifests: a file, or a directory of .yaml files; may be given several times [default: /etc/gaoler if it exists]
    #[arg(short, long, value_name = "PATH")]
    pub(super) config: Vec<PathBuf>,
}

/// One line's account. This is `-o json`, one object a line: fields are added, never renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    /// The line as given.
    line: String,
    #[serde(flatten)]
    explanation: Explanation,
    /// Whether some filter's match would be counted.
    counted: bool,
    /// Why a match would not be counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spared: Vec<String>,
}

/// Judges and prints.
///
/// # Errors
/// When a jail or filter is not there or is broken, or stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    judge(args, &configuration(args)?, context)
}

/// As [`run`], with jails and filters from elsewhere.
///
/// # Errors
/// As [`run`].
pub(super) fn judge(args: &Args, loaded: &Loaded, context: &Context) -> anyhow::Result<ExitStatus> {
    let jail = match (&args.jail, loaded.config.jails.as_slice()) {
        (Some(name), _) => Some(jail(loaded, name)?),
        // The only one is meant.
        (None, [only]) if args.filter.is_empty() => Some(only),
        _ => None,
    };
    let filters = filters(args, loaded, jail)?;
    let never = house(loaded, jail);
    let layout = jail.map_or(LayoutSpec::Auto, |jail| jail.layout.clone());
    let zone = TimeZone::system();
    let now = jiff::Timestamp::now().into();
    let clock = ReadClock { now, live: false, newest: now, zone: &zone };
    let mut source: Option<(Scanner, ScanState)> = None;
    let mut counted = false;
    let mut judge = |line: &[u8]| -> anyhow::Result<()> {
        let (scanner, state) = match &mut source {
            Some(source) => source,
            none => {
                let envelope = if cri::parse(line).is_some() { Envelope::Cri } else { Envelope::None };
                let scanner = Scanner::new(&filters, &layout, envelope, &AddressPolicy::default())?;
                none.insert((scanner, ScanState::default()))
            }
        };
        let explanation = scanner.explain(state, line, clock);
        let account = Account::new(line, explanation, &never);
        counted |= account.counted;
        if context.data() { context.print_item(&account) } else { context.say(account.text(context)) }
    };
    if args.line == "-" {
        for (number, line) in std::io::stdin().lock().split(b'\n').enumerate() {
            if number > 0 && !context.data() {
                context.say("")?;
            }
            judge(&line?)?;
        }
    } else {
        judge(args.line.as_bytes())?;
    }
    Ok(ExitStatus::from_answer(counted))
}

fn configuration(args: &Args) -> anyhow::Result<Loaded> {
    let usual = PathBuf::from("/etc/gaoler");
    let paths = match args.config.as_slice() {
        [] if usual.exists() => vec![usual],
        paths => paths.to_vec(),
    };
    if let Some(path) = paths.iter().find(|path| !path.exists()) {
        bail!("{} does not exist", path.display());
    }
    let loaded = load(&paths, None);
    if loaded.errors() > 0 {
        tracing::warn!("{} errors in the configuration: `gaoler check` tells them", loaded.errors());
    }
    Ok(loaded)
}

fn jail<'l>(loaded: &'l Loaded, name: &str) -> anyhow::Result<&'l Arc<JailConfig>> {
    let jails = &loaded.config.jails;
    let names = || jails.iter().map(|jail| jail.name().as_str()).collect::<Vec<_>>().join(", ");
    let found = jails.iter().find(|jail| *jail.name() == JailName::new(name));
    found.with_context(|| match jails.is_empty() {
        true => "no jail is declared; name the manifests with --config".to_owned(),
        false => format!("there is no jail `{name}` in use; there is: {}", names()),
    })
}

fn filters(args: &Args, loaded: &Loaded, jail: Option<&Arc<JailConfig>>) -> anyhow::Result<Vec<Arc<Filter>>> {
    let mut specs: Vec<Arc<FilterSpec>> = Vec::new();
    for name in &args.filter {
        let spec = loaded.filter(&FilterName::new(name));
        specs.push(spec.with_context(|| {
            format!("there is no filter `{name}`; `gaoler filters` lists the built-in ones")
        })?);
    }
    let jails = jail.map_or(loaded.config.jails.as_slice(), std::slice::from_ref);
    if specs.is_empty() {
        specs.extend(jails.iter().flat_map(|jail| jail.filters.iter().cloned()));
    }
    if specs.is_empty() {
        let library = built_in();
        specs.extend(library.names().iter().filter_map(|name| library.get(name)));
    }
    let mut seen = Vec::new();
    specs.retain(|spec| {
        !seen.contains(&spec.name) && {
            seen.push(spec.name.clone());
            true
        }
    });
    let compile = |spec: &Arc<FilterSpec>| {
        Filter::compile(spec).map(Arc::new).with_context(|| format!("filter {} cannot be used", spec.name))
    };
    specs.iter().map(compile).collect()
}

/// Who is never banned, as far as it is known without the daemon.
fn house(loaded: &Loaded, jail: Option<&Arc<JailConfig>>) -> NeverBan {
    let everywhere = never_banned(&loaded.config.allowed);
    let mut prefixes: Vec<_> = everywhere.prefixes().map(|(net, why)| (net, why.clone())).collect();
    if let Some(jail) = jail {
        prefixes.extend(jail.spec.ignore.iter().map(|net| (*net, Why::JailIgnore)));
        if !jail.ban_private {
            prefixes.extend(NeverBan::private());
        }
    }
    NeverBan::new(prefixes)
}

/// Whether a time is still to come, by more than clocks differ.
fn is_ahead(time: &str) -> bool {
    let now = jiff::Timestamp::now();
    time.parse::<jiff::Timestamp>().is_ok_and(|time| time.duration_since(now).as_secs() > 60)
}

impl Account {
    fn new(line: &[u8], explanation: Explanation, never: &NeverBan) -> Self {
        let (mut counted, mut spared) = (false, Vec::new());
        for matched in explanation.filters.iter().filter_map(|filter| filter.matched) {
            match never.covers(matched.address) {
                None => counted = true,
                Some(why) => {
                    let text = format!("{} is never banned: {why}", matched.address);
                    if !spared.contains(&text) {
                        spared.push(text);
                    }
                }
            }
        }
        Self { line: String::from_utf8_lossy(line).into_owned(), explanation, counted, spared }
    }

    fn text(&self, context: &Context) -> String {
        let Explanation { envelope, layout, shows, event, skipped, filters } = &self.explanation;
        let mut facts = Table::plain();
        let mut fact = |name: &str, value: &str| facts.row([context.faint(name), shown(value)]);
        fact("line", &self.line);
        if let Some(envelope) = envelope {
            fact("envelope", &format!("{}, {}", envelope.stream, envelope.time));
        }
        fact("layout", layout.as_deref().unwrap_or("not recognised"));
        if layout.is_none() {
            fact("", "→ copy James' <pattern> into the jail: source.layout: {type: Pattern, pattern: '…'}");
        }
        if let Some(event) = event {
            let time = event.time.as_deref().unwrap_or("");
            for (name, value) in [
                ("time", time),
                ("level", &event.level),
                ("logger", &event.logger),
                ("message", &event.message),
            ] {
                if !value.is_empty() {
                    fact(name, value);
                }
                if name == "time" && is_ahead(value) {
                    fact(
                        "",
                        "→ in the future, so it counts as now; a time zone of James' own: %d{…, Europe/Berlin}",
                    );
                }
            }
            for (key, value) in &event.context {
                fact(&format!("context {key}"), value);
            }
        } else if layout.is_some() {
            fact("event", "none: the line has not the form of the layout");
        }
        if let Some(shows) = shows {
            fact("", &format!("→ it shows {shows}; the agent takes to another layout after 20 such lines"));
        }
        if let Some(date) = filters.iter().find_map(|filter| filter.date.as_deref()) {
            fact("date found", date);
        }
        let mut out = facts.to_string();
        for filter in filters {
            out.push('\n');
            out.push_str(&verdict(filter, context));
        }
        for spared in &self.spared {
            out.push('\n');
            out.push_str(&context.yellow(spared));
        }
        let end = match (skipped, self.counted) {
            (Some(why), _) => context.yellow(format!("not counted: {why}")),
            (None, true) => context.red("counted"),
            (None, false) => context.green("not counted"),
        };
        format!("{out}\n{end}")
    }
}

/// What a filter says: the rule that came furthest, or with `-v` all of them.
fn verdict(filter: &FilterAccount, context: &Context) -> String {
    let line = |rule: &crate::engine::scanner::RuleAccount| {
        let reason = shown(&rule.reason.to_string());
        let reason = if matches!(rule.reason, Reason::Matched { .. }) { context.red(reason) } else { reason };
        let field = rule.field.as_deref().map_or_else(String::new, |field| format!(" {field}"));
        format!("{}{field}: {reason}", context.bold(&filter.filter))
    };
    if context.verbose > 0 {
        return filter.rules.iter().map(line).collect::<Vec<_>>().join("\n");
    }
    let furthest = filter.rules.iter().rev().max_by_key(|rule| distance(&rule.reason));
    furthest.map_or_else(|| format!("{}: not asked", context.bold(&filter.filter)), line)
}

/// How far a rule came.
fn distance(reason: &Reason) -> u8 {
    match reason {
        Reason::NoLayout | Reason::OtherLayout | Reason::NoRegex | Reason::NoPrefix => 0,
        Reason::Logger { .. } => 1,
        Reason::Context { .. } => 2,
        Reason::Message => 3,
        Reason::Matched { .. } => 5,
        _ => 4,
    }
}

/// Text for a terminal: no control character of a log gets through.
fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;

    const LINE: &str =
        "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@192.0.2.1";

    fn account(line: &str, never: &[&str]) -> Account {
        let library = built_in();
        let filter = Filter::compile(&library.get(&FilterName::new("james-smtp-auth")).unwrap()).unwrap();
        let policy = AddressPolicy::default();
        let scanner = Scanner::new(&[Arc::new(filter)], &LayoutSpec::Auto, Envelope::None, &policy).unwrap();
        static ZONE: TimeZone = TimeZone::UTC;
        let now = crate::engine::Timestamp::from_secs(1_795_366_800);
        let clock = ReadClock { now, live: false, newest: now, zone: &ZONE };
        let never =
            NeverBan::new(never.iter().map(|net| (net.parse().unwrap(), Why::AllowList("office".into()))));
        Account::new(
            line.as_bytes(),
            scanner.explain(&mut ScanState::default(), line.as_bytes(), clock),
            &never,
        )
    }

    fn text(account: &Account, verbose: u8) -> String {
        account.text(&Context { format: Format::Text, color: false, socket: "/nowhere".into(), verbose })
    }

    #[test]
    fn a_line_that_counts_shows_its_layout_fields_rule_and_address() {
        let account = account(LINE, &[]);
        assert!(account.counted);
        let text = text(&account, 0);
        for part in [
            "layout   JamesDefault\n",
            "logger   o.a.j.p.s.AUTHENTICATION\n",
            ": failure of 192.0.2.1 from the text at 2026-11-22T16:45:34.154Z, weight 1\ncounted",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn lines_of_another_layout_say_so_until_the_source_is_taken_to_have_it() {
        let library = built_in();
        let filter = Filter::compile(&library.get(&FilterName::new("james-smtp-auth")).unwrap()).unwrap();
        let policy = AddressPolicy::default();
        let scanner = Scanner::new(&[Arc::new(filter)], &LayoutSpec::Auto, Envelope::None, &policy).unwrap();
        static ZONE: TimeZone = TimeZone::UTC;
        let now = crate::engine::Timestamp::from_secs(1_795_366_800);
        let clock = ReadClock { now, live: false, newest: now, zone: &ZONE };
        let mut state = ScanState::default();
        let mut explained = |line: &str| {
            let explanation = scanner.explain(&mut state, line.as_bytes(), clock);
            Account::new(line.as_bytes(), explanation, &NeverBan::new([]))
        };
        let json = r#"{"timestamp":"2026-11-22T16:45:41.985Z","level":"INFO","thread":"x","logger":"org.apache.james.protocols.smtp.AUTHENTICATION","message":"AUTH method PLAIN failed from Username{x}@192.0.2.2","context":"default"}"#;
        assert!(explained(LINE).counted);
        for n in 1..20 {
            let account = explained(json);
            assert!(!account.counted && text(&account, 0).contains("it shows JsonLayout"), "{n}");
        }
        let account = explained(json);
        assert!(account.counted && !text(&account, 0).contains("it shows"), "{}", text(&account, 0));
    }

    #[test]
    fn an_address_on_an_allow_list_is_not_counted_and_the_list_is_named() {
        let account = account(LINE, &["192.0.2.0/24"]);
        assert!(!account.counted);
        assert!(
            text(&account, 0).ends_with("192.0.2.1 is never banned: on the allow list office\nnot counted"),
            "{}",
            text(&account, 0)
        );
    }

    #[test]
    fn a_line_that_does_not_count_names_the_nearest_rule_and_with_v_all_of_them() {
        let account = account(&LINE.replace("@192.0.2.1", "@mx.example.org"), &[]);
        let short = text(&account, 0);
        assert!(short.contains("james-smtp-auth rules["), "{short}");
        assert!(short.ends_with("\nnot counted"), "{short}");
        assert!(text(&account, 1).lines().count() > short.lines().count());
    }

    #[test]
    fn control_characters_of_a_log_do_not_reach_the_terminal() {
        let text = text(&account("16:45:34.154 [INFO ] a.B - x\x1b]0;evil\x07", &[]), 1);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
