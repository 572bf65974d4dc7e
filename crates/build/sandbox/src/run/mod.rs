//! Running a step, from the side of whoever asked for it.

mod launch;
mod watch;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use longshore_events::Events;

use crate::cgroup::Group;
use crate::child::{Order, Report};
use crate::{Ended, Isolation, Network, Root, SandboxError, Status, Step, Stream, survey};

static IN_PLACE: Mutex<()> = Mutex::new(());

/// Runs a step to its end, and hands on its output as it comes.
///
/// Its exit code is part of the result, whatever it is. When this returns, every process of the step is gone, and so are its mounts.
///
/// Errors: the sandbox could not be built, the isolation cannot give what the step asks for, or `events` asked to stop.
pub fn run(
    step: &Step,
    events: &Events,
    on_output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ended, SandboxError> {
    events.check()?;
    refuse(step)?;
    let started = Instant::now();
    // There is one root folder, which has one step at a time.
    let _alone = (step.isolation == Isolation::InPlace).then(|| IN_PLACE.lock());
    let order = Order { parent: rustix::process::getpid().as_raw_pid(), step: step.clone() };
    // Dropped when the last of the step's processes is gone.
    let group = Group::make(&step.limits)?;
    let launched = launch::launch(&order, &group)?;
    let ended = watch::watch(launched, step.isolation, events, on_output)
        .and_then(|reports| conclude(step, reports, (started, &group), on_output));
    match ended {
        // The group's own processes had a part of it, and one of them was the largest.
        Err(SandboxError::Lost { .. }) if group.exceeded().memory => Err(SandboxError::Memory),
        ended => ended,
    }
}

/// Refuses what the rung cannot give, before anything is done.
fn refuse(step: &Step) -> Result<(), SandboxError> {
    let isolation = step.isolation;
    if isolation.has_namespaces() {
        return Ok(());
    }
    let refused = |what: &str| Err(SandboxError::Refused { isolation, what: what.to_owned() });
    match step.network {
        Network::Host => {}
        Network::None => return refused("cut a step off from the network"),
        Network::Own => return refused("give a step a network of its own"),
    }
    if step.insecure {
        return refused("give a step more than this process has itself");
    }
    match (&step.root, isolation) {
        (Root::Overlay { .. }, _) => refused("mount an overlay as the root folder"),
        (_, Isolation::InPlace) if !survey::is_contained() => {
            refused("change the machine's own root folder: it is for containers that are thrown away")
        }
        (_, Isolation::InPlace) if !step.hosts.is_empty() => refused("add hosts to a step"),
        _ => Ok(()),
    }
}

/// Whether there is no room left for changes.
fn is_full(step: &Step) -> bool {
    let folder = match &step.root {
        Root::Overlay { upper, .. } => upper,
        Root::Folder(path) => path,
    };
    // Where it cannot be asked, nothing is said.
    let Ok(room) = rustix::fs::statvfs(folder) else { return false };
    // Some file systems count no files.
    room.f_bavail == 0 || (room.f_files > 0 && room.f_favail == 0)
}

fn conclude(
    step: &Step,
    reports: Vec<Report>,
    (started, group): (Instant, &Group),
    on_output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ended, SandboxError> {
    let mut not_started = None;
    let mut ended = None;
    for report in reports {
        match report {
            Report::Failed(fault) => return Err(fault.into()),
            Report::Owners(book, owners) => crate::owners::write(step, book, &owners)?,
            Report::Lost(signal) => return Err(SandboxError::Lost { signal: Some(signal) }),
            Report::Foreign(platform, emulator, registered) => {
                return Err(SandboxError::Foreign { platform, emulator, registered });
            }
            Report::NotStarted(code, reason) => not_started = Some((code, reason)),
            Report::Ended(status, time, memory) => ended = Some((status, time, memory)),
        }
    }
    let Some((status, time, memory)) = ended else { return Err(SandboxError::Lost { signal: None }) };
    let (status, reason) = match not_started {
        Some((code, reason)) => {
            on_output(Stream::Stderr, format!("{reason}\n").as_bytes());
            (Status::Exited(code), Some(reason))
        }
        None => (status, None),
    };
    Ok(Ended {
        status,
        reason,
        full: is_full(step),
        exceeded: group.exceeded(),
        elapsed: started.elapsed(),
        processor_time: Duration::from_nanos(time),
        peak_memory: memory,
    })
}
