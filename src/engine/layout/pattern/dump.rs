//! All of the context in one place: `%X` prints `protocol=SMTP, ip=203.0.113.7, ehlo=client.example`.

use crate::engine::Context;

/// Keys whose values James sets itself, or that cannot hold the `, ` between two pairs (a command, a host name that
/// resolves both ways). Any other value may be the client's own text, and the pairs after it the client's, too.
const CERTAIN: [&str; 11] = [
    "protocol",
    "ip",
    "host",
    "remoteIP",
    "sessionId",
    "proxy.source",
    "proxy.destination",
    "proxy.ip",
    "charset",
    "action",
    "authType",
];

/// Adds the pairs of `text` up to the first that a client may have written: `ehlo=x, ip=8.8.8.8` looks the same
/// whether James or the client wrote the second pair. When a proxy is named behind that point, the addresses before
/// it are left out as well: they may be the proxy's.
pub(crate) fn read<'a>(text: &'a str, context: &mut Context<'a>) {
    let text = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(text);
    let mut rest = text;
    let mut certain = Vec::new();
    while !rest.is_empty() {
        let Some((key, after)) = rest.split_once('=') else { break };
        if !CERTAIN.contains(&key) {
            break;
        }
        let (value, next) = after.split_once(", ").unwrap_or((after, ""));
        certain.push((key, value));
        rest = next;
    }
    let proxied = rest.contains("proxy.");
    for (key, value) in certain {
        if !(proxied && matches!(key, "ip" | "remoteIP")) {
            context.push(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let mut context = Context::default();
        read(text, &mut context);
        context.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn keys(text: &str) -> Vec<String> {
        pairs(text).into_iter().map(|(k, _)| k).collect()
    }

    #[test]
    fn what_comes_before_any_clients_text_is_taken() {
        assert_eq!(
            pairs("protocol=SMTP, remoteIP=203.0.113.7, ip=203.0.113.7, ehlo=x, sessionId=1"),
            [("protocol", "SMTP"), ("remoteIP", "203.0.113.7"), ("ip", "203.0.113.7")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert_eq!(keys("{ip=1.2.3.4, protocol=IMAP}"), ["ip", "protocol"]);
        assert_eq!(keys(""), [""; 0]);
    }

    #[test]
    fn a_pair_behind_a_clients_text_is_not_taken() {
        assert_eq!(
            keys("action=AUTHENTICATE, protocol=IMAP, username=x, ip=8.8.8.8"),
            ["action", "protocol"]
        );
        assert_eq!(keys("ehlo=x, ip=8.8.8.8, protocol=SMTP, ip=203.0.113.7"), [""; 0]);
        assert_eq!(keys("unheard=x, ip=8.8.8.8"), [""; 0]);
    }

    #[test]
    fn the_proxy_is_not_taken_for_the_client() {
        assert_eq!(keys("ip=10.0.0.1, protocol=SMTP, ehlo=x, proxy.source=/203.0.113.7:99"), ["protocol"]);
        assert_eq!(
            keys("proxy.source=/203.0.113.7:99, proxy.ip=10.0.0.1, ip=10.0.0.1, ehlo=x"),
            ["proxy.source", "proxy.ip", "ip"]
        );
    }
}
