//! What every service in a container must do, with nothing to write.
//!
//! The checks are those of the guide's runbook, made of one container and a second one: it starts, becomes healthy, answers, runs as who it says,
//! writes its log as lines, stays under its memory under load, ends in order when asked while a request is on its way, and starts again.
//!
//! A request in flight needs no slow route: a request is sent but for the last byte of its body, then the signal, then the byte. A server that
//! drains (Go's `http.Server.Shutdown`) waits for it, also where its handler has answered without looking at the body. One that was answered before the
//! signal and was not waited for is told as such: it does not show that a slower one would be lost.

use std::time::{Duration, Instant};

use longshore_runtime::ContainerSettings;

use crate::check::{Checks, Outcome, Verdict};
use crate::http::{self, Connection};
use crate::service::{ASKED_NEXT, REQUEST, Running, STARTED, Subject, Users};

const SUITE: &str = "behaviour";
/// Time for a connection to get from the machine's port to the program.
const ARRIVAL: Duration = Duration::from_millis(200);
/// Time after the signal in which a program that waits for nothing has ended.
const HEEDED: Duration = Duration::from_millis(100);

/// Makes all checks of a subject's behaviour under its own settings.
pub fn behaviour(subject: &Subject<'_>, checks: &mut Checks) {
    walk(subject, &subject.settings, true, &mut |name, check| checks.make(SUITE, name, check));
}

/// Takes a check by its name, and says what came of it; `None` if it is not made any more.
pub(crate) type Sink<'k> = dyn FnMut(&str, &mut dyn FnMut() -> Outcome) -> Option<Verdict> + 'k;

/// Goes through the list with containers of these settings. What follows from a failure is not checked.
pub(crate) fn walk(subject: &Subject<'_>, settings: &ContainerSettings, whole: bool, sink: &mut Sink<'_>) {
    let mut running = None;
    let started = sink("starts", &mut || match subject.start(settings) {
        Ok(container) => {
            let after = if whole { STARTED } else { ASKED_NEXT };
            let outcome = container.starts(after).unwrap_or_else(|outcome| *outcome);
            running = Some(container);
            outcome
        }
        Err(outcome) => *outcome,
    });
    let (Some(Verdict::Passed), Some(container)) = (started, running) else { return };
    let mut path = None;
    let healthy = sink("becomes healthy", &mut || match container.becomes_healthy() {
        Ok((outcome, found)) => {
            path = found;
            outcome
        }
        Err(outcome) => *outcome,
    });
    if !matches!(healthy, Some(Verdict::Passed | Verdict::Skipped)) {
        return;
    }
    let path = path.unwrap_or_else(|| "/".to_owned());
    sink("answers on its port", &mut || answers(&container, &path));
    sink("runs as the declared user", &mut || runs_as(&container));
    if whole || container.limit.is_some() {
        sink("stays up and within its memory under load", &mut || under_load(&container, &path));
    }
    if whole {
        sink("writes its log as lines", &mut || logs(&container));
    }
    sink("drains and exits 0 on its stop signal", &mut || drains(&container, &path));
    drop(container);
    if whole {
        sink("starts again", &mut || starts_again(subject, settings));
    }
}

fn answers(container: &Running<'_>, path: &str) -> Outcome {
    let Some(address) = container.address else { return Outcome::skipped("it has no published port") };
    match http::get(address, path, REQUEST) {
        Ok(response) if response.status < 500 => {
            Outcome::passed().saying(format!("GET {path}: {}", response.status))
        }
        Ok(response) => {
            container.failed(format!("an answer to GET {path}"), format!("status {}", response.status))
        }
        Err(error) => container.failed(format!("an answer to GET {path}"), error.to_string()),
    }
}

fn runs_as(container: &Running<'_>) -> Outcome {
    let Some(expected) = container.subject.expectations.user else {
        return Outcome::skipped("the image names no user, or one whose number is not known");
    };
    match container.subject.users {
        Users::Seen => {}
        Users::Unseen => return Outcome::skipped("its processes are not seen from this machine"),
        Users::Single => return Outcome::skipped("containers have a single user here"),
    }
    let state = match container.state() {
        Ok(state) => state,
        Err(outcome) => return *outcome,
    };
    let Some(process) = state.process else { return Outcome::skipped("it has ended") };
    let status = match std::fs::read_to_string(format!("/proc/{process}/status")) {
        Ok(status) => status,
        Err(error) => return Outcome::unchecked(format!("cannot read /proc/{process}/status: {error}")),
    };
    // Real, effective, saved and file system's.
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let effective = uids.split_whitespace().nth(1).unwrap_or_default();
    match effective == expected.to_string() {
        true => Outcome::passed().saying(format!("uid {effective}")),
        false => container.failed(format!("uid {expected}"), format!("uid {effective}")),
    }
}

