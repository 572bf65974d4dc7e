//! Ending every process that a step has started, without a process namespace that would do it.
//!
//! Whatever becomes an orphan among them becomes a child of this process (its reaper), so there is nothing left when there are no
//! children left.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// How long ending may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills all descendants, and those that they start meanwhile.
pub(super) fn end_descendants() -> Result<(), Errno> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Stopped first: what is stopped starts nothing while the others are killed.
        for signal in [Signal::STOP, Signal::KILL] {
            for process in descendants() {
                // It may have ended by itself.
                let _ = kill_process(process, signal);
            }
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if Instant::now() > deadline {
            return Err(Errno::TIMEDOUT);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All processes below this one. Where there is no /proc, nothing can be said of grandchildren until they are orphans.
fn descendants() -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // What has ended in the meantime has no parent to tell.
        let stat = std::fs::read(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent_of(&stat) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![getpid().as_raw_pid()];
    while let Some(process) = next.pop() {
        let below = children.remove(&process).unwrap_or_default();
        found.extend(below.iter().filter_map(|process| Pid::from_raw(*process)));
        next.extend(below);
    }
    found
}

/// The parent's number in /proc/PID/stat (proc_pid_stat(5)): the second field after the name, which may hold anything.
fn parent_of(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_of(b"12 (a) b 7 ) S 34 1 1"), Some(34));
        assert_eq!(parent_of(b"12 (a"), None);
        assert_eq!(parent_of(b""), None);
    }
}
