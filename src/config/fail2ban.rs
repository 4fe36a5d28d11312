//! Reads one fail2ban filter file (`filter.d/x.conf`) as it stands: `[Definition]` with its regexes. Includes and
//! interpolation are refused by name, not guessed.

use crate::engine::{FilterName, FilterSpec, TextSpec};

/// Why a filter file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it, and what to do.
    pub message: String,
}

struct Setting {
    section: String,
    key: String,
    value: String,
    line: usize,
}

/// Reads the text of a filter file.
///
/// # Errors
///
/// [`FileError`] names the line: a line that belongs to nothing, an include, an interpolation, a bad `maxlines`.
pub fn read(name: &FilterName, text: &str) -> Result<FilterSpec, FileError> {
    let settings = settings(text)?;
    if let Some(include) = settings.iter().find(|s| s.section == "INCLUDES") {
        return Err(FileError {
            line: include.line,
            message: format!(
                "[INCLUDES] {} is not followed; write the included settings into this file",
                include.key
            ),
        });
    }
    let mut spec = TextSpec { max_lines: 1, ..TextSpec::default() };
    for setting in settings.iter().filter(|s| matches!(s.section.as_str(), "Definition" | "Init")) {
        let known = ["failregex", "ignoreregex", "prefregex", "datepattern", "maxlines"];
        if !known.contains(&setting.key.as_str()) {
            continue;
        }
        let value = plain(setting, &settings)?;
        let lines = || value.lines().map(str::trim).filter(|l| !l.is_empty()).map(ToOwned::to_owned);
        match setting.key.as_str() {
            "failregex" => spec.fail_regex = lines().collect(),
            "ignoreregex" => spec.ignore_regex = lines().collect(),
            "prefregex" => spec.pref_regex = Some(value.trim().to_owned()).filter(|v| !v.is_empty()),
            "datepattern" => spec.date_patterns = lines().collect(),
            _ => {
                spec.max_lines = value.trim().parse().map_err(|_| FileError {
                    line: setting.line,
                    message: format!("maxlines is not a number: {}", value.trim()),
                })?;
            }
        }
    }
    Ok(FilterSpec { name: name.clone(), rules: vec![], successes: vec![], text: Some(spec), one_per: None })
}

/// Sections, keys and values. A value goes on in indented lines; `#` and `;` begin a comment at the start of a line,
/// `;` after a blank as well.
fn settings(text: &str) -> Result<Vec<Setting>, FileError> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = String::new();
    let mut open = false;
    for (number, raw) in text.lines().enumerate() {
        let line = number + 1;
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        let content = raw.find(" ;").or_else(|| raw.find("\t;")).and_then(|at| raw.get(..at)).unwrap_or(raw);
        if raw.starts_with([' ', '\t']) {
            match settings.last_mut().filter(|_| open) {
                Some(setting) => {
                    setting.value.push('\n');
                    setting.value.push_str(content.trim());
                }
                None => {
                    return Err(FileError {
                        line,
                        message: "an indented line that continues nothing".into(),
                    });
                }
            }
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            section = name.0.to_owned();
            open = false;
        } else if let Some((key, value)) = content.split_once(['=', ':']) {
            let key = key.trim().to_ascii_lowercase();
            settings.push(Setting { section: section.clone(), key, value: value.trim().to_owned(), line });
            open = true;
        } else {
            let message =
                "neither a section nor `key = value`; a regex that goes on must be indented".to_owned();
            return Err(FileError { line, message });
        }
    }
    Ok(settings)
}

/// The value, when it holds nothing to be put in from elsewhere.
fn plain(setting: &Setting, all: &[Setting]) -> Result<String, FileError> {
    let refuse = |what: &str| {
        let message = format!("{} holds {what}, which is not put in; write its value there", setting.key);
        Err(FileError { line: setting.line, message })
    };
    let mut value = String::with_capacity(setting.value.len());
    let mut rest = setting.value.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        value.push_str(before);
        if let Some(name) = after.strip_prefix('(').and_then(|a| a.split_once(")s")) {
            return refuse(&format!("the interpolation %({})s", name.0));
        }
        value.push('%');
        rest = after.strip_prefix('%').unwrap_or(after);
    }
    value.push_str(rest);
    let tag = all.iter().filter(|s| s.section == "Init" || s.section == "Definition").find(|s| {
        // Keys are case-insensitive, tags are not; fail2ban's own are upper-case.
        value.contains(&format!("<{}>", s.key))
    });
    match tag {
        Some(tag) => refuse(&format!("the tag <{}>", tag.key)),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TextSpec, String> {
        super::read(&FilterName::new("x"), text).map(|spec| spec.text.unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn values_go_on_in_indented_lines() {
        let spec = read(
            "# a comment\n[Definition]\nfailregex = ^a <HOST>$\n            ^b;c <HOST>$ ; remark\n\nignoreregex =\n\
             prefregex = ^x <F-CONTENT>.+</F-CONTENT>$\n[Init]\nmaxlines = 3\ndatepattern = {^LN-BEG}%%Y\n",
        )
        .unwrap();
        assert_eq!(spec.fail_regex, ["^a <HOST>$", "^b;c <HOST>$"]);
        assert!(spec.ignore_regex.is_empty());
        assert_eq!(spec.pref_regex.as_deref(), Some("^x <F-CONTENT>.+</F-CONTENT>$"));
        assert_eq!((spec.max_lines, spec.date_patterns), (3, vec!["{^LN-BEG}%Y".to_owned()]));
    }

    #[test]
    fn what_is_not_read_yet_is_named_with_its_line() {
        for (text, message) in [
            (
                "[INCLUDES]\nbefore = common.conf\n",
                "line 2: [INCLUDES] before is not followed; write the included settings into this file",
            ),
            (
                "[Definition]\nfailregex = ^%(__prefix_line)sx <HOST>$\n",
                "line 2: failregex holds the interpolation %(__prefix_line)s, which is not put in; write its value there",
            ),
            (
                "[Definition]\nmode = a\nfailregex = ^<mode> <HOST>$\n",
                "line 3: failregex holds the tag <mode>, which is not put in; write its value there",
            ),
            (
                "[Definition]\nfailregex = ^a\n<HOST>$\n",
                "line 3: neither a section nor `key = value`; a regex that goes on must be indented",
            ),
            ("[Definition]\nmaxlines = many\n", "line 2: maxlines is not a number: many"),
            (" x\n", "line 1: an indented line that continues nothing"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()));
        }
    }
}
