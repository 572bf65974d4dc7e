//! An instruction's keyword, flags and arguments, taken apart. Follows BuildKit's parser/split_command.go.

use std::ops::Range;

use crate::instruction::{Flag, Word};
use crate::source::LogicalLine;

/// White space that separates the words of an instruction. Other blanks of Unicode do not.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0b' | '\x0c' | '\r')
}

/// The parts of an instruction, as ranges of its text.
pub(super) struct Parts {
    pub(super) keyword: Range<usize>,
    pub(super) flags: Vec<Flag>,
    pub(super) arguments: Range<usize>,
}

/// Takes `range` of the text apart.
pub(super) fn split(line: &LogicalLine, range: &Range<usize>, escape: char) -> Parts {
    let range = line.trim(range);
    let text = &line.text[range.clone()];
    let keyword_end = text.find(is_blank).unwrap_or(text.len());
    let rest = text[keyword_end..].trim_start_matches(is_blank);
    let rest_start = range.end - rest.len();
    let mut flags = Flags { line, escape, position: rest_start, end: range.end, found: Vec::new() };
    let arguments_start = flags.read();
    Parts {
        keyword: range.start..range.start + keyword_end,
        flags: flags.found,
        arguments: line.trim(&(arguments_start..range.end)),
    }
}

struct Flags<'l> {
    line: &'l LogicalLine,
    escape: char,
    position: usize,
    end: usize,
    found: Vec<Flag>,
}

impl Flags<'_> {
    fn rest(&self) -> &str {
        &self.line.text[self.position..self.end]
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.position += character.len_utf8();
        Some(character)
    }

    /// Reads words that start with `--`, and returns where the arguments start.
    fn read(&mut self) -> usize {
        loop {
            let rest = self.rest();
            self.position += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with("--") {
                return self.position;
            }
            let start = self.position;
            let mut word = FlagWord::default();
            self.word(&mut word);
            if word.text == "--" {
                return self.position;
            }
            let flag = word.flag(self.line, start..self.position);
            self.found.push(flag);
        }
    }

    /// Reads one word, quotes and escapes taken away.
    fn word(&mut self, word: &mut FlagWord) {
        let mut quote = None;
        while let Some(character) = self.rest().chars().next() {
            if quote.is_none() && character.is_whitespace() {
                return;
            }
            self.position += character.len_utf8();
            match quote {
                None if matches!(character, '\'' | '"') => quote = Some(character),
                Some(open) if open == character => quote = None,
                _ if character == self.escape => {
                    if let Some(escaped) = self.next() {
                        word.push(escaped, self.position);
                    }
                }
                _ => word.push(character, self.position),
            }
        }
    }
}

/// A flag as it is read: its text, and where its value starts.
#[derive(Default)]
struct FlagWord {
    text: String,
    /// In the text, and in the line: what follows the first `=`.
    value: Option<(usize, usize)>,
}

impl FlagWord {
    fn push(&mut self, character: char, after: usize) {
        self.text.push(character);
        if character == '=' && self.value.is_none() {
            self.value = Some((self.text.len(), after));
        }
    }

    fn flag(self, line: &LogicalLine, range: Range<usize>) -> Flag {
        let (name_end, name_range, value) = match self.value {
            None => (self.text.len(), range, None),
            Some((in_text, in_line)) => {
                let word =
                    Word { text: self.text[in_text..].to_owned(), span: line.span(&(in_line..range.end)) };
                (in_text - 1, range.start..in_line - 1, Some(word))
            }
        };
        let name = self.text[..name_end].strip_prefix("--").unwrap_or_default().to_owned();
        Flag { name: Word { text: name, span: line.span(&name_range) }, value }
    }
}
