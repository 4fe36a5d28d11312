//! Prefixes in manifests.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::api::v1alpha1 as api;
use crate::engine::{Subject, hides_all_of_ipv4};

use super::origin::Notes;

/// The prefix of a text whose form is checked already. Host bits are cleared with a warning.
pub(super) fn read(text: &api::Prefix, field: &str, notes: &mut Notes<'_>) -> Option<IpNet> {
    let text = text.as_str();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Subject::host(address).net());
    }
    let Ok(net) = text.parse::<IpNet>() else {
        notes.error(field, format!("`{text}` is not a prefix"), "write e.g. `198.51.100.0/24`");
        return None;
    };
    if hides_all_of_ipv4(net) {
        notes.error(
            field,
            format!("`{text}` means every IPv4 address"),
            "write the part that is meant, e.g. `64:ff9b::c000:200/120`, or as IPv4 `192.0.2.0/24`",
        );
        return None;
    }
    if net != net.trunc() {
        notes.warning(
            field,
            format!("`{text}` has bits behind the prefix; it is read as `{}`", net.trunc()),
            format!("write `{}`, or `{}` for the one address", net.trunc(), net.addr()),
        );
    }
    Some(Subject::new(net).net())
}
