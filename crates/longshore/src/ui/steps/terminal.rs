//! Drawing lines over those drawn before, in one write and without clearing first, so that nothing flickers.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Size {
    /// That of the terminal on standard error. One that does not tell counts as the smallest usual one.
    pub(super) fn of_stderr() -> Self {
        match rustix::termios::tcgetwinsize(std::io::stderr()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
            }
            _ => Size { columns: 80, rows: 24 },
        }
    }
}

/// What stands on the terminal and will be drawn over: the cursor stands below it.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    /// Widths of the lines in columns.
    widths: Vec<usize>,
}

/// Everything between these appears at once, on terminals that know the request; others ignore it.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

impl Drawn {
    /// Text that puts `above` where the lines stood, and `lines` below it.
    pub(super) fn replace(&mut self, above: &str, lines: &[String], columns: usize) -> String {
        let mut text = format!("{BEGIN}\r");
        let up: usize = self.widths.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        if up > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "\u{1b}[{up}A");
        }
        for line in above.lines().chain(lines.iter().map(String::as_str)) {
            // What stood there is cleared behind the line, not before it.
            let _ = writeln!(text, "{line}\u{1b}[K");
        }
        text.push_str("\u{1b}[J");
        text.push_str(END);
        self.widths =
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string().width()).collect();
        text
    }

    /// Whether nothing is drawn.
    pub(super) fn is_empty(&self) -> bool {
        self.widths.is_empty()
    }
}

/// The begin of a text that fits into so many columns, with a mark where something is left out.
pub(super) fn fit(text: &str, columns: usize, unicode: bool) -> String {
    let text = text.replace('\t', "    ");
    if text.width() <= columns {
        return text;
    }
    let mark = if unicode { "…" } else { "..." };
    let room = columns.saturating_sub(mark.width());
    let mut used = 0;
    let mut fitting = String::new();
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > room {
            break;
        }
        fitting.push(character);
    }
    if columns >= mark.width() { fitting + mark } else { fitting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_columns_and_not_to_characters() {
        for (text, columns, expected) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("漢字漢字", 5, "漢字…"),
            ("a\tb", 9, "a    b"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(fit(text, columns, true), expected);
        }
        assert_eq!(fit("longer text", 8, false), "longe...");
        assert_eq!(fit("longer", 2, false), "");
    }

    #[test]
    fn lines_are_drawn_over_those_before_even_if_these_wrap_now() {
        let mut drawn = Drawn::default();
        let first = drawn.replace("", &["a".repeat(80), "b".into()], 80);
        assert_eq!(first, format!("{BEGIN}\r{}\u{1b}[K\nb\u{1b}[K\n\u{1b}[J{END}", "a".repeat(80)));
        let narrower = drawn.replace("note", &["c".into()], 40);
        assert_eq!(narrower, format!("{BEGIN}\r\u{1b}[3Anote\u{1b}[K\nc\u{1b}[K\n\u{1b}[J{END}"));
        let gone = drawn.replace("", &[], 40);
        assert_eq!(gone, format!("{BEGIN}\r\u{1b}[1A\u{1b}[J{END}"));
        assert!(drawn.is_empty());
    }
}
