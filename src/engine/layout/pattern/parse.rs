//! The grammar of conversion patterns, logback's and log4j2's together: `%-5level`, `%d{HH:mm:ss}`,
//! `%replace(…){…}`, `%style{…}{…}`.

use std::iter::Peekable;
use std::str::CharIndices;

use super::PatternError;

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Text that is printed as it stands.
    Literal(String),
    /// `%word{option}{option}`.
    Word(Word),
}

/// A conversion word with everything around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    /// `level` of `%-5level{…}`; empty for a group without a word, `%-20(…)`.
    pub(crate) name: String,
    /// Where its `%` is, counted in characters from 0.
    pub(crate) position: usize,
    /// Least width, blanks filling it up.
    pub(crate) width: usize,
    /// What is in the parentheses after it.
    pub(crate) group: Option<Vec<Piece>>,
    /// The texts in the braces after it.
    pub(crate) options: Vec<String>,
}

/// Groups within groups; nobody nests deeper than three.
const DEPTH: usize = 16;

/// Takes a pattern apart.
pub(crate) fn parse(pattern: &str) -> Result<Vec<Piece>, PatternError> {
    let mut parser = Parser { rest: pattern.char_indices().peekable(), pattern };
    parser.pieces(0)
}

struct Parser<'a> {
    rest: Peekable<CharIndices<'a>>,
    pattern: &'a str,
}

impl Parser<'_> {
    fn position(&mut self) -> usize {
        let byte = self.rest.peek().map_or(self.pattern.len(), |(at, _)| *at);
        self.pattern.get(..byte).map_or(0, |head| head.chars().count())
    }

    fn take(&mut self, c: char) -> bool {
        self.rest.next_if(|(_, next)| *next == c).is_some()
    }

    /// Up to the end, or within a group up to its closing parenthesis, which is left.
    fn pieces(&mut self, depth: usize) -> Result<Vec<Piece>, PatternError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        while let Some((_, c)) = self.rest.peek().copied() {
            if c == ')' && depth > 0 {
                break;
            }
            let position = self.position();
            self.rest.next();
            match c {
                '\\' => literal.extend(self.escape()),
                '%' if self.take('%') => literal.push('%'),
                '%' => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Word(self.word(position, depth)?));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(pieces)
    }

    /// After a backslash. `\_` prints nothing: it ends a conversion word before text that would lengthen it.
    fn escape(&mut self) -> Option<char> {
        match self.rest.next().map(|(_, c)| c) {
            Some('_') => None,
            Some('t') => Some('\t'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some(c) => Some(c),
            None => Some('\\'),
        }
    }

    fn word(&mut self, position: usize, depth: usize) -> Result<Word, PatternError> {
        if depth >= DEPTH {
            return Err(PatternError::TooDeep { position });
        }
        // `-` fills up on the right; either way blanks are no part of the value. `0` fills numbers up with zeros.
        while self.take('-') || self.take('0') {}
        let width = self.number();
        if self.take('.') {
            self.take('-');
            self.number();
        }
        let mut name = String::new();
        while let Some((_, c)) = self.rest.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        let mut word = Word { name, position, width, group: None, options: Vec::new() };
        if self.take('(') {
            let group = self.pieces(depth + 1)?;
            if !self.take(')') {
                return Err(PatternError::Unclosed { bracket: '(', position });
            }
            word.group = Some(group);
        } else if word.name.is_empty() {
            return Err(PatternError::LonePercent { position });
        }
        while self.rest.peek().is_some_and(|(_, c)| *c == '{') {
            word.options.push(self.option(position)?);
        }
        Ok(word)
    }

    fn number(&mut self) -> usize {
        let mut number = 0usize;
        while let Some((_, digit)) = self.rest.next_if(|(_, c)| c.is_ascii_digit()) {
            number =
                number.saturating_mul(10).saturating_add(digit.to_digit(10).unwrap_or(0) as usize).min(1000);
        }
        number
    }

    /// The text in braces, nested ones included. Within quotes braces do not count.
    fn option(&mut self, position: usize) -> Result<String, PatternError> {
        self.take('{');
        let mut text = String::new();
        let mut depth = 0;
        let mut quote = None;
        for (_, c) in self.rest.by_ref() {
            match (quote, c) {
                (None, '"') if text.is_empty() || text.ends_with([' ', ',']) => quote = Some('"'),
                (None, '\'') if text.is_empty() || text.ends_with([' ', ',']) => quote = Some('\''),
                (Some(open), c) if c == open => quote = None,
                (None, '{') => depth += 1,
                (None, '}') if depth == 0 => return Ok(text),
                (None, '}') => depth -= 1,
                _ => {}
            }
            text.push(c);
        }
        Err(PatternError::Unclosed { bracket: '{', position })
    }
}
