//! Files that come to be, and names that change.
//!
//! What a process makes is its own. The kernel would make it root's, and says nothing afterwards; so where it is not to be root's, it is made
//! here, in the same way, and its owner noted. A folder with the set-group-id bit gives its group to what is made in it (inode_init_owner).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fstat, mkdirat, mknodat, openat, readlinkat, renameat_with,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::Supervisor;
use super::asker::{self, Base, Spot, Target, low, read_path};
use super::calls::Call;
use super::ledger::{Ledger, Owner, ROOT};
use super::people::umask;
use crate::sys::{self, Answer, Question};

/// Links that are followed to one name: the kernel's own limit.
const MOST_LINKS: usize = 40;

/// What `openat2` takes: flags, mode, and how names are looked up.
const OPEN_HOW: usize = 24;

/// The mask that the init itself works with.
const OWN_MASK: Mode = Mode::from_raw_mode(0o022);

impl Supervisor {
    /// `mkdir`, `symlink`, `mknod` and their kind. Errors here and below: the asker's path leads nowhere, which the kernel will tell it.
    pub(super) fn make(&mut self, question: &Question, call: Call) -> Result<Answer, Errno> {
        let argument = |index: usize| low(question.arguments[index]);
        let (base, at) = match call {
            Call::Mkdir | Call::Mknod => (Base::Working, 0),
            Call::Symlink => (Base::Working, 1),
            Call::Symlinkat => (Base::at(argument(1)), 2),
            _ => (Base::at(argument(0)), 1),
        };
        if matches!(call, Call::Mknod | Call::Mknodat) {
            match FileType::from_raw_mode(argument(at + 1)) {
                // Devices are pretended; pipes, sockets and files are made.
                FileType::CharacterDevice | FileType::BlockDevice => return Ok(Answer::Pretend),
                _ => {}
            }
        }
        let path = read_path(question, at)?;
        if path.as_bytes().ends_with(b"/") && !matches!(call, Call::Mkdir | Call::Mkdirat) {
            // Only a folder can have such a name.
            return Ok(Answer::Proceed);
        }
        let spot = Spot::find(question.process, base, &path)?;
        let Some((ledger, owner)) = self.owner_of_new(question, &spot)? else { return Ok(Answer::Proceed) };
        let mode = argument(at + 1);
        let permissions = Mode::from_raw_mode(mode & 0o7777);
        let made = match call {
            Call::Symlink | Call::Symlinkat => symlinkat(read_path(question, 0)?, &spot.folder, &spot.name),
            Call::Mkdir | Call::Mkdirat => {
                masked(question, || mkdirat(&spot.folder, &spot.name, permissions))
            }
            _ => {
                let kind = match FileType::from_raw_mode(mode) {
                    FileType::Unknown => FileType::RegularFile,
                    kind => kind,
                };
                masked(question, || mknodat(&spot.folder, &spot.name, kind, permissions, 0))
            }
        };
        Ok(match made.and_then(|()| self.ledgers[ledger].note(&spot.path, owner)) {
            Ok(()) => Answer::Pretend,
            Err(error) => Answer::Fail(error),
        })
    }

    /// `open` with flags by which a file may come to be.
    pub(super) fn open(&mut self, question: &Question, call: Call) -> Result<Answer, Errno> {
        let argument = |index: usize| low(question.arguments[index]);
        let (base, at) = match call {
            Call::Open | Call::Creat => (Base::Working, 0),
            _ => (Base::at(argument(0)), 1),
        };
        let (flags, mode) = match call {
            Call::Creat => (OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC, argument(1)),
            Call::Openat2 => return self.open_by_how(question),
            _ => (OFlags::from_bits_retain(argument(at + 1)), argument(at + 2)),
        };
        if flags.contains(OFlags::PATH) {
            return Ok(Answer::Proceed);
        }
        if flags.contains(OFlags::TMPFILE) {
            // It has no name yet by which it could be found. Programs do without where the file system cannot do it, as overlays long could not.
            let target = Target { base, path: Some(read_path(question, at)?), follow: true };
            let kept = self.ledger_of(&asker::open(question.process, &target)?)?.is_some();
            return Ok(if kept { Answer::Fail(Errno::OPNOTSUPP) } else { Answer::Proceed });
        }
        let path = read_path(question, at)?;
        if path.as_bytes().ends_with(b"/") {
            return Ok(Answer::Proceed);
        }
        let spot = Spot::find(question.process, base, &path)?;
        let Some(spot) = end_of_links(question, spot, flags)? else { return Ok(Answer::Proceed) };
        let Some((ledger, owner)) = self.owner_of_new(question, &spot)? else { return Ok(Answer::Proceed) };
        let all = flags | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let permissions = Mode::from_raw_mode(mode & 0o7777);
        let file = match masked(question, || openat(&spot.folder, &spot.name, all, permissions)) {
            // Somebody was faster.
            Err(Errno::EXIST) => return Ok(Answer::Proceed),
            Err(error) => return Ok(Answer::Fail(error)),
            Ok(file) => file,
        };
        let answer = self.ledgers[ledger].note(&spot.path, owner).and_then(|()| {
            sys::answer_with_descriptor(&self.listener, question, &file, flags.contains(OFlags::CLOEXEC))
        });
        if answer == Err(Errno::MFILE) {
            // The kernel looks for a free number before it makes anything. Should it be gone already, all is as it should be.
            let _ = unlinkat(&spot.folder, &spot.name, AtFlags::empty());
        }
        Ok(answer.unwrap_or_else(Answer::Fail))
    }

