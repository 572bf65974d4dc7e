//! Changes to a tree, made in a folder or through a writer.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use longshore_snapshot::{Metadata, NodeKind, View, Writer};
use longshore_testkit::Stop;
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Write(PathBuf, Vec<u8>, Metadata),
    Folder(PathBuf, Metadata),
    Symlink(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Fifo(PathBuf),
    Remove(PathBuf),
    /// All of the metadata, time too.
    Change(PathBuf, Metadata),
}

/// The same numbers on every machine.
pub(crate) struct Random(pub(crate) u64);

pub(crate) const TIME: i64 = 1_700_000_000;

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap_or_default()
    }

    fn path(&mut self) -> PathBuf {
        (0..=self.below(4)).map(|_| ["a", "b", "c", "d"][self.below(4)]).collect()
    }

    fn number(&mut self, limit: usize) -> u32 {
        u32::try_from(self.below(limit)).unwrap_or_default()
    }

    fn metadata(&mut self) -> Metadata {
        let mode = [0o644, 0o755, 0o4755, 0o600, 0o1777, 0o2750, 0o555, 0o000][self.below(8)];
        let owner = [0, 1, 1000, 70_000, 3_000_000][self.below(5)];
        let mut metadata = Metadata {
            mode,
            uid: owner,
            gid: self.number(3),
            mtime: (TIME + i64::from(self.number(3)), self.number(2) * 5),
            ..Metadata::default()
        };
        if self.below(4) == 0 {
            metadata.xattrs.insert("user.note".into(), vec![b'0' + u8::try_from(self.below(3)).unwrap_or(0)]);
        }
        metadata
    }

    /// Content that is sometimes the same, sometimes long, and sometimes mostly holes.
    fn content(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => Vec::new(),
            1 => [vec![0; 70_000], b"end".to_vec(), vec![0; 9000]].concat(),
            _ => vec![b'0' + u8::try_from(self.below(4)).unwrap_or_default(); 1 + self.below(3)],
        }
    }

    /// A folder of the tree, by a walk down that ends somewhere.
    fn folder(&mut self, root: &Path) -> PathBuf {
        let mut path = PathBuf::new();
        for _ in 0..self.below(5) {
            let next = path.join(["a", "b", "c", "d", "e"][self.below(5)]);
            if root.join(&next).symlink_metadata().is_ok_and(|about| about.is_dir()) {
                path = next;
            }
        }
        path
    }

    /// A change that can be made in the tree of `root`.
    pub(crate) fn operation(&mut self, root: &Path) -> Option<Operation> {
        let path = self.folder(root).join(["a", "b", "c", "d", "e"][self.below(5)]);
        let parent = path.parent().unwrap_or(Path::new(""));
        // Nothing is done through links: the host's files are behind them.
        let real = |path: &Path| {
            path.ancestors()
                .all(|above| root.join(above).symlink_metadata().is_ok_and(|about| about.is_dir()))
        };
        if !real(parent) {
            return None;
        }
        let there = root.join(&path).symlink_metadata().ok();
        // Folders near the root are seldom lost: what is below them is what there is to compare.
        let choice = if path.components().count() < 3 && self.below(3) > 0 { 3 } else { self.below(12) };
        Some(match choice {
            0..=2 => Operation::Write(path, self.content(), self.metadata()),
            3 | 4 => Operation::Folder(path, Metadata { mode: 0o755, ..self.metadata() }),
            5 => Operation::Symlink(path, ["a", "b/c", "../d", "nowhere"][self.below(4)].into()),
            6 => {
                let other = self.path();
                if !real(other.parent().unwrap_or(Path::new(""))) || path == other || path.starts_with(&other)
                {
                    return None;
                }
                let about = root.join(&other).symlink_metadata().ok()?;
                if !about.is_file() || other.starts_with(&path) {
                    return None;
                }
                Operation::Link(path, other)
            }
            7 => Operation::Fifo(path),
            8 | 9 => there.map(|_| Operation::Remove(path))?,
            _ => {
                let about = there?;
                // Other names of a file change with it in a folder, and do not in an overlay over it.
                if about.is_symlink() || about.file_type().is_fifo() || (about.is_file() && about.nlink() > 1)
                {
                    return None;
                }
                Operation::Change(path, self.metadata())
            }
        })
    }
}

