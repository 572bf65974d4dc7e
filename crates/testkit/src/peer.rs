//! A server that a test started: its log, the wait for its readiness, and its end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{RunError, Skip};

/// A peer that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The machine lacks it.
    #[error(transparent)]
    Missing(#[from] Skip),
    /// A file of its set-up could not be written, or it could not be executed.
    #[error("cannot {action} for {name}")]
    Prepare {
        /// Which peer.
        name: &'static str,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program that sets it up failed.
    #[error("cannot set up {name}")]
    Setup {
        /// Which peer.
        name: &'static str,
        /// Which program, and what it said.
        #[source]
        source: RunError,
    },
    /// It ended, or did not become ready in time.
    #[error("{name} {what}; its log ends with\n{log}")]
    NotReady {
        /// Which peer.
        name: &'static str,
        /// "ended with exit status: 1" or "was not ready in 20s".
        what: String,
        /// The last lines of its log.
        log: String,
    },
}

impl PeerError {
    pub(crate) fn prepare(name: &'static str, action: &'static str) -> impl FnOnce(io::Error) -> PeerError {
        move |source| PeerError::Prepare { name, action, source }
    }
}

/// A running server. It is asked to end on drop, and made to if it does not.
#[derive(Debug)]
pub(crate) struct Peer {
    name: &'static str,
    child: Child,
    log: PathBuf,
    patience: Duration,
}

impl Peer {
    /// Starts a server that writes both outputs to `log`, and has `patience` to end when it is asked to.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        patience: Duration,
    ) -> Result<Peer, PeerError> {
        let prepare = |action| PeerError::prepare(name, action);
        let stdout = File::create(log).map_err(prepare("create the log"))?;
        let stderr = stdout.try_clone().map_err(prepare("create the log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(prepare("start the program"))?;
        Ok(Peer { name, child, log: log.to_owned(), patience })
    }

    /// Asks `ready`, which gets the log so far, until it answers.
    pub(crate) fn wait<T>(
        &mut self,
        limit: Duration,
        ready: impl Fn(&str) -> Option<T>,
    ) -> Result<T, PeerError> {
        let begin = Instant::now();
        loop {
            let log = self.log();
            if let Some(answer) = ready(&log) {
                return Ok(answer);
            }
            let ended = self.child.try_wait().map_err(PeerError::prepare(self.name, "wait"))?;
            let what = match ended {
                Some(status) => format!("ended with {status}"),
                None if begin.elapsed() > limit => format!("was not ready in {limit:?}"),
                None => {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            let lines: Vec<&str> = self.log_lines(&log);
            return Err(PeerError::NotReady { name: self.name, what, log: lines.join("\n") });
        }
    }

    fn log_lines<'log>(&self, log: &'log str) -> Vec<&'log str> {
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].to_vec()
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let begin = Instant::now();
        while begin.elapsed() < self.patience {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A drop cannot fail; the process may have been reaped or refused the signal, and there is nothing left to try.
        let _ = self.stop();
    }
}
