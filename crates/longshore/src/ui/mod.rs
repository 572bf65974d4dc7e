//! The one object that prints.
//!
//! Results go to standard output and are all that goes there, so that a script may take them as they are; progress,
//! warnings and errors go to standard error. Who reads less than there is (`longshore image ls | head -1`) heard enough: a closed pipe is
//! no failure, as ripgrep has it. Colours heed NO_COLOR, CLICOLOR_FORCE, TERM and whether a terminal is there at all.

mod bars;
mod error;
mod excerpt;
mod known;
mod lines;
mod panic;
mod steps;
mod table;
mod text;

use std::io::{self, Write};
use std::sync::Arc;

use anstream::AutoStream;
use longshore_events::{Events, Listener};
use serde::Serialize;

use crate::arguments::{ColorChoice, GlobalArgs, OutputFormat, ProgressStyle};
use crate::environment::Environment;
use crate::exit::Exit;

pub(crate) use error::CommandError;
pub(crate) use panic::report_panics;
pub(crate) use table::{Align, Table};
pub(crate) use text::{ago, count, size, visible};

/// The version of every JSON document that a command prints. Raised when a field changes its meaning or goes; new fields do not raise it.
const JSON_VERSION: u32 = 1;

/// What shows progress, and can make room for other output.
trait Screen: Listener {
    /// From here on a Dockerfile is built: its steps are what is shown, and local work is of little interest.
    fn show_steps(&self) {}
    /// Whether a person saw what the processes of failed tasks wrote.
    fn shows_output(&self) -> bool {
        false
    }
    /// Runs `write` while nothing is drawn.
    fn aside(&self, write: &mut dyn FnMut()) {
        write();
    }
    /// Removes what is drawn.
    fn close(&self) {}
}

/// Prints results, progress and errors.
pub(crate) struct Ui {
    events: Events,
    screen: Arc<dyn Screen>,
    stdout: anstream::ColorChoice,
    stderr: anstream::ColorChoice,
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct OutputError(#[source] io::Error);

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer to: {question}")]
pub(crate) struct PromptError {
    question: String,
    #[source]
    source: inquire::InquireError,
}

/// What a command found out, for people and for programs.
pub(crate) trait Report: Serialize {
    /// The report as lines for a person.
    fn human(&self) -> String;
}

#[derive(Serialize)]
struct Versioned<'a, R> {
    version: u32,
    #[serde(flatten)]
    report: &'a R,
}

impl Ui {
    /// A printer as the arguments and the environment want it.
    pub(crate) fn new(global: &GlobalArgs, environment: &Environment) -> Self {
        let (stdout, stderr) = match global.color {
            ColorChoice::Always => (anstream::ColorChoice::Always, anstream::ColorChoice::Always),
            ColorChoice::Never => (anstream::ColorChoice::Never, anstream::ColorChoice::Never),
            ColorChoice::Auto => (AutoStream::choice(&io::stdout()), AutoStream::choice(&io::stderr())),
        };
        let unicode = environment.has_unicode();
        let screen: Arc<dyn Screen> = match global.progress {
            ProgressStyle::Auto if environment.can_redraw() => bars::Bars::new(unicode, stderr),
            ProgressStyle::Auto | ProgressStyle::Plain => Arc::new(lines::Plain::new(stderr)),
            ProgressStyle::Json => Arc::new(lines::Json::new()),
            ProgressStyle::Quiet => Arc::new(lines::Quiet::new(stderr)),
        };
        let listener: Arc<dyn Listener> = screen.clone();
        Ui { events: Events::new(listener), screen, stdout, stderr }
    }

    /// Where libraries report what they do.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Says that a Dockerfile's steps are what is shown from here on.
    pub(crate) fn show_steps(&self) {
        self.screen.show_steps();
    }

    /// Prints a report in the format that was asked for.
    pub(crate) fn report<R: Report>(&mut self, report: &R, format: OutputFormat) -> Result<(), OutputError> {
        match format {
            OutputFormat::Human => self.print(&report.human()),
            OutputFormat::Json => {
                let versioned = Versioned { version: JSON_VERSION, report };
                let mut text = serde_json::to_string_pretty(&versioned)
                    .map_err(|error| OutputError(io::Error::other(error)))?;
                text.push('\n');
                self.write(text.as_bytes())
            }
        }
    }

    /// Prints text, with its styles where the output has colours.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), OutputError> {
        let choice = self.stdout;
        self.on_stdout(|stdout| AutoStream::new(stdout, choice).write_all(text.as_bytes()))
    }

    /// Prints bytes to standard error as they are, for a program whose error output this is.
    pub(crate) fn write_errors(&self, bytes: &[u8]) {
        self.screen.aside(&mut || {
            // There is nowhere to say that standard error cannot be written.
            let _ = io::stderr().write_all(bytes);
        });
    }

    /// Prints bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.on_stdout(|stdout| stdout.write_all(bytes))
    }

    fn on_stdout(
        &mut self,
        write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let mut write = Some(write);
        let mut result = Ok(());
        self.screen.aside(&mut || {
            let mut stdout = io::stdout().lock();
            if let Some(write) = write.take() {
                result = write(&mut stdout).and_then(|()| stdout.flush());
            }
        });
        result.map_err(OutputError)
    }

    /// Asks which of several things is meant, and returns its index. Errors: nobody answers.
    pub(crate) fn choose(&mut self, question: &str, options: &[String]) -> Result<usize, PromptError> {
        let mut answer = Err(inquire::InquireError::OperationCanceled);
        self.screen.aside(&mut || {
            answer = inquire::Select::new(question, options.to_vec()).raw_prompt().map(|choice| choice.index);
        });
        answer.map_err(|source| {
            // The terminal was raw while it asked: Ctrl-C arrived as a key.
            if matches!(source, inquire::InquireError::OperationInterrupted) {
                self.events.cancel();
            }
            PromptError { question: question.to_owned(), source }
        })
    }

    /// Prints why a command failed, and says what the process ends with.
    pub(crate) fn fail(&mut self, error: &CommandError) -> Exit {
        self.close();
        if error.is_closed_output() {
            return Exit::Done;
        }
        if self.events.is_cancelled() {
            self.to_stderr("interrupted\n");
            return Exit::Interrupted;
        }
        self.to_stderr(&error.render(self.screen.shows_output()));
        error.exit()
    }

    /// Removes what is drawn, at the end of a command.
    pub(crate) fn close(&mut self) {
        self.screen.close();
    }

    fn to_stderr(&self, text: &str) {
        say(self.stderr, text);
    }
}

/// Writes to standard error. Where nobody reads it, the work goes on.
fn say(choice: anstream::ColorChoice, text: &str) {
    let _ = AutoStream::new(io::stderr().lock(), choice).write_all(text.as_bytes());
}
