//! Starting a container: its folder, its monitor, and what that says.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use longshore_events::Events;
use longshore_image::Image;
use longshore_runtime::{ContainerSettings, ContainerState, ExitStatus, RuntimeError};
use longshore_sandbox::{Isolation, start_self};
use longshore_snapshot::Snapshots;
use serde::de::DeserializeOwned;

use crate::error::{ContainerError, Failure, failed};
use crate::folder::{Container, Containers};
use crate::loader;
use crate::message::Message;
use crate::monitor::{MONITOR, Order};
use crate::resolve::{Made, Parts};

/// What is needed to start containers.
pub struct Launch<'l> {
    /// Where they are.
    pub containers: &'l Containers,
    /// Layers, unpacked for the isolation.
    pub snapshots: &'l Snapshots,
    /// How they are kept apart.
    pub isolation: Isolation,
    /// The small init of `--init`, a static program for this machine; without one, that setting is refused.
    pub init: Option<&'static [u8]>,
    /// Who is told of progress.
    pub events: &'l Events,
}

/// A container whose program runs, and whoever started it is attached to it.
#[derive(Debug)]
pub struct Attached {
    /// The container.
    pub container: Container,
    /// Its state when its program was started.
    pub state: ContainerState,
    pub(crate) control: Arc<UnixStream>,
}

/// What comes from a container that somebody is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It wrote this to its standard output, or to its terminal.
    Output(Vec<u8>),
    /// It wrote this to its standard error output.
    Errors(Vec<u8>),
    /// It has ended.
    Ended(ExitStatus),
    /// Its monitor is gone without a word: it was killed.
    Lost,
}

impl Launch<'_> {
    /// Makes a container and starts its program. Where that fails, nothing is left.
    ///
    /// `attached`: its output and end are told; otherwise they stand in its log and state alone.
    pub fn start(
        &self,
        settings: &ContainerSettings,
        image: &Image,
        attached: bool,
    ) -> Result<Attached, RuntimeError> {
        self.start_by(Standby::start(), settings, image, attached)
    }

    /// The same by a monitor that was started before.
    pub fn start_by(
        &self,
        standby: Standby,
        settings: &ContainerSettings,
        image: &Image,
        attached: bool,
    ) -> Result<Attached, RuntimeError> {
        let parts = Parts {
            settings,
            image,
            snapshots: self.snapshots,
            isolation: self.isolation,
            init: self.init,
            events: self.events,
        };
        let made = parts.make(self.containers)?;
        match standby.begin(&made.container, attached) {
            Ok((control, state)) => {
                Ok(Attached { container: made.container, state, control: Arc::new(control) })
            }
            Err(failure) => {
                let failure = explained(failure, &made);
                // The first error is the one to be told; what stays is shown by `ps -a`.
                let _ = made.container.remove_files(&made.record.name);
                Err(RuntimeError::new("run", &settings.image, failure.into()))
            }
        }
    }
}

/// A monitor that has no container yet. Its start takes as long as making the container, on another processor.
#[derive(Debug)]
pub struct Standby(Option<Result<(UnixStream, Child), ContainerError>>);

impl Standby {
    /// Starts one. If that fails, whoever needs it is told.
    pub fn start() -> Standby {
        let start = || -> std::io::Result<(UnixStream, Child)> {
            let (control, theirs) = UnixStream::pair()?;
            let mut program = start_self(MONITOR);
            let command = &mut program.command;
            command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
            Ok((control, command.spawn()?))
        };
        Standby(Some(start().map_err(|error| problem(&error))))
    }

    /// Gives it a container, and waits until it says what came of it.
    pub(crate) fn begin(
        mut self,
        container: &Container,
        attached: bool,
    ) -> Result<(UnixStream, ContainerState), Failure> {
        let started = self.0.take();
        let (control, monitor) = started.ok_or_else(|| ContainerError::new("the monitor is taken"))??;
        begin(control, monitor, container, attached)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // Without a container it ends as soon as nobody can give it one.
        if let Some(Ok((control, mut monitor))) = self.0.take() {
            drop(control);
            let _ = monitor.wait();
        }
    }
}

