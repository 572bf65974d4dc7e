//! Words of ENV, LABEL and ARG: separated by blanks that are not quoted, quotes and escapes left in. Follows `parseWords` of
//! BuildKit's parser/line_parsers.go.

use std::ops::Range;

use crate::Word;
use crate::source::LogicalLine;

/// Splits `range` of the text. An escape character at the very end is dropped.
pub(super) fn split(line: &LogicalLine, range: &Range<usize>, escape: char) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut end = range.end;
    let mut characters = line.text[range.clone()].char_indices();
    while let Some((offset, character)) = characters.next() {
        let position = range.start + offset;
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|start| start..position));
            continue;
        }
        start = start.or(Some(position));
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '\'' | '"') => quote = Some(character),
            // Nothing can be escaped between single quotes.
            _ if character == escape && quote != Some('\'') => {
                end = characters.next().map_or(position, |_| end);
            }
            _ => {}
        }
    }
    words.extend(start.filter(|start| *start < end).map(|start| start..end));
    words
}

/// Splits a word at its first `=`.
pub(super) fn name_and_value(line: &LogicalLine, word: &Range<usize>) -> Option<(Word, Word)> {
    let equals = word.start + line.text[word.clone()].find('=')?;
    Some((line.word(&(word.start..equals)), line.word(&(equals + 1..word.end))))
}

/// Splits `range` at blanks, quoted or not.
pub(super) fn at_blanks(line: &LogicalLine, range: &Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (offset, character) in line.text[range.clone()].char_indices() {
        let position = range.start + offset;
        if super::command::is_blank(character) {
            words.extend(start.take().map(|start| start..position));
        } else {
            start = start.or(Some(position));
        }
    }
    words.extend(start.map(|start| start..range.end));
    words
}
