//! The `crate::…` and `super::…` paths of a Rust source text, as paths from the crate's root.
//!
//! A small reader of tokens and not a parser of Rust: comments and literals are skipped, `{a, b::c}` trees are
//! opened, `super` is resolved by the file's module path and the inline modules around it.

/// One path, and the line it stands on (from 1).
pub(crate) struct CratePath {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Colons,
    Sign(char),
}

/// All paths that begin with `crate` or `super`, resolved. `module` is the file's own module path.
pub(crate) fn crate_paths(source: &str, module: &[String]) -> Vec<CratePath> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    // Inline modules around the current token, each with the brace depth its body has.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while let Some((token, line)) = tokens.get(at) {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth -= 1;
                inline.retain(|(_, body)| *body <= depth);
            }
            Token::Name(word) if word == "mod" => {
                if let (Some((Token::Name(name), _)), Some((Token::Sign('{'), _))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    inline.push((name.clone(), depth + 1));
                }
            }
            Token::Name(word) if word == "crate" || word == "super" => {
                let mut base: Vec<String> = if word == "crate" {
                    Vec::new()
                } else {
                    module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect()
                };
                if word == "super" {
                    base.pop();
                }
                let mut next = at + 1;
                while matches!(tokens.get(next), Some((Token::Colons, _)))
                    && matches!(tokens.get(next + 1), Some((Token::Name(n), _)) if n == "super")
                {
                    base.pop();
                    next += 2;
                }
                if matches!(tokens.get(next), Some((Token::Colons, _))) {
                    let mut paths = Vec::new();
                    at = tree(&tokens, next + 1, &base, &mut paths);
                    found.extend(paths.into_iter().map(|path| CratePath { line: *line, path }));
                    continue;
                }
                // `use super as up` and the like would hide what is named.
                found.push(CratePath { line: *line, path: base });
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the rest of a path after `::` into `found`; gives the index after it.
fn tree(tokens: &[(Token, usize)], mut at: usize, base: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(at) {
            Some((Token::Name(name), _)) => {
                if name != "self" {
                    path.push(name.clone());
                }
                at += 1;
                if !matches!(tokens.get(at), Some((Token::Colons, _))) {
                    break;
                }
                at += 1;
            }
            Some((Token::Sign('{'), _)) => {
                at += 1;
                loop {
                    match tokens.get(at) {
                        None => return at,
                        Some((Token::Sign('}'), _)) => return at + 1,
                        Some((Token::Name(_) | Token::Sign('{' | '*'), _)) => {
                            at = tree(tokens, at, &path, found);
                        }
                        Some(_) => at += 1,
                    }
                }
            }
            Some((Token::Sign('*'), _)) => {
                path.push("*".to_owned());
                at += 1;
                break;
            }
            // `crate::a::<T>`
            _ => break,
        }
    }
    // `a as b`
    if matches!(tokens.get(at), Some((Token::Name(n), _)) if n == "as") {
        at += 2;
    }
    found.push(path);
    at
}

fn tokens(source: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    while at < chars.len() {
        let begin = at;
        match (chars[at], chars.get(at + 1).copied()) {
            ('/', Some('/')) => at = until(&chars, at, |c| c == '\n'),
            ('/', Some('*')) => at = after_block_comment(&chars, at),
            ('"', _) => at = after_string(&chars, at + 1),
            ('\'', next) => {
                // A character, or else a lifetime.
                if next == Some('\\') {
                    at = until(&chars, at + 3, |c| c == '\'') + 1;
                } else if chars.get(at + 2) == Some(&'\'') {
                    at += 3;
                } else {
                    at += 1;
                }
            }
            (':', Some(':')) => {
                found.push((Token::Colons, line));
                at += 2;
            }
            (c, _) if is_name(&c) => {
                at = until(&chars, at, |c| !is_name(&c));
                let name: String = chars[begin..at].iter().collect();
                let hashes = until(&chars, at, |c| c != '#') - at;
                let raw = matches!(name.as_str(), "r" | "br" | "cr") && chars.get(at + hashes) == Some(&'"');
                if raw {
                    at = after_raw_string(&chars, at + hashes + 1, hashes);
                } else {
                    found.push((Token::Name(name), line));
                }
            }
            (c, _) => {
                if !c.is_whitespace() {
                    found.push((Token::Sign(c), line));
                }
                at += 1;
            }
        }
        line += chars[begin..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn until(chars: &[char], from: usize, end: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&at| end(chars[at])).unwrap_or(chars.len())
}

fn after_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn after_raw_string(chars: &[char], mut at: usize, hashes: usize) -> usize {
    while at < chars.len() {
        let closes = chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        at += 1;
        if closes {
            return at + hashes;
        }
    }
    at
}

fn after_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}
