//! `gaoler cleanup`

use anyhow::Context as _;

use super::{Context, ExitStatus};
use crate::firewall::{Firewall, Nftables};

/// Remove the table `inet gaoler` from the kernel, and nothing else
///
/// Every ban ends. A daemon that still runs would make the table again: stop it first.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  systemctl stop gaoler && gaoler cleanup")]
pub struct Args {}

/// Removes the table.
///
/// # Errors
/// When the kernel refuses.
pub fn run(_args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    if std::os::unix::net::UnixStream::connect(&context.socket).is_ok() {
        anyhow::bail!(
            "gaoler runs and would make its table again: stop it first (systemctl stop gaoler), \
             or end all bans with `gaoler unban --all`"
        );
    }
    Nftables::open()
        .and_then(|mut firewall| firewall.teardown())
        .context("cannot remove the table inet gaoler")?;
    if context.data() {
        context.print_data(&serde_json::json!({ "removed": "inet gaoler" }))?;
    } else {
        context.say("the table inet gaoler is gone; nobody is dropped any more")?;
    }
    Ok(ExitStatus::Success)
}