fn under_load(container: &Running<'_>, path: &str) -> Outcome {
    let Some(address) = container.address else { return Outcome::skipped("it has no published port") };
    let wanted = container.subject.expectations.requests;
    let mut most = 0;
    let mut connection = None;
    for made in 0..wanted {
        let answer = match connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(address, REQUEST),
        };
        let answer = answer.and_then(|mut connection: Connection| Ok((connection.get(path)?, connection)));
        match answer {
            Ok((response, kept)) => connection = response.keeps.then_some(kept),
            Err(error) => {
                return container
                    .failed(format!("{wanted} answers in a row"), format!("after {made}: {error}"));
            }
        }
        if made % 100 == 0 {
            most = most.max(container.runtime().statistics(&container.id).map_or(0, |now| now.memory));
        }
    }
    most = most.max(container.runtime().statistics(&container.id).map_or(0, |now| now.memory));
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    match container.limit {
        Some(limit) if most > limit => {
            container.failed(format!("at most {}", mebibytes(limit)), mebibytes(most))
        }
        _ if most == 0 => Outcome::passed().saying("its memory cannot be measured here"),
        _ => Outcome::passed().saying(format!("{wanted} requests, at most {}", mebibytes(most))),
    }
}

fn logs(container: &Running<'_>) -> Outcome {
    let lines = match container.runtime().logs(&container.id) {
        Ok(lines) => lines,
        Err(error) => return crate::hint::refused(&error),
    };
    let Some(last) = lines.last() else { return Outcome::skipped("it wrote nothing") };
    if lines.iter().any(|line| line.text.contains(&0)) {
        return container.failed("lines of text", "bytes of another kind");
    }
    match last.text.ends_with(b"\n") {
        true => Outcome::passed().saying(format!("{} lines", lines.len())),
        false => container.failed("lines, each with its end", "a line without an end"),
    }
}

/// Asks it to end while a request is on its way.
fn drains(container: &Running<'_>, path: &str) -> Outcome {
    let expectations = &container.subject.expectations;
    match container.state() {
        Ok(state) if state.process.is_none() && state.exit.is_some() => {
            return Outcome::skipped("it has ended");
        }
        Ok(_) => {}
        Err(outcome) => return *outcome,
    }
    let mut pending = None;
    if let Some(address) = container.address {
        let begun = Connection::open(address, REQUEST).and_then(|mut connection| {
            connection.begin(path)?;
            Ok(connection)
        });
        match begun {
            Ok(connection) => pending = Some(connection),
            Err(error) => return container.failed("a request before the signal", error.to_string()),
        }
        std::thread::sleep(ARRIVAL);
    }
    let asked = Instant::now();
    if let Err(error) = container.runtime().signal(&container.id, expectations.signal) {
        return crate::hint::refused(&error);
    }
    let mut lost = None;
    let mut waited = false;
    if let Some(mut connection) = pending.take() {
        match container.runtime().wait(&container.id, Some(HEEDED)) {
            Ok(exit) => waited = exit.is_none(),
            Err(error) => return crate::hint::refused(&error),
        }
        lost = connection.finish().err();
    }
    let grace = expectations.grace.saturating_sub(asked.elapsed());
    let exit = match container.runtime().wait(&container.id, Some(grace)) {
        Ok(exit) => exit,
        Err(error) => return crate::hint::refused(&error),
    };
    let took = asked.elapsed().as_secs_f64();
    let shell = container.subject.by_shell.then(|| {
        "its program is started by a shell, which hands on no signals: write ENTRYPOINT and CMD as lists"
            .to_owned()
    });
    let handle = || {
        Some(
            "handle SIGTERM: signal.NotifyContext, then http.Server.Shutdown, then return from main"
                .to_owned(),
        )
    };
    match (exit, lost) {
        (None, _) => container
            .failed(format!("it ends within {} s", expectations.grace.as_secs_f64()), "it still runs")
            .hinted(shell)
            .hinted(handle()),
        (Some(exit), _) if exit.code != 0 => {
            let found = match exit.code - 128 {
                signal if signal == expectations.signal => {
                    format!("exit code {}: the signal ended it, since it does not handle it", exit.code)
                }
                _ => format!("exit code {}", exit.code),
            };
            container.failed("exit code 0", found).hinted(shell).hinted(handle())
        }
        (Some(_), Some(error)) => {
            container.failed("the request in flight is answered", error.to_string()).hinted(Some(
                "call http.Server.Shutdown and wait for it before main returns; Close drops requests"
                    .to_owned(),
            ))
        }
        (Some(_), None) => Outcome::passed().saying(match container.address {
            Some(_) if waited => format!("after {took:.2} s, when the request in flight was done"),
            Some(_) => {
                format!("after {took:.2} s, without waiting for the rest of a request that it had answered")
            }
            None => format!("after {took:.2} s"),
        }),
    }
}

fn starts_again(subject: &Subject<'_>, settings: &ContainerSettings) -> Outcome {
    let again = || {
        let container = subject.start(settings)?;
        let outcome = container.starts(ASKED_NEXT)?;
        if outcome.verdict != Verdict::Passed {
            return Ok(outcome);
        }
        container.becomes_healthy().map(|(outcome, _)| match outcome.verdict {
            Verdict::Skipped => Outcome::passed(),
            _ => outcome,
        })
    };
    again().unwrap_or_else(|outcome: Box<Outcome>| *outcome)
}
