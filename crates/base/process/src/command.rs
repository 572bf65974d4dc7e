//! The description of a child process.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_events::{Events, Task};

use crate::environment::{Environment, Secret};
use crate::error::ProcessError;
use crate::output::{Finished, Stream};
use crate::run;

/// What is kept of each output where nobody says otherwise, in bytes.
const CAPTURE: usize = 4 * 1024 * 1024;
/// How long a group may take to end after SIGTERM where nobody says otherwise.
const GRACE: Duration = Duration::from_secs(2);

/// A child process to be: program, arguments, folder, environment, limits.
///
/// It reads nothing (or what [`Command::input`] gives), has no terminal, and leads a process group of its own.
#[derive(Debug, Clone)]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) input: Option<Secret>,
    pub(crate) capture: [usize; 2],
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) hint_if_missing: Option<String>,
}

impl Command {
    /// A command of a program's path, or of a name to be found in the PATH of the environment given.
    pub fn new(program: impl Into<OsString>, environment: Environment) -> Self {
        Command {
            program: program.into(),
            arguments: Vec::new(),
            folder: None,
            environment,
            input: None,
            capture: [CAPTURE, CAPTURE],
            timeout: None,
            grace: GRACE,
            hint_if_missing: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<Argument: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The folder to run in. Without it the child runs where this process does.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What the child reads from its standard input, in full. It may hold secrets and is shown nowhere.
    #[must_use]
    pub fn input(mut self, input: impl Into<OsString>) -> Self {
        self.input = Some(Secret::new(input));
        self
    }

    /// How many bytes of an output are kept: all, or the first and the last half. 4 MiB of each unless said.
    #[must_use]
    pub fn capture(mut self, stream: Stream, limit: usize) -> Self {
        self.capture[stream as usize] = limit;
        self
    }

    /// How long it may run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long the group may take to end after SIGTERM, before SIGKILL. Two seconds unless said.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What a person should do where the program does not exist.
    #[must_use]
    pub fn hint_if_missing(mut self, hint: impl Into<String>) -> Self {
        self.hint_if_missing = Some(hint.into());
        self
    }

    /// Runs it to its end, whatever its status: see [`Finished::success`].
    ///
    /// Errors: it cannot be started, its pipes fail, the work is cancelled, its time is over.
    pub fn run(&self, events: &Events) -> Result<Finished, ProcessError> {
        self.run_with(events, &mut |_, _| {})
    }

    /// Runs it and passes each line that it writes to the task. Errors as [`Command::run`].
    pub fn run_in(&self, task: &Task) -> Result<Finished, ProcessError> {
        self.run_with(task.events(), &mut |_, line| task.output(line))
    }

    /// Runs it and passes on each line as it is written, without its end, secrets of the environment masked, on the thread
    /// of the caller. A line over 64 KiB comes in pieces. Errors as [`Command::run`].
    pub fn run_with(
        &self,
        events: &Events,
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<Finished, ProcessError> {
        run::run(self, events, on_line).map_err(|kind| ProcessError {
            program: self.name(),
            hint_if_missing: self.hint_if_missing.clone(),
            kind,
        })
    }

    /// The program with the first words of its arguments, for messages: "go list".
    pub(crate) fn name(&self) -> String {
        let words = self.arguments.iter().map(|word| word.to_string_lossy());
        let plain =
            words.take_while(|word| !word.starts_with('-') && !word.contains(['/', '=', ' '])).take(2);
        let program = self.program.to_string_lossy();
        [program].into_iter().chain(plain).collect::<Vec<_>>().join(" ")
    }
}

/// The first executable file called `name` in the folders of a PATH value. Empty and relative folders are skipped, as Go
/// skips them: a program of the working folder is not run by accident.
pub fn find_program(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
