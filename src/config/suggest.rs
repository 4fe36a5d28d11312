//! "Did you mean".

/// The candidate that `written` was probably meant to be: the same but for case, `-`, `_` and blanks, or a few
/// letters off.
#[must_use]
pub(super) fn closest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(written);
    if wanted.chars().count() > 100 {
        return None;
    }
    let allowed = match wanted.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a, b and c` in back quotes.
#[must_use]
pub(super) fn listed<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match quoted.split_last() {
        None => "nothing".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_was_meant() {
        let fields = ["maxRetry", "findTime", "banTime", "failRegex"];
        assert_eq!(closest("maxretry", fields), Some("maxRetry"));
        assert_eq!(closest("max_retries", fields), Some("maxRetry"));
        assert_eq!(closest("findtiem", fields), Some("findTime"));
        assert_eq!(closest("colour", fields), None);
        assert_eq!(closest("", fields), None);
    }
}
