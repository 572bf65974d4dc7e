//! What a Go file says before its first declaration: its package and what it imports.

use super::lexer::{Kind, Lexer, Token, literal_text};

/// An import of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// The import path.
    pub path: String,
    /// The name given to it, `_` and `.` included.
    pub name: Option<String>,
    /// Its line, from 1.
    pub line: u32,
}

/// The top of a Go file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The package's name; empty if the file does not start with a package clause.
    pub package: String,
    /// What is imported, in order.
    pub imports: Vec<Import>,
    /// Whether the text went on behind the imports, so that none can be missing.
    pub complete: bool,
    /// The line where the text stopped making sense, if it did.
    pub broken: Option<u32>,
}

impl Header {
    /// Reads the top of a file. Given the front part of a file only, `complete` tells whether it was enough.
    pub(crate) fn read(source: &str) -> Self {
        let mut lexer = Lexer::new(source);
        let mut header = Header::default();
        let broken = |mut header: Header, line| {
            header.broken = Some(line);
            header
        };
        let first = next_meaningful(&mut lexer);
        let name = lexer.next();
        if !first.is("package") || name.kind != Kind::Word {
            return broken(header, first.line);
        }
        header.package = name.text.to_owned();
        loop {
            let token = next_meaningful(&mut lexer);
            if !token.is("import") {
                // A word at the very end may be half of "import".
                header.complete = token.kind != Kind::End && !lexer.is_at_end();
                return header;
            }
            let mut token = next_meaningful(&mut lexer);
            if !token.is("(") {
                match import(&mut lexer, token) {
                    Some(import) => header.imports.push(import),
                    None => return broken(header, token.line),
                }
                continue;
            }
            loop {
                token = next_meaningful(&mut lexer);
                if token.is(")") {
                    break;
                }
                match import(&mut lexer, token) {
                    Some(import) => header.imports.push(import),
                    None => return broken(header, token.line),
                }
            }
        }
    }

    /// The import of a path.
    pub(crate) fn import(&self, path: &str) -> Option<&Import> {
        self.imports.iter().find(|import| import.path == path)
    }
}

fn next_meaningful<'a>(lexer: &mut Lexer<'a>) -> Token<'a> {
    loop {
        let token = lexer.next();
        if token.kind != Kind::Semicolon {
            return token;
        }
    }
}

fn import(lexer: &mut Lexer<'_>, first: Token<'_>) -> Option<Import> {
    let (name, text) = match first.kind {
        Kind::Text => (None, first),
        _ if first.kind == Kind::Word || first.is(".") => {
            (Some(first.text.to_owned()), next_meaningful(lexer))
        }
        _ => return None,
    };
    if text.kind != Kind::Text {
        return None;
    }
    Some(Import { path: literal_text(text.text)?, name, line: text.line })
}

/// The patterns of the `//go:embed` comments of a file, each with its line. A comment that is malformed gives none, as for
/// `go list`.
pub(crate) fn embed_patterns(source: &str) -> Vec<(String, u32)> {
    let mut lexer = Lexer::new(source);
    while lexer.next().kind != Kind::End {}
    let patterns = lexer.embeds.iter().filter_map(|comment| {
        let patterns = split_patterns(comment.arguments)?;
        Some(patterns.into_iter().map(|pattern| (pattern, comment.line)).collect::<Vec<_>>())
    });
    patterns.flatten().collect()
}

fn split_patterns(arguments: &str) -> Option<Vec<String>> {
    let mut patterns = Vec::new();
    let mut rest = arguments.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => {
                let mut escaped = false;
                let close = rest.char_indices().skip(1).find(|(_, character)| {
                    let closes = *character == '"' && !escaped;
                    escaped = *character == '\\' && !escaped;
                    closes
                });
                close?.0 + 1
            }
            '`' => rest[1..].find('`')? + 2,
            _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at(end);
        if !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
            return None;
        }
        patterns.push(if matches!(first, '"' | '`') { literal_text(word)? } else { word.to_owned() });
        rest = behind.trim_start();
    }
    Some(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_read_in_all_their_forms() {
        let header = Header::read(
            "// Doc.\n//go:build linux\n\npackage p // x\n\nimport \"a\"\nimport b \"x/b\"; import (\n\t_ \"c\"\n\t. `d`\n)\n\nvar import2 = 1\n",
        );
        let imports: Vec<_> = header
            .imports
            .iter()
            .map(|found| (found.path.as_str(), found.name.as_deref(), found.line))
            .collect();
        assert_eq!(header.package, "p");
        assert_eq!(
            imports,
            [("a", None, 6), ("x/b", Some("b"), 7), ("c", Some("_"), 8), ("d", Some("."), 9)]
        );
        assert!(header.complete);
    }

    #[test]
    fn half_a_file_is_known_to_be_half() {
        let whole = "package p\nimport (\n\t\"a\"\n\t\"b\"\n)\nvar x = 1\n";
        for length in 0..whole.len() {
            let header = Header::read(&whole[..length]);
            if header.complete {
                assert_eq!(header.imports.len(), 2, "{length}");
            }
        }
    }

    #[test]
    fn embed_patterns_are_split_as_go_splits_them() {
        let source = "package p\nimport \"embed\"\n//go:embed a \"b c\" `d e` all:f/*\nvar x embed.FS\n//go:embed \"broken\nvar y string\n";
        let patterns: Vec<_> = embed_patterns(source);
        assert_eq!(
            patterns,
            [("a".into(), 3), ("b c".into(), 3), ("d e".into(), 3), ("all:f/*".to_owned(), 3)]
        );
    }
}
