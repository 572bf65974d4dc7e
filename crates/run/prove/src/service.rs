//! A service under test: its containers, and what is asked of each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_runtime::{
    ContainerSettings, ContainerState, HealthSettings, HealthStatus, NetworkMode, Protocol, PublishedPort,
    RestartPolicy, Runtime, RuntimeError, Status,
};

use crate::check::Outcome;
use crate::expectations::Expectations;
use crate::hint::{advice, refused};
use crate::http;

/// Time between two health checks.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// Lines of the log that a failure shows.
const SHOWN_LINES: usize = 10;
/// Time that one request may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(5);
/// Time between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);
/// Time after which a program that still runs has started.
pub(crate) const STARTED: Duration = Duration::from_millis(300);
/// The same where it is asked for its health next, which shows more.
pub(crate) const ASKED_NEXT: Duration = Duration::from_millis(50);

/// What can be told of the users that processes of containers run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// They stand in this machine's /proc.
    Seen,
    /// The processes are elsewhere.
    Unseen,
    /// There is a single one, whatever was asked for: a user namespace with one id.
    Single,
}

/// What is tested, and where.
pub struct Subject<'s> {
    /// Where its containers run.
    pub runtime: &'s dyn Runtime,
    /// What every container of it is asked to be; constraints come on top.
    pub settings: ContainerSettings,
    /// What is expected of it.
    pub expectations: Expectations,
    /// What can be told of its processes' users.
    pub users: Users,
    /// Whether its program is run by a shell, which hands on no signals.
    pub by_shell: bool,
    /// By which whoever waits for it is asked to stop.
    pub events: Events,
}

/// A container that is removed when it is no longer wanted.
pub(crate) struct Running<'s> {
    pub(crate) subject: &'s Subject<'s>,
    pub(crate) id: String,
    pub(crate) limit: Option<u64>,
    /// Where its port is published.
    pub(crate) address: Option<SocketAddr>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // What it was tested for is known by now; one that cannot be removed is listed by `ps -a`.
        let _ = self.subject.runtime.remove(&self.id, true);
    }
}

impl Subject<'_> {
    /// Starts a container, with its port published where only this machine reaches it.
    pub(crate) fn start(&self, settings: &ContainerSettings) -> Result<Running<'_>, Box<Outcome>> {
        let mut settings = settings.clone();
        settings.name = None;
        settings.remove = false;
        settings.terminal = false;
        settings.restart = RestartPolicy::No;
        settings.ports.clear();
        let port = self.expectations.port;
        let shared = settings.network == NetworkMode::Host;
        if let Some(container) = port.filter(|_| settings.network == NetworkMode::Own) {
            let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            settings.ports.push(PublishedPort { address, host: None, container, protocol: Protocol::Tcp });
        }
        if self.expectations.healthcheck {
            // As the image has it, only sooner: nobody waits half a minute for the first answer.
            let health = settings.health.get_or_insert_with(HealthSettings::default);
            health.interval = Some(ASKED_EVERY);
            health.start_interval = Some(ASKED_EVERY);
        }
        let problem = |error: RuntimeError| Box::new(refused(&error));
        let id = self.runtime.start(&settings).map_err(problem)?;
        let limit = settings.resources.memory;
        let mut running = Running { subject: self, id, limit, address: None };
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        running.address = match port.filter(|_| shared) {
            Some(port) => Some(local(port)),
            None => running.state()?.ports.iter().find_map(|port| port.host).map(local),
        };
        Ok(running)
    }
}

