//! From where a path is looked up, and what it may reach.
//!
//! `openat2(2)` lets the kernel say no: what a walk over path components in user space finds may be something else a moment later.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::FileError;

/// From where paths are looked up, and what they may reach.
#[derive(Debug)]
pub enum Reach {
    /// As this process sees the machine.
    Machine,
    /// A folder that is the root of all paths: absolute ones, links and `..` end there, as after `chroot`.
    Rooted(OwnedFd),
    /// What is below a folder, by no link at all.
    Below(OwnedFd),
}

impl Reach {
    /// The folder at `path` as the root of all paths.
    pub fn rooted(path: &Path) -> Result<Reach, FileError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        root.map(Reach::Rooted).map_err(|error| FileError::of("open the folder", path)(error.into()))
    }

    /// Opens a path. An empty one is the folder itself. Magic links, those of /proc that lead anywhere, are followed on the machine alone.
    ///
    /// Errors: as the system says; a path that would leave what can be reached gives `EXDEV` or `ELOOP`.
    pub fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlags::CLOEXEC;
        let (folder, resolve) = match self {
            Reach::Machine => return rustix::fs::openat(CWD, path, flags, Mode::empty()),
            Reach::Rooted(root) => (root, ResolveFlags::IN_ROOT),
            Reach::Below(folder) => (folder, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS),
        };
        // EAGAIN means that a rename raced with the resolution: openat2(2) asks callers to try again.
        for _ in 0..64 {
            let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                answer => return answer,
            }
        }
        Err(Errno::BUSY)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_stay_where_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("d/e")).unwrap();
        crate::write_atomic(&folder.path().join("secret"), b"").unwrap();
        crate::write_atomic(&root.join("file"), b"").unwrap();
        for (name, target) in [
            ("up", "../secret"),
            ("far", "../../../../../../../../etc/passwd"),
            ("absolute", "/file"),
            ("magic", "/proc/self/root/etc/passwd"),
            ("d/sibling", "e"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        let below = Reach::rooted(&root).unwrap();
        let Reach::Rooted(descriptor) = Reach::rooted(&root).unwrap() else { panic!() };
        let strict = Reach::Below(descriptor);
        for (path, rooted, alone) in [
            ("file", true, true),
            ("/file", true, false),
            ("../../file", true, false),
            ("absolute", true, false),
            ("up", false, false),
            ("far", false, false),
            ("magic", false, false),
            ("d/sibling", true, false),
            ("", true, true),
        ] {
            let open = |reach: &Reach| reach.open(Path::new(path), OFlags::RDONLY).is_ok();
            assert_eq!((open(&below), open(&strict)), (rooted, alone), "{path}");
        }
        assert!(Reach::Machine.open(&root.join("up"), OFlags::RDONLY).is_ok());
        // A descriptor of a link itself says nothing of where it leads.
        assert!(strict.open(Path::new("up"), OFlags::PATH | OFlags::NOFOLLOW).is_ok());
    }

    #[test]
    fn magic_links_are_not_followed_within_a_root() {
        let machine = Reach::rooted(Path::new("/")).unwrap();
        let error = machine.open(Path::new("/proc/self/root/etc"), OFlags::PATH).unwrap_err();
        assert_eq!(error, Errno::LOOP);
    }
}
