//! One line to one rule: options and their values, nothing judged yet.

use std::collections::BTreeMap;

/// One rule that appends something.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    /// Its line, from 1.
    pub(super) line: usize,
    /// The line as it stands.
    pub(super) text: String,
    /// The chain it is in.
    pub(super) chain: String,
    /// Options with their values, in long form without dashes; an option without value has an empty one.
    pub(super) options: BTreeMap<String, String>,
    /// Options behind a `!`.
    pub(super) negated: Vec<String>,
    /// Modules of `-m`.
    pub(super) modules: Vec<String>,
}

/// Why a line could not be read.
pub(super) struct Unread(pub(super) String);

/// The rest of a line that calls the program, whatever its path.
pub(super) fn after_program(line: &str) -> Option<&str> {
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    let (program, rest) = line.split_once(char::is_whitespace)?;
    let program = program.rsplit('/').next().unwrap_or(program);
    matches!(program, "iptables" | "ip6tables" | "iptables-legacy" | "iptables-nft").then_some(rest)
}

impl Rule {
    /// Reads a line; `None` when it appends no rule (comments, tables, policies, COMMIT).
    pub(super) fn read(line: usize, text: &str) -> Result<Option<Self>, Unread> {
        let counted = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(_, rest)| rest);
        let text = counted.unwrap_or(text).trim();
        let arguments = match after_program(text) {
            Some(rest) => rest,
            None if text.starts_with("-A ") || text.starts_with("-I ") => text,
            None => return Ok(None),
        };
        let words = words(arguments).ok_or_else(|| Unread("a quote has no end".into()))?;
        let mut rule = Self { line, text: text.into(), ..Self::default() };
        let mut words = words.into_iter().peekable();
        let mut negate = false;
        while let Some(word) = words.next() {
            if word == "!" {
                negate = true;
                continue;
            }
            let Some(option) = long(&word) else {
                return Err(Unread(format!("`{word}` is no option")));
            };
            let most = if matches!(option.as_str(), "insert" | "tcp-flags") { 2 } else { 1 };
            let mut values: Vec<String> = Vec::new();
            while values.len() < most
                && let Some(value) = words.next_if(|next| !next.starts_with('-') && next != "!")
            {
                values.push(value);
            }
            let value = values.join(" ");
            match option.as_str() {
                "append" | "insert" => rule.chain = value.split(' ').next().unwrap_or_default().into(),
                "match" => rule.modules.push(value),
                _ => {
                    rule.options.insert(option.clone(), value);
                }
            }
            if std::mem::take(&mut negate) {
                rule.negated.push(option);
            }
        }
        Ok((!rule.chain.is_empty()).then_some(rule))
    }

    /// The value of an option.
    pub(super) fn get(&self, option: &str) -> Option<&str> {
        self.options.get(option).map(String::as_str)
    }

    /// Whether the option stands there.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// Whether the module is loaded.
    pub(super) fn uses(&self, module: &str) -> bool {
        self.modules.iter().any(|used| used == module)
    }
}

/// The long name without dashes; `None` for what is no option.
fn long(word: &str) -> Option<String> {
    let name = match word {
        "-A" => "append",
        "-I" => "insert",
        "-t" => "table",
        "-p" | "--proto" => "protocol",
        "-s" | "--src" => "source",
        "-d" | "--dst" => "destination",
        "-i" => "in-interface",
        "-o" => "out-interface",
        "-j" => "jump",
        "-g" => "goto",
        "-m" => "match",
        "-f" => "fragment",
        "--destination-port" => "dport",
        "--destination-ports" => "dports",
        _ => word.strip_prefix("--")?,
    };
    Some(name.into())
}

/// The words of a line as a shell would split them; `None` when a quote has no end.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some('"') | None, '\\') => {
                word.extend(chars.next());
                open = true;
            }
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                open = true;
            }
            (None, '#') if !open => break,
            (None, c) if c.is_whitespace() => {
                if std::mem::take(&mut open) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, c) => {
                word.push(c);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    quote.is_none().then_some(words)
}
