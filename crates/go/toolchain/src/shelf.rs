//! The cache of fetched toolchains.
//!
//! Each toolchain has a folder, `go1.26.8.linux-amd64`, with the GOROOT in `go/` and a record of its verified hash. The folder
//! appears by one rename after everything in it was synced, so it is whole or not there. A lock file beside it is held alone by
//! whoever fetches or removes it, and shared by whoever uses it: no build loses its compiler to a prune.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use longshore_events::Events;
use longshore_files::{FileError, Lock, create_folders, remove_tree, tree_size, write_atomic};
use serde::{Deserialize, Serialize};

use crate::request::{ModuleVersion, Source, Toolchain};

/// How exact the time of the last use is kept.
const USE_GRAIN: Duration = Duration::from_secs(3600);
/// How long to wait between two tries for a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What is kept beside an unpacked toolchain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The module's version.
    pub(crate) version: ModuleVersion,
    /// The verified `h1:` hash of its zip.
    pub(crate) hash: String,
    /// Bytes that its files hold.
    pub(crate) size: u64,
}

/// A toolchain in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedToolchain {
    /// Which one.
    pub version: ModuleVersion,
    /// The folder that holds it.
    pub folder: PathBuf,
    /// Bytes that its files hold.
    pub size: u64,
    /// When it was last given to somebody, to the hour.
    pub last_used: SystemTime,
}

/// Keeps a toolchain of the cache from being removed while it is in use.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    _held: Option<Arc<Lock>>,
}

