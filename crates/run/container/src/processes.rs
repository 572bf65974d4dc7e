//! What runs in a container and what it uses, read from /proc and its control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_runtime::{RuntimeError, RuntimeErrorKind, Statistics};

use crate::error::failed;
use crate::folder::Container;
use crate::record::Known;

/// One process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id, as the machine counts it.
    pub id: u32,
    /// That of its parent.
    pub parent: u32,
    /// Process id inside.
    pub inside: u32,
    /// User id, as the machine counts it.
    pub user: u32,
    /// Processor time so far.
    pub processor_time: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Threads.
    pub threads: u64,
    /// Its words, or its name where it has none.
    pub command: String,
}

/// The processes of a container that runs.
///
/// Errors: it does not run.
pub fn processes(container: &Container) -> Result<Vec<Process>, RuntimeError> {
    const ACTION: &str = "list the processes of";
    let known = running(container, ACTION)?;
    Ok(list(known.state.process.unwrap_or_default()))
}

fn running(container: &Container, action: &'static str) -> Result<Known, RuntimeError> {
    let record = container.record(action)?;
    let known = container.known(&record).map_err(failed(action, &record.name))?;
    let running = known.filter(|known| known.state.process.is_some());
    running.ok_or_else(|| RuntimeError::new(action, &record.name, RuntimeErrorKind::NotRunning))
}

/// The processes in the process namespace of `first`.
fn list(first: u32) -> Vec<Process> {
    let namespace = |process: u32| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
    let Some(wanted) = namespace(first) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<Process> =
        numbers.filter(|number| namespace(*number).as_ref() == Some(&wanted)).filter_map(process).collect();
    found.sort_by_key(|process| process.inside);
    found
}

/// proc_pid_stat(5), proc_pid_status(5).
fn process(id: u32) -> Option<Process> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).ok();
    let (stat, status) = (read("stat")?, read("status")?);
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let ticks = number(11)? + number(12)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    Some(Process {
        id,
        parent: u32::try_from(number(1)?).ok()?,
        inside: line("NSpid")?.split_whitespace().next_back()?.parse().ok()?,
        user: line("Uid")?.split_whitespace().next()?.parse().ok()?,
        processor_time: Duration::from_millis(ticks.saturating_mul(1000) / per_second),
        memory: number(21)?.saturating_mul(rustix::param::page_size() as u64),
        threads: number(17)?,
        command: if words.is_empty() { line("Name").unwrap_or_default().to_owned() } else { words.join(" ") },
    })
}

/// What a container that runs uses: by its control groups where it has them, else by its processes.
///
/// Errors: it does not run.
pub fn statistics(container: &Container) -> Result<Statistics, RuntimeError> {
    let known = running(container, "measure")?;
    let all = list(known.state.process.unwrap_or_default());
    let record = container.record("measure")?;
    let (limits, groups) = (&record.settings.resources, known.groups.as_slice());
    let memory = memory(groups).unwrap_or_else(|| all.iter().map(|process| process.memory).sum());
    let counted = number(groups, "pids.current");
    Ok(Statistics {
        processor_time: processor_time(groups)
            .unwrap_or_else(|| all.iter().map(|process| process.processor_time).sum()),
        memory,
        memory_limit: limits.memory,
        processes: counted.unwrap_or_else(|| all.iter().map(|process| process.threads).sum()),
        processes_limit: limits.processes,
    })
}

fn file(groups: &[PathBuf], name: &str) -> Option<String> {
    groups.iter().find_map(|group| fs::read_to_string(Path::new(group).join(name)).ok())
}

fn number(groups: &[PathBuf], name: &str) -> Option<u64> {
    file(groups, name)?.trim().parse().ok()
}

/// Memory without the files that were not read lately, as `docker stats` counts it, in either version of control groups.
fn memory(groups: &[PathBuf]) -> Option<u64> {
    let used = number(groups, "memory.usage_in_bytes").or_else(|| number(groups, "memory.current"))?;
    let stat = file(groups, "memory.stat").unwrap_or_default();
    let value = |name: &str| {
        stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    let idle = value("total_inactive_file").or_else(|| value("inactive_file")).unwrap_or(0);
    Some(used.saturating_sub(idle))
}

fn processor_time(groups: &[PathBuf]) -> Option<Duration> {
    if let Some(nanoseconds) = number(groups, "cpuacct.usage") {
        return Some(Duration::from_nanos(nanoseconds));
    }
    let stat = file(groups, "cpu.stat")?;
    let used = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())?;
    Some(Duration::from_micros(used))
}
