//! Health checks: a program that is run in the container now and then (moby: `daemon/health.go`).

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use longshore_runtime::{HealthState, HealthStatus};
use longshore_sandbox::{Joined, StartError, Streams, join};

use crate::execute::joining;
use crate::record::{Health, Known, Record};

/// As much of a check's output as is kept.
const MOST_OUTPUT: u64 = 4096;

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
    output: OwnedFd,
    deadline: Instant,
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

    /// Readable when the present check has ended.
    pub(super) fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.present.as_ref().map(|check| check.joined.handle.as_fd())
    }

    /// Does what is to be done now. Whether the state has changed.
    pub(super) fn step(&mut self, record: &Record, known: &Known) -> bool {
        let now = Instant::now();
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
                self.count(-1, format!("the check was not done after {timeout} s"))
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
            Ok((joined, OwnedFd::from(output)))
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
        let mut output = Vec::new();
        // Somebody that the check left behind may hold the other end.
        let _ = rustix::io::ioctl_fionbio(&check.output, true);
        let _ = std::fs::File::from(check.output).take(MOST_OUTPUT).read_to_end(&mut output);
        self.count(code, String::from_utf8_lossy(&output).into_owned())
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

fn is_ended(check: &Check) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut waits = [PollFd::new(&check.joined.handle, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waits, Some(&now)).is_ok_and(|count| count > 0)
}
