//! Debian's dockerd, started by hand with folders of its own, so that it meets no other engine on the machine.
//!
//! It has no bridge and writes no iptables rules: its containers have the host's network or none. That is what works
//! inside containers and on test machines, and it is enough: `--network host` puts a service's port on loopback.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};

use crate::peer::{Peer, PeerError};
use crate::{Folder, Ran, Requirement, RunError, program, run};

const NAME: &str = "dockerd";

/// A running engine; its containers and images go with it on drop.
#[derive(Debug)]
pub struct Dockerd {
    // Dropped in this order: the engine ends before its folder goes.
    peer: Peer,
    _mounts: Mounts,
    folder: Folder,
}

impl Dockerd {
    /// Starts an engine and waits until it answers.
    ///
    /// Errors: [`PeerError::Missing`] where it cannot run for want of root or of a program.
    pub fn start() -> Result<Dockerd, PeerError> {
        Requirement::Containers.check()?;
        let prepare = |action| PeerError::prepare(NAME, action);
        let folder = Folder::new().map_err(prepare("create a folder"))?;
        // A file of its own, since /etc/docker/daemon.json may ask for what is given here, which dockerd refuses.
        let config = folder.write("daemon.json", "{}").map_err(prepare("write the configuration"))?;
        let mut command = Command::new(program(NAME)?);
        command
            .arg("--config-file")
            .arg(config)
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", folder.join("docker.sock").display()))
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--containerd-namespace=longshore-test",
            ]);
        let mounts = Mounts(folder.path().to_owned());
        let log = folder.join("log");
        let mut peer = Peer::start(NAME, &mut command, &log, Duration::from_secs(15))?;
        peer.wait(Duration::from_secs(60), |log| log.contains("API listen on").then_some(()))?;
        Ok(Dockerd { peer, _mounts: mounts, folder })
    }

    /// The path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// The value of DOCKER_HOST that leads to it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.peer.log()
    }

    /// Runs the Docker client with it: `engine.docker(["run", "--rm", "hello:1.0"])`.
    pub fn docker<I, A>(&self, arguments: I) -> Result<Ran, RunError>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let client = program("docker").unwrap_or_else(|_| PathBuf::from("docker"));
        let mut command = Command::new(client);
        // No plug-ins and no credentials of whoever runs the tests.
        command
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", self.folder.join("client"))
            .args(arguments);
        run(&mut command, Duration::from_secs(120))
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Containers that still run would keep mounts in the folder; the engine may be gone already.
        let Ok(list) = self.docker(["ps", "-aq"]) else { return };
        let ids: Vec<&str> = list.stdout.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = self.docker(["rm", "--force"].iter().chain(ids.iter()));
        }
    }
}

/// What an engine leaves mounted below its folder: at least the network namespace of `--network host`.
#[derive(Debug)]
struct Mounts(PathBuf);

impl Drop for Mounts {
    fn drop(&mut self) {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        // The fifth field is the mount point (proc(5)); temporary folders have no characters that are escaped there.
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(&self.0)).collect();
        below.reverse();
        for point in below {
            // What is still busy stays, and the folder with it.
            let _ = unmount(point, UnmountFlags::DETACH);
        }
    }
}
