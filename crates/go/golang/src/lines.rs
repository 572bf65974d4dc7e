//! The syntax that go.mod and go.work share: lines of words, blocks in parentheses, and `//` comments.
//!
//! What the words mean is decided elsewhere; here they only get their places. The grammar is that of
//! <https://go.dev/ref/mod#go-mod-file-lexical>, with the checks of `golang.org/x/mod/modfile`.

use crate::error::{Problem, SyntaxError};

/// One directive: its words and the comments that belong to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Words as written, quotes included. Parentheses, brackets, braces and commas are words of their own.
    pub words: Vec<String>,
    /// Line of the first word, from 1.
    pub line: u32,
    /// Column of the first word, in characters from 1.
    pub column: u32,
    /// Whole-line comments directly above, without `//`, trimmed.
    pub above: Vec<String>,
    /// The comment at the end of the line, without `//`, trimmed.
    pub suffix: Option<String>,
}

impl Line {
    /// The comments that describe the directive: those above, then the one behind it.
    pub(crate) fn comments(&self) -> impl Iterator<Item = &str> {
        self.above.iter().chain(self.suffix.iter()).map(String::as_str)
    }

    pub(crate) fn error(&self, problem: Problem) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, problem }
    }
}

/// A directive by itself, or a block of them that share their first word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    Line(Line),
    Block { head: Line, lines: Vec<Line> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    End,
    Newline,
    Comment { whole_line: bool },
    Word,
    Open,
    Close,
}

struct Token {
    kind: Kind,
    text: String,
    line: u32,
    column: u32,
}

impl Token {
    fn ends_line(&self) -> bool {
        matches!(self.kind, Kind::End | Kind::Newline | Kind::Comment { .. })
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
    /// Whether the line had anything but blanks so far.
    line_has_words: bool,
}

impl<'a> Lexer<'a> {
    fn bump(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        if character == '\n' {
            self.line += 1;
            self.column = 1;
            self.line_has_words = false;
        } else {
            self.column += 1;
        }
        Some(character)
    }

    fn error(&self, problem: Problem) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, problem }
    }

    fn next(&mut self) -> Result<Token, SyntaxError> {
        while self.rest.starts_with([' ', '\t', '\r']) {
            self.bump();
        }
        let (start, line, column) = (self.rest, self.line, self.column);
        let token = |kind, rest: &str| {
            let text = start[..start.len() - rest.len()].to_owned();
            Ok(Token { kind, text, line, column })
        };
        if self.rest.starts_with("//") {
            let whole_line = !self.line_has_words;
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = self.rest[2..end].trim().to_owned();
            while self.bump().is_some_and(|character| character != '\n') {}
            return Ok(Token { kind: Kind::Comment { whole_line }, text, line, column });
        }
        if self.rest.starts_with("/*") {
            return Err(self.error(Problem::BlockComment));
        }
        let Some(first) = self.rest.chars().next() else { return token(Kind::End, self.rest) };
        match first {
            '\n' => {
                self.bump();
                return token(Kind::Newline, self.rest);
            }
            '"' | '`' => self.quoted(first, line, column)?,
            '(' | ')' | '[' | ']' | '{' | '}' | ',' => {
                self.bump();
            }
            _ if !is_word(first) => return Err(self.error(Problem::UnexpectedCharacter(first))),
            _ => {
                while self.rest.chars().next().is_some_and(is_word) && !self.rest.starts_with("//") {
                    if self.rest.starts_with("/*") {
                        return Err(self.error(Problem::BlockComment));
                    }
                    self.bump();
                }
            }
        }
        self.line_has_words = true;
        let kind = match first {
            '(' => Kind::Open,
            ')' => Kind::Close,
            _ => Kind::Word,
        };
        token(kind, self.rest)
    }

    fn quoted(&mut self, quote: char, line: u32, column: u32) -> Result<(), SyntaxError> {
        let unterminated = || SyntaxError { line, column, problem: Problem::UnterminatedString };
        self.bump();
        loop {
            if self.rest.starts_with('\n') {
                return Err(self.error(Problem::NewlineInString));
            }
            match self.bump().ok_or_else(unterminated)? {
                '\\' if quote == '"' => {
                    self.bump().ok_or_else(unterminated)?;
                }
                character if character == quote => return Ok(()),
                _ => {}
            }
        }
    }
}

fn is_word(character: char) -> bool {
    !matches!(character, '(' | ')' | '[' | ']' | '{' | '}' | ',')
        && !character.is_whitespace()
        && !character.is_control()
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    next: Token,
}

