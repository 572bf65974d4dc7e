//! Starting the container's program.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;

use longshore_runtime::NetworkMode;
use longshore_sandbox::{
    Isolation, Limits, Mount, MountKind, Network, Root, Step, Streams, Ulimit, User, contain,
};

use super::watch::Source;
use super::{Monitor, Started, network, running_state};
use crate::error::{ContainerError, Failure};
use crate::record::{MountedKind, Record};
use crate::rights::{not_started, rights};

/// A process that serves the container and ends with it, and the socket that tells it when that is.
pub(crate) struct Helper(pub(crate) Child, pub(crate) Option<UnixStream>);

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended with the container's network.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Monitor {
    /// Starts the program.
    pub(super) fn start(&mut self) -> Result<Started, Failure> {
        let step = step(&self.record, &self.container.folder)?;
        let seccomp = &self.record.settings.seccomp;
        let (streams, sources, input) = streams(&self.record)?;
        let contained = contain(&step, streams).map_err(|error| not_started(error.into(), seccomp))?;
        let mut helpers = Vec::new();
        if self.record.settings.network == NetworkMode::Own {
            match network::open(contained.process())? {
                network::WayOut::Open(helper) => helpers.push(helper),
                network::WayOut::None(why) => self.known.state.warnings = vec![why],
            }
            helpers.extend(self.ports.serve(contained.process(), address(&self.record))?);
        }
        self.known.groups = contained.groups().to_vec();
        let mut running = contained.release().map_err(|error| not_started(error, seccomp))?;
        running_state(&mut self.known.state, running.process, self.record.health.is_some());
        self.write_state();
        let terminal = running.terminal.take();
        Ok(Started { running, output: sources, terminal, input, _helpers: helpers })
    }
}

/// The address that published ports lead to. Not 127.0.0.1: a program that listens there alone cannot be reached with other engines either.
pub(crate) fn address(record: &Record) -> Ipv4Addr {
    let byte = |at: usize| {
        record.id.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(1)
    };
    Ipv4Addr::new(10, 88, byte(0), byte(2).clamp(2, 254))
}

type Ends = (Streams, Vec<Source>, Option<OwnedFd>);

/// The program's streams: its ends, ours of the outputs, ours of the input.
fn streams(record: &Record) -> Result<Ends, Failure> {
    if record.settings.terminal {
        return Ok((Streams::Terminal, Vec::new(), None));
    }
    let pipe =
        || std::io::pipe().map_err(|error| ContainerError::new(format!("cannot make a pipe: {error}")));
    let (output, theirs) = pipe()?;
    let (errors, their_errors) = pipe()?;
    let (input, ours) = if record.settings.interactive {
        let (theirs, ours) = pipe()?;
        (Some(OwnedFd::from(theirs)), Some(OwnedFd::from(ours)))
    } else {
        (None, None)
    };
    let streams = Streams::Apart { input, output: theirs.into(), errors: their_errors.into() };
    Ok((streams, vec![Source::output(output.into()), Source::errors(errors.into())], ours))
}

/// What the program sees.
pub(crate) fn step(record: &Record, folder: &std::path::Path) -> Result<Step, Failure> {
    let (settings, program) = (&record.settings, &record.program);
    let isolation: Isolation = record.isolation.parse().map_err(|error| ContainerError::of(&error, None))?;
    let root = Root::Overlay {
        lower: record.layers.clone(),
        upper: folder.join("upper"),
        work: folder.join("work"),
        user_xattr: isolation.is_inside(),
    };
    let mounts = record.mounts.iter().map(|mount| Mount {
        target: mount.target.clone(),
        kind: match &mount.what {
            MountedKind::Bind(source) => {
                MountKind::Bind { source: source.clone(), read_only: mount.read_only }
            }
            MountedKind::Tmpfs(size, mode, programs) => {
                MountKind::Tmpfs { size: *size, mode: *mode, programs: *programs }
            }
        },
    });
    Ok(Step {
        isolation,
        root,
        mounts: mounts.collect(),
        arguments: arguments(record),
        environment: environment(&program.environment),
        folder: PathBuf::from(&program.folder),
        user: User { uid: program.uid, gid: program.gid, groups: program.groups.clone() },
        hostname: program.hostname.clone(),
        network: match settings.network {
            NetworkMode::Host => Network::Host,
            NetworkMode::None => Network::None,
            NetworkMode::Own => Network::Own,
        },
        address: (settings.network == NetworkMode::Own).then(|| address(record).to_bits()),
        insecure: false,
        rights: rights(record)?,
        read_only: settings.read_only,
        hosts: settings.hosts.clone(),
        limits: Limits {
            ulimits: ulimits(record),
            shm_size: settings.resources.shared_memory.unwrap_or(Limits::default().shm_size),
            memory: settings.resources.memory,
            processes: settings.resources.processes,
            processors: settings.resources.processors,
            cgroup_parent: None,
        },
        input: None,
        owners: None,
        mount_owners: std::collections::BTreeMap::new(),
    })
}

fn arguments(record: &Record) -> Vec<OsString> {
    record.program.arguments.iter().map(OsString::from).collect()
}

pub(crate) fn environment(variables: &[(String, String)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

pub(crate) fn ulimits(record: &Record) -> Vec<Ulimit> {
    let one = |ulimit: &longshore_runtime::Ulimit| Ulimit {
        name: ulimit.name.clone(),
        soft: ulimit.soft,
        hard: ulimit.hard,
    };
    record.settings.resources.ulimits.iter().map(one).collect()
}