/// The folder of fetched toolchains.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Shelf { folder }
    }

    fn place(&self, version: &ModuleVersion) -> PathBuf {
        self.folder.join(version.folder())
    }

    /// Where a toolchain's zip is downloaded to.
    pub(crate) fn download(&self, version: &ModuleVersion) -> PathBuf {
        self.folder.join(format!("{}.zip.part", version.folder()))
    }

    /// Whether the toolchain is there.
    pub(crate) fn holds(&self, version: &ModuleVersion) -> Result<bool, FileError> {
        Ok(self.record(&self.place(version))?.is_some())
    }

    /// The toolchain, if it is there, kept from being removed.
    pub(crate) fn find(&self, version: &ModuleVersion) -> Result<Option<Toolchain>, FileError> {
        let place = self.place(version);
        if self.record(&place)?.is_none() {
            return Ok(None);
        }
        // In a cache that cannot be written nothing can be removed, so nothing needs a lease.
        let lease = Lease { _held: Lock::shared(&self.lock_path(version)).ok().map(Arc::new) };
        // It may have been removed while the lock was awaited.
        let Some(record) = self.record(&place)? else { return Ok(None) };
        note_use(&place);
        let source = Source::Fetched { version: Box::new(version.clone()), hash: record.hash };
        let toolchain = Toolchain::at(&place.join("go"), version.name().clone(), source);
        Ok(Some(toolchain.with_lease(lease)))
    }

    /// Waits until nobody else fetches, uses or removes the toolchain.
    pub(crate) fn lock(&self, version: &ModuleVersion, events: &Events) -> Result<Lock, LockError> {
        create_folders(&self.folder)?;
        let path = self.lock_path(version);
        let mut told = false;
        loop {
            events.check()?;
            if let Some(lock) = Lock::try_exclusive(&path)? {
                return Ok(lock);
            }
            if !told {
                events.note(format!("waiting for another process that fetches {}", version.name()));
                told = true;
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// A folder to unpack into, whose name no toolchain has; what an earlier attempt left there is removed. The caller holds the lock.
    pub(crate) fn workplace(&self, version: &ModuleVersion) -> Result<PathBuf, FileError> {
        let path = self.folder.join(format!(".tmp-{}", version.folder()));
        remove_tree(&path)?;
        create_folders(&path)?;
        Ok(path)
    }

    /// Puts a finished workplace, with the GOROOT in `go/`, into the cache. The caller holds the lock.
    pub(crate) fn put(&self, workplace: &Path, record: &Record) -> Result<(), FileError> {
        let place = self.place(&record.version);
        let text = serde_json::to_vec_pretty(record).map_err(io::Error::other);
        write_atomic(&workplace.join("record.json"), &text.map_err(FileError::of("describe", workplace))?)?;
        write_atomic(&workplace.join("last-used"), b"")?;
        sync(workplace)?;
        remove_tree(&place)?;
        fs::rename(workplace, &place).map_err(FileError::of("rename to", &place))
    }

    /// Every toolchain of the cache, by name.
    pub(crate) fn list(&self) -> Result<Vec<CachedToolchain>, FileError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::of("list", &self.folder)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let folder = entry.map_err(FileError::of("list", &self.folder))?.path();
            if let Some(record) = self.record(&folder)? {
                let last_used = last_use(&folder)?;
                found.push(CachedToolchain { version: record.version, folder, size: record.size, last_used });
            }
        }
        found.sort_by(|a, b| a.version.name().version().cmp(b.version.name().version()));
        Ok(found)
    }

    /// Removes a toolchain. Gives the bytes that became free; none if somebody uses it now.
    pub(crate) fn remove(&self, version: &ModuleVersion) -> Result<Option<u64>, FileError> {
        let lock_path = self.lock_path(version);
        let Some(_lock) = Lock::try_exclusive(&lock_path)? else { return Ok(None) };
        let (place, doomed) = (self.place(version), self.folder.join(format!(".tmp-{}", version.folder())));
        remove_tree(&doomed)?;
        match fs::rename(&place, &doomed) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(0)),
            Err(error) => return Err(FileError::of("remove", &place)(error)),
        }
        let size = tree_size(&doomed)?;
        remove_tree(&doomed)?;
        Ok(Some(size))
    }

    /// Removes what interrupted work left: half-unpacked folders and half-loaded zips that nobody works on. Gives the bytes that
    /// became free.
    pub(crate) fn sweep(&self) -> Result<u64, FileError> {
        let mut freed = 0;
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(0) };
        for entry in entries {
            let entry = entry.map_err(FileError::of("list", &self.folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let owner = name.strip_prefix(".tmp-").or_else(|| name.strip_suffix(".zip.part"));
            let Some(owner) = owner.filter(|owner| owner.starts_with("go")) else { continue };
            if let Some(_lock) = Lock::try_exclusive(&self.folder.join(format!("{owner}.lock")))? {
                let path = entry.path();
                if path.is_dir() {
                    freed += tree_size(&path)?;
                    remove_tree(&path)?;
                } else {
                    freed += entry.metadata().map_or(0, |about| about.len());
                    fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
                }
            }
        }
        Ok(freed)
    }

    fn lock_path(&self, version: &ModuleVersion) -> PathBuf {
        self.folder.join(format!("{}.lock", version.folder()))
    }

    /// The record of a toolchain's folder, if it is one and belongs there.
    fn record(&self, place: &Path) -> Result<Option<Record>, FileError> {
        let path = place.join("record.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(FileError::of("read", &path)(error)),
        };
        let record: Option<Record> = serde_json::from_slice(&bytes).ok();
        Ok(record.filter(|record| self.place(&record.version) == place && place.join("go/bin/go").is_file()))
    }
}

/// A lock could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Cancelled(#[from] longshore_events::Cancelled),
}

/// Everything of the file system that holds the folder goes to the disk: a toolchain has over ten thousand files, and syncing each by
/// itself takes minutes.
fn sync(folder: &Path) -> Result<(), FileError> {
    let open = File::open(folder).map_err(FileError::of("open", folder))?;
    rustix::fs::syncfs(&open).map_err(|error| FileError::of("sync", folder)(error.into()))
}

fn last_use(place: &Path) -> Result<SystemTime, FileError> {
    let path = place.join("last-used");
    let about = fs::metadata(&path).map_err(FileError::of("look at", &path))?;
    about.modified().map_err(FileError::of("look at", &path))
}

