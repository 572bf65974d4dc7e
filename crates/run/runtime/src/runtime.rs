//! What can be done with containers, wherever they run.

use std::time::Duration;

use crate::{ContainerSettings, ContainerState, ExitStatus, LogLine, RuntimeError, Statistics};

/// A program to run in a container that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Variables on top of the container's.
    pub environment: Vec<(String, String)>,
    /// Working folder; without, the container's.
    pub folder: Option<String>,
    /// `USER[:GROUP]`; without, the container's.
    pub user: Option<String>,
}

/// What a program left when it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code; 126 and 127 as shells give them where it could not be started.
    pub code: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error output.
    pub stderr: Vec<u8>,
}

/// A container that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How its program ended.
    pub exit: ExitStatus,
    /// All that it wrote.
    pub logs: Vec<LogLine>,
}

/// Runs containers. Containers are named by id, the beginning of an id, or name.
pub trait Runtime {
    /// What it is, for a person: "longshore", "docker 28.2.2".
    fn describe(&self) -> String;

    /// Makes a container and starts its program. Returns the container's id; if the program could not be started, the container is gone.
    ///
    /// Errors: no such image, name or port taken, a setting that cannot be had here, a program that cannot be started.
    fn start(&self, settings: &ContainerSettings) -> Result<String, RuntimeError>;

    /// What has become of a container.
    fn inspect(&self, container: &str) -> Result<ContainerState, RuntimeError>;

    /// What it has written and is still kept, oldest first.
    fn logs(&self, container: &str) -> Result<Vec<LogLine>, RuntimeError>;

    /// What it uses now. Errors: it does not run.
    fn statistics(&self, container: &str) -> Result<Statistics, RuntimeError>;

    /// Runs a program inside, to its end or for at most `timeout`, after which it is killed.
    ///
    /// Errors: the container does not run, the time is over.
    fn execute(
        &self,
        container: &str,
        execution: &Execution,
        timeout: Duration,
    ) -> Result<Output, RuntimeError>;

    /// Sends a signal, by its number, to process 1.
    fn signal(&self, container: &str, signal: i32) -> Result<(), RuntimeError>;

    /// Asks it to end, and kills it if it did not after `timeout`, or after the time that its settings name. One that has ended is
    /// left as it is.
    fn stop(&self, container: &str, timeout: Option<Duration>) -> Result<(), RuntimeError>;

    /// Waits until its program has ended; `None` if the time is over first.
    fn wait(&self, container: &str, timeout: Option<Duration>) -> Result<Option<ExitStatus>, RuntimeError>;

    /// Removes it with its files and logs. Errors: it runs, and is not to be killed (`force`).
    fn remove(&self, container: &str, force: bool) -> Result<(), RuntimeError>;

    /// Makes a container, runs it to its end and removes it. After `timeout` it is killed, and its exit code is 137.
    fn run(&self, settings: &ContainerSettings, timeout: Duration) -> Result<Finished, RuntimeError> {
        let id = self.start(settings)?;
        let finished = self.finish(&id, timeout);
        // Whatever went wrong, nothing is left behind; the first error is the one to be told.
        let removed = self.remove(&id, true);
        finished.and_then(|finished| removed.map(|()| finished))
    }

    /// Waits for the end, or kills.
    #[doc(hidden)]
    fn finish(&self, id: &str, timeout: Duration) -> Result<Finished, RuntimeError> {
        let exit = match self.wait(id, Some(timeout))? {
            Some(exit) => exit,
            None => {
                self.stop(id, Some(Duration::ZERO))?;
                self.wait(id, None)?.unwrap_or(ExitStatus { code: 137, out_of_memory: false, reason: None })
            }
        };
        Ok(Finished { exit, logs: self.logs(id)? })
    }
}
