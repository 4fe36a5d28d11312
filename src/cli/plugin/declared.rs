//! Verbs of one host that take their jails and filters from the cluster here.

use std::sync::Arc;

use super::Session;
use crate::cli::{ExitStatus, explain, filters, replay};
use crate::config::Loaded;
use crate::kubernetes::view::{meant, readable};

/// What the cluster declares, and the namespace in which names are looked for first.
fn declared(session: &Session<'_>) -> anyhow::Result<(Loaded, String)> {
    session.ask(async |client| {
        let loaded = readable(&client, &session.scope()).await?;
        let own = session.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        Ok((loaded, own))
    })
}

/// `kubectl gaoler explain`
pub(super) fn explain(args: &explain::Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    if !args.config.is_empty() {
        return explain::run(args, session.context);
    }
    let (loaded, own) = declared(session)?;
    let jail = args.jail.as_deref().map(|jail| meant(&loaded, jail, &own)).transpose()?;
    let jail = jail.map(|jail| jail.to_string());
    explain::judge(&explain::Args { jail, ..args.clone() }, &loaded, session.context)
}

/// `kubectl gaoler replay`
pub(super) fn replay(args: &replay::Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    if !args.config.is_empty() {
        return replay::run(args, session.context);
    }
    let (loaded, own) = declared(session)?;
    let jail = args.jail.as_deref().map(|jail| meant(&loaded, jail, &own)).transpose()?;
    let jail = jail.map(|jail| jail.to_string());
    replay::judge(&replay::Args { jail, ..args.clone() }, &loaded, session.context)
}

/// `kubectl gaoler filters`
pub(super) fn filters(args: &filters::Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    if args.is_about_one() {
        return filters::run(args, session.context);
    }
    let (loaded, _) = declared(session)?;
    let declared: Vec<_> = loaded.filters().map(Arc::clone).collect();
    filters::list(&declared, session.context)
}
