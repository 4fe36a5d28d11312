//! Keys of James' context that hold what a client sent: no address to ban.

use crate::engine::AddressSource;

use super::origin::Notes;

/// By key, what a client writes there. `host` is the name that the client's own DNS gives it, or a header.
const CLIENTS: [&str; 15] = [
    "ehlo",
    "helo",
    "host",
    "user",
    "username",
    "login-user",
    "sender",
    "recipient",
    "recipients",
    "real-ip",
    "action",
    "endpoint",
    "queryParameters",
    "request-body",
    "login",
];

/// Warns of a rule that takes the address from what a client wrote.
pub(super) fn check_rule(field: &str, address: &[AddressSource], notes: &mut Notes<'_>) {
    let claimed = |source: &AddressSource| matches!(source, AddressSource::Context(key) if CLIENTS.contains(&key.as_str()));
    let Some(at) = address.iter().position(claimed) else { return };
    let Some(AddressSource::Context(key)) = address.get(at) else { return };
    notes.warning(
        &format!("{field}.address[{at}]"),
        format!(
            "a client could get somebody else banned: `{key}` holds what the client wrote, and 192.0.2.66 there \
             accuses 192.0.2.66"
        ),
        "take the address from what James itself found: `address: [proxy.source, remoteIP, ip]`",
    );
}
