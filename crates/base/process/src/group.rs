//! A child that leads a process group, and the certainty that the group ends.
//!
//! The leader is not reaped before its group was ended where that is wanted: as long as it is a zombie, its number – which is
//! the group's – cannot be given to anybody else, so no stranger is ever hit by a signal.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

pub(crate) struct Group {
    pub(crate) child: Child,
    leader: Pid,
    reaped: bool,
}

impl Group {
    pub(crate) fn new(child: Child) -> Self {
        let leader = Pid::from_child(&child);
        Group { child, leader, reaped: false }
    }

    /// A descriptor that becomes readable when the leader ends; none on kernels before 5.3 or where it is filtered.
    pub(crate) fn end_descriptor(&self) -> Option<OwnedFd> {
        rustix::process::pidfd_open(self.leader, PidfdFlags::empty()).ok()
    }

    /// Whether the leader ended. Leaves it a zombie.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::Pid(self.leader), options) {
            Ok(status) => Ok(status.is_some()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal to every process of the group.
    pub(crate) fn signal(&self, signal: Signal) {
        if !self.reaped {
            // The one error that can come is that nobody is left, which is what was wanted.
            let _ = rustix::process::kill_process_group(self.leader, signal);
        }
    }

    /// Processor time of the leader and of the children that it waited for.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.leader.as_raw_nonzero())).ok()?;
        processor_time(&stat, rustix::param::clock_ticks_per_second())
    }

    /// Waits for the leader, which must have ended or be about to, and lets its number go.
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads fields 14 to 17 of proc_pid_stat(5): user and system time, own and of children. The program's name before them
/// may hold spaces and brackets.
fn processor_time(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    let milliseconds = times.iter().sum::<u64>().checked_mul(1000)?.checked_div(ticks_per_second)?;
    (times.len() == 4).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_hostile_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 200 0 0 10 20 30 40 20 0 1 0 5";
        assert_eq!(processor_time(stat, 100), Some(Duration::from_millis(1000)));
        assert_eq!(processor_time("7 (a) S 1", 100), None);
        assert_eq!(processor_time("", 100), None);
    }
}