    /// `openat2`, which every program does without on older kernels.
    fn open_by_how(&mut self, question: &Question) -> Result<Answer, Errno> {
        let mut how = [0; OPEN_HOW];
        if sys::read_memory(question.process, question.arguments[2], &mut how)? != how.len() {
            return Ok(Answer::Proceed);
        }
        let flags = how.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let makes = OFlags::from_bits_retain(low(flags)).intersects(OFlags::CREATE | OFlags::TMPFILE);
        // Root's own, too: it may come where another's stood.
        let own =
            self.people.of(question.process).owner() != ROOT || !self.ledgers.iter().all(Ledger::is_empty);
        Ok(if makes && own { Answer::Fail(Errno::NOSYS) } else { Answer::Proceed })
    }

    /// Whose what is made at this name will be, and which ledger has it. `None` where the kernel does right: where something is already,
    /// where nobody keeps owners, and where it will be root's.
    fn owner_of_new(&mut self, question: &Question, spot: &Spot) -> Result<Option<(usize, Owner)>, Errno> {
        let Some(ledger) = self.ledger_of(&spot.folder)?.filter(|_| matches!(spot.stat(), Ok(None))) else {
            return Ok(None);
        };
        self.ledgers[ledger].gone(&spot.path);
        let (uid, mut gid) = self.people.of(question.process).owner();
        let folder = fstat(&spot.folder)?;
        if folder.st_mode & libc::S_ISGID != 0
            && let Some(above) = spot.path.parent()
        {
            gid = self.ledgers[ledger].owner(above)?.1;
        }
        let asks = sys::still_waits(&self.listener, question);
        Ok(Some((ledger, (uid, gid))).filter(|(_, owner)| *owner != ROOT && asks))
    }

    /// `link` and its kind.
    pub(super) fn link(&mut self, question: &Question, call: Call) -> Result<Answer, Errno> {
        let argument = |index: usize| low(question.arguments[index]);
        let (from, to) = match call {
            Call::Link => ((Base::Working, 0), (Base::Working, 1)),
            _ => ((Base::at(argument(0)), 1), (Base::at(argument(2)), 3)),
        };
        let to = Spot::find(question.process, to.0, &read_path(question, to.1)?)?;
        let Some(ledger) = self.ledger_of(&to.folder)?.filter(|_| matches!(to.stat(), Ok(None))) else {
            return Ok(Answer::Proceed);
        };
        self.ledgers[ledger].gone(&to.path);
        let from = Spot::find(question.process, from.0, &read_path(question, from.1)?)?;
        if self.ledger_of(&from.folder)? == Some(ledger) {
            self.ledgers[ledger].linked(&from.path, &to.path);
        }
        Ok(Answer::Proceed)
    }

    /// `rename` and its kind.
    pub(super) fn rename(&mut self, question: &Question, call: Call) -> Result<Answer, Errno> {
        let argument = |index: usize| low(question.arguments[index]);
        let (from, to) = match call {
            Call::Rename => ((Base::Working, 0), (Base::Working, 1)),
            _ => ((Base::at(argument(0)), 1), (Base::at(argument(2)), 3)),
        };
        let flags = if call == Call::Renameat2 { argument(4) } else { 0 };
        let flags = RenameFlags::from_bits_retain(flags);
        let from = Spot::find(question.process, from.0, &read_path(question, from.1)?)?;
        let to = Spot::find(question.process, to.0, &read_path(question, to.1)?)?;
        let Some(number) = self.ledger_of(&from.folder)? else { return Ok(Answer::Proceed) };
        let ledger = &mut self.ledgers[number];
        let concerns = ledger.has(&from.path) || ledger.has(&to.path);
        if !concerns || self.ledger_of(&to.folder)? != Some(number) {
            return Ok(Answer::Proceed);
        }
        let number_of =
            |spot: &Spot| -> Result<_, Errno> { Ok(spot.stat()?.map(|about| (about.st_dev, about.st_ino))) };
        let same =
            number_of(&from)?.is_some_and(|file| number_of(&to).is_ok_and(|other| other == Some(file)));
        // Of two names of one file, the kernel takes none away.
        if same || !sys::still_waits(&self.listener, question) {
            return Ok(Answer::Proceed);
        }
        if let Err(error) = renameat_with(&from.folder, &from.name, &to.folder, &to.name, flags) {
            return Ok(Answer::Fail(error));
        }
        if flags.contains(RenameFlags::EXCHANGE) {
            self.ledgers[number].exchanged(&from.path, &to.path);
        } else {
            self.ledgers[number].renamed(&from.path, &to.path);
        }
        Ok(Answer::Pretend)
    }
}

/// Follows links at the end of a path to where a file would be made. `None` where none will be.
fn end_of_links(question: &Question, mut spot: Spot, flags: OFlags) -> Result<Option<Spot>, Errno> {
    for _ in 0..MOST_LINKS {
        let Some(about) = spot.stat()? else { return Ok(Some(spot)) };
        let is_link = FileType::from_raw_mode(about.st_mode) == FileType::Symlink;
        if !is_link || flags.intersects(OFlags::EXCL | OFlags::NOFOLLOW) {
            return Ok(None);
        }
        let target = readlinkat(&spot.folder, &spot.name, Vec::new())?;
        let target = OsString::from_vec(target.into_bytes());
        spot = Spot::find(question.process, Base::Folder(spot.folder), &target)?;
    }
    Ok(None)
}

/// Makes something with the asker's mask. The kernel applies it, since folders with a default ACL have no use for it.
fn masked<T>(question: &Question, make: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let mask = umask(question.process).ok_or(Errno::SRCH)?;
    rustix::process::umask(Mode::from_raw_mode(mask));
    let made = make();
    rustix::process::umask(OWN_MASK);
    made
}
