//! Following a keeper: its reports, the step's output, and the wish to stop.

use std::io::{PipeReader, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use longshore_events::Events;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::launch::Launched;
use crate::child::Report;
use crate::{Isolation, SandboxError, Stream, wire};

/// How often the wish to stop is asked for.
const TICK: Duration = Duration::from_millis(50);
/// How long a keeper may take to end its step before it is killed itself, with namespaces, where the kernel cleans up.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The same without namespaces, where it ends the step's processes at once, and then has folders to put back.
const PATIENCE_WITHOUT: Duration = Duration::from_secs(120);
/// How long output is waited for after the last report, should somebody still hold its other end.
const REMAINDER: Duration = Duration::from_millis(200);
/// As much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Follows a keeper to its end.
pub(super) fn watch(
    launched: Launched,
    isolation: Isolation,
    events: &Events,
    on_output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Vec<Report>, SandboxError> {
    let Launched { mut keeper, control, stdout, stderr } = launched;
    let mut following = Following {
        control: Some(control),
        stdout: Some(stdout),
        stderr: Some(stderr),
        reports: Vec::new(),
        buffer: vec![0; CHUNK],
        patience: if isolation.has_namespaces() { PATIENCE } else { PATIENCE_WITHOUT },
    };
    let answer = following.follow(events, on_output);
    if answer.is_err() || following.control.is_some() {
        // It did not end by itself in time.
        let _ = keeper.kill();
    }
    drop(following.control.take());
    let status = keeper.wait().map_err(|source| SandboxError::Process { action: "wait for", source })?;
    answer?;
    events.check()?;
    if following.reports.is_empty() {
        use std::os::unix::process::ExitStatusExt;
        return Err(SandboxError::Lost { signal: status.signal() });
    }
    Ok(following.reports)
}

struct Following {
    control: Option<UnixStream>,
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
    reports: Vec<Report>,
    buffer: Vec<u8>,
    patience: Duration,
}

impl Following {
    fn follow(
        &mut self,
        events: &Events,
        on_output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<(), SandboxError> {
        let failed = |source: Errno| SandboxError::Process { action: "follow", source: source.into() };
        let mut deadline: Option<Instant> = None;
        loop {
            if deadline.is_none() && events.is_cancelled() {
                self.hang_up();
                deadline = Some(Instant::now() + self.patience);
            }
            if self.control.is_none() && deadline.is_none() {
                deadline = Some(Instant::now() + REMAINDER);
            }
            let done = self.control.is_none() && self.stdout.is_none() && self.stderr.is_none();
            if done || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(());
            }
            let ready = self.ready().map_err(failed)?;
            self.take(ready, on_output)
                .map_err(|source| SandboxError::Process { action: "follow", source })?;
        }
    }

    /// Asks the keeper to end the step.
    fn hang_up(&mut self) {
        if let Some(control) = &self.control {
            // If it has ended already, there is nothing to ask.
            let _ = control.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Waits until something can be read: a report, output, error output.
    fn ready(&self) -> Result<[bool; 3], Errno> {
        let mut waits = Vec::with_capacity(3);
        let mut places = Vec::with_capacity(3);
        let streams = [
            self.control.as_ref().map(|control| PollFd::new(control, PollFlags::IN)),
            self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)),
            self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        ];
        for (place, wait) in streams.into_iter().enumerate() {
            if let Some(wait) = wait {
                waits.push(wait);
                places.push(place);
            }
        }
        let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        match poll(&mut waits, Some(&tick)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let mut ready = [false; 3];
        for (place, wait) in places.into_iter().zip(&waits) {
            ready[place] = !wait.revents().is_empty();
        }
        Ok(ready)
    }

    fn take(
        &mut self,
        [reported, stdout, stderr]: [bool; 3],
        on_output: &mut dyn FnMut(Stream, &[u8]),
    ) -> std::io::Result<()> {
        if stdout {
            pass_on(&mut self.stdout, &mut self.buffer, &mut |bytes| on_output(Stream::Stdout, bytes))?;
        }
        if stderr {
            pass_on(&mut self.stderr, &mut self.buffer, &mut |bytes| on_output(Stream::Stderr, bytes))?;
        }
        if reported && let Some(control) = &mut self.control {
            match wire::receive(control) {
                Ok(Some(report)) => self.reports.push(report),
                Ok(None) => self.control = None,
                // The keeper was killed in the middle of a word: what it said before counts.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => self.control = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Reads what a pipe holds, and lets go of it at its end.
fn pass_on(
    pipe: &mut Option<PipeReader>,
    buffer: &mut [u8],
    on_output: &mut dyn FnMut(&[u8]),
) -> std::io::Result<()> {
    let Some(reader) = pipe else { return Ok(()) };
    match reader.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(count) => on_output(buffer.get(..count).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
