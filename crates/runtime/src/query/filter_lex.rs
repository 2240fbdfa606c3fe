//! The characters of a filter, read one word at a time.

use super::fields::excerpt;
use super::filter::{FilterError, FilterProblem};

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// Where it begins.
    pub(super) position: usize,
    /// Its text, escapes resolved.
    pub(super) text: String,
    /// True when it stood in quotes, so that it is no `null`.
    pub(super) quoted: bool,
    /// It begins with a `*` that is no escape.
    pub(super) starts_wild: bool,
    /// It ends with a `*` that is no escape, and that is not the one it begins with.
    pub(super) ends_wild: bool,
}

impl Literal {
    fn new(position: usize, chars: &[(char, bool)], quoted: bool) -> Self {
        let star = |c: Option<&(char, bool)>| c == Some(&('*', true));
        Self {
            position,
            text: chars.iter().map(|(c, _)| c).collect(),
            quoted,
            starts_wild: star(chars.first()),
            ends_wild: chars.len() > 1 && star(chars.last()),
        }
    }

    /// True for a lone `*`: any value.
    pub(super) fn is_any(&self) -> bool {
        self.starts_wild && self.text == "*"
    }

    /// True for the word `null`.
    pub(super) fn is_null(&self) -> bool {
        !self.quoted && self.text == "null"
    }

    /// The text without the wildcards at its ends.
    pub(super) fn core(&self) -> &str {
        let text = if self.starts_wild { &self.text[1..] } else { &self.text };
        if self.ends_wild { &text[..text.len() - 1] } else { text }
    }
}

/// Reads a filter. Positions count characters, not bytes.
pub(super) struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Goes past `text` if it is next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let end = self.at + text.chars().count();
        let is_next = self.chars.get(self.at..end).is_some_and(|next| next.iter().copied().eq(text.chars()));
        if is_next {
            self.at = end;
        }
        is_next
    }

    /// Goes past `keyword` if it is the next word.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        self.peek_word() == keyword && self.take(keyword)
    }

    /// The word that comes next, as names and keywords are made; empty when there is none.
    pub(super) fn peek_word(&self) -> String {
        self.chars[self.at..].iter().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.')).collect()
    }

    /// What an error says it found here: a word or one character.
    pub(super) fn found(&self) -> String {
        match (self.peek_word(), self.peek()) {
            (_, None) => "the end".to_owned(),
            (word, Some(c)) if word.is_empty() => excerpt(&c.to_string()),
            (word, _) => excerpt(&word),
        }
    }

    pub(super) fn error(&self, problem: FilterProblem) -> FilterError {
        FilterError { position: self.at, problem }
    }

    pub(super) fn expected(&self, expected: &'static str) -> FilterError {
        self.error(FilterProblem::Expected { expected, found: self.found() })
    }

    /// Reads a value: text in quotes, or everything up to a space, a bracket or an operator.
    pub(super) fn literal(&mut self) -> Result<Literal, FilterError> {
        let literal = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => self.unquoted()?,
        };
        if self.peek().is_none_or(|c| c.is_whitespace() || c == ')') {
            Ok(literal)
        } else {
            Err(self.expected("a space or ) after the value; values with special characters stand in quotes"))
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Literal, FilterError> {
        let position = self.at;
        self.at += 1;
        let mut chars = Vec::new();
        loop {
            match self.peek() {
                None => return Err(FilterError { position, problem: FilterProblem::Unclosed { quote } }),
                Some('\0') => return Err(self.error(FilterProblem::Nul)),
                Some(c) if c == quote => break,
                Some('\\') => {
                    let c = match self.chars.get(self.at + 1) {
                        Some(c @ ('"' | '\'' | '\\' | '*')) => *c,
                        Some('n') => '\n',
                        Some('t') => '\t',
                        _ => return Err(self.error(FilterProblem::Escape)),
                    };
                    chars.push((c, false));
                    self.at += 2;
                    continue;
                }
                Some(c) => chars.push((c, true)),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(Literal::new(position, &chars, true))
    }

    fn unquoted(&mut self) -> Result<Literal, FilterError> {
        let position = self.at;
        let mut chars = Vec::new();
        while let Some(c) = self.peek() {
            if c == '\0' {
                return Err(self.error(FilterProblem::Nul));
            }
            if c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\'' | '=' | '<' | '>' | '!' | ',' | '\\') {
                break;
            }
            chars.push((c, true));
            self.at += 1;
        }
        if chars.is_empty() {
            return Err(self.expected("a value"));
        }
        Ok(Literal::new(position, &chars, false))
    }
}
