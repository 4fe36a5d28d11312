//! `gaoler completions`

use std::io::Write;

use clap_complete::Shell;

use super::{Context, ExitStatus};

/// Print the completion script of a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler completions bash > /usr/share/bash-completion/completions/gaoler
  gaoler completions zsh > /usr/share/zsh/vendor-completions/_gaoler
  gaoler completions fish > ~/.config/fish/completions/gaoler.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitStatus> {
    // Into memory first: clap_complete panics when its writer fails, and stdout may be a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "gaoler", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitStatus::Success)
}
