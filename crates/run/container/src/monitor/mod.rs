//! The monitor of one container: starts its program, keeps its log, health and state, starts it again where its policy says so.
//!
//! It has one thread, and waits for everything in one place ([`watch`]). Nobody but the container needs it: commands read what it writes,
//! and signal the container's process themselves.

mod client;
mod health;
mod network;
mod start;
mod watch;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use longshore_files::Lock;
use longshore_runtime::{ContainerState, ExitStatus, HealthState, HealthStatus, Status};
use longshore_sandbox::{Exit, Running};
use serde::{Deserialize, Serialize};

use self::client::Client;
pub(crate) use self::start::{Helper, environment, step, ulimits};
use crate::control::STOP;
use crate::error::{ContainerError, Failure};
use crate::folder::{Container, Containers};
use crate::log::LogWriter;
use crate::message::Message;
use crate::ports::Ports;
use crate::record::{Known, Record};
use crate::reserve::Reserve;

/// The name under which a monitor is started.
pub(crate) const MONITOR: &str = "longshore: monitor";
/// The name under which the process that serves published ports is started.
pub(crate) const PORTS: &str = "longshore: ports";

/// First pause before a program is started again; each is twice the one before it. As Docker's.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A program that ran this long begins anew with the first pause.
const SETTLED: Duration = Duration::from_secs(10);

/// What a monitor is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The container's folder.
    pub(crate) folder: PathBuf,
    /// Whether whoever asks wants its output, and is told of its end.
    pub(crate) attached: bool,
}

/// If this process was started as a monitor, to serve ports, or to copy files, does that and returns its exit code. Must come before any thread is
/// started.
pub fn enter_if_monitor() -> Option<i32> {
    match std::env::args_os().next()?.to_str()? {
        MONITOR => {
            name();
            Some(main())
        }
        PORTS => {
            name();
            Some(crate::ports::serve())
        }
        crate::copy::COURIER => Some(crate::copy::courier()),
        _ => None,
    }
}

/// What `ps` shows, where the kernel would show the number of the descriptor by which it was started.
fn name() {
    // It serves people alone.
    let _ = rustix::thread::set_name(c"longshore");
}

fn main() -> i32 {
    let Some((control, order)) = begin() else { return 70 };
    let client = Client::new(control);
    match Monitor::new(&order, client) {
        Ok(monitor) => monitor.run(),
        Err((failure, client)) => {
            client.tell_failure(&failure);
            1
        }
    }
}

/// Leaves the session of whoever asks, and hears what is to be done.
fn begin() -> Option<(UnixStream, Order)> {
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
    // A terminal that goes away, or Ctrl-C at it, is none of its business.
    rustix::process::setsid().ok()?;
    let nothing = std::fs::File::open("/dev/null").ok()?;
    rustix::stdio::dup2_stdin(&nothing).ok()?;
    // The container is still being made.
    longshore_sandbox::prepare();
    match Message::receive(&mut &control) {
        Ok(Some(Message::Order(bytes))) => Some((control, serde_json::from_slice(&bytes).ok()?)),
        _ => None,
    }
}

struct Monitor {
    container: Container,
    record: Record,
    known: Known,
    log: LogWriter,
    reserve: Reserve,
    client: Client,
    attached: bool,
    ports: Ports,
    /// The run that has ended last, whose namespaces are still there.
    last: Option<Running>,
    _lock: Lock,
}

impl Monitor {
    fn new(order: &Order, client: Client) -> Result<Monitor, (Failure, Client)> {
        let made = || -> Result<_, Failure> {
            let container = Containers::container_at(&order.folder)
                .ok_or_else(|| ContainerError::new("the order names no container"))?;
            // First of all: whoever removes a container holds it.
            let lock = container.watch()?.ok_or_else(|| {
                ContainerError::new("the container has a monitor already, or is being removed")
            })?;
            // A wish from before is fulfilled.
            container.forget_stop()?;
            let record: Record =
                container.read("record")?.ok_or_else(|| ContainerError::new("the container is gone"))?;
            let reserve = Reserve::take(&container)?;
            let ports = Ports::listen(&record)?;
            Ok((container, record, lock, reserve, ports))
        };
        match made() {
            Err(failure) => Err((failure, client)),
            Ok((container, record, lock, reserve, ports)) => {
                let log = LogWriter::open(container.path("log"), &record.settings.log);
                let mut state = record.created_state();
                state.ports = ports.published();
                state.warnings.extend(Ports::warning(&record));
                let known = Known { state, monitor: std::process::id(), groups: Vec::new(), lost: 0 };
                let attached = order.attached;
                Ok(Monitor {
                    container,
                    record,
                    known,
                    log,
                    reserve,
                    client,
                    attached,
                    ports,
                    last: None,
                    _lock: lock,
                })
            }
        }
    }

