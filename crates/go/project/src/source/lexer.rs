//! Go's tokens, with the semicolons that line ends stand for.
//!
//! Source: <https://go.dev/ref/spec#Lexical_elements>.

/// What kind of token this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword.
    Word,
    /// A string literal, quotes included.
    Text,
    /// An integer literal.
    Integer,
    /// Any other literal: floating point, imaginary, rune.
    Other,
    /// An operator or a bracket.
    Operator,
    /// A semicolon, written or implied by the end of a line.
    Semicolon,
    /// The end of the file.
    End,
}

/// A token and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// The line of its first character, from 1.
    pub line: u32,
}

impl Token<'_> {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Word | Kind::Operator)
    }
}

/// A `//go:embed` comment: what follows the directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmbedComment<'a> {
    pub arguments: &'a str,
    pub line: u32,
}

pub(crate) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    /// Whether the latest token lets a line end stand for a semicolon.
    may_end: bool,
    /// `//go:embed` comments passed so far.
    pub embeds: Vec<EmbedComment<'a>>,
}

const LONG_OPERATORS: [&str; 25] = [
    "<<=", ">>=", "&^=", "...", "<-", "++", "--", "==", "!=", "<=", ">=", ":=", "+=", "-=", "*=", "/=", "%=",
    "&=", "|=", "^=", "<<", ">>", "&^", "&&", "||",
];

impl<'a> Lexer<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        let at = if source.starts_with('\u{feff}') { 3 } else { 0 };
        Lexer { source, at, line: 1, may_end: false, embeds: Vec::new() }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.source.len()
    }

    fn byte(&self, offset: usize) -> u8 {
        self.source.as_bytes().get(self.at + offset).copied().unwrap_or(0)
    }

    /// The next token. At the end it returns [`Kind::End`] again and again.
    pub(crate) fn next(&mut self) -> Token<'a> {
        if let Some(semicolon) = self.skip_blanks() {
            return semicolon;
        }
        let (start, line) = (self.at, self.line);
        let kind = match self.byte(0) {
            0 if self.at >= self.source.len() => Kind::End,
            b'"' => self.text(),
            b'`' => self.raw_text(),
            b'\'' => self.rune(),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_ascii_digit() => self.number(),
            byte if is_word(byte) => {
                self.skip_while(is_word);
                Kind::Word
            }
            b';' => {
                self.at += 1;
                Kind::Semicolon
            }
            _ => self.operator(),
        };
        let text = &self.source[start..self.at];
        self.may_end = match kind {
            Kind::Text | Kind::Integer | Kind::Other => true,
            Kind::Word => {
                !is_keyword(text) || matches!(text, "break" | "continue" | "fallthrough" | "return")
            }
            Kind::Operator => matches!(text, ")" | "]" | "}" | "++" | "--"),
            Kind::Semicolon | Kind::End => false,
        };
        Token { kind, text, line }
    }

    /// Skips blanks and comments; the semicolon that a line end among them stands for.
    fn skip_blanks(&mut self) -> Option<Token<'a>> {
        loop {
            match self.byte(0) {
                b'\n' => {
                    let line = self.line;
                    self.at += 1;
                    self.line += 1;
                    if std::mem::take(&mut self.may_end) {
                        return Some(Token { kind: Kind::Semicolon, text: ";", line });
                    }
                }
                b' ' | b'\t' | b'\r' | b'\x0c' => self.at += 1,
                b'/' if self.byte(1) == b'/' => self.line_comment(),
                b'/' if self.byte(1) == b'*' => {
                    let line = self.line;
                    let rest = &self.source[self.at + 2..];
                    let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
                    let lines = count_lines(&rest[..length]);
                    self.at += 2 + length;
                    self.line += lines;
                    if lines > 0 && std::mem::take(&mut self.may_end) {
                        return Some(Token { kind: Kind::Semicolon, text: ";", line });
                    }
                }
                0 if self.at >= self.source.len() => {
                    let ends = std::mem::take(&mut self.may_end);
                    return ends.then_some(Token { kind: Kind::Semicolon, text: ";", line: self.line });
                }
                _ => return None,
            }
        }
    }

    fn line_comment(&mut self) {
        let rest = &self.source[self.at..];
        let length = rest.find('\n').unwrap_or(rest.len());
        if let Some(arguments) = rest[..length].strip_prefix("//go:embed")
            && arguments.starts_with([' ', '\t'])
        {
            self.embeds.push(EmbedComment { arguments: arguments.trim(), line: self.line });
        }
        self.at += length;
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        let bytes = &self.source.as_bytes()[self.at..];
        self.at += bytes.iter().position(|byte| !accept(*byte)).unwrap_or(bytes.len());
    }

    fn text(&mut self) -> Kind {
        self.at += 1;
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n'));
            match self.byte(0) {
                b'\\' if !matches!(self.byte(1), b'\n' | 0) => self.skip_escape(),
                b'"' => {
                    self.at += 1;
                    return Kind::Text;
                }
                // An unterminated string ends with its line.
                b'\\' => self.at += 1,
                _ => return Kind::Text,
            }
        }
    }

    /// Skips a backslash and the character behind it, however many bytes that has.
    fn skip_escape(&mut self) {
        let escaped = self.source[self.at + 1..].chars().next();
        self.at += 1 + escaped.map_or(0, char::len_utf8);
    }

    fn raw_text(&mut self) -> Kind {
        let rest = &self.source[self.at + 1..];
        let length = rest.find('`').map_or(rest.len(), |end| end + 1);
        self.line += count_lines(&rest[..length]);
        self.at += 1 + length;
        Kind::Text
    }

    fn rune(&mut self) -> Kind {
        self.at += 1;
        loop {
            self.skip_while(|byte| !matches!(byte, b'\'' | b'\\' | b'\n'));
            match self.byte(0) {
                b'\\' if !matches!(self.byte(1), b'\n' | 0) => self.skip_escape(),
                b'\'' => {
                    self.at += 1;
                    return Kind::Other;
                }
                b'\\' => self.at += 1,
                _ => return Kind::Other,
            }
        }
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        loop {
            self.skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
            let text = &self.source[start..self.at];
            let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
            let exponent = if hexadecimal { text.ends_with(['p', 'P']) } else { text.ends_with(['e', 'E']) };
            if !(exponent && matches!(self.byte(0), b'+' | b'-')) {
                let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') || hexadecimal;
                return if integer && !text.contains('.') { Kind::Integer } else { Kind::Other };
            }
            self.at += 1;
        }
    }

    fn operator(&mut self) -> Kind {
        let rest = &self.source[self.at..];
        let long = LONG_OPERATORS.iter().find(|operator| rest.starts_with(**operator));
        self.at += match long {
            Some(operator) => operator.len(),
            None => rest.chars().next().map_or(0, char::len_utf8),
        };
        Kind::Operator
    }
}

