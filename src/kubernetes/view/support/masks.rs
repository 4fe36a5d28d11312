//! Names in place of addresses.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What may be an address, with or without a prefix length. A parser says whether it is one.
static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*[0-9A-Fa-f:]").ok()
});

/// Letters of the longest address: `ffff:…:ffff:255.255.255.255`.
const LONGEST: usize = 45;

/// One name for each address. The key is this process's: who has the bundle cannot try all addresses.
#[derive(Clone, Debug, Default)]
pub struct Masks(RandomState);

impl Masks {
    /// With a new key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the addresses in every text of `value`, keys included.
    pub fn cover(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.cover(item)),
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                for (name, mut field) in old {
                    self.cover(&mut field);
                    fields.insert(self.text(&name), field);
                }
            }
            _ => {}
        }
    }

    fn text(&self, text: &str) -> String {
        // Without the expression nothing of the text could be trusted.
        let Some(candidate) = CANDIDATE.as_ref() else { return "(left out)".into() };
        candidate.replace_all(text, |found: &Captures<'_>| self.name(&found[0])).into_owned()
    }

    /// Names in place of the addresses in what may be one; anything else stays.
    fn name(&self, mut found: &str) -> String {
        let mut text = String::new();
        while let Some((before, ip, after)) = first_address(found) {
            let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
            text += &format!("{before}{family}-{:08x}", self.0.hash_one(ip) as u32);
            found = after;
        }
        text + found
    }
}

/// The first address in a candidate, as long as it can be taken, and what stands around it: a colon, a dot or the
/// letters a to f may belong to the sentence (`node:45.129.14.30`, `2001:db8::1.Bad`).
fn first_address(candidate: &str) -> Option<(&str, IpAddr, &str)> {
    let starts = 0..candidate.len();
    starts.into_iter().find_map(|start| {
        let ends = (start + 2..=candidate.len().min(start + LONGEST)).rev();
        ends.into_iter().find_map(|end| {
            let ip = candidate.get(start..end)?.parse().ok()?;
            Some((&candidate[..start], ip, &candidate[end..]))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_gone_wherever_they_stand_and_the_same_one_has_the_same_name() {
        let masks = Masks::new();
        let mut value = json!({
            "prefix": "203.0.113.0/24",
            "message": "Banned 45.129.14.30 for 1h: 6 x james on n1; [2001:db8:bad::1]:25, 2001:db8:bad:1::/64, ::1.",
            "by": {"45.129.14.30": ["::ffff:45.129.14.30"]},
        });
        masks.cover(&mut value);
        let text = value.to_string();
        for part in ["203.0.113", "45.129", "2001", "::1", "ffff"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        let name = masks.text("45.129.14.30");
        assert!(name.starts_with("ipv4-"), "{name}");
        assert!(value["message"].as_str().unwrap().contains(&format!("Banned {name} for 1h")), "{text}");
        assert!(value["by"].get(&name).is_some(), "{text}");
        assert!(value["prefix"].as_str().unwrap().ends_with("/24"));
    }

    #[test]
    fn an_address_is_found_beside_what_could_be_a_part_of_it() {
        let masks = Masks::new();
        let (v4, v6) = (masks.text("45.129.14.30"), masks.text("2001:db8::1"));
        for (text, wanted) in [
            ("node:45.129.14.30", format!("node:{v4}")),
            ("reported by abuse:45.129.14.30:25", format!("reported by abuse:{v4}:25")),
            ("from 2001:db8::1.Bad", format!("from {v6}.Bad")),
            ("45.129.14.30:2001:db8::1:", format!("{v4}:{v6}:")),
        ] {
            assert_eq!(masks.text(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        let masks = Masks::new();
        for text in [
            "0.1.0",
            "2026-11-22T22:26:55Z",
            "10:15:30",
            "james-smtp-auth/rules[3] x6",
            "mail/james: 5",
            "1.2.3.4.5.6x",
        ] {
            let kept = masks.text(text);
            assert!(kept == text || text.starts_with("1.2.3.4"), "{text}: {kept}");
        }
    }

    #[test]
    fn another_bundle_has_other_names() {
        let named = |masks: Masks| masks.text("45.129.14.30");
        assert!((0..8).any(|_| named(Masks::new()) != named(Masks::new())));
    }
}
