//! `gaoler import`

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, ExitStatus};
use crate::config::import::{Imported, iptables};

/// Turn the rate rules of another firewall into RateLimits
///
/// Prints manifests on stdout and, on stderr, every rule it left out and why. Reads what `iptables-save` prints, or a
/// script of `iptables -A …` lines; understood are `-m recent` and `-m hashlimit`. Changes nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every rule became part of a manifest
  1  some rules were left out
  2  wrong usage, or the file is of no known format

Examples:
  iptables-save | gaoler import -
  gaoler import iptables-save.txt > /etc/gaoler/ratelimits.yaml
  gaoler import -o json rules.sh | jq '.left'")]
pub struct Args {
    /// The rules, or `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Imports and prints.
///
/// # Errors
/// When the file cannot be read, or holds nothing that is understood.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let text = if args.file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?
    };
    if !iptables::looks_like(&text) {
        bail!("{} holds no iptables rules: give it what `iptables-save` prints", args.file.display());
    }
    let Imported { manifests, left } = iptables::import(&text);
    if context.data() {
        let objects: Vec<_> =
            manifests.iter().map(crate::config::import::Manifest::to_json).collect::<Result<_, _>>()?;
        context.print_data(&json!({"manifests": objects, "left": left}))?;
    } else {
        for (n, manifest) in manifests.iter().enumerate() {
            let document = manifest.to_yaml()?;
            context.say(format_args!("{}{}", if n > 0 { "---\n" } else { "" }, document.trim_end()))?;
        }
        for rule in &left {
            eprintln!("left out, line {}: {}\n  {}", rule.line, rule.text, rule.why);
        }
        eprintln!("{} RateLimits, {} rules left out", manifests.len(), left.len());
    }
    Ok(ExitStatus::from_answer(left.is_empty()))
}
