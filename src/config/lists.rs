//! Declared BanLists, AllowLists and pardons.

use ipnet::IpNet;

use crate::api::v1alpha1 as api;
use crate::engine::{JailName, Subject, Timestamp, holds_nat64};

use super::node::{Node, NodeValue};
use super::origin::Notes;
use super::resolve::Book;
use super::{AllowEntry, Allowed, BanEntry, prefix};

/// A point in time whose form is checked already.
fn time(time: Option<&api::Time>) -> Option<Timestamp> {
    time.and_then(|time| time.as_str().parse::<jiff::Timestamp>().ok()).map(Into::into)
}

/// When all that an object of an API server says was written: at its making, if nobody changed it since.
pub(super) fn written(object: &Node) -> Option<Timestamp> {
    let metadata = object.get("metadata")?;
    let unchanged =
        matches!(&metadata.get("generation")?.value, NodeValue::Number(n) if n.as_u64() == Some(1));
    let made = metadata.text("creationTimestamp").filter(|_| unchanged)?;
    made.parse::<jiff::Timestamp>().ok().map(Into::into)
}

/// The entries of a BanList.
pub(super) fn bans(
    name: &str,
    list: &api::BanListSpec,
    written: Option<Timestamp>,
    book: &Book<'_>,
    notes: &mut Notes<'_>,
) -> Vec<BanEntry> {
    let entries = list.entries.iter().enumerate();
    entries
        .filter_map(|(i, entry)| {
            let field = format!("spec.entries[{i}].prefix");
            let net = prefix::read(&entry.prefix, &field, notes)?;
            refuse_ourselves(net, &field, notes);
            let jail = entry.scope.as_ref().filter(|scope| scope.as_str() != "All");
            if let Some(jail) = jail
                && let Some(advice) = book.missing_jail(jail.as_str(), "declare the jail, or write `All`")
            {
                let message = format!("there is no jail `{}`: this entry closes nothing yet", jail.as_str());
                notes.warning(&format!("spec.entries[{i}].scope"), message, advice);
            }
            let (subject, until) = (Subject::new(net), time(entry.until.as_ref()));
            if let Some(AllowEntry { list, who: Allowed::Prefix(spared), until: end }) =
                book.sparing(subject, until)
            {
                let spared = Subject::new(*spared);
                notes.warning_until(
                    [until, *end].into_iter().flatten().min(),
                    &field,
                    format!("`{subject}` is not banned: `{spared}` is on the AllowList `{list}`"),
                    "remove the wrong one of the two, or write prefixes that leave those addresses out",
                );
            }
            Some(BanEntry {
                list: name.to_owned(),
                subject,
                until,
                jail: jail.map(|jail| JailName::new(jail.as_str())),
                reason: entry.reason.clone().unwrap_or_default(),
                written,
            })
        })
        .collect()
}

/// Bans that would lock out everybody, or us whatever our addresses are. Who is spared besides, by allow lists or as
/// part of the house, is known where bans are put in force: there an entry falls alone, and its list stands.
fn refuse_ourselves(net: IpNet, field: &str, notes: &mut Notes<'_>) {
    let (least, loopback, link_local): (u8, &[&str], &str) = match net {
        IpNet::V4(_) => (8, &["127.0.0.0/8"], "169.254.0.0/16"),
        IpNet::V6(_) => (16, &["::1/128"], "fe80::/10"),
    };
    let inside = |of: &str| of.parse::<IpNet>().is_ok_and(|of| of.contains(&net) || net.contains(&of));
    if net.prefix_len() == 0 {
        notes.error(field, format!("`{net}` is everybody"), "write the prefix that is meant");
    } else if net.prefix_len() < least {
        notes.error(
            field,
            format!("`{net}` is a large part of the Internet"),
            format!("write prefixes of at least /{least}"),
        );
    } else if holds_nat64(net) {
        notes.error(
            field,
            format!("`{net}` holds 64:ff9b::/96, from which every IPv4 address may come through NAT64"),
            "write the IPv4 prefix that is meant, e.g. `192.0.2.0/24`",
        );
    } else if loopback.iter().any(|of| inside(of)) {
        notes.error(field, format!("`{net}` is this host itself"), "remove the entry");
    } else if inside(link_local) {
        notes.error(
            field,
            format!("`{net}` holds link-local addresses, which are never banned"),
            "remove the entry",
        );
    }
}

/// The entries of an AllowList.
pub(super) fn allowed(name: &str, list: &api::AllowListSpec, notes: &mut Notes<'_>) -> Vec<AllowEntry> {
    let entries = list.entries.iter().enumerate();
    entries
        .filter_map(|(i, entry)| {
            let field = format!("spec.entries[{i}]");
            let who = match (&entry.prefix, &entry.host) {
                (Some(text), None) => {
                    let field = format!("{field}.prefix");
                    let net = prefix::read(text, &field, notes)?;
                    if net.prefix_len() == 0 {
                        notes.error(
                            &field,
                            format!("`{net}` is everybody: nobody could ever be banned"),
                            "write the prefix that is meant; to try Gaoler without banning write `mode: Observe` in the jail",
                        );
                    }
                    Allowed::Prefix(net)
                }
                (None, Some(host)) => Allowed::Host(host.as_str().to_owned()),
                (Some(_), Some(_)) => {
                    notes.error(&format!("{field}.host"), "an entry is a `prefix` or a `host`, not both", "make it two entries");
                    return None;
                }
                (None, None) => {
                    notes.error(&field, "the entry names nobody", "add `prefix` or `host`");
                    return None;
                }
            };
            Some(AllowEntry { list: name.to_owned(), who, until: time(entry.until.as_ref()) })
        })
        .collect()
}

/// Pardons have their moment from the API server; on a plain host they are an order, not a file.
pub(super) fn pardon(pardon: &api::PardonSpec, cluster: bool, notes: &mut Notes<'_>) {
    let net = prefix::read(&pardon.prefix, "spec.prefix", notes);
    if !cluster {
        let who = net.map_or_else(|| pardon.prefix.as_str().to_owned(), |net| Subject::new(net).to_string());
        notes.error(
            "kind",
            "a Pardon in a file has no moment at which it was made",
            format!("remove it and run `gaoler unban {who}`"),
        );
    }
}
