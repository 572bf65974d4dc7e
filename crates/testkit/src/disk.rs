//! A small file system in memory, which fills up as a small disk does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Folder, RunError, Skip, Stop, TestResult, run};

/// A small file system, unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk(Folder);

impl SmallDisk {
    /// One with the options of a tmpfs: `size=64m`.
    ///
    /// Errors: a [`Skip`] where nothing can be mounted.
    pub fn mount(options: &str) -> Result<SmallDisk, Stop> {
        let folder = Folder::new()?;
        match mount(&["-t", "tmpfs", "-o", options, "tmpfs"], folder.path()) {
            Ok(()) => Ok(SmallDisk(folder)),
            Err(error) => Err(Skip(format!("nothing can be mounted here: {error}")).into()),
        }
    }

    /// Changes its options: `ro`.
    pub fn remount(&self, options: &str) -> TestResult {
        Ok(mount(&["-o", &format!("remount,{options}")], self.0.path())?)
    }

    /// A path on it.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// Takes all the room that is left, by a file of this name.
    pub fn fill(&self, name: &str) -> std::io::Result<()> {
        let mut file = std::fs::File::create(self.join(name))?;
        // By pages at the end, since the last one must be taken, too.
        for piece in [64 << 10, 4096] {
            let zeros = vec![0; piece];
            while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
        }
        Ok(())
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<(), RunError> {
    run(Command::new("mount").args(arguments).arg(folder), Duration::from_secs(10))?.succeeded().map(drop)
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // One that stays mounted is empty and ends with the machine.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
