//! The root folder of a container given over to a step, and taken back.
//!
//! A process that may not change its root folder runs in the one that there is. So what stands there is moved aside and the step's files are
//! moved in, name by name; afterwards they are moved out again with what the step made of them. What is mounted stays, and so do
//! this program, the folder that it works in and the files that wait in the store: folders that hold one of these are shared, which means
//! that only what is in them is exchanged, and that their owner, mode and times are lent from the step's folder of that name.
//!
//! Nothing is copied, so the store must be on the file system of the root folder. Folders that an overlay will not rename, since they
//! come with the container's image, are shared too.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_files::{FileError, remove_tree};

use super::copy::give;
use crate::survey;

/// Where the container's own files wait.
const ASIDE: &str = "/.longshore-aside";

/// An exchange of the root folder's files.
pub(super) struct Swap {
    /// What is not touched.
    kept: Vec<PathBuf>,
    shared: Vec<Shared>,
    /// What was moved aside: from where.
    aside: Vec<PathBuf>,
}

/// A folder whose entries are exchanged.
struct Shared {
    here: PathBuf,
    /// The step's folder of that name.
    theirs: PathBuf,
    /// Whether there is one.
    present: bool,
    /// What the container's is like.
    own: Metadata,
}

impl Swap {
    /// Prepares the exchange with the files in `tree`. Errors: this is no container, or mounts cannot be read.
    pub(super) fn new(tree: &Path) -> Result<Swap, FileError> {
        let table = Path::new("/proc/self/mountinfo");
        let mounts = fs::read(table).map_err(FileError::of("read", table))?;
        if !survey::is_contained() {
            // A kill in the middle of an exchange would leave a machine that does not start.
            let refused = io::Error::other("it is the root folder of a machine, not of a container");
            return Err(FileError::of("exchange the files of", "/")(refused));
        }
        let mut kept = mount_points(&mounts);
        kept.extend([tree.to_owned(), PathBuf::from(ASIDE)]);
        // The folder that the build works in. Without one, or without a name of the program, there is none to keep.
        let parent = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
        let links = [format!("/proc/{parent}/cwd"), "/proc/self/exe".to_owned()];
        kept.extend(links.into_iter().filter_map(|link| fs::read_link(link).ok()));
        kept.retain(|path| path != Path::new("/"));
        let own = look(Path::new("/"))?;
        let root = Shared { here: "/".into(), theirs: tree.to_owned(), present: true, own };
        Ok(Swap { kept, shared: vec![root], aside: Vec::new() })
    }

    /// Moves the container's files aside, and the step's in. What was done stays to be undone by [`Swap::leave`], also after an error.
    pub(super) fn enter(&mut self) -> Result<(), FileError> {
        fs::create_dir(ASIDE).map_err(FileError::of("create", ASIDE))?;
        let mut next = 0;
        while let Some(shared) = self.shared.get(next) {
            let (here, theirs, present) = (shared.here.clone(), shared.theirs.clone(), shared.present);
            next += 1;
            for name in names(&here)? {
                self.clear(&here.join(&name), theirs.join(&name))?;
            }
            if !present {
                continue;
            }
            let about = look(&theirs)?;
            for name in names(&theirs)? {
                let to = here.join(&name);
                if !exists(&to) {
                    rename(&theirs.join(&name), &to)?;
                }
            }
            give(&here, &about)?;
        }
        Ok(())
    }

    /// Moves one of the container's entries aside, or notes its folder as shared.
    fn clear(&mut self, here: &Path, theirs: PathBuf) -> Result<(), FileError> {
        if self.kept.iter().any(|kept| kept == here) {
            return Ok(());
        }
        if !self.kept.iter().any(|kept| kept.starts_with(here)) {
            let aside = Path::new(ASIDE).join(self.aside.len().to_string());
            match rename(here, &aside) {
                Ok(()) => {
                    self.aside.push(here.to_owned());
                    return Ok(());
                }
                Err(error) if error.source.kind() != io::ErrorKind::CrossesDevices => return Err(error),
                Err(_) => {}
            }
        }
        let own = look(here)?;
        let present = exists(&theirs);
        if !own.is_dir() || (present && !look(&theirs)?.is_dir()) {
            // A link where the container has a folder that must stay, for example.
            return Err(FileError::of("put in its place", here)(io::ErrorKind::AlreadyExists.into()));
        }
        self.shared.push(Shared { here: here.to_owned(), theirs, present, own });
        Ok(())
    }

