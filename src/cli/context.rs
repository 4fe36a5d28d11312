//! The options every verb takes, and how a verb talks to the person who called it.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use serde::Serialize;

use crate::telemetry::LogFormat;

/// Options every verb takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Text for people, or JSON or YAML for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub output: Format,
    /// Colours; `auto` means on a terminal and without NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// The control socket of `gaoler run` [env: GAOLER_SOCKET] [default: /run/gaoler/control.sock]
    // Were the variable clap's, every usage line would show `--socket` as if it were needed.
    #[arg(long, global = true, default_value_os_t = usual_socket(), hide_default_value = true, value_name = "PATH")]
    pub socket: PathBuf,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// How messages on stderr are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// The socket of who names none.
fn usual_socket() -> PathBuf {
    let named = std::env::var_os("GAOLER_SOCKET").filter(|path| !path.is_empty());
    named.map_or_else(|| "/run/gaoler/control.sock".into(), PathBuf::from)
}

/// How a verb prints its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. May change between versions.
    #[value(alias = "table")]
    Text,
    /// The same with more columns, where there are more.
    Wide,
    /// For programs. Fields are only ever added.
    Json,
    /// The same as YAML.
    Yaml,
}

/// When to print colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a verb knows about its caller.
#[derive(Clone, Debug)]
pub struct Context {
    /// How the answer is printed.
    pub format: Format,
    /// Whether the answer may hold colours.
    pub color: bool,
    /// The control socket of `gaoler run`.
    pub socket: PathBuf,
    /// How often `-v` was given.
    pub verbose: u8,
}

impl Context {
    /// The context of this process: its terminal and environment.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Self::of(global.output, global.color, global.socket.clone(), global.verbose)
    }

    /// The same of single options.
    #[must_use]
    pub(super) fn of(format: Format, color: Color, socket: PathBuf, verbose: u8) -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !quiet,
        };
        Self { format, color: color && matches!(format, Format::Text | Format::Wide), socket, verbose }
    }

    /// Whether the answer is for a program.
    #[must_use]
    pub fn data(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Whether tables show every column.
    #[must_use]
    pub fn wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Whether a progress bar may be drawn on stderr.
    #[must_use]
    pub fn progress(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Prints `answer` as one document on stdout, for programs.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_data(&self, answer: &impl Serialize) -> anyhow::Result<()> {
        let mut out = stdout();
        if self.format == Format::Yaml {
            // Into memory first: an error of a closed pipe keeps its kind.
            out.write_all(serde_yaml::to_string(answer)?.as_bytes())?;
        } else {
            serde_json::to_writer_pretty(&mut out, answer)?;
            writeln!(out)?;
        }
        out.flush()?;
        Ok(())
    }

    /// Prints one of many answers on stdout, at once: a line of JSON, or a document of YAML.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_item(&self, answer: &impl Serialize) -> anyhow::Result<()> {
        let line = if self.format == Format::Yaml {
            format!("---\n{}", serde_yaml::to_string(answer)?).into_bytes()
        } else {
            let mut line = serde_json::to_vec(answer)?;
            line.push(b'\n');
            line
        };
        let mut out = io::stdout().lock();
        out.write_all(&line)?;
        out.flush()?;
        Ok(())
    }

    /// Prints text and a newline on stdout. Unlike `println!` it does not panic when the reader went away.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn say(&self, text: impl std::fmt::Display) -> anyhow::Result<()> {
        let mut out = stdout();
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(())
    }

    /// `text` in bold, where colours are allowed.
    #[must_use]
    pub fn bold(&self, text: impl std::fmt::Display) -> String {
        self.paint("1", text)
    }

    /// `text` in green: all is well.
    #[must_use]
    pub fn green(&self, text: impl std::fmt::Display) -> String {
        self.paint("32", text)
    }

    /// `text` in yellow: worth a look.
    #[must_use]
    pub fn yellow(&self, text: impl std::fmt::Display) -> String {
        self.paint("33", text)
    }

    /// `text` in red: something is wrong, or somebody is kept out.
    #[must_use]
    pub fn red(&self, text: impl std::fmt::Display) -> String {
        self.paint("31", text)
    }

    /// `text` faint: details.
    #[must_use]
    pub fn faint(&self, text: impl std::fmt::Display) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: impl std::fmt::Display) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Stdout that is written in large pieces: by itself it writes every line at once.
fn stdout() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::with_capacity(64 * 1024, io::stdout().lock())
}
