//! How rare a literal is in log lines. A guess decides only how many lines are looked at, never what matches.

/// Words that stand in ordinary lines of mail servers and of other programs; logger names are made of them, too. A
/// literal that consists of them is in every other line, however long it is.
const COMMON: [&str; 48] = [
    "accepted",
    "address",
    "apache",
    "audit",
    "authenticated",
    "authenticating",
    "authentication",
    "client",
    "closed",
    "command",
    "connect",
    "connected",
    "connection",
    "core",
    "delivered",
    "disconnected",
    "error",
    "established",
    "for",
    "from",
    "handler",
    "host",
    "info",
    "java",
    "james",
    "local",
    "logger",
    "mail",
    "message",
    "netty",
    "null",
    "opened",
    "org",
    "port",
    "processor",
    "protocols",
    "received",
    "remote",
    "request",
    "result",
    "server",
    "session",
    "started",
    "successfully",
    "trail",
    "user",
    "warn",
    "with",
];

/// How much a byte of a common word tells.
const IN_COMMON: u32 = 1;

/// How rare each byte of `piece` is by itself.
pub(super) fn ranks(piece: &[(u8, bool)]) -> Vec<u32> {
    piece.iter().map(|(b, _)| rank(*b)).collect()
}

/// The same with the words counted that it is part of. The sum tells how rare the piece is.
pub(super) fn ranks_in_words(piece: &[(u8, bool)]) -> Vec<u32> {
    let mut ranks = ranks(piece);
    let bytes: Vec<u8> = piece.iter().map(|(b, _)| *b).collect();
    let mut start = 0;
    while start < bytes.len() {
        let length = word(bytes.get(start..).unwrap_or_default());
        let text = bytes.get(start..start + length).unwrap_or_default();
        if COMMON.iter().any(|common| text.eq_ignore_ascii_case(common.as_bytes())) {
            ranks.iter_mut().skip(start).take(length).for_each(|rank| *rank = IN_COMMON);
        }
        start += length.max(1);
    }
    ranks
}

/// The length of the word that `text` begins with: small letters after capitals or none, or capitals alone. `HookResult`
/// begins with `Hook`.
fn word(text: &[u8]) -> usize {
    let capitals = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
    if capitals > 1 {
        return capitals;
    }
    capitals + text.iter().skip(capitals).take_while(|b| b.is_ascii_lowercase()).count()
}

fn rank(b: u8) -> u32 {
    match b {
        b'e' | b'a' | b'o' | b'i' | b'n' | b's' | b't' | b'r' | b'.' | b' ' | b'0'..=b'2' => 2,
        b'c' | b'd' | b'l' | b'm' | b'p' | b'u' | b'h' | b'3'..=b'9' | b':' | b'-' => 3,
        b'f' | b'g' | b'j' | b'b' | b'y' | b'v' | b'[' | b']' | b'=' | b',' => 5,
        b'k' | b'w' | b'x' | b'I' | b'N' | b'F' | b'O' | b'M' | b'S' | b'D' => 6,
        b'q' | b'z' | b'A'..=b'Z' => 8,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rarity(text: &str) -> u32 {
        ranks_in_words(&text.bytes().map(|b| (b, false)).collect::<Vec<_>>()).iter().sum()
    }

    #[test]
    fn what_only_a_failure_says_is_rarer_than_longer_words_of_every_day() {
        for (rare, common) in [
            ("[preauth]", " Connection "),
            (" result= (DENY ", "HookResultLogger"),
            ("AUTH method ", "AuthenticationHandler"),
            ("SMTP Authentication failed.", "AuditTrail"),
            (" restricted by ", "Connection from "),
        ] {
            assert!(rarity(rare) > rarity(common), "{rare}: {}, {common}: {}", rarity(rare), rarity(common));
        }
    }

    #[test]
    fn names_are_made_of_words() {
        let lengths = |text: &str| {
            let (mut rest, mut found) = (text.as_bytes(), Vec::new());
            while !rest.is_empty() {
                let length = word(rest).max(1);
                found.push(length);
                rest = &rest[length..];
            }
            found
        };
        assert_eq!(lengths("HookResultLogger"), [4, 6, 6]);
        assert_eq!(lengths("AUTH method"), [4, 1, 6]);
    }
}
