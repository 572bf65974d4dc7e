//! What a container is: what was asked for, and what that came to with its image.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use longshore_runtime::{ContainerSettings, ContainerState, RestartPolicy, Status};
use serde::{Deserialize, Serialize};

/// What a container is. Written once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    #[serde(with = "longshore_runtime::form::time")]
    pub created: SystemTime,
    /// What was asked for.
    pub settings: ContainerSettings,
    /// Digest of the image for its platform.
    pub image: String,
    /// The isolation it runs with, by name.
    pub isolation: String,
    /// What settings and image come to.
    pub program: Program,
    /// Folders of the image's layers, the top one first.
    pub layers: Vec<PathBuf>,
    /// What is mounted.
    pub mounts: Vec<Mounted>,
    /// Its health check; `None` where there is none.
    pub health: Option<Health>,
}

/// The program of a container and what it sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Working folder.
    pub folder: String,
    /// The user as it was named: settings before image.
    pub user: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
    /// Host name.
    pub hostname: String,
    /// Number of the signal that asks it to end.
    pub stop_signal: i32,
    /// How long it may take to end.
    pub stop_timeout: Duration,
    /// Capabilities, as the kernel numbers their bits.
    pub capabilities: u64,
}

/// Something mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// Absolute path inside.
    pub target: PathBuf,
    /// What.
    pub what: MountedKind,
    /// Whether it may only be read.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountedKind {
    /// A folder or file of the machine.
    Bind(PathBuf),
    /// A folder in memory: size in bytes, permission bits, and whether programs in it may be started.
    Tmpfs(Option<u64>, u32, bool),
}

/// A health check, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// Time after which a check has failed.
    pub timeout: Duration,
    /// Time after the start in which failures do not count.
    pub start_period: Duration,
    /// Interval in that time.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

/// What a monitor knows and others want to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// For people and programs.
    pub(crate) state: ContainerState,
    /// The monitor's process id.
    pub(crate) monitor: u32,
    /// Folders of its control groups.
    pub(crate) groups: Vec<PathBuf>,
    /// Bytes of output that could not be kept.
    pub(crate) lost: u64,
}

impl Record {
    /// The state of a container that was not started.
    pub(crate) fn created_state(&self) -> ContainerState {
        ContainerState {
            id: self.id.clone(),
            name: self.name.clone(),
            status: Status::Created,
            process: None,
            created: self.created,
            started: None,
            finished: None,
            exit: None,
            health: None,
            restarts: 0,
            ports: self.settings.ports.clone(),
            warnings: Vec::new(),
        }
    }

    /// Whether it is to be started again after its program ended with `code`, having been started again `restarts` times.
    pub(crate) fn starts_again(&self, code: i32, restarts: u32) -> bool {
        match self.settings.restart {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure(most) => code != 0 && most.is_none_or(|most| restarts < most),
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        }
    }
}
