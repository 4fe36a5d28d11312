//! Numbers with their noun.

/// `1 object`, `2 objects`.
pub(super) fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
