//! Seeing files as the process that asks sees them: its memory, its folders, its root.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, readlinkat, statat, statx,
};
use rustix::io::Errno;

use crate::sys::{self, Question};

/// Longest path that the kernel takes.
const LONGEST: usize = 4096;

/// Where a path begins that is not absolute.
#[derive(Debug)]
pub(super) enum Base {
    /// The asker's working folder.
    Working,
    /// What a descriptor of the asker's is.
    Descriptor(i32),
    /// A folder that is open here.
    Folder(OwnedFd),
}

/// What a call is about.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) base: Base,
    /// `None` when it is the base itself.
    pub(super) path: Option<OsString>,
    /// Whether a link at the end is followed.
    pub(super) follow: bool,
}

impl Target {
    /// What a call of the `…at` family is about: a descriptor, a path, and flags.
    pub(super) fn at(base: u32, path: OsString, flags: AtFlags) -> Target {
        let itself = path.is_empty() && flags.contains(AtFlags::EMPTY_PATH);
        Target {
            base: Base::at(base),
            path: (!itself).then_some(path),
            follow: !flags.contains(AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}

impl Base {
    pub(super) fn at(argument: u32) -> Base {
        match argument.cast_signed() {
            libc::AT_FDCWD => Base::Working,
            descriptor => Base::Descriptor(descriptor),
        }
    }

    /// A path that leads there from here.
    fn path(&self, process: u32) -> PathBuf {
        PathBuf::from(match self {
            Base::Working => format!("/proc/{process}/cwd"),
            Base::Descriptor(number) => format!("/proc/{process}/fd/{number}"),
            Base::Folder(folder) => format!("/proc/self/fd/{}", folder.as_raw_fd()),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel looks at the low half of these arguments only"
)]
pub(super) fn low(argument: u64) -> u32 {
    argument as u32
}

/// Reads a path of the asker's.
pub(super) fn read_path(question: &Question, index: usize) -> Result<OsString, Errno> {
    let mut address = question.arguments[index];
    let mut path = Vec::new();
    let mut page = [0; LONGEST];
    while path.len() < LONGEST {
        // Up to the end of a page: what lies behind may not be there.
        let room = usize::try_from(4096 - (address % 4096)).unwrap_or(1);
        let count = sys::read_memory(question.process, address, page.get_mut(..room).ok_or(Errno::FAULT)?)?;
        let read = page.get(..count).unwrap_or_default();
        if let Some(end) = read.iter().position(|byte| *byte == 0) {
            path.extend_from_slice(read.get(..end).unwrap_or_default());
            return Ok(OsString::from_vec(path));
        }
        if read.is_empty() {
            return Err(Errno::FAULT);
        }
        path.extend_from_slice(read);
        address = address.wrapping_add(count as u64);
    }
    Err(Errno::NAMETOOLONG)
}

/// What leads through the asker's own descriptors leads elsewhere for us; and no layer has it.
pub(super) fn is_process_own(path: &OsStr) -> bool {
    ["/dev/std", "/dev/fd", "/proc/self", "/proc/thread-self"]
        .iter()
        .any(|prefix| path.as_bytes().starts_with(prefix.as_bytes()))
}

/// The file, and the rest of the path, that a path leads to by way of a process's own files. The init is 1, and hides its own.
fn way_through(process: u32, path: &OsStr) -> Option<(PathBuf, &OsStr)> {
    let device = |number: u32| (PathBuf::from(format!("/proc/{process}/fd/{number}")), OsStr::new(""));
    match path.as_bytes() {
        b"/dev/stdin" => return Some(device(0)),
        b"/dev/stdout" => return Some(device(1)),
        b"/dev/stderr" => return Some(device(2)),
        _ => {}
    }
    let first = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'/').unwrap_or(bytes.len());
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u32>().ok();
    let (process, rest) = match path.as_bytes().strip_prefix(b"/proc/") {
        Some(rest) => {
            let (name, rest) = rest.split_at_checked(first(rest))?;
            let whose = match name {
                b"self" | b"thread-self" => process,
                name => number(name).filter(|number| *number > 1)?,
            };
            (whose, rest.strip_prefix(b"/")?)
        }
        None => (process, path.as_bytes().strip_prefix(b"/dev/").filter(|rest| rest.starts_with(b"fd/"))?),
    };
    let (name, rest) = match rest.strip_prefix(b"fd/") {
        Some(below) => {
            let (name, rest) = below.split_at_checked(first(below))?;
            (format!("fd/{}", number(name)?), rest)
        }
        None => {
            let (name, rest) = rest.split_at_checked(first(rest))?;
            let known = [&b"cwd"[..], b"root", b"exe"].contains(&name);
            (String::from_utf8(name.to_vec()).ok().filter(|_| known)?, rest)
        }
    };
    let slashes = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
    Some((PathBuf::from(format!("/proc/{process}/{name}")), OsStr::from_bytes(rest.get(slashes..)?)))
}

/// Opens a path without following what leads elsewhere for whoever follows it, as links in /proc do: what the init may reach by those, the
/// asker may not. ELOOP where there is one.
fn open_plainly(folder: impl AsFd, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(folder, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
}

/// What tells a root folder from others: its mount and its inode.
fn root_of(path: &Path) -> Result<(u64, u64), Errno> {
    let about = statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID)?;
    Ok((about.stx_mnt_id, about.stx_ino))
}

/// Opens what a call is about, as the asker would.
///
/// Errors: as the kernel has them; ELOOP also for a path of which only the kernel knows where it leads the asker.
pub(super) fn open(process: u32, target: &Target) -> Result<OwnedFd, Errno> {
    let plain = OFlags::PATH | OFlags::CLOEXEC;
    let base = target.base.path(process);
    let Some(path) = target.path.as_deref() else {
        return openat(CWD, base, plain, Mode::empty());
    };
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let flags = plain | if target.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let root = PathBuf::from(format!("/proc/{process}/root"));
    if root_of(Path::new("/"))? != root_of(&root)? {
        return open_in_root(&root, &base, Path::new(path), flags);
    }
    match way_through(process, path) {
        Some((file, rest)) if !rest.is_empty() => {
            return open_plainly(openat(CWD, file, plain, Mode::empty())?, rest, flags);
        }
        Some((file, _)) if target.follow => return openat(CWD, file, plain, Mode::empty()),
        _ => {}
    }
    if Path::new(path).is_absolute() {
        return open_plainly(CWD, path, flags);
    }
    open_plainly(openat(CWD, base, plain, Mode::empty())?, path, flags)
}

/// The same for a process that has changed its root folder, as apk does for its scripts.
fn open_in_root(root: &Path, base: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder = openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let real = |link: &Path| -> Result<PathBuf, Errno> {
        let target = readlinkat(CWD, link, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    };
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        let (top, here) = (real(root)?, real(base)?);
        let Ok(here) = here.strip_prefix(top) else {
            // It begins outside of that root, and so stays outside.
            let base = openat(CWD, base, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            return open_plainly(base, path.as_os_str(), flags);
        };
        Path::new("/").join(here).join(path)
    };
    loop {
        match openat2(&folder, &path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

/// Where an open file is, from our root.
pub(super) fn path_of(file: &OwnedFd) -> Result<PathBuf, Errno> {
    let path = readlinkat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// A name in a folder, where something is to be made or moved.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    /// Both, from our root.
    pub(super) path: PathBuf,
}

impl Spot {
    /// Finds the folder of a path's last name. EINVAL if that is none.
    pub(super) fn find(process: u32, base: Base, path: &OsStr) -> Result<Spot, Errno> {
        let bytes = path.as_bytes();
        let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let whole = bytes.get(..end).unwrap_or_default();
        let (folder, name) = match whole.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => whole.split_at_checked(slash + 1).unwrap_or_default(),
            None => (&b"."[..], whole),
        };
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Errno::INVAL);
        }
        let target = Target { base, path: Some(OsStr::from_bytes(folder).to_owned()), follow: true };
        let folder = open(process, &target)?;
        let name = OsStr::from_bytes(name).to_owned();
        let path = path_of(&folder)?.join(&name);
        Ok(Spot { folder, name, path })
    }

    /// What stands there; `None` where nothing does.
    pub(super) fn stat(&self) -> Result<Option<rustix::fs::Stat>, Errno> {
        match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => Ok(Some(about)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
