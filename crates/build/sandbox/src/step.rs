//! What a step is: everything that a process in the sandbox sees, said by the caller. Nothing is inherited from the machine unless
//! it is named here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::Resource;

use crate::wire::{wire_enum, wire_struct};
use crate::{Isolation, Rights, Root, SecretBytes};

/// One process to run, with all that it may see.
#[derive(Debug, Clone)]
pub struct Step {
    /// The rung it runs on; the one that [`crate::choose`] gave, or [`crate::inside`].
    pub isolation: Isolation,
    /// The root folder.
    pub root: Root,
    /// What is mounted over it, in this order.
    pub mounts: Vec<Mount>,
    /// The program, looked up in the PATH of `environment` if it has no slash, and its arguments.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The working folder inside. It must be there.
    pub folder: PathBuf,
    /// Who runs it.
    pub user: User,
    /// The host name inside.
    pub hostname: String,
    /// The network inside.
    pub network: Network,
    /// IPv4 address that a network of its own has on its loopback interface beside 127.0.0.1, as a number.
    pub address: Option<u32>,
    /// All capabilities, no system call filter, /proc and /sys as they are: `RUN --security=insecure`.
    pub insecure: bool,
    /// What its program may do, unless it is `insecure`.
    pub rights: Rights,
    /// Whether the root folder may only be read.
    pub read_only: bool,
    /// Further lines of /etc/hosts: name and address.
    pub hosts: Vec<(String, String)>,
    /// Limits on what it may use.
    pub limits: Limits,
    /// What it reads from its standard input; nothing without.
    pub input: Option<Vec<u8>>,
    /// With [`Isolation::SingleUser`], the file that names the owners of what is in the root folder, and that the run brings up to date
    /// ([`crate::read_owners`]).
    pub owners: Option<PathBuf>,
    /// The same for what is mounted, by target. Whoever owns a file on any other mount is forgotten with the step.
    pub mount_owners: BTreeMap<PathBuf, PathBuf>,
}

/// Numbers of a user and its groups, as they are inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// What a step sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The machine's own network.
    #[default]
    Host,
    /// A network of its own with nothing in it but a loopback interface: `RUN --network=none`.
    None,
    /// A network of its own, with a loopback interface, that nothing is connected to yet.
    Own,
}

/// Limits on what a step may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Resource limits; all others are those of longshore itself, as BuildKit's are those of its daemon.
    pub ulimits: Vec<Ulimit>,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// Most memory of all processes together, in bytes.
    pub memory: Option<u64>,
    /// Most processes and threads; without, a step may have 8,192 where groups can be made.
    pub processes: Option<u64>,
    /// Processor time of all processes together, in thousandths of one processor's.
    pub processors: Option<u64>,
    /// The control group in which the step's is made, from the root of the tree; otherwise one by this process's own.
    pub cgroup_parent: Option<String>,
}

impl Limits {
    /// Whether one of them needs a control group.
    pub(crate) fn need_group(&self) -> bool {
        let numbers = [self.memory, self.processors, self.processes];
        numbers.iter().any(Option::is_some) || self.cgroup_parent.is_some()
    }
}

impl Default for Limits {
    /// No resource limits and a /dev/shm of 64 MiB.
    fn default() -> Limits {
        Limits {
            ulimits: Vec::new(),
            shm_size: 64 << 20,
            memory: None,
            processes: None,
            processors: None,
            cgroup_parent: None,
        }
    }
}

/// One resource limit, `--ulimit NAME=SOFT:HARD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// The resource as `ulimit` names it, in lower case: "nofile".
    pub name: String,
    /// The soft limit; `u64::MAX` is none.
    pub soft: u64,
    /// The hard limit; `u64::MAX` is none.
    pub hard: u64,
}

/// What a process may be limited in, as `ulimit` and Docker name it.
const RESOURCES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

impl Ulimit {
    /// What is limited; `None` for a name that is none.
    pub(crate) fn resource(&self) -> Option<Resource> {
        RESOURCES.iter().find(|(name, _)| *name == self.name).map(|(_, resource)| *resource)
    }
}

/// Words that are no resource limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UlimitError {
    /// There is nothing to be limited of this name.
    #[error("unknown limit `{0}`: it is one of {names}", names = RESOURCES.map(|(name, _)| name).join(", "))]
    Name(String),
    /// The numbers are none.
    #[error("`{0}` is no limit: it is NAME=SOFT or NAME=SOFT:HARD, with numbers or -1 for none")]
    Value(String),
    /// The soft limit is above the hard one.
    #[error("the soft limit of `{0}` is above the hard one")]
    Order(String),
}

/// `NAME=SOFT[:HARD]`, as Docker has it.
impl FromStr for Ulimit {
    type Err = UlimitError;

