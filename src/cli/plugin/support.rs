//! `kubectl gaoler support`

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Session;
use super::session::now;
use crate::cli::ExitStatus;
use crate::kubernetes::view::support::{self, File, Masks};

/// Write a bundle (tar.gz) for whoever shall help: versions, agents, objects with their status, numbers, events
///
/// No line of a log, no Secret, no environment variable is in it. Addresses are replaced by names, the same one by the
/// same name throughout the bundle and by another one in the next, unless asked otherwise. Names of nodes, namespaces
/// and pods, and what people wrote as reasons and comments, stay: look into it before you send it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl gaoler support
  kubectl gaoler support --to /tmp/gaoler.tar.gz && tar -tzf /tmp/gaoler.tar.gz
  kubectl gaoler support --addresses -n mail")]
pub(super) struct Args {
    /// Where to; `-` is standard output [default: gaoler-support-MOMENT.tar.gz]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Leave addresses as they are
    #[arg(long)]
    addresses: bool,
}

pub(super) fn run(args: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let moment = now();
    let masks = if args.addresses { None } else { Some(Masks::new()) };
    let files = session
        .ask(async |client| Ok(support::collect(&client, &session.scope(), masks.as_ref(), moment).await?))?;
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let path = args.to.clone().unwrap_or_else(|| format!("gaoler-support-{stamp}.tar.gz").into());
    if path.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        out.write_all(&packed(&stamp, &files)?)?;
        out.flush()?;
        return Ok(ExitStatus::Success);
    }
    // It tells much of a cluster: for its owner alone.
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let write = |mut file: std::fs::File| file.write_all(&packed(&stamp, &files)?);
    opened.and_then(write).with_context(|| format!("cannot write {}", path.display()))?;
    session.context.say(format_args!(
        "{}: {} files; look into it before you send it",
        path.display(),
        files.len()
    ))?;
    Ok(ExitStatus::Success)
}

/// The files in a directory of their own.
fn packed(stamp: &str, files: &[File]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
        let path = format!("gaoler-support-{stamp}/{}", file.name);
        archive.append_data(&mut header, path, file.text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
