//! longshore's containers as a [`Runtime`].

use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use longshore_image::Image;
use longshore_runtime::{
    ContainerSettings, ContainerState, Execution, ExitStatus, LogLine, Output, Runtime, RuntimeError,
    RuntimeErrorKind, Statistics,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{ContainerError, failed};
use crate::execute::Ends;
use crate::launch::Launch;
use crate::log::read_log;
use crate::processes::statistics;

/// Finds an image for this machine by its name.
pub type ImageSource<'s> = dyn Fn(&str) -> Result<Image, RuntimeError> + 's;

/// longshore's own containers.
pub struct OwnRuntime<'r> {
    /// How they are started.
    pub launch: Launch<'r>,
    /// Where images come from.
    pub images: &'r ImageSource<'r>,
}

impl Runtime for OwnRuntime<'_> {
    fn describe(&self) -> String {
        "longshore".to_owned()
    }

    fn start(&self, settings: &ContainerSettings) -> Result<String, RuntimeError> {
        let image = (self.images)(&settings.image)?;
        self.launch.start(settings, &image, false).map(|attached| attached.container.id)
    }

    fn inspect(&self, container: &str) -> Result<ContainerState, RuntimeError> {
        self.launch.containers.find("inspect", container)?.state("inspect")
    }

    fn logs(&self, container: &str) -> Result<Vec<LogLine>, RuntimeError> {
        let found = self.launch.containers.find("read the log of", container)?;
        read_log(&found).map_err(failed("read the log of", container))
    }

    fn statistics(&self, container: &str) -> Result<Statistics, RuntimeError> {
        statistics(&self.launch.containers.find("measure", container)?)
    }

    fn execute(
        &self,
        container: &str,
        execution: &Execution,
        timeout: Duration,
    ) -> Result<Output, RuntimeError> {
        const ACTION: &str = "run a program in";
        let found = self.launch.containers.find(ACTION, container)?;
        let problem =
            |error: std::io::Error| failed(ACTION, container)(ContainerError::new(error.to_string()));
        let (output, theirs) = std::io::pipe().map_err(problem)?;
        let (errors, their_errors) = std::io::pipe().map_err(problem)?;
        let ends = Ends::Streams { input: None, output: theirs.into(), errors: their_errors.into() };
        let mut joined = match found.execute(execution, ends) {
            Err(RuntimeError { kind: RuntimeErrorKind::NotStarted { code, reason, .. }, .. }) => {
                return Ok(Output { code, stdout: Vec::new(), stderr: format!("{reason}\n").into_bytes() });
            }
            joined => joined?,
        };
        let readers = [OwnedFd::from(output), OwnedFd::from(errors)].map(|end| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                std::fs::File::from(end).read_to_end(&mut bytes).map(|_| bytes)
            })
        });
        let in_time = ends_within(&joined.handle, timeout);
        if !in_time {
            joined.kill();
        }
        let status = joined.wait();
        let [stdout, stderr] =
            readers.map(|reader| reader.join().ok().and_then(Result::ok).unwrap_or_default());
        if !in_time {
            return Err(RuntimeError::new(ACTION, container, RuntimeErrorKind::Timeout(timeout)));
        }
        let status =
            status.map_err(|error| failed(ACTION, container)(ContainerError::of(&error, error.hint())))?;
        Ok(Output { code: status.code(), stdout, stderr })
    }

    fn signal(&self, container: &str, signal: i32) -> Result<(), RuntimeError> {
        self.launch.containers.find("send a signal to", container)?.signal(signal)
    }

    fn stop(&self, container: &str, timeout: Option<Duration>) -> Result<(), RuntimeError> {
        self.launch.containers.find("stop", container)?.stop(timeout)
    }

    fn wait(&self, container: &str, timeout: Option<Duration>) -> Result<Option<ExitStatus>, RuntimeError> {
        self.launch.containers.find("wait for", container)?.wait(timeout)
    }

    fn remove(&self, container: &str, force: bool) -> Result<(), RuntimeError> {
        self.launch.containers.find("remove", container)?.remove(force)
    }
}

/// Whether a process, by its handle, ends in time.
fn ends_within(handle: &OwnedFd, timeout: Duration) -> bool {
    // Centuries are long enough, and clocks count no further.
    let deadline = Instant::now() + timeout.min(Duration::from_secs(u64::from(u32::MAX)));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut waits = [PollFd::new(handle, PollFlags::IN)];
        let most = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut waits, Some(&most)) {
            Ok(count) if count > 0 => return true,
            _ if left.is_zero() => return false,
            _ => {}
        }
    }
}
