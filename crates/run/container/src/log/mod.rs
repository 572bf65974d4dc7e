//! A container's log: a JSON object a line, as Docker's `json-file` driver keeps it, in files that are changed by size and count.
//!
//! `log` is written to; when it is full it becomes `log.1`, that one `log.2`, and the oldest is gone. A file that has another name is
//! never written to again.

mod follower;
mod writer;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use longshore_runtime::{LogLine, LogStream};
use serde::{Deserialize, Serialize};

use crate::error::ContainerError;
use crate::folder::Container;

pub use follower::LogFollower;
pub(crate) use writer::LogWriter;

/// One line, or a part of a long one.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<'t> {
    log: std::borrow::Cow<'t, str>,
    stream: LogStream,
    time: Timestamp,
}

/// The file of this age: 0 is the present one.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 { path.to_owned() } else { path.with_extension(number.to_string()) }
}

/// All that is kept of a container's output, oldest first.
pub fn read_log(container: &Container) -> Result<Vec<LogLine>, ContainerError> {
    let mut lines = Vec::new();
    LogFollower::new(container).read(&mut |line| lines.push(line))?;
    Ok(lines)
}

/// A time as logs have it: RFC 3339, in UTC.
pub fn timestamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}
