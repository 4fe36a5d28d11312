//! Texts with a form: names, prefixes, points in time. Each knows its schema and can say what is wrong with a text.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::duration::{BanTime, GoDuration};
use super::penalty::Penalty;

/// What is wrong with a text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, beginning in lower case.
    pub message: String,
    /// What to do, as an order; empty when the message says it.
    pub fix: String,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { message: message.into(), fix: fix.into() }
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $max:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub String);

        impl $type {
            /// The pattern in the schema.
            pub const PATTERN: &'static str = $pattern;

            /// The text as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "minLength": 1, "maxLength": $max, "pattern": $pattern})
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    };
}

text! {
    /// The name of a resource: a DNS label (RFC 1123).
    Name, 63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
}
text! {
    /// The name of a node: a DNS subdomain (RFC 1123).
    NodeName, 253, r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
}
text! {
    /// The name of a namespaced resource with its namespace: `mail/james`.
    QualifiedName, 127, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
}
text! {
    /// A rule of a filter: `james-smtp-auth/rules[0]`.
    RuleName, 160, r"^[^\x00-\x1f]+$"
}
text! {
    /// An address or a prefix in CIDR notation.
    Prefix, 64, r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$"
}
text! {
    /// A host name that is resolved again and again.
    HostName, 253, r"^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9])?\.?$"
}
text! {
    /// A point in time (RFC 3339), e.g. `2026-12-31T23:59:59Z`.
    Time, 40, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[-+][0-9]{2}:[0-9]{2})$"
}
text! {
    /// What a ban closes: the word `All`, or the name of a jail whose ports are closed.
    Scope, 127, r"^(All|[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[a-z0-9]([-a-z0-9]*[a-z0-9])?)?)$"
}

/// Checks `text` against one of the forms of this version, named by the pattern in its schema.
///
/// # Errors
/// What is wrong and what to write. A pattern that is none of ours accepts everything.
pub fn explain(pattern: &str, text: &str) -> Result<(), Fault> {
    match pattern {
        Name::PATTERN => name(text),
        Prefix::PATTERN => prefix(text),
        HostName::PATTERN => host(text),
        Time::PATTERN => time(text),
        Scope::PATTERN => scope(text),
        GoDuration::PATTERN => text.parse::<GoDuration>().map(drop).map_err(|e| Fault::new(e.message, e.fix)),
        BanTime::PATTERN => text.parse::<BanTime>().map(drop).map_err(|e| Fault::new(e.message, e.fix)),
        Penalty::PATTERN => text.parse::<Penalty>().map(drop).map_err(|e| Fault::new(e.message, e.fix)),
        _ => Ok(()),
    }
}

/// What belongs into a field of this form, with an example: `a name such as `james``. `None` for a pattern that is none of
/// ours.
#[must_use]
pub fn form(pattern: &str) -> Option<&'static str> {
    Some(match pattern {
        Name::PATTERN => "a name such as `james`",
        Prefix::PATTERN => "an address such as `198.51.100.7` or a prefix such as `198.51.100.0/24`",
        HostName::PATTERN => "a host name such as `vpn.example.org`",
        Time::PATTERN => "a point in time such as `2026-12-31T23:59:59Z`",
        Scope::PATTERN => "`All`, or the name of a jail such as `james`",
        GoDuration::PATTERN => "a duration such as `10m`",
        BanTime::PATTERN => "a duration such as `10m`, or `Permanent`",
        Penalty::PATTERN => "`Silence`, `Excess`, or a duration such as `10m`",
        _ => return None,
    })
}

fn name(text: &str) -> Result<(), Fault> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() {
        return Err(Fault::new("the name is empty", "write a name such as `james`"));
    }
    if text.len() > 63 {
        return Err(Fault::new(
            format!("the name has {} characters; 63 are allowed", text.len()),
            "write a shorter name",
        ));
    }
    if text.chars().all(allowed) && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(());
    }
    let mut better: String =
        text.to_ascii_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    better = better.trim_matches('-').into();
    let fix =
        if better.is_empty() { "write a name such as `james`".into() } else { format!("write `{better}`") };
    Err(Fault::new(
        format!(
            "`{text}` is not a name: names have lower-case letters, digits and `-`, the last not at the ends"
        ),
        fix,
    ))
}

fn prefix(text: &str) -> Result<(), Fault> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        let fix = if address.chars().any(|c| c.is_ascii_alphabetic()) && !address.contains(':') {
            "write an address such as `198.51.100.7` or a prefix such as `198.51.100.0/24`; host names are \
             allowed only in an AllowList's `host`"
        } else {
            "write an address such as `198.51.100.7` or `2001:db8::1`, or a prefix such as `198.51.100.0/24`"
        };
        if address.is_empty() && length.is_some() {
            let message = format!("`{text}` is the length of a prefix, without its address");
            return Err(Fault::new(message, "write the address before it, as in `198.51.100.0/24`"));
        }
        return Err(Fault::new(format!("`{address}` is not an IP address"), fix));
    };
    let (family, most) = if address.is_ipv4() { ("IPv4", 32) } else { ("IPv6", 128) };
    match length.map(str::parse::<u8>) {
        None => Ok(()),
        Some(Ok(bits)) if bits <= most => Ok(()),
        Some(_) => Err(Fault::new(
            format!("`/{}` is not the length of an {family} prefix", length.unwrap_or_default()),
            format!("write a length from 0 to {most}, or leave it out for one address"),
        )),
    }
}

fn host(text: &str) -> Result<(), Fault> {
    let fine = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(fine) {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{text}` is not a host name"),
        "write a name such as `vpn.example.org`; an address goes into `prefix`",
    ))
}

fn time(text: &str) -> Result<(), Fault> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::new(
            format!("`{text}` is not a point in time"),
            "write it like `2026-12-31T23:59:59Z`, with a zone",
        )),
    }
}

fn scope(text: &str) -> Result<(), Fault> {
    if text == "All" {
        return Ok(());
    }
    let mut parts = text.splitn(2, '/');
    let fine = parts.all(|part| name(part).is_ok());
    if fine {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{text}` is not a scope"),
        "write `All` to close everything, or the name of a jail to close only its ports",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_answered_with_a_good_one() {
        assert_eq!(explain(Name::PATTERN, "My_Jail").unwrap_err().fix, "write `my-jail`");
        assert!(explain(Name::PATTERN, "james-2").is_ok());
        assert!(explain(Name::PATTERN, "-").is_err());
        assert!(explain(Name::PATTERN, &"a".repeat(64)).is_err());
    }

    #[test]
    fn a_prefix_longer_than_its_family_is_refused() {
        for text in
            ["10.0.0.0/33", "2001:db8::/129", "10.0.0.0/", "10.0.0.0/x", "10.0.0.256", "mail.example.org"]
        {
            assert!(explain(Prefix::PATTERN, text).is_err(), "{text}");
        }
        for text in ["10.0.0.0/8", "::/0", "203.0.113.7", "2001:db8::1"] {
            assert!(explain(Prefix::PATTERN, text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        assert!(explain(Time::PATTERN, "2026-12-31T23:59:59").is_err());
        assert!(explain(Time::PATTERN, "2026-12-31T23:59:59+01:00").is_ok());
    }

    #[test]
    fn a_scope_is_everything_or_a_jail() {
        for text in ["All", "james", "mail/james"] {
            assert!(explain(Scope::PATTERN, text).is_ok(), "{text}");
        }
        for text in ["all ports", "ALL", "a/b/c", ""] {
            assert!(explain(Scope::PATTERN, text).is_err(), "{text}");
        }
    }
}
