//! Names of ports, as /etc/services has them.

/// The number of a mail server's or administrator's usual port.
pub(super) fn known(name: &str) -> Option<u16> {
    const NAMED: [(&str, u16); 13] = [
        ("ssh", 22),
        ("smtp", 25),
        ("domain", 53),
        ("http", 80),
        ("pop3", 110),
        ("imap2", 143),
        ("imap", 143),
        ("https", 443),
        ("submissions", 465),
        ("submission", 587),
        ("imaps", 993),
        ("pop3s", 995),
        ("sieve", 4190),
    ];
    NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}
