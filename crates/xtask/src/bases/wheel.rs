//! Reading wheels: zip archives (PyPA, "Binary distribution format"), whose files are streamed, never unpacked.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use zip::read::ZipFile;

use crate::command::Result;

pub(super) struct Wheel {
    path: PathBuf,
    archive: zip::ZipArchive<File>,
}

impl Wheel {
    pub(super) fn open(path: &Path) -> Result<Wheel> {
        let failed = |error: &dyn Display| format!("cannot read {}: {error}", path.display());
        let file = File::open(path).map_err(|error| failed(&error))?;
        let archive = zip::ZipArchive::new(file).map_err(|error| failed(&error))?;
        Ok(Wheel { path: path.to_owned(), archive })
    }

    /// The names of its files, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for name in self.archive.file_names() {
            names.push(name.map_err(|error| self.failed(&error))?.into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// One of its files.
    pub(super) fn file(&mut self, name: &str) -> Result<ZipFile<'_, File>> {
        let path = &self.path;
        self.archive
            .by_name(name)
            .map_err(|error| format!("cannot read {name} of {}: {error}", path.display()))
    }

    pub(super) fn failed(&self, error: &dyn Display) -> String {
        format!("cannot read {}: {error}", self.path.display())
    }
}