    /// Moves the step's files out, and the container's back. Goes on after an error, and returns the first.
    pub(super) fn leave(self) -> Result<(), FileError> {
        let mut first = Ok(());
        let mut note = |answer: Result<(), FileError>| {
            if first.is_ok() {
                first = answer;
            }
        };
        // What is deeper was shared later.
        for shared in self.shared.iter().rev() {
            note(self.take_out(shared));
        }
        for shared in self.shared.iter().filter(|shared| !exists(&shared.here)) {
            note(fs::create_dir(&shared.here).map_err(FileError::of("create", &shared.here)));
        }
        for (number, here) in self.aside.iter().enumerate().rev() {
            note(rename(&Path::new(ASIDE).join(number.to_string()), here));
        }
        note(fs::remove_dir(ASIDE).map_err(FileError::of("remove", ASIDE)));
        for shared in self.shared.iter().rev() {
            note(give(&shared.here, &shared.own));
        }
        first
    }

    fn take_out(&self, shared: &Shared) -> Result<(), FileError> {
        let about = match fs::symlink_metadata(&shared.here) {
            // The step has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if shared.present { remove_tree(&shared.theirs) } else { Ok(()) };
            }
            about => about.map_err(FileError::of("look at", &shared.here))?,
        };
        if about.ino() != shared.own.ino() {
            // The step has put something else in its place.
            if shared.present {
                remove_tree(&shared.theirs)?;
            }
            return self.hand_over(shared, &shared.here, &shared.theirs).map(drop);
        }
        let mut present = shared.present;
        for name in names(&shared.here)? {
            let here = shared.here.join(&name);
            if !self.stays(&here) {
                present = self.hand_over(shared, &here, &shared.theirs.join(&name))?;
            }
        }
        if present { give(&shared.theirs, &about) } else { Ok(()) }
    }

    /// Moves an entry to the step's files. A folder of the container's that the step has put something into is one of its own, too.
    fn hand_over(&self, shared: &Shared, here: &Path, theirs: &Path) -> Result<bool, FileError> {
        if let Some(folder) = theirs.parent().filter(|folder| !shared.present && !exists(folder)) {
            fs::create_dir_all(folder).map_err(FileError::of("create", folder))?;
        }
        rename(here, theirs).map(|()| true)
    }

    /// Whether an entry is the container's, also while the step runs.
    fn stays(&self, path: &Path) -> bool {
        self.kept.iter().any(|kept| kept.starts_with(path))
            || self.shared.iter().any(|shared| shared.here == path)
    }
}

/// The fifth field of each line: where something is mounted, with blanks and the like escaped (proc_pid_mountinfo(5)).
fn mount_points(table: &[u8]) -> Vec<PathBuf> {
    let field = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(unescaped);
    table.split(|byte| *byte == b'\n').filter_map(field).map(PathBuf::from).collect()
}

fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *byte == b'\\') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn names(folder: &Path) -> Result<Vec<OsString>, FileError> {
    let entries = fs::read_dir(folder).map_err(FileError::of("list", folder))?;
    entries.map(|entry| Ok(entry.map_err(FileError::of("list", folder))?.file_name())).collect()
}

fn look(path: &Path) -> Result<Metadata, FileError> {
    fs::symlink_metadata(path).map_err(FileError::of("look at", path))
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::of("move", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let table = b"1 2 0:3 / / rw - overlay overlay rw\n4 1 0:5 / /a\\040b\\\\x rw - tmpfs tmpfs rw\n";
        assert_eq!(mount_points(table), [PathBuf::from("/"), PathBuf::from(r"/a b\\x")]);
        assert_eq!(unescaped(br"\134\04"), std::ffi::OsStr::new(r"\\04"));
    }
}
