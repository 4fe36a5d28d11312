//! `gaoler schema`

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Context, ExitStatus};
use crate::api::v1alpha1::Kind;

/// Print the JSON schema of a kind of manifest, for editors and other tools
///
/// Without a kind: one schema for all of them. In an editor with the YAML language server, put
/// `# yaml-language-server: $schema=gaoler.json` on a manifest's first line.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler schema > gaoler.json
  gaoler schema jail | jq .properties.spec.properties.enforce")]
pub struct Args {
    /// The kind
    #[arg(value_enum, ignore_case = true)]
    kind: Option<KindArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    Filter,
    Jail,
    #[value(name = "ratelimit")]
    RateLimit,
    #[value(name = "banlist")]
    BanList,
    #[value(name = "allowlist")]
    AllowList,
    Pardon,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Filter => Self::Filter,
            KindArg::Jail => Self::Jail,
            KindArg::RateLimit => Self::RateLimit,
            KindArg::BanList => Self::BanList,
            KindArg::AllowList => Self::AllowList,
            KindArg::Pardon => Self::Pardon,
        }
    }
}

/// Prints the schema.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let schema = match args.kind {
        Some(kind) => Kind::from(kind).manifest_schema().to_value(),
        None => json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A manifest of Gaoler",
            "oneOf": Kind::ALL.map(|kind| without_dialect(kind.manifest_schema().to_value())),
        }),
    };
    context.print_data(&schema)?;
    Ok(ExitStatus::Success)
}

fn without_dialect(mut schema: Value) -> Value {
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
    }
    schema
}
