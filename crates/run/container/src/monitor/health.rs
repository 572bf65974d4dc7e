//! Health checks: a program that is run in the container now and then (moby: `daemon/health.go`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use longshore_runtime::{HealthState, HealthStatus};
use longshore_sandbox::{Joined, StartError, Streams, join};
use rustix::io::Errno;

use crate::execute::joining;
use crate::record::{Health, Known, Record};

/// Bytes from the beginning of a check's output that are kept; Docker's `maxOutputLen`.
const MOST_OUTPUT: usize = 4096;
/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
/// Reads of what is left when a check has ended: together as much as a pipe holds.
const LAST_READS: usize = 4;

/// The checks of one run of the program.
pub(super) struct Checks {
    health: Health,
    pub(super) state: HealthState,
    began: Instant,
    next: Instant,
    present: Option<Check>,
}

struct Check {
    joined: Joined,
    output: Output,
    deadline: Instant,
}

/// What a check writes. It is read while the check runs, since one that fills its pipe would wait for a reader until its time is over.
struct Output {
    /// Nothing once everybody who wrote to it is gone.
    end: Option<OwnedFd>,
    kept: Vec<u8>,
    is_cut: bool,
}

impl Checks {
    pub(super) fn new(health: Health) -> Checks {
        let began = Instant::now();
        let state = HealthState {
            status: HealthStatus::Starting,
            failing_streak: 0,
            last_code: None,
            last_output: String::new(),
        };
        let mut checks = Checks { health, state, began, next: began, present: None };
        checks.next = began + checks.interval();
        checks
    }

    fn is_starting(&self) -> bool {
        self.began.elapsed() < self.health.start_period && self.state.status == HealthStatus::Starting
    }

    fn interval(&self) -> Duration {
        if self.is_starting() {
            self.health.start_interval.min(self.health.interval)
        } else {
            self.health.interval
        }
    }

    /// How long nothing has to be done.
    pub(super) fn wait(&self) -> Duration {
        let until = self.present.as_ref().map_or(self.next, |check| check.deadline);
        until.saturating_duration_since(Instant::now())
    }

    /// Readable when the present check has ended, and when it has written something.
    pub(super) fn handles(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let present = self.present.as_ref();
        let ended = present.map(|check| check.joined.handle.as_fd());
        let output = present.and_then(|check| check.output.end.as_ref().map(AsFd::as_fd));
        [ended, output]
    }

    /// Does what is to be done now. Whether the state has changed.
    pub(super) fn step(&mut self, record: &Record, known: &Known) -> bool {
        let now = Instant::now();
        if let Some(check) = &mut self.present {
            check.output.read();
        }
        match self.present.take() {
            None if now < self.next => false,
            None => self.begin(record, known),
            Some(check) if is_ended(&check) => self.conclude(check),
            Some(check) if now < check.deadline => {
                self.present = Some(check);
                false
            }
            Some(mut check) => {
                check.joined.kill();
                let timeout = self.health.timeout.as_secs_f64();
                let mut said = format!("the check was not done after {timeout} s");
                let output = check.output.finish();
                if !output.is_empty() {
                    said = format!("{said}: {output}");
                }
                self.count(-1, said)
            }
        }
    }

    fn begin(&mut self, record: &Record, known: &Known) -> bool {
        let joining = joining(record, known, &self.health.arguments, &[], None, None);
        let started = joining.map_err(|error| error.message).and_then(|joining| {
            let (output, theirs) = std::io::pipe().map_err(|error| error.to_string())?;
            let errors = theirs.try_clone().map_err(|error| error.to_string())?;
            let streams = Streams::Apart { input: None, output: theirs.into(), errors: errors.into() };
            let joined = join(&joining, streams).map_err(|error: StartError| error.to_string())?;
            let output = Output::of(output.into()).map_err(|error| error.to_string())?;
            Ok((joined, output))
        });
        match started {
            Ok((joined, output)) => {
                let deadline = Instant::now() + self.health.timeout;
                self.present = Some(Check { joined, output, deadline });
                false
            }
            Err(reason) => self.count(-1, reason),
        }
    }

    fn conclude(&mut self, mut check: Check) -> bool {
        let code = check.joined.wait().map_or(-1, longshore_sandbox::Status::code);
        self.count(code, check.output.finish())
    }

    fn count(&mut self, code: i32, output: String) -> bool {
        let was_starting = self.is_starting();
        self.state.last_code = Some(code);
        self.state.last_output = output;
        if code == 0 {
            self.state.status = HealthStatus::Healthy;
            self.state.failing_streak = 0;
        } else if !was_starting {
            self.state.failing_streak += 1;
            if self.state.failing_streak >= self.health.retries {
                self.state.status = HealthStatus::Unhealthy;
            }
        }
        self.next = Instant::now() + self.interval();
        true
    }
}

impl Output {
    /// Errors: the pipe cannot be read without waiting.
    fn of(end: OwnedFd) -> Result<Output, Errno> {
        rustix::io::ioctl_fionbio(&end, true)?;
        Ok(Output { end: Some(end), kept: Vec::new(), is_cut: false })
    }

    /// Takes what is there, once. Whether more may be.
    fn read(&mut self) -> bool {
        let Some(end) = &self.end else { return false };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(end, &mut buffer) {
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            Ok(0) | Err(_) => {
                self.end = None;
                false
            }
            Ok(count) => {
                let room = MOST_OUTPUT - self.kept.len();
                self.kept.extend(buffer.iter().take(count.min(room)));
                self.is_cut |= count > room;
                true
            }
        }
    }

    /// All that is kept, cut off as Docker does it. Somebody whom the check left behind may go on writing: that is not waited for.
    fn finish(mut self) -> String {
        let _is_done = (0..LAST_READS).any(|_| !self.read());
        let text = String::from_utf8_lossy(&self.kept).into_owned();
        if self.is_cut { text + "..." } else { text }
    }
}

fn is_ended(check: &Check) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut waits = [PollFd::new(&check.joined.handle, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waits, Some(&now)).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn as_much_output_is_kept_as_docker_keeps() {
        for (written, kept) in [
            (0, String::new()),
            (MOST_OUTPUT, "x".repeat(MOST_OUTPUT)),
            (MOST_OUTPUT + 1, "x".repeat(MOST_OUTPUT) + "..."),
            (60_000, "x".repeat(MOST_OUTPUT) + "..."),
        ] {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let output = Output::of(reader.into()).unwrap();
            writer.write_all(&vec![b'x'; written]).unwrap();
            // With somebody who still could write, and without.
            let held = written.is_multiple_of(2).then_some(writer);
            assert_eq!(output.finish(), kept, "{written} bytes");
            drop(held);
        }
    }

    #[test]
    fn output_that_never_ends_is_not_waited_for() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut output = Output::of(reader.into()).unwrap();
        let writing = std::thread::spawn(move || while writer.write_all(&[b'x'; CHUNK]).is_ok() {});
        while !output.is_cut {
            output.read();
        }
        assert_eq!(output.finish().len(), MOST_OUTPUT + 3);
        writing.join().unwrap();
    }
}