fn problem(error: &std::io::Error) -> ContainerError {
    ContainerError::new(format!("cannot start the monitor: {error}"))
}

/// Gives a monitor its container. Dropping it neither kills nor waits: it is to live on. Whoever ends first is collected by the system.
fn begin(
    control: UnixStream,
    mut monitor: Child,
    container: &Container,
    attached: bool,
) -> Result<(UnixStream, ContainerState), Failure> {
    let broken = |error: std::io::Error| problem(&error);
    let order = Order { folder: container.folder.clone(), attached };
    let order = serde_json::to_vec(&order).map_err(|error| problem(&error.into()))?;
    Message::Order(order).send(&mut &control).map_err(broken)?;
    match Message::receive(&mut &control).map_err(broken)? {
        Some(Message::Started(bytes)) => Ok((control, from_json(&bytes)?)),
        Some(Message::Failed(bytes)) => {
            let failure: Failure = from_json(&bytes)?;
            // It ends now, and lets go of the container's folder.
            monitor.wait().map_err(broken)?;
            Err(failure)
        }
        _ => {
            let status = monitor.wait().map_err(broken)?;
            Err(ContainerError::new(format!("the container's monitor ended at once ({status})")).into())
        }
    }
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ContainerError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ContainerError::new(format!("cannot understand the container's monitor: {error}")))
}

/// What the image says about a program that could not be started.
fn explained(failure: Failure, made: &Made) -> Failure {
    let Failure::NotStarted(code, reason, None) = failure else { return failure };
    let program = &made.record.program;
    let path = program.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let Some(name) = program.arguments.first() else { return Failure::NotStarted(code, reason, None) };
    // What is mounted there is not the image's.
    if made.record.mounts.iter().any(|mount| Path::new(name).starts_with(&mount.target)) {
        return Failure::NotStarted(code, reason, None);
    }
    match loader::explain(&made.view, name, path, &program.folder) {
        Some((why, hint)) => Failure::NotStarted(code, format!("cannot run {name}: {why}"), hint),
        None => Failure::NotStarted(code, reason, None),
    }
}

impl Attached {
    /// Waits for what comes next.
    pub fn next(&self) -> Result<Event, RuntimeError> {
        let problem = |error: std::io::Error| {
            failed("follow", &self.container.id)(ContainerError::new(error.to_string()))
        };
        match Message::receive(&mut &*self.control).map_err(problem)? {
            Some(Message::Output(bytes)) => Ok(Event::Output(bytes)),
            Some(Message::Errors(bytes)) => Ok(Event::Errors(bytes)),
            Some(Message::Ended(bytes)) => {
                from_json(&bytes).map(Event::Ended).map_err(failed("follow", &self.container.id))
            }
            _ => Ok(Event::Lost),
        }
    }

    /// What gives it input, from another thread.
    pub fn input(&self) -> AttachedInput {
        AttachedInput(Arc::clone(&self.control))
    }
}

/// Gives input to a container that somebody is attached to. Once the container is gone, it goes nowhere.
#[derive(Debug, Clone)]
pub struct AttachedInput(Arc<UnixStream>);

impl AttachedInput {
    /// Gives it bytes. Whether there is still somebody to take them.
    pub fn give(&self, bytes: &[u8]) -> bool {
        Message::Input(bytes.to_vec()).send(&mut &*self.0).is_ok()
    }

    /// Tells it that there is no more.
    pub fn end(&self) -> bool {
        Message::InputEnd.send(&mut &*self.0).is_ok()
    }

    /// Tells it how large its terminal is.
    pub fn resize(&self, rows: u16, columns: u16) -> bool {
        Message::Size(rows, columns).send(&mut &*self.0).is_ok()
    }
}
