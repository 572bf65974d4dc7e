//! The files of what was built, for those who want these rather than an image, or beside it.
//!
//! As BuildKit's exporters `local` and `tar` have it: several platforms stand in a folder each, `linux_amd64`, and one platform alone stands
//! in the root unless it was asked otherwise.

use std::io::Write;
use std::path::{Path, PathBuf};

use longshore_events::{Events, TaskKind};
use longshore_files::{AtomicFile, FileError, output_target};
use longshore_image::Image;
use longshore_image::layer::Timestamps;
use longshore_oci::Platform;
use longshore_snapshot::{Output, OutputError, SnapshotError, Snapshots, TarOutput, View};

/// The files of an image, for each of its platforms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BuiltFiles {
    platforms: Vec<(Platform, View)>,
    timestamps: Timestamps,
    /// Keeps what the views read from being pruned.
    _snapshots: Vec<Snapshots>,
}

/// Which files are written, and where below the output's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileChoice {
    /// The folder of the image whose content is meant; none for all of it.
    pub source: Option<PathBuf>,
    /// Whether each platform has a folder of its own; none where that depends on how many there are.
    pub split: Option<bool>,
}

impl BuiltFiles {
    pub(crate) fn new(source_date_epoch: Option<i64>) -> Self {
        let timestamps = source_date_epoch.map_or(Timestamps::Keep, Timestamps::Clamp);
        BuiltFiles { platforms: Vec::new(), timestamps, _snapshots: Vec::new() }
    }

    pub(crate) fn push(&mut self, platform: Platform, view: View, snapshots: Snapshots) {
        self.platforms.push((platform, view));
        self._snapshots.push(snapshots);
    }

    /// The files of an image that was made otherwise than from a Dockerfile. Its layers are unpacked as far as their files are opened.
    ///
    /// Errors: the image's documents cannot be read.
    pub fn of(image: &Image, snapshots: &Snapshots, events: &Events) -> Result<Self, SnapshotError> {
        let mut files = BuiltFiles::new(None);
        for image in image.images()? {
            let view = snapshots.base(&image)?.view(events)?;
            files.push(image.platform()?, view, snapshots.clone());
        }
        Ok(files)
    }

    /// How many platforms there are.
    pub fn platforms(&self) -> usize {
        self.platforms.len()
    }

    /// Writes the files into a folder, which is made where it is missing. What stands there beside them stays. Returns the paths in the
    /// image that were left out, since nobody but root can make devices.
    ///
    /// Errors: the image cannot be read, or the folder not written.
    pub fn write_folder(
        &self,
        folder: &Path,
        choice: &FileChoice,
        events: &Events,
    ) -> Result<Vec<PathBuf>, OutputError> {
        let task = events.task(TaskKind::Work, format!("write files to {}", folder.display()));
        let mut left_out = Vec::new();
        for (output, below) in self.outputs(choice, events) {
            let folder = if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(below) };
            left_out.extend(output.write_folder(&folder)?);
        }
        task.done("");
        Ok(left_out)
    }

    /// Writes the files to `path` as a tar, whole or not at all.
    ///
    /// Errors: the image cannot be read, or the file not written; then `path` is as it was before.
    pub fn write_tar(&self, path: &Path, choice: &FileChoice, events: &Events) -> Result<(), OutputError> {
        let path = &output_target(path)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = AtomicFile::create_in(folder)?;
        let file = self.stream_tar(file, choice, events).map_err(|error| match error {
            OutputError::Write(source) => FileError::of("write", path)(source).into(),
            other => other,
        })?;
        Ok(file.commit(path)?)
    }

    /// Writes the files to `writer` as a tar, and gives it back. Errors: the image cannot be read, or the writer fails.
    pub fn stream_tar<W: Write>(
        &self,
        writer: W,
        choice: &FileChoice,
        events: &Events,
    ) -> Result<W, OutputError> {
        let task = events.task(TaskKind::Work, "write files as a tar");
        // A header and a small file at a time make many small writes.
        let buffered = std::io::BufWriter::with_capacity(1 << 20, writer);
        let mut tar = TarOutput::new(buffered, self.timestamps)?;
        for (output, below) in self.outputs(choice, events) {
            tar.append(&output, &below)?;
        }
        let writer = tar.finish()?.into_inner().map_err(|error| OutputError::Write(error.into_error()))?;
        task.done("");
        Ok(writer)
    }

    /// What is written of each platform, and below which folder.
    fn outputs<'o>(
        &'o self,
        choice: &'o FileChoice,
        events: &'o Events,
    ) -> impl Iterator<Item = (Output<'o>, PathBuf)> {
        let splits = choice.split.unwrap_or(self.platforms.len() > 1);
        self.platforms.iter().map(move |(platform, view)| {
            let source = choice.source.as_deref().unwrap_or(Path::new(""));
            let output = Output { view, source, timestamps: self.timestamps, events };
            (output, if splits { folder_of(platform) } else { PathBuf::new() })
        })
    }
}

/// The folder of a platform's files: `linux_arm_v7`.
fn folder_of(platform: &Platform) -> PathBuf {
    let name = platform.to_string().replace(['/', '\\', ':'], "_");
    PathBuf::from(if matches!(name.as_str(), "." | "..") { "_".repeat(name.len()) } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platforms_folder_is_one_name() {
        for (platform, expected) in [
            ("linux/amd64", "linux_amd64"),
            ("linux/arm64/v8", "linux_arm64"),
            ("linux/arm/v7", "linux_arm_v7"),
        ] {
            assert_eq!(folder_of(&platform.parse().unwrap()), Path::new(expected));
        }
    }
}
