//! A courier that was sent, and the conversation with it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_files::Lock;
use longshore_sandbox::{Isolation, inside, start_inside, start_self};
use serde::de::DeserializeOwned;

use super::courier::{COURIER, Errand, Request};
use super::error::CopyError;
use super::parcel::{Line, Parcel};
use crate::error::ContainerError;
use crate::folder::Container;
use crate::record::Record;
use crate::state::{TICK, is_alive};

/// How long a courier may take to leave.
const FAREWELL: Duration = Duration::from_secs(10);

/// A courier at a container's files. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Courier {
    process: Child,
    socket: UnixStream,
    /// Where the container has ended: nobody starts or removes it meanwhile.
    _alone: Option<Lock>,
}

/// A conversation with a courier.
#[derive(Debug)]
pub(super) struct Session<'s> {
    pub(super) line: Line<'s>,
}

impl Courier {
    /// Sends one, as soon as the container either runs or has ended.
    pub(super) fn send(
        container: &Container,
        record: &Record,
        events: &Events,
    ) -> Result<Courier, CopyError> {
        loop {
            let known = container.known(record)?;
            let process =
                known.filter(|known| is_alive(known.state.status)).and_then(|known| known.state.process);
            if let Some(process) = process {
                return start(record, &Errand::Running(process), None);
            }
            if let Some(alone) = container.watch()? {
                return start(record, &Errand::Ended(container.folder.clone()), Some(alone));
            }
            // It is just being started, or somebody else copies.
            events.check()?;
            std::thread::sleep(TICK);
        }
    }

    /// Waits until it has arrived.
    pub(super) fn session<'s>(&'s self, events: &'s Events) -> Result<Session<'s>, CopyError> {
        let mut line = Line::new(&self.socket, events);
        line.hear::<bool>()?;
        Ok(Session { line })
    }
}

impl Session<'_> {
    /// Asks something.
    pub(super) fn say(&mut self, request: &Request) -> Result<(), CopyError> {
        self.line.say(&Parcel::word(request)?)
    }

    /// Asks something, and hears the answer.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, CopyError> {
        self.say(request)?;
        self.line.hear()
    }
}

fn start(record: &Record, errand: &Errand, alone: Option<Lock>) -> Result<Courier, CopyError> {
    let problem = |error: std::io::Error| ContainerError::new(format!("cannot start the courier: {error}"));
    let (socket, theirs) = UnixStream::pair().map_err(problem)?;
    let theirs = OwnedFd::from(theirs);
    let isolation: Isolation = record.isolation.parse().map_err(|error| ContainerError::of(&error, None))?;
    // Those of a container that runs are entered; for one that has ended they are made anew.
    let needs_namespace =
        matches!(errand, Errand::Ended(_)) && isolation.is_inside() && inside() != Some(isolation);
    let process = if needs_namespace {
        start_inside(isolation, COURIER, &theirs)?
    } else {
        let mut program = start_self(COURIER);
        program.command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        program.command.spawn().map_err(problem)?
    };
    let courier = Courier { process, socket, _alone: alone };
    Parcel::word(errand)?.send(&courier.socket).map_err(problem)?;
    Ok(courier)
}

impl Drop for Courier {
    fn drop(&mut self) {
        // It hears that there is nothing more to be done, and cleans up. One that hangs on somebody's file system is killed.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let deadline = Instant::now() + FAREWELL;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
