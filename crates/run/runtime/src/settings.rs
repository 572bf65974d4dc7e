//! What a container is asked to be. Whatever is not said here is as the image has it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// All that is said of a container beside its image's own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSettings {
    /// The image as it was named.
    pub image: String,
    /// The container's name; without, one is made up.
    pub name: Option<String>,
    /// Instead of the image's ENTRYPOINT; an empty list takes it away. The image's CMD counts only where this is `None`.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's CMD.
    pub command: Option<Vec<String>>,
    /// Variables on top of the image's; a later one wins.
    pub environment: Vec<(String, String)>,
    /// Working folder, absolute.
    pub folder: Option<String>,
    /// `USER[:GROUP]`, names or numbers.
    pub user: Option<String>,
    /// Groups beside the user's, names or numbers.
    pub groups: Vec<String>,
    /// Host name inside; without, the first twelve digits of the container's id.
    pub hostname: Option<String>,
    /// Lines of /etc/hosts: name and address.
    pub hosts: Vec<(String, String)>,
    /// Labels on top of the image's.
    pub labels: Vec<(String, String)>,
    /// The network inside.
    pub network: NetworkMode,
    /// Ports that are reachable from the machine. They need a network of its own.
    pub ports: Vec<PublishedPort>,
    /// What is mounted.
    pub mounts: Vec<MountSettings>,
    /// Whether the root folder may only be read.
    pub read_only: bool,
    /// Whether the program gets a terminal.
    pub terminal: bool,
    /// Whether standard input is kept open.
    pub interactive: bool,
    /// Capabilities beside and without those of Docker's default set.
    pub capabilities: Capabilities,
    /// Whether programs gain nothing from set-user-id bits and file capabilities.
    pub no_new_privileges: bool,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// Limits on what it may use.
    pub resources: Resources,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// Whether a small init is process 1 and the program its child.
    pub init: bool,
    /// Signal that asks it to end, by name or number; without, the image's, or SIGTERM.
    pub stop_signal: Option<String>,
    /// How long it may take to end before it is killed; without, 10 seconds.
    pub stop_timeout: Option<Duration>,
    /// How its health is found out; without, as the image says.
    pub health: Option<HealthSettings>,
    /// What is kept of its output.
    pub log: LogSettings,
    /// Whether it is removed when it has ended.
    pub remove: bool,
}

/// The network that a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// A network of its own, with published ports, and the way out that the machine offers.
    #[default]
    Own,
    /// The machine's.
    Host,
    /// One of its own with nothing but a loopback interface.
    None,
}

/// A protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A port of the machine that leads to one of the container: `-p [ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address of the machine; without, all of them.
    pub address: Option<IpAddr>,
    /// Port of the machine; without, or as 0, one that is free.
    pub host: Option<u16>,
    /// Port inside.
    pub container: u16,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Something that is mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSettings {
    /// Where, as an absolute path inside.
    pub target: String,
    /// What.
    pub source: MountSource,
    /// Whether it may only be read.
    #[serde(default)]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A folder or file of the machine.
    Bind(PathBuf),
    /// A folder that is kept under a name; without a name it lives as long as its container. Where it is new, it takes over what
    /// the image has there.
    Volume(Option<String>),
    /// A folder in memory: its greatest size in bytes, its permission bits.
    Tmpfs {
        /// Bytes; without, half of the machine's memory.
        size: Option<u64>,
        /// Permission bits; without, 1777.
        mode: Option<u32>,
        /// Whether programs in it may be started.
        #[serde(default)]
        programs: bool,
    },
}

/// What differs from Docker's default set of capabilities. Names are without `CAP_`, in capitals; `ALL` is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Given beside.
    pub add: Vec<String>,
    /// Taken away, before `add`.
    pub drop: Vec<String>,
}

/// The filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile of its own.
    Profile {
        /// What messages call it: its file's name.
        name: String,
        /// A JSON document in Docker's form.
        text: String,
    },
}

/// Limits on what a container may use. Whatever is absent is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory of all processes together, in bytes.
    pub memory: Option<u64>,
    /// Processor time of all processes together, in thousandths of one processor's.
    pub processors: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Size of /dev/shm in bytes; without, 64 MiB.
    pub shared_memory: Option<u64>,
    /// Limits of each process.
    pub ulimits: Vec<Ulimit>,
}

/// A limit of each process, `--ulimit NAME=SOFT[:HARD]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// As `ulimit` names it: "nofile".
    pub name: String,
    /// The soft limit; `u64::MAX` is none.
    pub soft: u64,
    /// The hard limit; `u64::MAX` is none.
    pub hard: u64,
}

/// What happens when a container ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// It is started again if it failed, at most this often; `None` is without end.
    OnFailure(Option<u32>),
    /// It is started again.
    Always,
    /// It is started again, but if somebody stopped it.
    UnlessStopped,
}

/// How a container's health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSettings {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", COMMAND]`; empty is the image's.
    pub test: Vec<String>,
    /// Time from the end of a check to the start of the next; without, the image's, or 30 seconds.
    pub interval: Option<Duration>,
    /// Time after which a check has failed; without, the image's, or 30 seconds.
    pub timeout: Option<Duration>,
    /// Time after the start in which failures do not count; without, the image's, or none.
    pub start_period: Option<Duration>,
    /// Interval in the start period; without, the image's, or 5 seconds.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make it unhealthy; without, the image's, or 3.
    pub retries: Option<u32>,
}

/// What is kept of a container's output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSettings {
    /// Bytes of a file before the next is begun; without, 10 MiB.
    pub max_size: Option<u64>,
    /// Files that are kept, the present one included; without, 3.
    pub max_files: Option<u32>,
}
