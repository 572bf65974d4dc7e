//! Answering, where there is a single user, what only root of many users can do.
//!
//! A process that unpacks packages changes owners and becomes other users. With one id mapped, the kernel refuses both; so a filter
//! hands these calls to the init, which answers that they were done, as Charliecloud does, and, beyond that, notes the owners. Files are
//! known by their inodes, since package managers change the owner of a file first and give it its name afterwards.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, readlinkat, stat, statx,
};
use rustix::io::Errno;

use crate::seccomp;
use crate::sys::{self, Answer, Question};
use crate::wire::wire_struct;

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) const CALLS: [&str; 27] = [
    "chown", "chown32", "lchown", "lchown32", "fchown", "fchown32", "fchownat", "mknod", "mknodat",
    "setuid", "setuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setreuid", "setreuid32",
    "setregid", "setregid32", "setresuid", "setresuid32", "setresgid", "setresgid32", "setfsuid",
    "setfsuid32", "setfsgid", "setfsgid32",
];

/// Longest path that the kernel takes.
const LONGEST: usize = 4096;

/// A file whose owner was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerChange {
    /// Where it was then, from the root.
    pub(crate) path: PathBuf,
    /// The new owner, if it was changed.
    pub(crate) uid: Option<u32>,
    /// The new group, if it was changed.
    pub(crate) gid: Option<u32>,
    /// Its inode in the folder that takes the step's changes.
    pub(crate) inode: u64,
    /// When that inode was made, in nanoseconds: numbers of inodes are used again.
    pub(crate) born: u64,
}

wire_struct!(OwnerChange { path, uid, gid, inode, born });

/// Answers calls for as long as the step runs.
pub(super) struct Supervisor {
    listener: OwnedFd,
    /// The folder that takes the step's changes.
    changes: OwnedFd,
    root_mount: u64,
    owners: BTreeMap<(u64, u64), OwnerChange>,
}

/// Who makes a call, and on what.
struct Target {
    base: Base,
    path: Option<OsString>,
    follow: bool,
}

enum Base {
    Working,
    Descriptor(i32),
}

impl Supervisor {
    /// Must be called when the step's root is this process's.
    pub(super) fn new(listener: OwnedFd, changes: OwnedFd) -> Result<Supervisor, Errno> {
        let root_mount = statx(CWD, "/", AtFlags::empty(), StatxFlags::MNT_ID)?.stx_mnt_id;
        Ok(Supervisor { listener, changes, root_mount, owners: BTreeMap::new() })
    }

    /// The changes of owner so far.
    pub(super) fn into_changes(self) -> Vec<OwnerChange> {
        self.owners.into_values().collect()
    }

    /// Answers calls until `ended` becomes readable.
    pub(super) fn serve(&mut self, ended: &OwnedFd) -> Result<(), Errno> {
        loop {
            let mut waits = [PollFd::new(ended, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut waits, None) {
                Err(Errno::INTR) => continue,
                answer => answer?,
            };
            let (over, asked) = (!waits[0].revents().is_empty(), waits[1].revents());
            if asked.contains(PollFlags::IN) {
                self.answer_one()?;
            } else if over || !asked.is_empty() {
                // Nobody is left who could ask, or somebody is to be collected.
                return Ok(());
            }
        }
    }

    fn answer_one(&mut self) -> Result<(), Errno> {
        let question = match sys::receive_question(&self.listener) {
            Ok(question) => question,
            Err(Errno::NOENT | Errno::INTR) => return Ok(()),
            Err(error) => return Err(error),
        };
        let answer = self.decide(&question).unwrap_or_else(Answer::Fail);
        sys::answer_question(&self.listener, &question, answer)
    }

    fn decide(&mut self, question: &Question) -> Result<Answer, Errno> {
        let Some(name) = seccomp::name_of(question.machine, question.number, &CALLS) else {
            return Ok(Answer::Proceed);
        };
        let argument = |index: usize| low(question.arguments[index]);
        match name {
            "mknod" => Ok(make_node(argument(1))),
            "mknodat" => Ok(make_node(argument(2))),
            "chown" | "chown32" | "lchown" | "lchown32" => {
                let path = read_path(question, 0)?;
                let follow = name.starts_with('c');
                let target = Target { base: Base::Working, path: Some(path), follow };
                self.change_owner(question, &target, (argument(1), argument(2)))
            }
            "fchown" | "fchown32" => {
                let target =
                    Target { base: Base::Descriptor(signed(argument(0))), path: None, follow: false };
                self.change_owner(question, &target, (argument(1), argument(2)))
            }
            "fchownat" => {
                let flags = AtFlags::from_bits_retain(argument(4));
                let path = read_path(question, 1)?;
                let path =
                    if path.is_empty() && flags.contains(AtFlags::EMPTY_PATH) { None } else { Some(path) };
                let base = match signed(argument(0)) {
                    libc::AT_FDCWD => Base::Working,
                    descriptor => Base::Descriptor(descriptor),
                };
                let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
                self.change_owner(question, &Target { base, path, follow }, (argument(2), argument(3)))
            }
            _ => Ok(Answer::Pretend),
        }
    }

    fn change_owner(
        &mut self,
        question: &Question,
        target: &Target,
        (uid, gid): (u32, u32),
    ) -> Result<Answer, Errno> {
        let file = match open(question.process, target) {
            // What leads through the asker's own descriptors leads elsewhere for us; and no layer has it.
            Err(_) if target.path.as_deref().is_some_and(is_process_own) => return Ok(Answer::Pretend),
            answer => answer?,
        };
        if !sys::still_waits(&self.listener, question) {
            return Err(Errno::NOENT);
        }
        let about = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | StatxFlags::NLINK)?;
        if about.stx_mnt_id != self.root_mount {
            // On a mount, whose owners nobody keeps.
            return Ok(Answer::Pretend);
        }
        // A change of nothing does all that a change does: an overlay copies the file up, and set-user-id bits go.
        rustix::fs::chownat(&file, "", None, None, AtFlags::EMPTY_PATH)?;
        let path = readlinkat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
        if about.stx_nlink > 0 {
            self.note(PathBuf::from(OsString::from_vec(path.into_bytes())), uid, gid)?;
        }
        Ok(Answer::Pretend)
    }