impl Running<'_> {
    pub(crate) fn runtime(&self) -> &dyn Runtime {
        self.subject.runtime
    }

    pub(crate) fn state(&self) -> Result<ContainerState, Box<Outcome>> {
        self.runtime().inspect(&self.id).map_err(|error| Box::new(refused(&error)))
    }

    /// The last lines that it wrote.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let Ok(lines) = self.runtime().logs(&self.id) else { return Vec::new() };
        let from = lines.len().saturating_sub(SHOWN_LINES);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        lines[from..].iter().map(|line| text(&line.text)).collect()
    }

    /// A failure with the last lines, and advice by them.
    pub(crate) fn failed(&self, expected: impl Into<String>, found: impl Into<String>) -> Outcome {
        let logs = self.last_lines();
        let exit = self.state().ok().and_then(|state| state.exit);
        let hint = advice(&logs, exit.as_ref());
        Outcome::failed(expected, found).with_logs(logs).hinted(hint)
    }

    /// What a container that has ended is told of.
    fn ended(&self, state: &ContainerState) -> Option<String> {
        if !matches!(state.status, Status::Exited | Status::Dead | Status::Restarting) {
            return None;
        }
        let exit = state.exit.as_ref()?;
        let memory = if exit.out_of_memory { ", for want of memory" } else { "" };
        let reason = exit.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some(format!("it ended with {}{memory}{reason}", exit.code))
    }

    /// Whether it is there after a moment. What serves nothing may end, if it ends well.
    pub(crate) fn starts(&self, after: Duration) -> Result<Outcome, Box<Outcome>> {
        let serves = self.subject.expectations.port.is_some() || self.subject.expectations.healthcheck;
        let deadline = Instant::now() + if serves { after } else { STARTED };
        loop {
            if self.subject.events.is_cancelled() {
                return Ok(interrupted());
            }
            let state = self.state()?;
            if let Some(found) = self.ended(&state) {
                let well = state.exit.as_ref().is_some_and(|exit| exit.code == 0);
                return Ok(match (well, serves) {
                    (true, false) => Outcome::passed().saying("it ran to its end"),
                    _ => self.failed("the program runs", found),
                });
            }
            if Instant::now() >= deadline {
                return Ok(Outcome::passed());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until it is healthy. Returns the path that showed it, where one did.
    pub(crate) fn becomes_healthy(&self) -> Result<(Outcome, Option<String>), Box<Outcome>> {
        let expectations = &self.subject.expectations;
        let (within, start) = (expectations.ready_within, Instant::now());
        let mut last = "nothing answered".to_owned();
        if !expectations.healthcheck && self.address.is_none() {
            return Ok((Outcome::skipped("it has no HEALTHCHECK and no port; --port names one"), None));
        }
        loop {
            if self.subject.events.is_cancelled() {
                return Ok((interrupted(), None));
            }
            let state = self.state()?;
            if let Some(found) = self.ended(&state) {
                return Ok((self.failed(format!("healthy within {} s", within.as_secs()), found), None));
            }
            let (healthy, path) = match expectations.healthcheck {
                true => self.by_healthcheck(&state, &mut last),
                false => self.by_request(&mut last),
            };
            let took = format!("after {:.2} s", start.elapsed().as_secs_f64());
            if healthy {
                return Ok((Outcome::passed().saying(took), path));
            }
            if start.elapsed() >= within {
                let outcome = self.failed(format!("healthy within {} s", within.as_secs()), &last);
                let hint = if expectations.healthcheck { no_program(&last) } else { self.listening() };
                return Ok((outcome.hinted(hint), None));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn by_healthcheck(&self, state: &ContainerState, last: &mut String) -> (bool, Option<String>) {
        let Some(health) = &state.health else { return (false, None) };
        if let Some(code) = health.last_code {
            *last = format!("HEALTHCHECK ended with {code}: {}", health.last_output.trim());
        }
        (health.status == HealthStatus::Healthy, None)
    }

    fn by_request(&self, last: &mut String) -> (bool, Option<String>) {
        let Some(address) = self.address else { return (false, None) };
        for path in &self.subject.expectations.health_paths {
            match http::get(address, path, REQUEST) {
                Ok(response) if (200..300).contains(&response.status) => return (true, Some(path.clone())),
                Ok(response) => *last = format!("GET {path} answered {}", response.status),
                Err(error) => {
                    *last = format!("GET {path}: {error}");
                    break;
                }
            }
        }
        (false, None)
    }

    /// Advice for what runs and does not answer.
    fn listening(&self) -> Option<String> {
        let port = self.subject.expectations.port?;
        Some(format!(
            "it must listen on all addresses (:{port}), not on 127.0.0.1; --port and --health-path name another port and path"
        ))
    }
}

/// Advice for a health check whose program is not there.
fn no_program(found: &str) -> Option<String> {
    let program = found.split("cannot run ").nth(1)?.split(':').next()?;
    Some(format!(
        "the image has no {program}: ask with a sub-command of the program itself, or with longshore's probe, which `longshore build` puts into images"
    ))
}

fn interrupted() -> Outcome {
    Outcome::unchecked("the work was asked to stop")
}