impl Parser<'_> {
    fn take(&mut self) -> Result<Token, SyntaxError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Reads the words up to the end of the line. With `may_open`, a `(` at the end opens a block, whose lines are the second
    /// result.
    fn line(&mut self, above: Vec<String>, may_open: bool) -> Result<(Line, Option<Vec<Line>>), SyntaxError> {
        let first = self.take()?;
        let mut line =
            Line { words: vec![first.text], line: first.line, column: first.column, above, suffix: None };
        loop {
            let token = self.take()?;
            match token.kind {
                Kind::End | Kind::Newline => return Ok((line, None)),
                Kind::Comment { .. } => {
                    line.suffix = Some(token.text);
                    return Ok((line, None));
                }
                Kind::Open if may_open && self.next.ends_line() => {
                    let lines = self.block(&line)?;
                    return Ok((line, Some(lines)));
                }
                Kind::Open if may_open && self.next.kind == Kind::Close => {
                    let close = self.take()?;
                    if self.next.ends_line() {
                        self.take()?;
                        return Ok((line, Some(Vec::new())));
                    }
                    line.words.extend([token.text, close.text]);
                }
                _ => line.words.push(token.text),
            }
        }
    }

    fn block(&mut self, head: &Line) -> Result<Vec<Line>, SyntaxError> {
        let mut lines = Vec::new();
        let mut above = Vec::new();
        loop {
            match self.next.kind {
                Kind::Comment { whole_line } => {
                    let text = self.take()?.text;
                    if whole_line {
                        above.push(text);
                    }
                }
                Kind::Newline => {
                    self.take()?;
                }
                Kind::End => {
                    let problem = Problem::UnterminatedBlock { start: head.line };
                    return Err(SyntaxError { line: self.next.line, column: self.next.column, problem });
                }
                Kind::Close => {
                    self.take()?;
                    if !self.next.ends_line() {
                        let (line, column) = (self.next.line, self.next.column);
                        return Err(SyntaxError { line, column, problem: Problem::WordsAfterBlock });
                    }
                    self.take()?;
                    return Ok(lines);
                }
                Kind::Open | Kind::Word => lines.push(self.line(std::mem::take(&mut above), false)?.0),
            }
        }
    }
}

/// Reads the statements of a file. Bytes that are not UTF-8 count as the replacement character, as they do for Go.
pub(crate) fn statements(bytes: &[u8]) -> Result<Vec<Statement>, SyntaxError> {
    let text = String::from_utf8_lossy(bytes);
    let lexer = Lexer { rest: &text, line: 1, column: 1, line_has_words: false };
    let start = Token { kind: Kind::End, text: String::new(), line: 1, column: 1 };
    let mut parser = Parser { lexer, next: start };
    parser.take()?;
    let mut found = Vec::new();
    let mut above = Vec::new();
    loop {
        match parser.next.kind {
            Kind::End => return Ok(found),
            Kind::Newline => {
                // A blank line parts a comment from what follows.
                parser.take()?;
                above.clear();
            }
            Kind::Comment { .. } => above.push(parser.take()?.text),
            Kind::Open | Kind::Close | Kind::Word => {
                let (line, block) = parser.line(std::mem::take(&mut above), true)?;
                found.push(match block {
                    Some(lines) => Statement::Block { head: line, lines },
                    None => Statement::Line(line),
                });
            }
        }
    }
}

/// The text that a word stands for: quotes are taken off and escapes resolved.
pub(crate) fn unquote(word: &str) -> Result<String, Problem> {
    let bad = || Problem::BadString(word.to_owned());
    if let Some(inner) = word.strip_prefix('"') {
        return unescape(inner.strip_suffix('"').ok_or_else(bad)?).ok_or_else(bad);
    }
    // Go's reference allows raw strings too, but its parser refuses every other quote.
    if word.contains(['"', '\'', '`']) { Err(bad()) } else { Ok(word.to_owned()) }
}

/// Resolves the escapes of an interpreted Go string, given without its quotes. None if one is malformed.
pub fn unescape(inner: &str) -> Option<String> {
    let mut out = Vec::with_capacity(inner.len());
    let mut characters = inner.chars();
    let push = |out: &mut Vec<u8>, character: char| {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let Some(character) = characters.next() {
        if character != '\\' {
            push(&mut out, character);
            continue;
        }
        let escape = characters.next()?;
        let simple = match escape {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' => Some(b'\\'),
            '"' => Some(b'"'),
            _ => None,
        };
        if let Some(byte) = simple {
            out.push(byte);
            continue;
        }
        let (digits, radix, is_byte) = match escape {
            'x' => (2, 16, true),
            'u' => (4, 16, false),
            'U' => (8, 16, false),
            '0'..='7' => (2, 8, true),
            _ => return None,
        };
        let mut value = if radix == 8 { escape.to_digit(8)? } else { 0 };
        for _ in 0..digits {
            value = value.checked_mul(radix)? + characters.next()?.to_digit(radix)?;
        }
        if is_byte { out.push(u8::try_from(value).ok()?) } else { push(&mut out, char::from_u32(value)?) }
    }
    // Bytes that form no text are kept as the replacement character: a name can be shown, a path will not be found.
    Some(String::from_utf8_lossy(&out).into_owned())
}
