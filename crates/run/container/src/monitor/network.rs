//! The way out of a container's own network: a program of the machine's that carries its packets, started with the container and ended with
//! it. slirp4netns serves everybody; pasta (passt.top) gives up the rights that it needs where it is started by root.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Helper;
use crate::error::ContainerError;

/// How long the way out may take to be there.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked for.
const TICK: Duration = Duration::from_millis(1);

const SLIRP: [&str; 2] = ["/usr/bin/slirp4netns", "/usr/local/bin/slirp4netns"];
const PASTA: [&str; 2] = ["/usr/bin/pasta", "/usr/local/bin/pasta"];

fn found(paths: [&'static str; 2]) -> Option<&'static str> {
    paths.into_iter().find(|path| Path::new(path).exists())
}

/// The way out of a network.
pub(super) enum WayOut {
    /// It is open as long as this lives.
    Open(Helper),
    /// There is none, which is no reason for a container not to run; why.
    None(String),
}

/// Opens the way out of the network of a process, and waits until it is there.
pub(super) fn open(process: u32) -> Result<WayOut, ContainerError> {
    let is_root = rustix::process::geteuid().is_root() && longshore_sandbox::inside().is_none();
    let (program, command) = if let Some(slirp) = found(SLIRP) {
        let mut command = Command::new(slirp);
        command.args(["--configure", "--mtu=65520", "--disable-host-loopback"]);
        return start_slirp(slirp, command, process);
    } else if let Some(pasta) = found(PASTA).filter(|_| !is_root) {
        let mut command = Command::new(pasta);
        command.args(["--foreground", "--config-net", "--no-map-gw"]);
        command.args(["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]);
        command.arg("--netns").arg(format!("/proc/{process}/ns/net"));
        (pasta, command)
    } else {
        let why = "the container's network has no way out, since neither slirp4netns nor pasta is installed";
        return Ok(WayOut::None(why.to_owned()));
    };
    start(program, command, process)
}

/// Starts it with a descriptor whose other end is the monitor's: it ends when that is gone, also if the monitor was killed.
fn start_slirp(program: &str, mut command: Command, process: u32) -> Result<WayOut, ContainerError> {
    let problem = |error: std::io::Error| ContainerError::at("start", program)(error);
    let (ours, theirs) = UnixStream::pair().map_err(problem)?;
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).map_err(|error| problem(error.into()))?;
    command.arg(format!("--exit-fd={}", theirs.as_raw_fd())).arg(process.to_string()).arg("tap0");
    match start(program, command, process)? {
        WayOut::Open(mut helper) => {
            helper.1 = Some(ours);
            Ok(WayOut::Open(helper))
        }
        none => Ok(none),
    }
}

fn start(program: &str, mut command: Command, process: u32) -> Result<WayOut, ContainerError> {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut helper = Helper(command.spawn().map_err(ContainerError::at("start", program))?, None);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if has_default_route(process) {
            return Ok(WayOut::Open(helper));
        }
        if helper.0.try_wait().is_ok_and(|status| status.is_some()) {
            return Ok(WayOut::None(format!(
                "the container's network has no way out: {program}: {}",
                said(&mut helper)
            )));
        }
        std::thread::sleep(TICK);
    }
    Ok(WayOut::None(format!("the container's network has no way out: {program} did not open one in time")))
}

/// The first line of what it said before it ended.
fn said(helper: &mut Helper) -> String {
    let mut text = String::new();
    if let Some(errors) = helper.0.stderr.take() {
        // What cannot be read says nothing.
        let _ = errors.take(4096).read_to_string(&mut text);
    }
    text.lines().next().unwrap_or("it ended at once").trim().to_owned()
}

/// Whether the network of a process leads somewhere: proc_pid_net(5), "route", where 00000000 is every destination.
fn has_default_route(process: u32) -> bool {
    let routes = std::fs::read_to_string(format!("/proc/{process}/net/route")).unwrap_or_default();
    routes.lines().skip(1).any(|line| line.split_whitespace().nth(1) == Some("00000000"))
}