fn clear(path: &Path, keep_folder: bool) -> Result<(), Stop> {
    match path.symlink_metadata() {
        Ok(about) if about.is_dir() && keep_folder => {}
        Ok(about) if about.is_dir() => fs::remove_dir_all(path)?,
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    Ok(())
}

fn settle(path: &Path, metadata: &Metadata) -> Result<(), Stop> {
    std::os::unix::fs::lchown(path, Some(metadata.uid), Some(metadata.gid))?;
    let old = rustix::fs::lremovexattr(path, "user.note");
    if !matches!(old, Ok(()) | Err(rustix::io::Errno::NODATA)) {
        old?;
    }
    for (name, value) in &metadata.xattrs {
        rustix::fs::lsetxattr(path, name.as_os_str(), value, XattrFlags::empty())?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode))?;
    set_time(path, metadata.mtime)
}

fn set_time(path: &Path, (seconds, nanos): (i64, u32)) -> Result<(), Stop> {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Makes a change in a folder.
pub(crate) fn in_folder(root: &Path, operation: &Operation) -> Result<(), Stop> {
    match operation {
        Operation::Write(path, content, metadata) => {
            let path = root.join(path);
            clear(&path, false)?;
            File::create_new(&path)?.write_all(content)?;
            settle(&path, metadata)?;
        }
        Operation::Folder(path, metadata) => {
            let path = root.join(path);
            clear(&path, true)?;
            if !path.is_dir() {
                fs::create_dir(&path)?;
            }
            settle(&path, metadata)?;
        }
        Operation::Symlink(path, target) => {
            let path = root.join(path);
            clear(&path, false)?;
            symlink(target, &path)?;
            set_time(&path, (TIME, 0))?;
        }
        Operation::Link(path, existing) => {
            let path = root.join(path);
            clear(&path, false)?;
            fs::hard_link(root.join(existing), &path)?;
        }
        Operation::Fifo(path) => {
            let path = root.join(path);
            clear(&path, false)?;
            rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
            set_time(&path, (TIME, 0))?;
        }
        Operation::Remove(path) => clear(&root.join(path), false)?,
        Operation::Change(path, metadata) => settle(&root.join(path), metadata)?,
    }
    Ok(())
}

/// Makes a change through a writer.
pub(crate) fn through_writer(writer: &mut Writer<'_>, operation: &Operation) -> Result<(), Stop> {
    let plain = |mode| Metadata { mode, mtime: (TIME, 0), ..Metadata::default() };
    match operation {
        Operation::Write(path, content, metadata) => writer.file(path, metadata, &mut content.as_slice())?,
        Operation::Folder(path, metadata) => {
            writer.folder(path, metadata)?;
        }
        Operation::Symlink(path, target) => writer.symlink(path, target, &plain(0o777))?,
        Operation::Link(path, existing) => writer.hard_link(path, existing)?,
        Operation::Fifo(path) => writer.node(path, &NodeKind::Fifo, &plain(0o640))?,
        Operation::Remove(path) => drop(writer.remove(path)?),
        Operation::Change(path, metadata) => change(writer, path, metadata)?,
    }
    Ok(())
}

/// A writer replaces files; one that has other names is left to the other ways.
fn change(writer: &mut Writer<'_>, path: &Path, metadata: &Metadata) -> Result<(), Stop> {
    let view: View = writer.view()?;
    let node = view.lookup(path)?.ok_or_else(|| Stop::failed("nothing to change"))?;
    if node.is_folder() {
        return Ok(writer.folder(path, metadata)?);
    }
    let mut content = Vec::new();
    view.open(path)?.read_to_end(&mut content)?;
    Ok(writer.file(path, metadata, &mut content.as_slice())?)
}

/// Waits until a file that is written now has another change time than one written before.
pub(crate) fn let_time_pass() {
    let start = SystemTime::now();
    std::thread::sleep(Duration::from_millis(25));
    assert!(start.elapsed().is_ok_and(|passed| passed >= Duration::from_millis(25)));
}
