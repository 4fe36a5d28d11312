//! `gaoler doctor`

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::plural::counted;
use super::{Context, ExitStatus, Table};
use crate::config::{Config, Loaded, Severity, Source, load};
use crate::firewall::probe;

/// Tell what works on this machine: kernel, nft, capabilities, configuration, logs, journal, state
///
/// Everything the firewall needs is tried in a throwaway table; nothing on this machine changes. Exits with 1 when
/// something does not work.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler doctor
  gaoler doctor --config ./manifests -o json
  systemd-run -p AmbientCapabilities=CAP_NET_ADMIN -p User=gaoler --pipe gaoler doctor")]
pub struct Args {
    /// Manifests whose sources are looked at
    #[arg(short, long, value_name = "PATH", default_value = "/etc/gaoler")]
    config: Vec<PathBuf>,
    /// The state file whose directory is looked at
    #[arg(long, value_name = "FILE", default_value = "/var/lib/gaoler/state")]
    state: PathBuf,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    area: &'static str,
    what: String,
    health: Health,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Health {
    Good,
    /// Works, or is not needed here.
    Note,
    Bad,
}

/// Looks at everything.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let mut findings = Vec::new();
    firewall(&mut findings);
    let loaded = configuration(&args.config, &mut findings);
    sources(&loaded.config, &mut findings);
    state(&args.state, &mut findings);
    daemon(&context.socket, &mut findings);
    let healthy = findings.iter().all(|finding| finding.health != Health::Bad);
    if context.data() {
        context.print_data(&serde_json::json!({ "healthy": healthy, "findings": findings }))?;
    } else {
        context.say(text(&findings, context))?;
    }
    Ok(ExitStatus::from_answer(healthy))
}

fn text(findings: &[Finding], context: &Context) -> String {
    let mut table = Table::plain();
    let mut area = "";
    for finding in findings {
        if finding.area != area {
            area = finding.area;
            table.row([context.bold(area)]);
        }
        let mark = match finding.health {
            Health::Good => context.green("ok"),
            Health::Note => context.yellow("note"),
            Health::Bad => context.red("BAD"),
        };
        table.row([format!("  {mark}"), finding.what.clone(), finding.detail.clone()]);
        if !finding.remedy.is_empty() {
            table.row([String::new(), String::new(), context.faint(format!("→ {}", finding.remedy))]);
        }
    }
    table.to_string()
}

/// Adds a finding: good, or with this health, detail and remedy.
fn add(
    findings: &mut Vec<Finding>,
    area: &'static str,
    what: impl Into<String>,
    outcome: Result<String, (Health, String, &str)>,
) {
    let (health, detail, remedy) = match outcome {
        Ok(detail) => (Health::Good, detail, ""),
        Err((health, detail, remedy)) => (health, detail, remedy),
    };
    findings.push(Finding { area, what: what.into(), health, detail, remedy: remedy.into() });
}

fn firewall(findings: &mut Vec<Finding>) {
    const AREA: &str = "firewall";
    let report = probe::run();
    let old = (Health::Bad, format!("{} is older than 5.10", report.kernel), "upgrade the kernel");
    add(findings, AREA, "kernel", if report.kernel_supported { Ok(report.kernel) } else { Err(old) });
    add(findings, AREA, "nft", report.nft.map_err(|e| (Health::Bad, e, "install the package nftables")));
    let missing = (Health::Bad, "CAP_NET_ADMIN is missing".into(), "run as root, or grant it in the unit");
    add(
        findings,
        AREA,
        "may change the firewall",
        if report.net_admin { Ok(String::new()) } else { Err(missing) },
    );
    let limited = (
        Health::Note,
        "CAP_DAC_READ_SEARCH is missing".into(),
        "only needed for logs that this user may not read",
    );
    add(
        findings,
        AREA,
        "may read any log",
        if report.dac_read_search { Ok(String::new()) } else { Err(limited) },
    );
    if !report.net_admin {
        let untried =
            format!("not tried: {} need CAP_NET_ADMIN", counted(report.features.len() as u64, "probe"));
        add(findings, AREA, "what the kernel can do", Err((Health::Bad, untried, "sudo gaoler doctor")));
        return;
    }
    for feature in report.features {
        let outcome = match feature.problem {
            None => Ok(String::new()),
            Some(problem) => {
                let health = if feature.essential { Health::Bad } else { Health::Note };
                Err((health, format!("{problem}; without it {}", feature.without), ""))
            }
        };
        add(findings, AREA, feature.name, outcome);
    }
}