    fn note(&mut self, path: PathBuf, uid: u32, gid: u32) -> Result<(), Errno> {
        let relative = path.strip_prefix("/").unwrap_or(&path);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let (inode, born) = identity(&self.changes, relative)?;
        let changed = |id: u32| (id != u32::MAX).then_some(id);
        let known = self.owners.entry((inode, born)).or_insert_with(|| OwnerChange {
            path: PathBuf::new(),
            uid: None,
            gid: None,
            inode,
            born,
        });
        known.path = path;
        known.uid = changed(uid).or(known.uid);
        known.gid = changed(gid).or(known.gid);
        Ok(())
    }
}

/// The inode of a file, and when it was made.
pub(crate) fn identity(folder: &OwnedFd, path: &Path) -> Result<(u64, u64), Errno> {
    let about = statx(folder, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO | StatxFlags::BTIME)?;
    let born = about.stx_btime;
    let seconds = u64::try_from(born.tv_sec).unwrap_or(0);
    Ok((about.stx_ino, seconds.wrapping_mul(1_000_000_000).wrapping_add(born.tv_nsec.into())))
}

/// Devices are pretended; pipes, sockets and files are made.
fn make_node(mode: u32) -> Answer {
    match FileType::from_raw_mode(mode) {
        FileType::CharacterDevice | FileType::BlockDevice => Answer::Pretend,
        _ => Answer::Proceed,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel looks at the low half of these arguments only"
)]
fn low(argument: u64) -> u32 {
    argument as u32
}

fn signed(argument: u32) -> i32 {
    argument.cast_signed()
}

/// Reads a path of the asker's.
fn read_path(question: &Question, index: usize) -> Result<OsString, Errno> {
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

fn is_process_own(path: &std::ffi::OsStr) -> bool {
    ["/dev/std", "/dev/fd", "/proc/self", "/proc/thread-self"]
        .iter()
        .any(|prefix| path.as_bytes().starts_with(prefix.as_bytes()))
}

/// Opens what a call is about, as the asker would.
fn open(process: u32, target: &Target) -> Result<OwnedFd, Errno> {
    let base = match target.base {
        Base::Working => PathBuf::from(format!("/proc/{process}/cwd")),
        Base::Descriptor(number) => PathBuf::from(format!("/proc/{process}/fd/{number}")),
    };
    let Some(path) = &target.path else {
        return openat(CWD, base, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    };
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let root = PathBuf::from(format!("/proc/{process}/root"));
    let flags =
        OFlags::PATH | OFlags::CLOEXEC | if target.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let same =
        |one: rustix::fs::Stat, two: rustix::fs::Stat| (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino);
    if same(stat("/")?, stat(&root)?) {
        if Path::new(path).is_absolute() {
            return openat(CWD, path.as_os_str(), flags, Mode::empty());
        }
        let folder = openat(CWD, base, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        return openat(folder, path.as_os_str(), flags, Mode::empty());
    }
    open_in_root(&root, &base, Path::new(path), flags)
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
        Path::new("/").join(here.strip_prefix(top).map_err(|_| Errno::NOENT)?).join(path)
    };
    loop {
        match openat2(&folder, &path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}
