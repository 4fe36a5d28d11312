//! `gaoler check`

use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::plural::counted;
use super::{Context, ExitStatus};
use crate::config::{Loaded, Problem, Severity, Surroundings, assemble, files};

/// Validate manifests and run every filter's examples
///
/// Reads what `gaoler run` would read and changes nothing. Every problem is printed with its file, line, field, and
/// what to write instead.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  everything is accepted (there may be warnings)
  1  something is refused; with --strict: or there is a warning
  2  wrong usage

Examples:
  gaoler check /etc/gaoler
  gaoler check jails.yaml filters/*.yaml
  gaoler check --strict -o json /etc/gaoler
  kubectl get jails,filters -n mail -o yaml | gaoler check --cluster -")]
pub struct Args {
    /// Files, directories (read with all below them), or `-` for standard input
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Judge as in Kubernetes: `pods` and `services` exist, `files` and `journal` do not
    #[arg(long)]
    cluster: bool,
    /// Warnings count as problems
    #[arg(long)]
    strict: bool,
}

/// Checks and prints.
///
/// # Errors
/// When a path is not there, or stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    tell(&judged(&args.paths, args.cluster)?, args.strict, context)
}

/// Reads and judges files, for a plain host or for a cluster.
///
/// # Errors
/// When a path is not there.
pub(super) fn judged(paths: &[PathBuf], cluster: bool) -> anyhow::Result<Loaded> {
    let (stdin, paths): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| path.as_os_str() == "-");
    if let Some(path) = paths.iter().find(|path| !path.exists()) {
        bail!("{} does not exist", path.display());
    }
    let mut manifests = files::read(&paths);
    if !stdin.is_empty() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)?;
        files::text_into(&std::path::Path::new("<stdin>").into(), bytes, &mut manifests);
    }
    let at = Some(jiff::Timestamp::now().into());
    let around = Surroundings { cluster, lint: true, at, ..Surroundings::default() };
    Ok(assemble(manifests, None, &around))
}

/// Prints the verdict.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn tell(loaded: &Loaded, strict: bool, context: &Context) -> anyhow::Result<ExitStatus> {
    if context.data() {
        context.print_data(&json!({
            "errors": loaded.errors(),
            "warnings": loaded.warnings(),
            "problems": loaded.all_problems().collect::<Vec<_>>(),
            "objects": loaded.objects,
        }))?;
    } else {
        for problem in loaded.all_problems() {
            context.say(painted(problem, context))?;
        }
        context.say(summary(loaded, context))?;
        if loaded.objects.iter().any(|object| object.name.kind == "AllowList" && !object.accepted) {
            context.say(
                "where Gaoler runs, a refused AllowList goes on as it was when it was good, also after a restart; its \
                 changes are not in force",
            )?;
        }
    }
    let fine = loaded.errors() == 0 && !(strict && loaded.warnings() > 0);
    Ok(ExitStatus::from_answer(fine))
}

fn painted(problem: &Problem, context: &Context) -> String {
    let text = problem.to_string();
    match problem.severity {
        Severity::Error => text.replacen("error:", &context.red("error:"), 1),
        Severity::Warning => text.replacen("warning:", &context.yellow("warning:"), 1),
    }
}

fn summary(loaded: &Loaded, context: &Context) -> String {
    let of = |kind: &str| loaded.objects.iter().filter(|o| o.name.kind == kind && o.accepted).count();
    let count = |n: usize, what: &str| counted(n as u64, what);
    let refused = loaded.objects.iter().filter(|o| !o.accepted).count();
    let mut parts = vec![count(of("Jail"), "jail")];
    for (kind, what) in [
        ("Filter", "filter"),
        ("RateLimit", "rate limit"),
        ("BanList", "ban list"),
        ("AllowList", "allow list"),
        ("Pardon", "pardon"),
    ] {
        if of(kind) > 0 {
            parts.push(count(of(kind), what));
        }
    }
    let accepted = format!("{} accepted", parts.join(", "));
    let warnings = match loaded.warnings() {
        0 => String::new(),
        n => format!(", {}", context.yellow(count(n, "warning"))),
    };
    match loaded.errors() {
        0 => format!("{}: {accepted}{warnings}", context.green("ok")),
        n => {
            let errors = context.red(count(n, "error"));
            format!("{errors}{warnings}: {} refused, {accepted}", count(refused, "object"))
        }
    }
}