fn count_lines(text: &str) -> u32 {
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether a word is one of Go's keywords.
pub(crate) fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "break"
            | "case"
            | "chan"
            | "const"
            | "continue"
            | "default"
            | "defer"
            | "else"
            | "fallthrough"
            | "for"
            | "func"
            | "go"
            | "goto"
            | "if"
            | "import"
            | "interface"
            | "map"
            | "package"
            | "range"
            | "return"
            | "select"
            | "struct"
            | "switch"
            | "type"
            | "var"
    )
}

/// The text that a string literal stands for; none if it is malformed.
pub(crate) fn literal_text(literal: &str) -> Option<String> {
    if let Some(inner) = literal.strip_prefix('`') {
        return Some(inner.strip_suffix('`')?.replace('\r', ""));
    }
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { longshore_golang::unescape_string(inner) } else { Some(inner.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        let mut lexer = Lexer::new(source);
        std::iter::from_fn(|| Some(lexer.next()))
            .take_while(|token| token.kind != Kind::End)
            .map(|token| format!("{}:{}", token.line, token.text))
            .collect()
    }

    #[test]
    fn line_ends_stand_for_semicolons_where_go_says_so() {
        assert_eq!(words("a\nb + \nc"), ["1:a", "1:;", "2:b", "2:+", "3:c", "3:;"]);
        assert_eq!(words("f()\n}\n"), ["1:f", "1:(", "1:)", "1:;", "2:}", "2:;"]);
        assert_eq!(
            words("return // x\n\"s\" /* a\nb */ x"),
            ["1:return", "1:;", "2:\"s\"", "2:;", "3:x", "3:;"]
        );
    }

    #[test]
    fn literals_are_taken_whole() {
        assert_eq!(
            words(r#""a\"b" `c"d` '\'' 0x1F 1_000 1e+3 .5 a.b 1..2"#),
            [
                "1:\"a\\\"b\"",
                "1:`c\"d`",
                "1:'\\''",
                "1:0x1F",
                "1:1_000",
                "1:1e+3",
                "1:.5",
                "1:a",
                "1:.",
                "1:b",
                "1:1..2",
                "1:;"
            ]
        );
        assert_eq!(
            words("a<<=b&^c...d:=<-e"),
            ["1:a", "1:<<=", "1:b", "1:&^", "1:c", "1:...", "1:d", "1::=", "1:<-", "1:e", "1:;"]
        );
    }

    #[test]
    fn literals_without_end_end_with_their_line_or_file() {
        assert_eq!(words("\"a\nb"), ["1:\"a", "1:;", "2:b", "2:;"]);
        assert_eq!(words("`a\nb"), ["1:`a\nb", "2:;"]);
        assert_eq!(words("'\\é\n"), ["1:'\\é", "1:;"]);
        assert_eq!(words("\"\\"), ["1:\"\\", "1:;"]);
    }

    #[test]
    fn embed_comments_are_kept_with_their_line() {
        let mut lexer = Lexer::new(
            "package p\n//go:embed a/*.txt \"b c\"\nvar x string // go:embed no\n//go:embedded no\n",
        );
        while lexer.next().kind != Kind::End {}
        assert_eq!(lexer.embeds, [EmbedComment { arguments: "a/*.txt \"b c\"", line: 2 }]);
    }
}
