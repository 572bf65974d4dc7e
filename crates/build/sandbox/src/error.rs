//! Why a step could not be run.

use std::io;
use std::path::PathBuf;

use longshore_events::Cancelled;

use crate::Isolation;

/// A step that could not be run, or not to its end. That its process failed is not an error: see [`crate::Ended`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The work was asked to stop; every process of the step is gone.
    #[error("the step was interrupted")]
    Cancelled(#[from] Cancelled),
    /// The process that becomes the sandbox could not be started or spoken to.
    #[error("cannot {action} the process of the sandbox")]
    Process {
        /// What was being done: "start".
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The sandbox could not be built.
    #[error("cannot {action}{} for the step", subject(path))]
    Setup {
        /// What was being done: "mount the overlay".
        action: String,
        /// The path it was done to.
        path: Option<PathBuf>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The rung cannot give what the step asks for.
    #[error("isolation {isolation} cannot {what}")]
    Refused {
        /// The rung.
        isolation: Isolation,
        /// What it cannot give: "mount an overlay at /src".
        what: String,
    },
    /// A limit that was asked for cannot be set.
    #[error("cannot limit the {what} of the step by a control group")]
    Limit {
        /// What was to be limited: "memory".
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The step's program is for another kind of machine.
    #[error("{}", foreign(platform, *registered))]
    Foreign {
        /// The platform that it is for: "linux/arm64".
        platform: String,
        /// The emulator that runs it: "qemu-aarch64".
        emulator: String,
        /// Whether one is registered, but is looked for in the image and not there.
        registered: bool,
    },
    /// The sandbox's own process was ended by the kernel since the step's control group had no memory left.
    #[error("the step needed more memory than its control group may have")]
    Memory,
    /// The sandbox's own process was killed from outside, for example for want of memory.
    #[error("the process that keeps the sandbox was killed{}", by_signal(*signal))]
    Lost {
        /// The signal that ended it, where known.
        signal: Option<i32>,
    },
    /// The journal of changes of owner could not be read or written.
    #[error("cannot keep the owners of the step's files")]
    Owners(#[from] longshore_files::FileError),
}

fn subject(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()))
}

fn foreign(platform: &str, registered: bool) -> String {
    if registered {
        format!("the emulator that this machine runs {platform} programs with is not in the image")
    } else {
        format!("this machine cannot run {platform} programs")
    }
}

fn by_signal(signal: Option<i32>) -> String {
    signal.map_or_else(String::new, |signal| format!(" by signal {signal}"))
}

impl SandboxError {
    /// What a person can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SandboxError::Setup { source, .. } if source.raw_os_error() == Some(libc::ENOSYS) => {
                "namespaces need Linux 5.12 or later"
            }
            SandboxError::Setup { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "the disk is full: free some space (`longshore cache prune` helps) and try again"
            }
            SandboxError::Setup { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "`longshore doctor` shows what this machine allows"
            }
            SandboxError::Refused { .. } => {
                "`longshore doctor` shows what each isolation can give, and `--isolation` chooses another"
            }
            SandboxError::Limit { .. } => {
                "control groups can be made by root of the machine, or by whom one was delegated to: see `longshore doctor`"
            }
            SandboxError::Foreign { platform, emulator, .. } => {
                let name = platform.trim_start_matches("linux/");
                return Some(format!(
                    "register {emulator} with flag F of binfmt_misc: the package qemu-user-static of Debian and Ubuntu does it, \
                     and so does `docker run --privileged --rm tonistiigi/binfmt --install {name}`"
                ));
            }
            SandboxError::Memory => "a higher `--memory` lets it have more",
            SandboxError::Lost { .. } => "the machine may be short of memory: see the kernel's log",
            SandboxError::Owners(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
