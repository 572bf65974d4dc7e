//! What has become of a container.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::PublishedPort;

/// Where a container is in its life, with Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was not started yet.
    Created,
    /// Its program runs.
    Running,
    /// Its program has ended and is about to be started again.
    Restarting,
    /// Its program has ended.
    Exited,
    /// Its program could not be started.
    Dead,
}

/// How a container's program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Exit code; 128 and the signal's number for a program that a signal ended.
    pub code: i32,
    /// Whether the kernel ended a process of it for want of memory.
    #[serde(default)]
    pub out_of_memory: bool,
    /// What was wrong, where it is known: the program could not be started, its monitor was killed, the machine was started anew.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What health checks have found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// None counted yet.
    Starting,
    /// The last one that counted succeeded.
    Healthy,
    /// As many in a row as may be have failed.
    Unhealthy,
}

/// A container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthState {
    /// What the checks have found.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// Exit code of the last check; `None` before the first.
    pub last_code: Option<i32>,
    /// The beginning of what the last check wrote.
    pub last_output: String,
}

/// All that is known of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub status: Status,
    /// Process id of its process 1, as the machine counts it, while it runs.
    pub process: Option<u32>,
    /// When it was made.
    #[serde(with = "crate::form::time")]
    pub created: SystemTime,
    /// When its program was last started.
    #[serde(with = "crate::form::time_option")]
    pub started: Option<SystemTime>,
    /// When its program last ended.
    #[serde(with = "crate::form::time_option")]
    pub finished: Option<SystemTime>,
    /// How its program last ended.
    pub exit: Option<ExitStatus>,
    /// Its health, where there are checks.
    pub health: Option<HealthState>,
    /// How often it was started again.
    pub restarts: u32,
    /// Its published ports, with the ports of the machine that were taken.
    pub ports: Vec<PublishedPort>,
    /// What it was to have and has not, where that keeps it from nothing else: a way out of its network.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// The standard output.
    Stdout,
    /// The standard error output.
    Stderr,
}

/// A line of output, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub time: SystemTime,
    /// Where it came from.
    pub stream: LogStream,
    /// What was written, with the line feed that ends it.
    pub text: Vec<u8>,
}

/// What a container uses at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Processor time since the start.
    pub processor_time: Duration,
    /// Memory in bytes, without the cache of files that could be dropped.
    pub memory: u64,
    /// Most memory that it may use, in bytes.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub processes: u64,
    /// Most processes and threads that it may have.
    pub processes_limit: Option<u64>,
}
