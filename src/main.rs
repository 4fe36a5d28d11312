//! The `gaoler` binary: reads the command line, starts telemetry, runs the verb, maps the outcome to an exit code.

use std::io;
use std::process::ExitCode;

use gaoler::cli::{self, Called, ExitStatus};
use gaoler::telemetry;

fn main() -> ExitCode {
    let called = Called::parse(std::env::args_os());
    telemetry::init(called.log_format(), called.log_level());
    match called.run() {
        Ok(status) => status.into(),
        // `gaoler bans | head` is no error.
        Err(error) if is_broken_pipe(&error) => ExitStatus::Success.into(),
        Err(error) => {
            eprintln!("gaoler: {}", told(&error));
            cli::status_of(&error).into()
        }
    }
}

/// The error and its causes, each said once: many messages hold their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}
