//! The tags of fail2ban's dialect: `<HOST>`, `<ADDR>`, `<F-USER>`, `<SKIPLINES>`, ….
//!
//! An address tag becomes a capture that only marks *where* the address is. What it holds is parsed afterwards.

/// A tag that stands in a regex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Replaced by this regex.
    Text(String),
    /// Replaced by this regex, which marks an address.
    Address(String),
    /// Opens a named group.
    Open(String),
    /// Closes the group of this tag name.
    Close(String),
    /// `<SKIPLINES>`: any number of whole lines.
    SkipLines,
}

const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>(?:[0-9]{1,3}\.){3}[0-9]{1,3})";
const IP6: &str = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|:))";
const DNS: &str = r"(?P<dns>[\w\-.\^_]*\w)";
const CIDR: &str = r"(?P<cidr>[0-9]+)";

/// The tag at the start of `text`, and its length. `None`: ordinary text.
pub(super) fn tag(text: &str) -> Option<(Tag, usize)> {
    let inner = text.strip_prefix('<')?;
    let end = inner.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/')))?;
    let (name, rest) = inner.split_at_checked(end)?;
    if !rest.starts_with('>') {
        return None;
    }
    Some((known(name)?, end + 2))
}

fn known(name: &str) -> Option<Tag> {
    Some(match name {
        "HOST" => Tag::Address(format!(r"(?:\[?(?:{IP4}|{IP6})\]?|{DNS})")),
        "ADDR" | "F-ADDR/" => Tag::Address(format!(r"\[?(?:{IP4}|{IP6})\]?")),
        "SUBNET" | "F-SUBNET/" => Tag::Address(format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?")),
        "IP4" | "F-IP4/" => Tag::Address(IP4.to_owned()),
        "IP6" | "F-IP6/" => Tag::Address(IP6.to_owned()),
        "DNS" | "F-DNS/" => Tag::Address(DNS.to_owned()),
        "CIDR" | "F-CIDR/" => Tag::Text(CIDR.to_owned()),
        "F-ID/" => Tag::Text(r"(?P<fid>\S+)".to_owned()),
        "F-PORT/" => Tag::Text(r"(?P<fport>\w+)".to_owned()),
        "SKIPLINES" => Tag::SkipLines,
        _ => {
            let (close, name) = match name.strip_prefix('/') {
                Some(name) => (true, name),
                None => (false, name),
            };
            let custom = name.strip_prefix("F-")?;
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
            if custom.is_empty() || !custom.chars().all(plain) {
                return None;
            }
            if close {
                Tag::Close(custom.to_owned())
            } else {
                Tag::Open(match custom {
                    "ID" => "fid".to_owned(),
                    "PORT" => "fport".to_owned(),
                    _ => custom.to_ascii_lowercase(),
                })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_tags() {
        assert!(matches!(tag("<HOST> rest"), Some((Tag::Address(_), 6))));
        assert_eq!(tag("<F-USER>.*"), Some((Tag::Open("user".into()), 8)));
        assert_eq!(tag("</F-USER>"), Some((Tag::Close("USER".into()), 9)));
        assert_eq!(tag("<F-ID>"), Some((Tag::Open("fid".into()), 6)));
        for text in ["<host>", "<F-user>", "<", "<>", "<HOST", "<b@c>", "<F->", "<unknown>"] {
            assert_eq!(tag(text), None, "{text}");
        }
    }
}
