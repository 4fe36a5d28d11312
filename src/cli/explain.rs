//! `gaoler explain`

mod account;

use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;

use super::{Context, ExitStatus};
use crate::agent::replay::never_banned;
use crate::config::library::built_in;
use crate::config::{FilterLibrary, JailConfig, Loaded, load};
use crate::engine::filter::Filter;
use crate::engine::house::{NeverBan, Why};
use crate::engine::scanner::{Envelope, ScanState, Scanner};
use crate::engine::{AddressPolicy, FilterName, FilterSpec, JailName, LayoutSpec, ReadClock, cri};
use account::Account;

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
        let account = Account::new(line, explanation, &never, &layout);
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
