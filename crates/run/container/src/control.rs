//! Ending containers and waiting for their end.

use std::time::{Duration, Instant};

use longshore_runtime::{ContainerState, ExitStatus, RuntimeError, RuntimeErrorKind, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::error::{ContainerError, failed};
use crate::folder::Container;
use crate::record::{Known, Record};
use crate::state::{TICK, is_alive};

/// How long a monitor may take to write down what became of its container.
const BOOKKEEPING: Duration = Duration::from_secs(5);

/// How long a monitor that was about to start its program may take for that.
const BETWEEN: Duration = Duration::from_millis(500);

/// The file that says that it is to end for good.
pub(crate) const STOP: &str = "stop";

/// The end of a container.
enum End {
    Exited(ExitStatus),
    /// It was to be removed when it had ended, and was.
    Removed,
}

impl Container {
    /// Sends a signal, by its number, to process 1.
    pub fn signal(&self, signal: i32) -> Result<(), RuntimeError> {
        const ACTION: &str = "send a signal to";
        let (record, known) = self.alive(ACTION)?;
        // Whoever ends it by hand does not want it to be started again.
        let ends = signal == Signal::KILL.as_raw() || signal == record.program.stop_signal;
        let marked = if ends { self.mark_stopped() } else { Ok(()) };
        marked.and_then(|()| self.send(&known.state, signal)).map_err(failed(ACTION, &record.name))
    }

    /// Passes a signal on from whoever is attached and wants it to end, as by Ctrl-C: also if the program ends otherwise, or runs just not, it is
    /// not started again.
    pub fn interrupt(&self, signal: i32) -> Result<(), RuntimeError> {
        const ACTION: &str = "interrupt";
        let (record, mut known) = self.alive(ACTION)?;
        let problem = |error: ContainerError| failed(ACTION, &record.name)(error);
        self.mark_stopped().map_err(problem)?;
        // Between two runs its monitor has just seen that, or is about to start it.
        let deadline = Instant::now() + BETWEEN;
        while known.state.process.is_none() && Instant::now() < deadline {
            std::thread::sleep(TICK);
            match self.known(&record).map_err(problem)?.filter(|known| is_alive(known.state.status)) {
                Some(now) => known = now,
                None => return Ok(()),
            }
        }
        self.send(&known.state, signal).map_err(problem)
    }

    /// Asks it to end, and kills it after `timeout`, or after the time that its settings name. It is not started again. One that has
    /// ended is left as it is.
    pub fn stop(&self, timeout: Option<Duration>) -> Result<(), RuntimeError> {
        const ACTION: &str = "stop";
        let record = self.record(ACTION)?;
        let problem = |error: ContainerError| failed(ACTION, &record.name)(error);
        let Some(known) = self.known(&record).map_err(problem)?.filter(|known| is_alive(known.state.status))
        else {
            return Ok(());
        };
        self.mark_stopped().map_err(problem)?;
        let timeout = timeout.unwrap_or(record.program.stop_timeout);
        if !timeout.is_zero() {
            self.send(&known.state, record.program.stop_signal).map_err(problem)?;
            if self.ended_within(&record, Some(timeout)).map_err(problem)?.is_some() {
                return Ok(());
            }
        }
        // Read anew: it may have been started again in between.
        let known = self.known(&record).map_err(problem)?.filter(|known| is_alive(known.state.status));
        let Some(known) = known else { return Ok(()) };
        self.send(&known.state, Signal::KILL.as_raw()).map_err(problem)?;
        match self.ended_within(&record, Some(BOOKKEEPING)).map_err(problem)? {
            Some(_) => Ok(()),
            None => {
                Err(RuntimeError::new(ACTION, &record.name, RuntimeErrorKind::Timeout(timeout + BOOKKEEPING)))
            }
        }
    }

    /// Waits until it has ended for good; `None` if the time is over first.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<ExitStatus>, RuntimeError> {
        const ACTION: &str = "wait for";
        let record = self.record(ACTION)?;
        match self.ended_within(&record, timeout).map_err(failed(ACTION, &record.name))? {
            None => Ok(None),
            Some(End::Exited(exit)) => Ok(Some(exit)),
            Some(End::Removed) => {
                let error =
                    ContainerError::new("it was removed as soon as it had ended, and its exit code with it");
                Err(failed(ACTION, &record.name)(error))
            }
        }
    }

    /// Removes it with its files and logs. Errors: it runs, and is not to be killed.
    pub fn remove(&self, force: bool) -> Result<(), RuntimeError> {
        const ACTION: &str = "remove";
        let record = match self.record(ACTION) {
            Err(error) if force && !matches!(error.kind, RuntimeErrorKind::NoContainer) => {
                return self.remove_damaged().map_err(failed(ACTION, &self.id));
            }
            record => record?,
        };
        let deadline = Instant::now() + BOOKKEEPING;
        loop {
            match self.removed(&record, force, ACTION) {
                Ok(true) => return Ok(()),
                // With --rm its monitor removes it at its end, and may be first.
                Err(_) if !self.folder.exists() => return Ok(()),
                removed => removed.map(drop)?,
            }
            // It is just being started, or just written down.
            if Instant::now() > deadline {
                return Err(RuntimeError::new(ACTION, &record.name, RuntimeErrorKind::Timeout(BOOKKEEPING)));
            }
            std::thread::sleep(TICK);
        }
    }

    /// Removes it if nobody else is at it; whether it did.
    fn removed(&self, record: &Record, force: bool, action: &'static str) -> Result<bool, RuntimeError> {
        let problem = |error: ContainerError| failed(action, &record.name)(error);
        // What a killed monitor left is put right before the lock is taken, which tells others that somebody is at it.
        let known = self.known(record).map_err(problem)?;
        if let Some(_alone) = self.watch().map_err(problem)? {
            return self.remove_files(&record.name).map(|()| true).map_err(problem);
        }
        let is_over = known.as_ref().is_some_and(|known| !is_alive(known.state.status));
        if !force && !is_over {
            return Err(RuntimeError::new(action, &record.name, RuntimeErrorKind::Running));
        }
        if known.is_some_and(|known| is_alive(known.state.status)) {
            self.stop(Some(Duration::ZERO))?;
        }
        Ok(false)
    }

    /// Tells its monitor that it is to end for good. The file is empty: a full disk has room for that.
    fn mark_stopped(&self) -> Result<(), ContainerError> {
        let path = self.path(STOP);
        std::fs::File::create(&path).map(drop).map_err(ContainerError::at("write", &path))
    }

    /// One that runs, or is about to be started again.
    fn alive(&self, action: &'static str) -> Result<(Record, Known), RuntimeError> {
        let record = self.record(action)?;
        let known = self.known(&record).map_err(failed(action, &record.name))?;
        match known.filter(|known| is_alive(known.state.status)) {
            Some(known) => Ok((record, known)),
            None => Err(RuntimeError::new(action, &record.name, RuntimeErrorKind::NotRunning)),
        }
    }

    fn send(&self, state: &ContainerState, signal: i32) -> Result<(), ContainerError> {
        // Between two runs there is none.
        let Some(process) = state.process else { return Ok(()) };
        longshore_sandbox::send_signal(process, signal)
            .map_err(|error| ContainerError::of(&error, error.hint()))
    }

    /// Waits for the end that nothing comes after.
    fn ended_within(
        &self,
        record: &Record,
        timeout: Option<Duration>,
    ) -> Result<Option<End>, ContainerError> {
        // One that is further away than a clock counts is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        loop {
            let known = match self.known(record) {
                // It was removed with its end: the record is gone, and what stood in the state.
                Ok(None) if !self.path("record").exists() => return Ok(Some(End::Removed)),
                known => known?,
            };
            let Some(known) = known else { return Ok(None) };
            match known.state.status {
                Status::Running | Status::Restarting => {}
                // The lock is released after the state is written; then nothing of it is left.
                _ if !self.is_watched()? => return Ok(known.state.exit.map(End::Exited)),
                _ => {}
            }
            if is_over() {
                return Ok(None);
            }
            let most = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            pause(&known, most);
        }
    }
}

/// Waits for the end of the present run, for a moment where there is none, and for `most` at most.
fn pause(known: &Known, most: Option<Duration>) {
    let handle = known
        .state
        .process
        .and_then(|process| Pid::from_raw(process.cast_signed()))
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(handle) = handle else {
        std::thread::sleep(TICK.min(most.unwrap_or(TICK)));
        return;
    };
    let mut waits = [PollFd::new(&handle, PollFlags::IN)];
    let most = most.map(|most| Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(most.subsec_nanos()),
    });
    if poll(&mut waits, most.as_ref()).is_ok_and(|count| count > 0) {
        // Its monitor has to collect it and to write down how it ended.
        std::thread::sleep(Duration::from_micros(500));
    }
}