    /// Runs the container to its end. Returns the monitor's exit code.
    fn run(mut self) -> i32 {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            // Two runs must not write to the same folder.
            self.last = None;
            let exit = match self.start() {
                Ok(started) => {
                    if self.known.state.restarts == 0 {
                        self.client.tell_started(&self.known.state, self.attached);
                    }
                    self.watch(started)
                }
                Err(failure) if self.known.state.restarts == 0 => {
                    self.client.tell_failure(&failure);
                    return 1;
                }
                Err(failure) => not_started(failure),
            };
            if began.elapsed() >= SETTLED {
                pause = FIRST_PAUSE;
            }
            if !self.goes_on(&exit) {
                return self.end(&exit);
            }
            self.ended(exit, Status::Restarting);
            if self.rest(pause) {
                let exit = self.known.state.exit.clone();
                return self.end(&exit.unwrap_or(ExitStatus { code: 0, out_of_memory: false, reason: None }));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.known.state.restarts += 1;
        }
    }

    fn goes_on(&self, exit: &ExitStatus) -> bool {
        !self.is_stopped() && self.record.starts_again(exit.code, self.known.state.restarts)
    }

    /// Whether somebody wants it to end for good.
    fn is_stopped(&self) -> bool {
        self.container.path(STOP).exists()
    }

    /// Waits before it is started again. Whether somebody stopped it meanwhile.
    fn rest(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.is_stopped() {
                return true;
            }
            self.client.go_on();
            std::thread::sleep(
                Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())),
            );
        }
        self.is_stopped()
    }

    /// Writes the state down, on a full disk where there is room for it. Where that is refused, too, the one before it stays: what a
    /// container does is not stopped for that.
    fn write_state(&mut self) {
        self.known.lost = self.log.lost;
        if self.container.write_state(&self.known).is_err() {
            let _ = self.container.squeeze_state(&self.known, &self.reserve);
        }
    }

    fn ended(&mut self, exit: ExitStatus, status: Status) {
        self.log.flush();
        self.known.state.status = status;
        self.known.state.process = None;
        self.known.state.finished = Some(SystemTime::now());
        self.known.state.exit = Some(exit);
        self.write_state();
    }

    fn end(mut self, exit: &ExitStatus) -> i32 {
        if self.record.settings.remove {
            self.log.flush();
            // What cannot be removed now is shown as a container that has ended.
            if self.container.remove_files(&self.record.name).is_err() {
                self.ended(exit.clone(), Status::Exited);
            }
        } else {
            self.ended(exit.clone(), Status::Exited);
        }
        let Monitor { _lock, client, .. } = self;
        // Whoever hears of the end may ask for the lock.
        drop(_lock);
        client.tell_ended(exit);
        0
    }
}

fn not_started(failure: Failure) -> ExitStatus {
    let (code, reason) = match failure {
        Failure::NotStarted(code, reason, _) => (code, reason),
        Failure::Failed(error) => (128, error.message),
        Failure::Setting(setting, reason, _) => (128, format!("{setting}: {reason}")),
        Failure::PortTaken(port, _) => (128, format!("port {port} is taken")),
    };
    ExitStatus { code, out_of_memory: false, reason: Some(reason) }
}

/// What of a program's end is kept.
fn exit_status(exit: Result<Exit, longshore_sandbox::SandboxError>) -> ExitStatus {
    match exit {
        Ok(exit) => {
            let out_of_memory = exit.exceeded.memory;
            let reason = (out_of_memory && !exit.status.is_success())
                .then(|| "it needed more memory than --memory lets it have".to_owned());
            ExitStatus { code: exit.status.code(), out_of_memory, reason }
        }
        Err(error) => ExitStatus { code: 128, out_of_memory: false, reason: Some(error.to_string()) },
    }
}

/// A program that runs, with what comes of it.
struct Started {
    running: Running,
    output: Vec<watch::Source>,
    terminal: Option<OwnedFd>,
    input: Option<OwnedFd>,
    /// Ends with the program: the way out of its network, the server of its ports.
    _helpers: Vec<start::Helper>,
}

/// The state of a program that has just been started.
fn running_state(state: &mut ContainerState, process: u32, has_health: bool) {
    state.status = Status::Running;
    state.process = Some(process);
    state.started = Some(SystemTime::now());
    state.health = has_health.then(|| HealthState {
        status: HealthStatus::Starting,
        failing_streak: 0,
        last_code: None,
        last_output: String::new(),
    });
}
