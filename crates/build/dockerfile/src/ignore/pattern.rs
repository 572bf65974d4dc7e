//! One pattern of .dockerignore.
//!
//! Upstream turns a pattern into a regular expression of Go, unless it is simpler than that: a path, a path and `**` behind it, or
//! `**` and a path behind it, which have rules of their own. Here most of the expressions are tokens, which are faster; what a
//! token list cannot say (an escaped letter, which means something else to an expression, or an odd class) stays an expression.

use regex_lite::Regex;

use crate::paths;
use crate::wildcard::{self, PatternError, Token, Tokens};

/// A pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Whether it starts with `!`.
    pub(super) takes_back: bool,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// This path.
    Exact(String),
    /// What starts with this.
    Prefix(String),
    /// What ends with this; where it starts with a slash, also what it is behind the slash.
    Suffix(String),
    Tokens(Tokens),
    Expression(Regex),
}

/// How a pattern turned out to be while it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

impl Pattern {
    /// Reads a pattern; `None` if there is nothing in it.
    pub(super) fn new(text: &str) -> Result<Option<Pattern>, PatternError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let cleaned = paths::clean(text);
        let (takes_back, pattern) = match cleaned.strip_prefix('!') {
            Some("") => return Err(PatternError::new(text)),
            Some(rest) => (true, rest),
            None => (false, cleaned.as_str()),
        };
        wildcard::matches(pattern, ".")?;
        let matcher = Matcher::new(pattern)?;
        Ok(Some(Pattern { takes_back, matcher }))
    }

    /// Whether it matches the whole path.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact(exact) => path == exact,
            Matcher::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path)
            }
            Matcher::Tokens(tokens) => tokens.matches(path),
            Matcher::Expression(expression) => expression.is_match(path),
        }
    }

    /// Whether it could match a path that starts with `folder`, which ends with a slash.
    pub(super) fn may_match_below(&self, folder: &str) -> bool {
        match &self.matcher {
            Matcher::Exact(exact) => exact.starts_with(folder),
            Matcher::Prefix(prefix) => prefix.starts_with(folder) || folder.starts_with(prefix.as_str()),
            Matcher::Tokens(tokens) => tokens.may_go_on(folder),
            Matcher::Suffix(_) | Matcher::Expression(_) => true,
        }
    }
}

impl Matcher {
    fn new(pattern: &str) -> Result<Self, PatternError> {
        let mut reader = Reader {
            pattern,
            rest: pattern.chars(),
            expression: "^".to_owned(),
            tokens: Some(Vec::new()),
            kind: Kind::Exact,
        };
        reader.read();
        Ok(match reader.kind {
            Kind::Exact => Matcher::Exact(pattern.to_owned()),
            Kind::Prefix => Matcher::Prefix(pattern[..pattern.len() - 2].to_owned()),
            Kind::Suffix => Matcher::Suffix(pattern[2..].to_owned()),
            Kind::Expression => match reader.tokens {
                Some(tokens) => Matcher::Tokens(Tokens::new(tokens)),
                None => {
                    let expression = Regex::new(&with_plain_classes(&format!("{}$", reader.expression)));
                    Matcher::Expression(expression.map_err(|_| PatternError::new(pattern))?)
                }
            },
        })
    }
}

/// Makes both, tokens and expression, of a pattern.
struct Reader<'p> {
    pattern: &'p str,
    rest: std::str::Chars<'p>,
    expression: String,
    /// `None` once there was something that they cannot say.
    tokens: Option<Vec<Token>>,
    kind: Kind,
}

impl Reader<'_> {
    fn push(&mut self, tokens: impl IntoIterator<Item = Token>) {
        if let Some(list) = &mut self.tokens {
            list.extend(tokens);
        }
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.rest.as_str().starts_with(expected);
        if found {
            self.rest.next();
        }
        found
    }

    fn read(&mut self) {
        while let Some(character) = self.rest.next() {
            match character {
                '*' if self.take('*') => self.two_stars(),
                '*' => {
                    self.expression.push_str("[^/]*");
                    self.push([Token::Star]);
                    self.kind = Kind::Expression;
                }
                '?' => {
                    self.expression.push_str("[^/]");
                    self.push([Token::Any]);
                    self.kind = Kind::Expression;
                }
                '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                    self.expression.push('\\');
                    self.expression.push(character);
                    self.push([Token::Literal(character)]);
                }
                '\\' => self.escaped(),
                '[' => self.class(),
                ']' => {
                    self.expression.push(character);
                    self.push([Token::Literal(character)]);
                    self.kind = Kind::Expression;
                }
                // An expression takes this for its start, where no text can be before it.
                '^' => {
                    self.expression.push(character);
                    self.tokens = None;
                }
                other => {
                    self.expression.push(other);
                    self.push([Token::Literal(other)]);
                }
            }
        }
    }

    fn two_stars(&mut self) {
        let is_first = self.rest.as_str().len() + 2 == self.pattern.len();
        self.take('/');
        if self.rest.as_str().is_empty() {
            if self.kind == Kind::Exact {
                self.kind = Kind::Prefix;
            } else {
                self.expression.push_str(".*");
                self.push([Token::Rest]);
                self.kind = Kind::Expression;
            }
        } else {
            self.expression.push_str("(.*/)?");
            self.push([Token::MaybeFolders, Token::Folders]);
            self.kind = Kind::Expression;
        }
        if is_first {
            self.kind = Kind::Suffix;
        }
    }

    fn escaped(&mut self) {
        self.expression.push('\\');
        let Some(escaped) = self.rest.next() else { return };
        self.expression.push(escaped);
        self.kind = Kind::Expression;
        // A letter or digit behind a backslash is a class or an assertion to an expression.
        if escaped.is_ascii_alphanumeric() {
            self.tokens = None;
        } else {
            self.push([Token::Literal(escaped)]);
        }
    }

    /// A class. Upstream goes on character by character, so what is special outside of one is translated inside of it too.
    fn class(&mut self) {
        let before = self.rest.as_str();
        let mut rest = self.rest.clone();
        let token = wildcard::class(&mut rest);
        let length = before.len() - rest.as_str().len();
        let is_plain = !before[..length].contains(['*', '?', '\\']) && !before[..length].contains("[:");
        self.expression.push('[');
        self.kind = Kind::Expression;
        match token {
            Some(token) if is_plain && is_ordered(&token) => {
                for character in before[..length].chars() {
                    if matches!(character, '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$') {
                        self.expression.push('\\');
                    }
                    self.expression.push(character);
                }
                self.push([token]);
                self.rest = rest;
            }
            _ => self.tokens = None,
        }
    }
}

/// The same expression with what Go takes as it is within classes escaped, since it means something here.
fn with_plain_classes(expression: &str) -> String {
    let mut output = String::new();
    let mut in_class = false;
    let mut characters = expression.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                output.push('\\');
                output.extend(characters.next());
                continue;
            }
            '[' if !in_class => {
                in_class = true;
                output.push('[');
                output.extend(characters.next_if_eq(&'^'));
                if characters.next_if_eq(&']').is_some() {
                    output.push_str("\\]");
                }
                continue;
            }
            ']' => in_class = false,
            '[' if characters.peek() != Some(&':') => output.push('\\'),
            '&' | '~' if in_class => output.push('\\'),
            _ => {}
        }
        output.push(character);
    }
    output
}

fn is_ordered(token: &Token) -> bool {
    match token {
        Token::Class { ranges, .. } => ranges.iter().all(|(low, high)| low <= high),
        _ => true,
    }
}
