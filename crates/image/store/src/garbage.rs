//! Blobs that nothing reaches.

use std::collections::HashSet;
use std::fs;
use std::time::SystemTime;

use longshore_files::{FileError, Lock};
use longshore_image::{ContentError, ContentErrorKind, Image};
use longshore_oci::{Algorithm, Digest};

use crate::error::StoreError;
use crate::lease::Held;
use crate::store::Store;

/// A blob file of the layout.
pub(crate) struct BlobFile {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
}

impl Store {
    /// Removes blobs that no listed image reaches and no lease keeps, and temporary files of dead processes. Returns the bytes
    /// that were freed.
    pub fn collect_garbage(&self) -> Result<u64, StoreError> {
        let _alone = Lock::exclusive(&self.prune_lock())?;
        let held = Held::read(&self.root().join("leases"))?;
        let mut freed = self.remove_temporary_files(&held)?;
        for blob in self.unreachable(&HashSet::new())? {
            if held.keeps(&blob.digest, blob.modified) {
                continue;
            }
            let path = self.layout().blob_path(&blob.digest);
            fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
            freed += blob.size;
        }
        Ok(freed)
    }

    /// Blobs that no root reaches, `without` some roots.
    ///
    /// Errors: a root cannot be read, other than for being absent. What it needs is then not known, and nothing may go.
    pub(crate) fn unreachable(&self, without: &HashSet<Digest>) -> Result<Vec<BlobFile>, StoreError> {
        let mut reached = HashSet::new();
        for stored in self.images()? {
            if !without.contains(stored.image.digest()) {
                reached.insert(stored.image.digest().clone());
                reached.extend(self.reach(&stored.image)?);
            }
        }
        let mut blobs = self.blob_files()?;
        blobs.retain(|blob| !reached.contains(&blob.digest));
        Ok(blobs)
    }

    fn reach(&self, image: &Image) -> Result<Vec<Digest>, StoreError> {
        match image.blobs() {
            Ok(blobs) => Ok(blobs.into_iter().map(|descriptor| descriptor.digest).collect()),
            // An index may list platforms that were never fetched: what is there of the others must stay.
            Err(ContentError { kind: ContentErrorKind::NotFound, .. }) if image.is_index() => {
                let mut reached = Vec::new();
                for child in image.index().map(|index| index.manifests).unwrap_or_default() {
                    reached.push(child.digest.clone());
                    reached.extend(self.reach(&image.child(child))?);
                }
                Ok(reached)
            }
            Err(ContentError { kind: ContentErrorKind::NotFound, .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Every blob file of the layout. Files whose name is no digest are not ours and are left alone.
    pub(crate) fn blob_files(&self) -> Result<Vec<BlobFile>, StoreError> {
        let mut blobs = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.layout().folder().join("blobs").join(algorithm.name());
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(FileError::of("list", folder)(error).into()),
            };
            for entry in entries {
                let entry = entry.map_err(FileError::of("list", &folder))?;
                let name = format!("{}:{}", algorithm.name(), entry.file_name().to_string_lossy());
                let Ok(digest) = name.parse::<Digest>() else { continue };
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // Another process prunes too.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(FileError::of("look at", entry.path())(error).into()),
                };
                let modified = metadata.modified().map_err(FileError::of("look at", entry.path()))?;
                blobs.push(BlobFile { digest, size: metadata.len(), modified });
            }
        }
        Ok(blobs)
    }

    fn remove_temporary_files(&self, held: &Held) -> Result<u64, StoreError> {
        // Which process a temporary file belongs to cannot be told: while anyone is at work all stay.
        if held.is_anyone_at_work() {
            return Ok(0);
        }
        let folder = self.temporary_folder();
        let mut freed = 0;
        for entry in fs::read_dir(&folder).map_err(FileError::of("list", &folder))? {
            let path = entry.map_err(FileError::of("list", &folder))?.path();
            let metadata = fs::symlink_metadata(&path).map_err(FileError::of("look at", &path))?;
            if metadata.is_dir() {
                freed += longshore_files::tree_size(&path)?;
                longshore_files::remove_tree(&path)?;
            } else {
                freed += metadata.len();
                fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
            }
        }
        Ok(freed)
    }
}
