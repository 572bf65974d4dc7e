//! buildkitd of our own, with its overlayfs snapshotter and runc. The image goes to its content store (`type=image`), which is
//! less work than any file it could write.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;

use longshore_testkit::distributions;

use super::subject::Place;
use super::{Forgetful, Side, digest};
use crate::command::{Result, command};
use crate::conformance::daemon::Daemon;

pub(super) struct BuildKit {
    buildctl: PathBuf,
    /// The last one is in use; the others keep what they wrote.
    daemons: RefCell<Vec<Daemon>>,
}

impl BuildKit {
    pub(super) fn start() -> Result<BuildKit> {
        let daemon = Daemon::start()?;
        Ok(BuildKit { buildctl: daemon.buildctl.clone(), daemons: RefCell::new(vec![daemon]) })
    }

    fn buildctl(&self) -> Command {
        let mut buildctl = command(&self.buildctl);
        if let Some(daemon) = self.daemons.borrow().last() {
            buildctl.args(["--addr", &daemon.address()]);
        }
        buildctl
    }
}

impl Side for BuildKit {
    fn build(&self, place: &Place) -> Result<Command> {
        let mut build = self.buildctl();
        build.args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
        // With a command line of its own given, the built-in frontend does not fetch the one that `# syntax=` names.
        build.args(["--opt", "cmdline=built-in"]);
        build.arg("--local").arg(format!("context={}", place.context().display()));
        build.arg("--local").arg(format!("dockerfile={}", place.folder().display()));
        build.arg("--oci-layout").arg(format!("bases={}", distributions::folder().display()));
        for image in place.images() {
            // The frontend looks named contexts up without this tag.
            let name = image.strip_suffix(":latest").unwrap_or(image);
            build.arg("--opt").arg(format!("context:{name}=oci-layout://bases@{}", digest(image)?));
        }
        build.args(["--output", "type=image,name=bench:1"]);
        Ok(build)
    }
}

impl Forgetful for BuildKit {
    fn forget(&self) -> Result<()> {
        self.daemons.borrow_mut().push(Daemon::start()?);
        Ok(())
    }
}
