//! A buildkitd of a test's own, for what BuildKit makes of the same build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::peer::{Peer, PeerError};
use crate::requirement::{Skip, program};
use crate::run::{Ran, RunError, run};
use crate::{Folder, Requirement};

const NAME: &str = "buildkitd";

/// The version that outcomes are recorded from.
const VERSION: &str = "v0.34.2";

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one build may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A running buildkitd that runs steps with runc, as root.
#[derive(Debug)]
pub struct BuildKit {
    buildctl: PathBuf,
    address: String,
    _peer: Peer,
    _folder: Folder,
}

/// Whether there is a buildkitd that can be started.
pub(crate) fn check() -> Result<(), Skip> {
    Requirement::Root.check()?;
    program("runc")?;
    programs().map(drop)
}

/// Where `cargo xtask conformance record` leaves the programs.
fn programs() -> Result<PathBuf, Skip> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache"));
    let folder = cache.or_else(home).ok_or_else(|| Skip("HOME is not set".into()))?;
    let folder = folder.join(format!("longshore-peers/buildkit-{VERSION}/bin"));
    match folder.join("buildkitd").is_file() && folder.join("buildctl").is_file() {
        true => Ok(folder),
        false => {
            Err(Skip(format!("BuildKit {VERSION} is not compiled: `cargo xtask conformance record` does it")))
        }
    }
}

impl BuildKit {
    /// Starts it and waits until it answers.
    pub fn start() -> Result<BuildKit, PeerError> {
        check()?;
        let programs = programs()?;
        let folder = Folder::new().map_err(PeerError::prepare(NAME, "make a folder"))?;
        let address = format!("unix://{}", folder.join("socket").display());
        let mut command = Command::new(programs.join("buildkitd"));
        command.arg("--root").arg(folder.join("root")).args(["--addr", &address]);
        command.args(["--oci-worker=true", "--containerd-worker=false", "--oci-worker-net=host"]);
        let mut peer = Peer::start(NAME, &mut command, &folder.join("log"), PATIENCE)?;
        let kit = programs.join("buildctl");
        peer.wait(PATIENCE, |_| {
            let mut ask = Command::new(&kit);
            ask.args(["--addr", &address, "debug", "workers"]);
            run(&mut ask, PATIENCE).ok().filter(|ran| ran.status.success()).map(drop)
        })?;
        Ok(BuildKit { buildctl: kit, address, _peer: peer, _folder: folder })
    }

    /// Builds the Dockerfile of a folder with these further arguments of buildctl's.
    pub fn build<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Ran, RunError> {
        let mut command = Command::new(&self.buildctl);
        command.args(["--addr", &self.address, "build", "--progress=plain", "--frontend=dockerfile.v0"]);
        for name in ["context", "dockerfile"] {
            command.args(["--local", &format!("{name}={}", folder.display())]);
        }
        command.args(arguments).current_dir(folder);
        run(&mut command, LIMIT)
    }
}
