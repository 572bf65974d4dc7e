//! Answering, where there is a single user, what only root of many users can do.
//!
//! A process that unpacks packages changes owners and becomes other users. With one id mapped, the kernel refuses both; so a filter
//! hands these calls to the init, which answers that they were done, as Charliecloud does, and keeps account of it, as fakeroot does: who
//! each process takes itself for ([`people`]), and whose each file is ([`ledger`]). Whoever asks is told what was
//! noted, so that a program that copies an owner, or looks whether it has one, finds what it would find with many users.
//!
//! What is not done is to refuse: whoever a process takes itself for, it may read and write every file, as root may.
//!
//! The kernel asks before a call and says nothing after it. So what has to be known afterwards is done here, in the asker's place.

mod asker;
mod calls;
mod credentials;
mod identity;
mod ledger;
mod making;
mod people;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;

pub(super) use calls::filter;

use crate::User;
use crate::sys::{self, Answer, Question};
use asker::{Base, Target, low, read_path};
use calls::{Call, Known};
use credentials::{Credentials, SAME};
use ledger::{Ledger, Owner, Owners, ROOT};
use people::People;

/// How often a file may get another name while its owner is noted.
const MOST_RENAMES: usize = 100;

/// The owners of what the step sees at one place.
pub(super) struct Book {
    /// Where: the root folder, or where something is mounted.
    pub(super) target: PathBuf,
    /// The folder that takes changes, where it is not what is seen there.
    pub(super) changes: Option<OwnedFd>,
    /// The owners of what is there already, by the path from there.
    pub(super) owners: Owners,
}

/// The file system and the inode of an open file.
fn inode_of(file: &OwnedFd) -> Result<(u64, u64), Errno> {
    let about = rustix::fs::fstat(file)?;
    Ok((about.st_dev, about.st_ino))
}

