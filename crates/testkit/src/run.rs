//! Running another program to its end, with a limit on its time.

use std::fmt::Write as _;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program's end: what it wrote and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout; invalid UTF-8 is replaced.
    pub stdout: String,
    /// What it wrote to stderr; invalid UTF-8 is replaced.
    pub stderr: String,
    /// How long it took.
    pub duration: Duration,
}

/// A program that could not be run, or that ended otherwise than expected.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start, or its outputs could not be read.
    #[error("cannot run {command}")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It was killed when its time was over.
    #[error("{command} did not end in {limit:?}\n{outputs}")]
    Timeout {
        /// The command line.
        command: String,
        /// The time it had.
        limit: Duration,
        /// What it had written.
        outputs: String,
    },
    /// It ended with another exit code than expected.
    #[error("{command} ended with {status}, expected {expected}\n{outputs}")]
    Status {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The exit code that was expected.
        expected: i32,
        /// What it wrote.
        outputs: String,
    },
}

impl Ran {
    /// This, if the exit code is `code`.
    pub fn expect_code(self, code: i32) -> Result<Ran, RunError> {
        if self.status.code() == Some(code) {
            return Ok(self);
        }
        let outputs = outputs(&self.stdout, &self.stderr);
        Err(RunError::Status { command: self.command, status: self.status, expected: code, outputs })
    }

    /// This, if the exit code is 0.
    pub fn succeeded(self) -> Result<Ran, RunError> {
        self.expect_code(0)
    }
}

fn outputs(stdout: &str, stderr: &str) -> String {
    let mut text = String::new();
    for (name, output) in [("stdout", stdout), ("stderr", stderr)] {
        if !output.is_empty() {
            let _ = write!(text, "--- {name}\n{output}");
        }
    }
    text
}

fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has said all it will say.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a program without input to its end; it is killed after `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<Ran, RunError> {
    let line = command_line(command);
    let start_error = |source| RunError::Start { command: line.clone(), source };
    let begin = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start_error)?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let read = |thread: Option<thread::JoinHandle<String>>| {
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    loop {
        if let Some(status) = child.try_wait().map_err(start_error)? {
            let (stdout, stderr) = (read(stdout), read(stderr));
            return Ok(Ran { command: line, status, stdout, stderr, duration: begin.elapsed() });
        }
        if begin.elapsed() > limit {
            child.kill().and_then(|()| child.wait()).map_err(start_error)?;
            let outputs = outputs(&read(stdout), &read(stderr));
            return Err(RunError::Timeout { command: line, limit, outputs });
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn outputs_are_kept_apart_and_the_code_is_checked() {
        let ran = run(&mut shell("echo out; echo err >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
        assert!(ran.clone().expect_code(3).is_ok());
        assert_eq!(
            ran.succeeded().unwrap_err().to_string(),
            "sh -c echo out; echo err >&2; exit 3 ended with exit status: 3, expected 0\n--- stdout\nout\n--- stderr\nerr\n"
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let error = run(&mut shell("echo begun; exec sleep 60"), Duration::from_millis(300)).unwrap_err();
        assert!(
            matches!(&error, RunError::Timeout { outputs, .. } if outputs == "--- stdout\nbegun\n"),
            "{error}"
        );
    }
}
