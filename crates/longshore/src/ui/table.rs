//! The one table: columns as wide as what stands in them, two spaces between.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::text::visible;

/// Which side of its column a cell stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

const HEADING: anstyle::Style = anstyle::Style::new().bold();

impl Table {
    /// A table with these headings and no rows.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: as many cells as there are columns.
    pub(crate) fn row<const N: usize>(&mut self, cells: &[String; N]) {
        debug_assert_eq!(N, self.columns.len());
        // A line break in a cell would make two rows of one.
        let cells = cells.iter().map(|cell| visible(cell).replace(['\n', '\t'], " "));
        self.rows.push(cells.collect());
    }

    /// The table as lines, each with its end.
    pub(crate) fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.chain([self.columns[column].0.width()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let headings: Vec<_> = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let mut text = format!("{HEADING}{}{HEADING:#}\n", self.line(&headings, &widths));
        for row in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", self.line(row, &widths));
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let padding = " ".repeat(widths[index] - cell.width());
            match self.columns[index].1 {
                Align::Left => line.extend([cell, padding.as_str()]),
                Align::Right => line.extend([padding.as_str(), cell]),
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_tail() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right), ("TAG", Align::Left)]);
        table.row(&["api".into(), "5.2 MB".into(), "dev".into()]);
        table.row(&["größe".into(), "9 B".into(), String::new()]);
        table.row(&["evil\nname\u{1b}".into(), "0 B".into(), "x".into()]);
        let text = anstream::adapter::strip_str(&table.render()).to_string();
        let expected = "\
NAME               SIZE  TAG
api              5.2 MB  dev
größe               9 B
evil name\\u{1b}     0 B  x
";
        assert_eq!(text, expected);
    }
}
