//! Errors on their way to the user, and the one renderer that shows them.

use std::error::Error;
use std::fmt::Write;
use std::io;

use anstyle::{AnsiColor, Style};
use longshore_image::archive::SaveError;

use super::text::visible;
use super::{OutputError, excerpt, known};
use crate::exit::Exit;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const CAUSE: Style = AnsiColor::Red.on_default();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Longer chains are loops or noise.
const MAX_CHAIN: usize = 32;

/// An error with what the process ends with because of it. Any error becomes one by `?`; hints and source excerpts are found in its chain when
/// it is rendered.
#[derive(Debug)]
pub(crate) struct CommandError {
    error: Box<dyn Error + Send + Sync + 'static>,
    exit: Option<Exit>,
    hints: Vec<String>,
}

impl<E: Error + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        CommandError { error: Box::new(error), exit: None, hints: Vec::new() }
    }
}

impl CommandError {
    /// What was typed is wrong.
    pub(crate) fn usage(error: impl Error + Send + Sync + 'static) -> Self {
        CommandError { exit: Some(Exit::Usage), ..CommandError::from(error) }
    }

    /// A check could not be made.
    pub(crate) fn unchecked(error: impl Error + Send + Sync + 'static) -> Self {
        CommandError { exit: Some(Exit::Unchecked), ..CommandError::from(error) }
    }

    /// What was streamed to standard output, not through [`super::Ui`]: a reader that went away is recognised all the same.
    pub(crate) fn of_stream(error: SaveError) -> Self {
        match error {
            SaveError::Write(source) => OutputError(source).into(),
            other => other.into(),
        }
    }

    /// The same error with advice that only this command can give.
    #[must_use]
    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What the process ends with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Failed)
    }

    /// Whether all that failed is that the reader of standard output went away.
    pub(crate) fn is_closed_output(&self) -> bool {
        let error: &(dyn Error + 'static) = &*self.error;
        error.downcast_ref::<OutputError>().is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error, its causes, where it stands in a file, and what can be done: styled lines, each with its end.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("{ERROR}error{ERROR:#}: {}\n", indented(&self.error.to_string()));
        for cause in self.chain().skip(1) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {CAUSE}caused by{CAUSE:#}: {}", indented(&cause.to_string()));
        }
        if let Some(excerpt) = self.chain().find_map(known::excerpt) {
            text.push_str(&excerpt::render(&excerpt));
        }
        let mut hints = self.hints.clone();
        for hint in self.chain().filter_map(known::hint) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        for hint in hints {
            let _ = writeln!(text, "{HINT}hint{HINT:#}: {}", indented(&hint));
        }
        text
    }

    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = &*self.error;
        std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| (*error).source()).take(MAX_CHAIN)
    }
}

/// Messages may have several lines, such as a compiler's: all but the first stand under the first.
fn indented(message: &str) -> String {
    visible(message.trim_end()).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::StoreLocationError;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Box<dyn Error + Send + Sync>);

    fn plain(error: &CommandError) -> String {
        anstream::adapter::strip_str(&error.render()).to_string()
    }

    #[test]
    fn the_chain_is_shown_from_the_outside_in_with_hints_from_anywhere_in_it() {
        let inner = Layer("cannot open the store\nsecond line", Box::new(StoreLocationError));
        let error = CommandError::from(Layer("cannot list images", Box::new(inner))).hinted("first advice");
        let expected = "\
error: cannot list images
  caused by: cannot open the store
    second line
  caused by: cannot tell where the image store is: neither XDG_DATA_HOME nor HOME is set to an absolute path
hint: first advice
hint: name a folder with --store, or set LONGSHORE_STORE
";
        assert_eq!(plain(&error), expected);
        assert_eq!(error.exit(), Exit::Failed);
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        let error = CommandError::usage(Layer("bad \u{1b}]0;x\u{7}", Box::new(StoreLocationError)));
        assert!(plain(&error).starts_with("error: bad \\u{1b}]0;x\\u{7}\n"), "{}", plain(&error));
        assert_eq!(error.exit(), Exit::Usage);
    }

    #[test]
    fn only_a_closed_standard_output_counts_as_a_reader_that_went_away() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(CommandError::from(OutputError(closed())).is_closed_output());
        assert!(!CommandError::from(OutputError(io::ErrorKind::StorageFull.into())).is_closed_output());
        assert!(!CommandError::from(Layer("cannot push", Box::new(closed()))).is_closed_output());
    }
}
