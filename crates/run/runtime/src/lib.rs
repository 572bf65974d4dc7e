//! What a container is asked to be, and what every engine that runs containers can do.
//!
//! [`ContainerSettings`] are what `run` is told on the command line, and what a compose service or a Kubernetes workload comes down to.
//! [`Runtime`] is implemented by longshore's own containers and by engines, so that whoever tests an image asks both alike. The words
//! are Docker's (`docker run`, Engine API 1.47), since people know them.

mod error;
pub mod form;
mod runtime;
mod settings;
mod state;

pub use error::{RuntimeError, RuntimeErrorKind};
pub use runtime::{Execution, Finished, Output, Runtime};
pub use settings::{
    Capabilities, ContainerSettings, HealthSettings, LogSettings, MountSettings, MountSource, NetworkMode,
    Protocol, PublishedPort, Resources, RestartPolicy, Seccomp, Ulimit,
};
pub use state::{
    ContainerState, ExitStatus, HealthState, HealthStatus, LogLine, LogStream, Statistics, Status,
};