fn configuration(paths: &[PathBuf], findings: &mut Vec<Finding>) -> Loaded {
    const AREA: &str = "configuration";
    for path in paths {
        if let Err(error) = std::fs::metadata(path) {
            let remedy = "make it and put manifests there, or name another with --config";
            let bad = (Health::Bad, error.to_string(), remedy);
            add(findings, AREA, path.display().to_string(), Err(bad));
        }
    }
    let loaded = load(paths, None);
    let (errors, warnings) = (loaded.errors(), loaded.warnings());
    let jails = loaded.config.jails.len();
    let objects = counted(loaded.objects.len() as u64, "object");
    let detail = format!("{objects}, {} in force", counted(jails as u64, "jail"));
    let outcome = if errors > 0 {
        Err((
            Health::Bad,
            format!("{detail}, {}", counted(errors as u64, "error")),
            "gaoler check tells each with its place and fix",
        ))
    } else if jails == 0 {
        Err((Health::Note, detail, "without a jail nobody is ever banned"))
    } else if warnings > 0 {
        Err((
            Health::Note,
            format!("{detail}, {}", counted(warnings as u64, "warning")),
            "gaoler check tells them",
        ))
    } else {
        Ok(detail)
    };
    add(findings, AREA, "manifests", outcome);
    // What has no line is a file that cannot be read, and was told above.
    for problem in loaded.all_problems().filter(|p| p.severity == Severity::Error && p.line > 0).take(5) {
        let place = format!("{}:{}", problem.file.display(), problem.line);
        add(findings, AREA, place, Err((Health::Bad, problem.message.clone(), "")));
    }
    loaded
}

fn sources(config: &Config, findings: &mut Vec<Finding>) {
    const AREA: &str = "sources";
    let mut journal = false;
    for jail in &config.jails {
        match &jail.source {
            Source::Files(globs) => {
                for glob in globs {
                    add(findings, AREA, format!("{}: {}", jail.name(), glob.display()), readable(glob));
                }
            }
            Source::Journal(_) => journal = true,
            Source::Pods { .. } => {
                let bad = (Health::Bad, "pods are read in Kubernetes only".into(), "name files or journal");
                add(findings, AREA, jail.name().to_string(), Err(bad));
            }
        }
    }
    if journal {
        add(findings, AREA, "systemd journal", journal_readable());
    }
}

/// Whether what a glob matches can be read.
fn readable(glob: &Path) -> Result<String, (Health, String, &'static str)> {
    let Some(pattern) = glob.to_str() else { return Ok("not text; not looked at".into()) };
    // A path that is there is meant as it stands, whatever characters it has.
    let matches: Vec<PathBuf> = if glob.exists() {
        vec![glob.to_path_buf()]
    } else {
        glob::glob(pattern).map(|paths| paths.flatten().collect()).unwrap_or_default()
    };
    if matches.is_empty() {
        return Err((Health::Note, "nothing there yet".into(), "it is waited for; is the path right?"));
    }
    for path in &matches {
        if let Err(error) = File::open(path) {
            let remedy = "run as root, or grant CAP_DAC_READ_SEARCH";
            return Err((Health::Bad, format!("{}: {error}", path.display()), remedy));
        }
    }
    Ok(if matches.len() == 1 { "readable".into() } else { format!("{} files, readable", matches.len()) })
}

fn journal_readable() -> Result<String, (Health, String, &'static str)> {
    let outcome = Command::new("journalctl")
        .args(["--quiet", "--no-pager", "--lines=1", "--output=cat"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match outcome {
        Err(error) => Err((Health::Bad, format!("journalctl: {error}"), "install systemd's journalctl")),
        Ok(output) if output.status.success() => Ok("readable".into()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Err((Health::Bad, format!("journalctl: {said}"), "run as root or in the group systemd-journal"))
        }
    }
}

fn state(path: &Path, findings: &mut Vec<Finding>) {
    // The nearest directory that is there: the daemon makes those below it.
    let mut directory = path.parent().unwrap_or(Path::new("/"));
    while !directory.exists() {
        directory = directory.parent().unwrap_or(Path::new("/"));
    }
    let writable = rustix::fs::access(directory, rustix::fs::Access::WRITE_OK);
    let outcome = match writable {
        Ok(()) => Ok(format!("{} can be written", directory.display())),
        Err(error) => {
            let detail = format!("{} cannot be written: {error}", directory.display());
            Err((Health::Bad, detail, "name another with --state"))
        }
    };
    add(findings, "state", path.display().to_string(), outcome);
}

fn daemon(socket: &Path, findings: &mut Vec<Finding>) {
    let outcome = match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => Ok("it answers".into()),
        Err(error) => Err((Health::Note, error.to_string(), "systemctl start gaoler")),
    };
    add(findings, "daemon", socket.display().to_string(), outcome);
}