/// The number of the mount that an open file is on.
fn mount_of(file: &OwnedFd) -> Result<u64, Errno> {
    Ok(statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// Answers calls for as long as the step runs.
pub(super) struct Supervisor {
    listener: OwnedFd,
    calls: HashMap<(u32, u32), Known>,
    ledgers: Vec<Ledger>,
    /// Which ledger is whose book's: one folder may be mounted in two places.
    books: Vec<usize>,
    /// Which ledger is whose mount's.
    mounts: HashMap<u64, usize>,
    people: People,
}

impl Supervisor {
    /// Must be called when the step's root is this process's. The first of the books is the root folder's.
    pub(super) fn new(listener: OwnedFd, books: Vec<Book>, user: &User) -> Result<Supervisor, Errno> {
        let people = People::new(Credentials::new(user.uid, user.gid, user.groups.clone()));
        let (mut ledgers, mut mounts, mut numbers) = (Vec::new(), HashMap::new(), Vec::new());
        let mut folders = HashMap::new();
        for Book { target, changes, owners } in books {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let (mounted, at) = match openat(CWD, &target, flags, Mode::empty()) {
                // A later mount covers it: nobody will change anything there.
                Err(Errno::NOENT) => (openat(CWD, "/", flags, Mode::empty())?, target),
                mounted => {
                    let mounted = mounted?;
                    let at = asker::path_of(&mounted)?;
                    let number = *folders.entry(inode_of(&mounted)?).or_insert(ledgers.len());
                    // What lies over another has the place of it.
                    mounts.insert(mount_of(&mounted)?, number);
                    if let Some(ledger) = ledgers.get_mut(number) {
                        Ledger::seen_at(ledger, at);
                        numbers.push(number);
                        continue;
                    }
                    (mounted, at)
                }
            };
            numbers.push(ledgers.len());
            ledgers.push(Ledger::new(at, changes.unwrap_or(mounted), owners));
        }
        Ok(Supervisor { listener, calls: calls::by_number(), ledgers, books: numbers, mounts, people })
    }

    /// The owners of all that is there now, root's files left out, by book.
    pub(super) fn into_owners(self) -> Result<Vec<Owners>, Errno> {
        let all: Vec<Owners> = self.ledgers.into_iter().map(Ledger::finish).collect::<Result<_, _>>()?;
        Ok(self.books.into_iter().filter_map(|number| all.get(number).cloned()).collect())
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
            }
            // Nobody is left who could ask, or somebody is to be collected: also when the questions never end.
            if over || (!asked.is_empty() && !asked.contains(PollFlags::IN)) {
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
        let number = u32::try_from(question.number).unwrap_or(u32::MAX);
        let answer = match self.calls.get(&(question.machine, number)) {
            Some(known) => self.decide(&question, *known),
            None => Answer::Proceed,
        };
        sys::answer_question(&self.listener, &question, answer)
    }

    fn decide(&mut self, question: &Question, known: Known) -> Answer {
        let call = known.call;
        match call {
            Call::Chown | Call::Lchown | Call::Fchown | Call::Fchownat => {
                self.change_owner(question, known).unwrap_or_else(Answer::Fail)
            }
            Call::GetUid
            | Call::GetEffectiveUid
            | Call::GetGid
            | Call::GetEffectiveGid
            | Call::GetUids
            | Call::GetGids
            | Call::GetGroups => self.tell(question, known).unwrap_or_else(Answer::Fail),
            Call::SetUid
            | Call::SetGid
            | Call::SetRealUid
            | Call::SetRealGid
            | Call::SetUids
            | Call::SetGids
            | Call::SetFileUid
            | Call::SetFileGid
            | Call::SetGroups => self.become_other(question, known).unwrap_or_else(Answer::Fail),
            // Of what follows, the kernel tells what is wrong with it.
            Call::Stat | Call::Lstat | Call::Fstat | Call::Fstatat | Call::Statx => {
                self.show(question, call).unwrap_or(Answer::Proceed)
            }
            Call::Open | Call::Openat | Call::Openat2 | Call::Creat => {
                self.open(question, call).unwrap_or(Answer::Proceed)
            }
            Call::Mkdir | Call::Mkdirat | Call::Mknod | Call::Mknodat | Call::Symlink | Call::Symlinkat => {
                self.make(question, call).unwrap_or(Answer::Proceed)
            }
            Call::Link | Call::Linkat => self.link(question, call).unwrap_or(Answer::Proceed),
            Call::Rename | Call::Renameat | Call::Renameat2 => {
                self.rename(question, call).unwrap_or(Answer::Proceed)
            }
            Call::Execute | Call::ExecuteAt => self.execute(question, call).unwrap_or(Answer::Proceed),
            Call::Control => {
                self.control(question);
                Answer::Proceed
            }
            Call::Exit => {
                self.people.end(question.process);
                Answer::Proceed
            }
        }
    }

    /// Which ledger an open file is in. `None` for what nobody keeps the owners of, as of /proc.
    fn ledger_of(&self, file: &OwnedFd) -> Result<Option<usize>, Errno> {
        Ok(self.mounts.get(&mount_of(file)?).copied())
    }

    fn change_owner(&mut self, question: &Question, known: Known) -> Result<Answer, Errno> {
        let argument = |index: usize| low(question.arguments[index]);
        let (target, ids) = match known.call {
            Call::Fchown => {
                let base = Base::Descriptor(argument(0).cast_signed());
                (Target { base, path: None, follow: false }, 1)
            }
            Call::Fchownat => {
                let flags = AtFlags::from_bits_retain(argument(4));
                (Target::at(argument(0), read_path(question, 1)?, flags), 2)
            }
            call => {
                let path = Some(read_path(question, 0)?);
                (Target { base: Base::Working, path, follow: call == Call::Chown }, 1)
            }
        };
        let file = match asker::open(question.process, &target) {
            // It leads through what only the kernel knows whether the asker may follow.
            Err(Errno::LOOP) => return Ok(Answer::Proceed),
            Err(_) if target.path.as_deref().is_some_and(asker::is_process_own) => {
                return Ok(Answer::Pretend);
            }
            answer => answer?,
        };
        if !sys::still_waits(&self.listener, question) {
            return Err(Errno::NOENT);
        }
        let Some(ledger) = self.ledger_of(&file)? else { return Ok(Answer::Pretend) };
        let id = |index| Some(identity::given(argument(index), known.narrow)).filter(|id| *id != SAME);
        self.give(question, (&file, ledger), (id(ids), id(ids + 1)))
    }

    /// Gives a file another owner, another group, or both.
    fn give(
        &mut self,
        question: &Question,
        (file, ledger): (&OwnedFd, usize),
        (uid, gid): (Option<u32>, Option<u32>),
    ) -> Result<Answer, Errno> {
        let path = asker::path_of(file)?;
        let before = self.ledgers[ledger].owner(&path)?;
        if !self.people.of(question.process).may_give(before, uid, gid) {
            return Err(Errno::PERM);
        }
        // A change of nothing does all that a change does: an overlay copies the file up, and set-user-id bits go.
        rustix::fs::chownat(file, "", None, None, AtFlags::EMPTY_PATH)?;
        if rustix::fs::fstat(file)?.st_nlink > 0 {
            let owner = (uid.unwrap_or(before.0), gid.unwrap_or(before.1));
            self.note_file(file, ledger, owner)?;
        }
        Ok(Answer::Pretend)
    }

    /// Notes the owner of an open file. It is found by its name, which another process may take from it at any time; so the name must be the
    /// same before and after.
    fn note_file(&mut self, file: &OwnedFd, ledger: usize, owner: Owner) -> Result<(), Errno> {
        for _ in 0..MOST_RENAMES {
            let path = asker::path_of(file)?;
            let identity = self.ledgers[ledger].identity(&path);
            if asker::path_of(file)? == path {
                self.ledgers[ledger].keep(identity?, owner);
                return Ok(());
            }
        }
        Err(Errno::BUSY)
    }

    /// Tells of a file what the kernel tells, with the owner that was noted.
    fn show(&mut self, question: &Question, call: Call) -> Result<Answer, Errno> {
        if self.ledgers.iter().all(Ledger::is_empty) {
            return Ok(Answer::Proceed);
        }
        let argument = |index: usize| low(question.arguments[index]);
        let flags = match call {
            Call::Fstatat => argument(3),
            Call::Statx => argument(2),
            _ => 0,
        };
        let target = match call {
            Call::Fstat => {
                Target { base: Base::Descriptor(argument(0).cast_signed()), path: None, follow: false }
            }
            Call::Stat | Call::Lstat => {
                let path = Some(read_path(question, 0)?);
                Target { base: Base::Working, path, follow: call == Call::Stat }
            }
            _ => {
                // Since Linux 6.11 there may be no path at all.
                let path =
                    if question.arguments[1] == 0 { Default::default() } else { read_path(question, 1)? };
                Target::at(argument(0), path, AtFlags::from_bits_retain(flags))
            }
        };
        let file = asker::open(question.process, &target)?;
        let about = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | StatxFlags::NLINK)?;
        let Some(ledger) = self.mounts.get(&about.stx_mnt_id).filter(|_| about.stx_nlink > 0) else {
            return Ok(Answer::Proceed);
        };
        let owner = self.ledgers[*ledger].owner(&asker::path_of(&file)?)?;
        if owner == ROOT {
            return Ok(Answer::Proceed);
        }
        let (bytes, place) = match call {
            Call::Statx => (sys::statx_as_kernel(&file, flags, argument(3), owner)?, 4),
            Call::Fstatat => (sys::stat_as_kernel(&file, owner)?, 2),
            _ => (sys::stat_as_kernel(&file, owner)?, 1),
        };
        if sys::still_waits(&self.listener, question) {
            sys::write_memory(question.process, question.arguments[place], &bytes)?;
        }
        Ok(Answer::Pretend)
    }

    /// A program that is started: a set-user-id one makes its process another's.
    fn execute(&mut self, question: &Question, call: Call) -> Result<Answer, Errno> {
        let target = match call {
            Call::Execute => {
                Target { base: Base::Working, path: Some(read_path(question, 0)?), follow: true }
            }
            _ => {
                let flags = AtFlags::from_bits_retain(low(question.arguments[4]));
                Target::at(low(question.arguments[0]), read_path(question, 1)?, flags)
            }
        };
        let file = asker::open(question.process, &target)?;
        let about = rustix::fs::fstat(&file)?;
        let owner = match self.ledger_of(&file)? {
            Some(ledger) => self.ledgers[ledger].owner(&asker::path_of(&file)?)?,
            None => ROOT,
        };
        let runs = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        let has = |bits: u32| runs && about.st_mode & bits == bits;
        let before = self.people.of(question.process);
        let mut after = Credentials::clone(&before);
        // Without the right to execute, the bit of the group means a lock (execve(2)).
        let locks = !has(libc::S_ISGID | libc::S_IXGRP);
        after.execute(has(libc::S_ISUID).then_some(owner.0), (!locks).then_some(owner.1));
        self.people.change(question.process, after);
        Ok(Answer::Proceed)
    }
}
