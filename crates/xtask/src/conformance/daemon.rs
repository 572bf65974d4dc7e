//! A buildkitd of one's own: private folders and socket, ended on drop.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use longshore_testkit::Folder;
use rustix::process::{Pid, Signal, kill_process};

use super::buildkit::BuildKit;
use crate::command::{Result, command, context, find};

/// How long it may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running buildkitd.
pub(crate) struct Daemon {
    child: Child,
    /// The client.
    pub(crate) buildctl: PathBuf,
    folder: Folder,
}

impl Daemon {
    /// Starts it and waits until it answers. It runs steps with runc, as root, on the host's network.
    pub(crate) fn start() -> Result<Daemon> {
        if !rustix::process::geteuid().is_root() {
            return Err("buildkitd needs root here".into());
        }
        find("runc").ok_or("runc is not installed")?;
        let programs = BuildKit::install()?;
        let folder = Folder::new().map_err(context("cannot make a folder"))?;
        let log = std::fs::File::create(folder.join("log")).map_err(context("cannot create the log"))?;
        let errors = log.try_clone().map_err(context("cannot create the log"))?;
        let child = command(&programs.buildkitd)
            .arg("--root")
            .arg(folder.join("root"))
            .args(["--addr", &address(folder.path())])
            .args(["--oci-worker=true", "--containerd-worker=false", "--oci-worker-net=host"])
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .spawn()
            .map_err(context("cannot start buildkitd"))?;
        let mut daemon = Daemon { child, buildctl: programs.buildctl, folder };
        daemon.wait()?;
        Ok(daemon)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        address(self.folder.path())
    }

    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let answers = command(&self.buildctl)
                .args(["--addr", &self.address(), "debug", "workers"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if answers.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(context("cannot wait for buildkitd"))?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let log = self.folder.read("log").unwrap_or_default();
                return Err(format!("buildkitd does not answer; its log:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn address(folder: &Path) -> String {
    format!("unix://{}", folder.join("socket").display())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself; then there is nothing to tell it.
            let _ = kill_process(pid, Signal::TERM);
        }
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