/// Remembers that a toolchain was used. In a cache that cannot be written the time stays what it was, which harms nobody.
fn note_use(place: &Path) {
    let now = SystemTime::now();
    let is_recent =
        last_use(place).is_ok_and(|last| now.duration_since(last).is_ok_and(|age| age < USE_GRAIN));
    if !is_recent {
        let _ = File::options()
            .append(true)
            .open(place.join("last-used"))
            .and_then(|file| file.set_modified(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str) -> ModuleVersion {
        ModuleVersion::new(&name.parse().unwrap(), "linux-amd64").unwrap()
    }

    fn put(shelf: &Shelf, name: &str) {
        let version = version(name);
        let _lock = shelf.lock(&version, &Events::silent()).unwrap();
        let workplace = shelf.workplace(&version).unwrap();
        create_folders(&workplace.join("go/bin")).unwrap();
        write_atomic(&workplace.join("go/bin/go"), b"12345").unwrap();
        shelf.put(&workplace, &Record { version, hash: "h1:x".into(), size: 5 }).unwrap();
    }

    #[test]
    fn what_was_put_is_found_listed_and_removed_once_nobody_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("toolchains"));
        assert!(shelf.find(&version("go1.22.0")).unwrap().is_none());
        assert_eq!(shelf.list().unwrap(), []);
        for name in ["go1.22.10", "go1.22.9"] {
            put(&shelf, name);
        }
        let names: Vec<_> =
            shelf.list().unwrap().iter().map(|found| found.version.name().to_string()).collect();
        assert_eq!(names, ["go1.22.9", "go1.22.10"]);
        let used = shelf.find(&version("go1.22.9")).unwrap().unwrap();
        assert_eq!(used.goroot, folder.path().join("toolchains/go1.22.9.linux-amd64/go"));
        assert_eq!(shelf.remove(&version("go1.22.9")).unwrap(), None);
        drop(used);
        assert!(shelf.remove(&version("go1.22.9")).unwrap().unwrap() >= 5);
        assert_eq!(shelf.remove(&version("go1.22.9")).unwrap(), Some(0));
        assert!(shelf.find(&version("go1.22.9")).unwrap().is_none());
        assert_eq!(shelf.list().unwrap().len(), 1);
    }

    #[test]
    fn a_folder_without_a_fitting_record_is_no_toolchain() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        put(&shelf, "go1.22.0");
        let place = folder.path().join("go1.22.0.linux-amd64");
        fs::rename(&place, folder.path().join("go1.23.0.linux-amd64")).unwrap();
        assert!(shelf.find(&version("go1.23.0")).unwrap().is_none(), "the record is another's");
        put(&shelf, "go1.22.0");
        fs::remove_file(place.join("go/bin/go")).unwrap();
        assert!(shelf.find(&version("go1.22.0")).unwrap().is_none(), "the command is missing");
        put(&shelf, "go1.22.0");
        write_atomic(&place.join("record.json"), b"{").unwrap();
        assert!(shelf.find(&version("go1.22.0")).unwrap().is_none(), "the record is broken");
        put(&shelf, "go1.22.0");
        assert!(shelf.find(&version("go1.22.0")).unwrap().is_some());
    }

    #[test]
    fn leftovers_are_swept_unless_somebody_works_on_them() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        put(&shelf, "go1.22.0");
        for name in ["go1.23.0", "go1.24.0"] {
            write_atomic(&shelf.workplace(&version(name)).unwrap().join("half"), b"123").unwrap();
            write_atomic(&shelf.download(&version(name)), b"1234").unwrap();
        }
        let held = shelf.lock(&version("go1.24.0"), &Events::silent()).unwrap();
        assert_eq!(shelf.sweep().unwrap(), 7);
        drop(held);
        assert_eq!(shelf.sweep().unwrap(), 7);
        assert_eq!(shelf.sweep().unwrap(), 0);
        assert_eq!(shelf.list().unwrap().len(), 1);
    }

    #[test]
    fn waiting_for_a_lock_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        let _held = shelf.lock(&version("go1.22.0"), &Events::silent()).unwrap();
        let events = Events::silent();
        let canceller = events.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(250));
            canceller.cancel();
        });
        assert!(matches!(shelf.lock(&version("go1.22.0"), &events), Err(LockError::Cancelled(_))));
        thread.join().unwrap();
    }
}
