//! What has become of a container, as its monitor left it, put right where that was killed.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use longshore_files::Lock;
use longshore_runtime::{ContainerState, ExitStatus, RuntimeError, Status};
use rustix::process::{Pid, Signal};

use crate::control::STOP;
use crate::error::{ContainerError, failed};
use crate::folder::Container;
use crate::record::{Known, Record};
use crate::reserve::Reserve;

const STATE: &str = "state";
const LOCK: &str = "lock";

/// How often a state is looked at that is waited for.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// How often, and for how long, a lock is waited for that may be held by somebody who only looks.
const GLANCES: u32 = 5;
const GLANCE: Duration = Duration::from_micros(300);

impl Container {
    /// What has become of it.
    pub fn state(&self, action: &'static str) -> Result<ContainerState, RuntimeError> {
        let record = self.record(action)?;
        let known = self.known(&record).map_err(failed(action, &record.name))?;
        Ok(known.map_or_else(|| record.created_state(), |known| known.state))
    }

    /// The same with what only longshore needs; `None` for one that was never started.
    pub(crate) fn known(&self, record: &Record) -> Result<Option<Known>, ContainerError> {
        let Some(known) = self.read_state()? else { return Ok(None) };
        if !is_alive(known.state.status) || self.is_watched()? {
            return Ok(Some(known));
        }
        // The state may have been written, and the lock released, since it was read.
        match self.read_state()? {
            Some(known) if is_alive(known.state.status) => self.recover(record, known).map(Some),
            known => Ok(known),
        }
    }

    fn read_state(&self) -> Result<Option<Known>, ContainerError> {
        // On a full disk a file is written that somebody may still be reading.
        self.read(STATE).or_else(|_| self.read(STATE))
    }

    /// Bytes of its output that could not be kept, as far as its monitor has said so.
    ///
    /// Errors: its state cannot be read.
    pub fn lost_output(&self) -> Result<u64, ContainerError> {
        Ok(self.read_state()?.map_or(0, |known| known.lost))
    }

    /// Writes the state to where room was kept for it; without what its health check wrote, if that is too much.
    pub(crate) fn squeeze_state(&self, known: &Known, reserve: &Reserve) -> Result<(), ContainerError> {
        let path = self.path(STATE);
        let write = |known: &Known| {
            let bytes = serde_json::to_vec(known)?;
            reserve.replace(&path, &bytes)
        };
        write(known)
            .or_else(|_| {
                let mut shorter = known.clone();
                if let Some(health) = &mut shorter.state.health {
                    health.last_output.clear();
                }
                write(&shorter)
            })
            .map_err(ContainerError::at("write", &path))
    }

    pub(crate) fn write_state(&self, known: &Known) -> Result<(), ContainerError> {
        self.write(STATE, known)
    }

    /// Takes back that somebody wanted it to end for good.
    pub(crate) fn forget_stop(&self) -> Result<(), ContainerError> {
        let path = self.path(STOP);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ContainerError::at("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Takes the lock that tells others that its monitor lives; `None` where another has it.
    pub(crate) fn watch(&self) -> Result<Option<Lock>, ContainerError> {
        for _ in 0..GLANCES {
            if let Some(lock) = Lock::try_exclusive(&self.path(LOCK))? {
                return Ok(Some(lock));
            }
            // Somebody may only have looked whether it is held, for which it is taken.
            std::thread::sleep(GLANCE);
        }
        Ok(None)
    }

    /// Whether its monitor lives.
    pub(crate) fn is_watched(&self) -> Result<bool, ContainerError> {
        Ok(Lock::try_exclusive(&self.path(LOCK))?.is_none())
    }

    /// Puts the state right of a container whose monitor was killed.
    fn recover(&self, record: &Record, mut known: Known) -> Result<Known, ContainerError> {
        // As a rule the kernel has ended it with its monitor, but not a program that changed who it is.
        if let Some(process) = known.state.process.filter(|process| is_of(*process, record)) {
            if let Some(pid) = Pid::from_raw(process.cast_signed()) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            let deadline = Instant::now() + Duration::from_secs(5);
            while is_of(process, record) && Instant::now() < deadline {
                std::thread::sleep(TICK);
            }
        }
        for group in &known.groups {
            // What is left in it is not ours.
            let _ = fs::remove_dir(group);
        }
        let reason = if booted_since(record, &known) {
            "the machine was started anew"
        } else {
            "its monitor was killed, and it with it"
        };
        known.state.status = Status::Exited;
        known.state.process = None;
        known.state.finished = Some(SystemTime::now());
        known.state.exit =
            Some(ExitStatus { code: 137, out_of_memory: false, reason: Some(reason.to_owned()) });
        // On a full disk whoever looks next finds it out again.
        let _ = self.write_state(&known);
        Ok(known)
    }
}

/// Whether a monitor should be at it.
pub(crate) fn is_alive(status: Status) -> bool {
    matches!(status, Status::Running | Status::Restarting)
}

/// Whether a process is the first of this container: numbers of processes are used again. Its host name tells: it is in a namespace of its
/// own, and its environment was given by us. What cannot be read is somebody else's.
fn is_of(process: u32, record: &Record) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{process}/environ")) else { return false };
    let marks = format!("HOSTNAME={}", record.program.hostname);
    let is_first = fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        line.is_some_and(|line| {
            line.split_whitespace().count() > 1 && line.split_whitespace().next_back() == Some("1")
        })
    });
    is_first && environment.split(|byte| *byte == 0).any(|variable| variable == marks.as_bytes())
}

/// Whether the machine was started after the container's program.
fn booted_since(record: &Record, known: &Known) -> bool {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let booted = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let started = known.state.started.unwrap_or(record.created);
    booted.is_some_and(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) > started)
}