    fn from_str(text: &str) -> Result<Ulimit, UlimitError> {
        let value = || UlimitError::Value(text.to_owned());
        let number = |text: &str| match text {
            "-1" => Ok(u64::MAX),
            text => text.parse::<u64>().map_err(|_| value()),
        };
        let (name, numbers) = text.split_once('=').ok_or_else(value)?;
        let (soft, hard) = numbers.split_once(':').unwrap_or((numbers, numbers));
        let ulimit = Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? };
        match ulimit.resource() {
            None => Err(UlimitError::Name(name.to_owned())),
            Some(_) if ulimit.soft > ulimit.hard => Err(UlimitError::Order(text.to_owned())),
            Some(_) => Ok(ulimit),
        }
    }
}

/// Something mounted over the root folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, as an absolute path inside. Made if it is not there, and removed again afterwards if it is still empty.
    pub target: PathBuf,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A folder or a file of the machine.
    Bind {
        /// Its path on the machine.
        source: PathBuf,
        /// Whether the step may only read it.
        read_only: bool,
    },
    /// A folder whose changes are kept apart: a writable bind mount whose writes are dropped.
    Overlay {
        /// Read-only folders, the top one first.
        lower: Vec<PathBuf>,
        /// Takes the changes.
        upper: PathBuf,
        /// The overlay's own folder, empty, on the file system of `upper`.
        work: PathBuf,
        /// Whether the step may only read it: several folders as one.
        read_only: bool,
    },
    /// A folder in memory.
    Tmpfs {
        /// Its greatest size in bytes; without, half of the machine's memory.
        size: Option<u64>,
        /// Its permission bits.
        mode: u32,
        /// Whether programs in it may be started.
        programs: bool,
    },
    /// A file in memory, for secrets. The step may only read it.
    Content {
        /// What is in it.
        bytes: SecretBytes,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error output.
    Stderr,
}

/// How a step's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl Status {
    /// Whether it exited with 0.
    pub fn is_success(self) -> bool {
        self == Status::Exited(0)
    }

    /// The exit code as a shell tells it: 128 and the signal's number for a process that a signal ended.
    pub fn code(self) -> i32 {
        match self {
            Status::Exited(code) => code,
            Status::Signalled(signal) => 128 + signal,
        }
    }
}

/// A step that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How its process ended.
    pub status: Status,
    /// Why the program could not be started, where it could not: then the status is 126 or 127, as a shell's would be.
    pub reason: Option<String>,
    /// Whether the file system that took its changes had no room left at the end.
    pub full: bool,
    /// Limits of its control group that it ran into.
    pub exceeded: Exceeded,
    /// Time from start to end.
    pub elapsed: Duration,
    /// Processor time of all its processes, in user and kernel mode.
    pub processor_time: Duration,
    /// Largest resident set of any one of its processes, in bytes.
    pub peak_memory: u64,
}

/// Limits on all processes of a step together that were run into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exceeded {
    /// The kernel ended a process since there was no memory left for them.
    pub memory: bool,
    /// A process was refused since there were as many as may be.
    pub processes: bool,
}

wire_enum!(Isolation { 0 => Namespaces, 1 => UserNamespace, 2 => SingleUser, 3 => Chroot, 4 => InPlace });
wire_enum!(Network { 0 => Host, 1 => None, 2 => Own });
wire_enum!(Root { 0 => Overlay { lower, upper, work, user_xattr }, 1 => Folder(path) });
wire_enum!(MountKind {
    0 => Bind { source, read_only },
    1 => Overlay { lower, upper, work, read_only },
    2 => Tmpfs { size, mode, programs },
    3 => Content { bytes, mode, uid, gid },
});
wire_enum!(Status { 0 => Exited(code), 1 => Signalled(signal) });
wire_struct!(Mount { target, kind });
wire_struct!(User { uid, gid, groups });
wire_struct!(Ulimit { name, soft, hard });
wire_struct!(Limits { ulimits, shm_size, memory, processes, processors, cgroup_parent });
wire_struct!(Step {
    isolation,
    root,
    mounts,
    arguments,
    environment,
    folder,
    user,
    hostname,
    network,
    address,
    insecure,
    rights,
    read_only,
    hosts,
    limits,
    input,
    owners,
    mount_owners,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_reads_them() {
        let read = |text: &str| text.parse::<Ulimit>().map(|ulimit| (ulimit.name, ulimit.soft, ulimit.hard));
        assert_eq!(read("nofile=1024:2048"), Ok(("nofile".to_owned(), 1024, 2048)));
        assert_eq!(read("core=0"), Ok(("core".to_owned(), 0, 0)));
        assert_eq!(read("memlock=-1:-1"), Ok(("memlock".to_owned(), u64::MAX, u64::MAX)));
        assert_eq!(read("files=1"), Err(UlimitError::Name("files".to_owned())));
        assert_eq!(read("nofile=2:1"), Err(UlimitError::Order("nofile=2:1".to_owned())));
        for text in ["nofile", "nofile=", "nofile=x", "nofile=1:x", "nofile=1:2:3", "nofile=-2"] {
            assert_eq!(read(text), Err(UlimitError::Value(text.to_owned())), "{text}");
        }
    }
}
