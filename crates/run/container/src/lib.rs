//! longshore's own containers.
//!
//! There is no daemon. Each container has a *monitor*: this program, started anew before it has threads, which leaves the session of
//! whoever asked, starts the container's process 1 as a child, keeps its log, its health and its state, and starts it again where its policy
//! says so. All that is known of a container stands in a folder, so that every command reads it without asking anybody:
//!
//! ```text
//! ROOT/containers/names/NAME     the id of the container with this name
//! ROOT/containers/ID/record      what it is: settings, what they came to, image, layers
//!                    state       what has become of it, written by its monitor
//!                    lock        held by its monitor as long as that lives
//!                    reserve     room for a state, should the disk be full
//!                    stop        somebody wants it to end for good
//!                    log         its output, a JSON object a line, as Docker keeps it; log.1 … are older
//!                    upper work  what it changed of its root folder
//! ```
//!
//! A monitor that was killed takes its container with it (the kernel sees to that); whoever looks next sees a lock that nobody holds under a
//! state that says "running", and puts it right.

mod again;
mod control;
mod copy;
mod error;
mod execute;
mod folder;
mod frame;
mod launch;
mod loader;
mod log;
mod message;
mod monitor;
mod names;
mod ports;
mod processes;
mod record;
mod reserve;
mod resolve;
mod rights;
mod runtime;
mod signals;
mod state;
mod volumes;

pub use copy::{Copied, CopyError, CopyOptions, CopyPath};
pub use error::{ContainerError, Failure};
pub use execute::Ends;
pub use folder::{Container, Containers};
pub use launch::{Attached, AttachedInput, Event, Launch, Standby};
pub use log::{LogFollower, read_log, timestamp};
pub use monitor::enter_if_monitor;
pub use processes::{Process, processes, statistics};
pub use record::Record;
pub use runtime::{ImageSource, OwnRuntime};
pub use signals::signal_number;
