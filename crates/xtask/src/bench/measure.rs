//! Time and peak memory of a program.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::command::{Result, context, line};

/// Runs a program to its end and returns how long that took.
pub(crate) fn time(command: &mut Command) -> Result<Duration> {
    let begin = Instant::now();
    let mut running = Running::start(command)?;
    let status = running.child.wait().map_err(context("cannot wait"))?;
    let duration = begin.elapsed();
    running.succeeded(status)?;
    Ok(duration)
}

/// Runs a program to its end and returns its stdout, trimmed.
pub(crate) fn answer(command: &mut Command) -> Result<String> {
    let mut running = Running::start(command)?;
    let status = running.child.wait().map_err(context("cannot wait"))?;
    running.succeeded(status)?;
    Ok(text(&running.stdout)?.trim().to_owned())
}

/// Runs a program to its end and returns its own peak of resident memory in bytes: not that of programs that it starts.
///
/// The kernel keeps the peak (VmHWM in /proc/PID/status, proc(5)) and forgets it with the process, so it is read again and
/// again. What it grows by in its last millisecond is missed; rusage would have counted the children in.
pub(crate) fn peak_memory(command: &mut Command) -> Result<u64> {
    let mut running = Running::start(command)?;
    let path = format!("/proc/{}/status", running.child.id());
    let mut peak = 0;
    let status = loop {
        peak = peak.max(high_water_mark(&path).unwrap_or(0));
        if let Some(status) = running.child.try_wait().map_err(context("cannot wait"))? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    running.succeeded(status)?;
    match peak {
        0 => Err(format!("{} ended before its memory could be read", running.line)),
        peak => Ok(peak),
    }
}

fn high_water_mark(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// A program that runs, with its outputs in memory files: they cannot fill up as pipes do, and nobody has to read along.
struct Running {
    line: String,
    child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    fn start(command: &mut Command) -> Result<Running> {
        let line = line(command);
        let (stdout, stderr) = (memory_file()?, memory_file()?);
        let copy = |file: &File| file.try_clone().map_err(context("cannot keep outputs"));
        command.stdin(Stdio::null()).stdout(copy(&stdout)?).stderr(copy(&stderr)?);
        let child = command.spawn().map_err(context(format!("cannot run {line}")))?;
        Ok(Running { line, child, stdout, stderr })
    }

    fn succeeded(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let stderr = text(&self.stderr)?;
        let lines: Vec<&str> = stderr.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n");
        Err(format!("{} ended with {status}: {last}", self.line))
    }
}

fn memory_file() -> Result<File> {
    memfd_create("output", MemfdFlags::CLOEXEC).map(File::from).map_err(context("cannot keep outputs"))
}

fn text(mut file: &File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(context("cannot read outputs"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The middle of several figures.
pub(crate) fn median<T: Copy + PartialOrd>(mut figures: Vec<T>) -> Option<T> {
    figures.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    figures.get(figures.len() / 2).copied()
}

/// Runs both sides in turn, `rounds` times, and returns the medians of both.
pub(crate) fn alternate<T: Copy + PartialOrd>(
    rounds: usize,
    mut ours: impl FnMut(usize) -> Result<T>,
    mut theirs: impl FnMut(usize) -> Result<T>,
) -> Result<(T, T)> {
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        own.push(ours(round)?);
        other.push(theirs(round)?);
    }
    median(own).zip(median(other)).ok_or_else(|| "nothing was measured".to_owned())
}
