//! buildah with storage of its own: overlay driver, steps kept (`--layers`), runc for steps.

use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_testkit::distributions;

use super::subject::Place;
use super::{Side, answer, recreate};
use crate::command::{Result, command, find};

pub(super) struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    /// Takes the base images into its storage.
    pub(super) fn new(folder: &Path, images: &[&str]) -> Result<Buildah> {
        let need = |program: &str| find(program).ok_or_else(|| format!("{program} is not installed"));
        let (_, skopeo) = (need("buildah")?, need("skopeo")?);
        recreate(folder)?;
        let buildah = Buildah { folder: folder.to_owned() };
        // Pulled by buildah itself, an image is named after the layout's path, and not every path makes a name.
        let (root, run) = (folder.join("root"), folder.join("run"));
        for image in images {
            let name = format!("[overlay@{}+{}]docker.io/library/{image}", root.display(), run.display());
            let mut copy = command(&skopeo);
            copy.args(["copy", "--quiet"]);
            copy.arg(format!("oci:{}:{image}", distributions::folder().display()));
            answer(copy.arg(format!("containers-storage:{name}")))?;
        }
        Ok(buildah)
    }

    fn command(&self) -> Command {
        let mut buildah = command("buildah");
        buildah.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        buildah.args(["--storage-driver", "overlay"]);
        buildah
    }
}

impl Side for Buildah {
    fn build(&self, place: &Place) -> Result<Command> {
        let mut build = self.command();
        build.args([
            "build",
            "--layers",
            "--pull-never",
            "--isolation",
            "oci",
            "--network",
            "host",
            "-t",
            "bench:1",
        ]);
        build.arg("-f").arg(place.dockerfile()).arg(place.context());
        Ok(build)
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        // The overlay driver leaves its folder mounted on itself, which could not be removed then.
        let _ = answer(command("umount").arg("--quiet").arg(self.folder.join("root/overlay")));
    }
}
