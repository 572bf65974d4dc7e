//! The courier: this program, started anew, that goes to a container's files, packs what is asked for and unpacks what is brought.
//!
//! It runs nothing of the container's and opens no file of it but to copy. Where it stands, the container's root folder is the whole machine.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_files::Reach;
use longshore_sandbox::{Visit, visit_ended, visit_running};
use rustix::fs::{OFlags, StatVfsMountFlags, fstat, fstatvfs};
use serde::{Deserialize, Serialize};

use super::error::{CopyError, shown};
use super::pack::Packing;
use super::parcel::{Arriving, Leaving, Line, Parcel};
use super::place::{CopyPath, Destination};
use super::unpack::{Owners, Unpacking};
use crate::error::{ContainerError, Failure};
use crate::folder::Containers;
use crate::monitor::step;
use crate::record::Record;

/// The name under which a courier is started.
pub(crate) const COURIER: &str = "longshore: courier";

/// Where it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Errand {
    /// To the container whose process 1 this is.
    Running(u32),
    /// To the container that has ended and has this folder.
    Ended(PathBuf),
}

/// What it is asked there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Whether a source is a folder.
    Look(CopyPath, bool),
    /// What stands at a destination.
    Find(CopyPath),
    /// A source, and the name of the topmost entry, as a tar.
    Pack(CopyPath, bool, Option<Vec<u8>>),
    /// To unpack a tar into a folder, with the owners that it names or as root's.
    Unpack(Vec<u8>, bool),
}

impl Request {
    pub(super) fn pack(source: &CopyPath, follow: bool, name: Option<OsString>) -> Request {
        Request::Pack(source.clone(), follow, name.map(OsStringExt::into_vec))
    }

    pub(super) fn unpack(folder: &Path, keep_owners: bool) -> Request {
        Request::Unpack(folder.as_os_str().as_bytes().to_owned(), keep_owners)
    }
}

/// Does the courier's part and returns its exit code.
pub(crate) fn main() -> i32 {
    // Ctrl-C is for whoever asks: they hang up, and what is half-written is removed. It was started a moment ago, so it may.
    let _ = rustix::process::setpgid(None, None);
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return 70 };
    // Nobody interrupts it but by hanging up.
    let events = Events::silent();
    let mut line = Line::new(&socket, &events);
    let Ok(errand) = line.hear::<Errand>() else { return 70 };
    let arrived = go(&errand).and_then(|visit| {
        let root = Reach::rooted(Path::new("/")).map_err(ContainerError::from)?;
        Parcel::word(&true)?.send(&socket).map_err(|_| CopyError::Lost)?;
        Ok((visit, root))
    });
    let (visit, answer) = match arrived {
        Ok((visit, root)) => (visit, serve(&mut line, &root)),
        Err(error) => (None, Err(error)),
    };
    if let Some(visit) = visit {
        visit.end();
    }
    match answer {
        Ok(()) => 0,
        Err(error) => {
            // If nobody hears it, there is nobody to be told.
            let _ = Parcel::failed(&error).send(&socket);
            1
        }
    }
}

fn go(errand: &Errand) -> Result<Option<Visit>, CopyError> {
    match errand {
        Errand::Running(process) => visit_running(*process).map(|()| None).map_err(CopyError::from),
        Errand::Ended(folder) => {
            let container = Containers::container_at(folder)
                .ok_or_else(|| ContainerError::new("the order names no container"))?;
            let record: Record =
                container.read("record")?.ok_or_else(|| ContainerError::new("the container is gone"))?;
            let step = step(&record, folder).map_err(|failure| match failure {
                Failure::Failed(error) => error,
                _ => ContainerError::new("its settings cannot be had here"),
            })?;
            visit_ended(&step).map(Some).map_err(CopyError::from)
        }
    }
}

/// Does what it is asked, until whoever asks hangs up.
fn serve(line: &mut Line<'_>, root: &Reach) -> Result<(), CopyError> {
    loop {
        match line.hear::<Request>() {
            // There is nothing more to be done.
            Err(CopyError::Lost) => return Ok(()),
            request => answer(line, root, &request?)?,
        }
    }
}

fn answer(line: &mut Line<'_>, root: &Reach, request: &Request) -> Result<(), CopyError> {
    let socket = line.socket;
    let events = line.events;
    let gone = |_| CopyError::Lost;
    // Whoever does not hear it is gone, which is seen at the next word.
    let mut note = |text: String| drop(Parcel::Note(text.into_bytes()).send(socket));
    let packing = |source, follow| Packing { reach: root, source, follow, events };
    match request {
        Request::Look(source, follow) => {
            Parcel::word(&packing(source, *follow).look()?)?.send(socket).map_err(gone)
        }
        Request::Find(path) => Parcel::word(&Destination::find(root, path)?)?.send(socket).map_err(gone),
        Request::Pack(source, follow, name) => {
            let name = name.as_deref().map(OsStr::from_bytes);
            let mut left = packing(source, *follow).pack(name, Leaving::new(socket), &mut note)?;
            left.flush().map_err(gone)?;
            Parcel::End.send(socket).map_err(gone)
        }
        Request::Unpack(folder, keep_owners) => {
            let folder = Path::new(OsStr::from_bytes(folder));
            writable(root, folder)?;
            let owners = if *keep_owners { Owners::Kept } else { Owners::Root };
            let unpacking = Unpacking { reach: root, folder, shown: folder, owners, events };
            let mut arriving = Arriving::new(line);
            let unpacked = unpacking.unpack(&mut arriving, &mut note);
            if let Some(failure) = arriving.failure {
                return Err(failure);
            }
            unpacked?;
            Parcel::word(&true)?.send(socket).map_err(gone)
        }
    }
}

/// Whether a folder may be written to: it and what is mounted over it are told apart.
fn writable(root: &Reach, folder: &Path) -> Result<(), CopyError> {
    let open = |path| root.open(path, OFlags::PATH | OFlags::DIRECTORY).map_err(CopyError::opening(path));
    let opened = open(folder)?;
    let about = fstatvfs(&opened).map_err(CopyError::at("look at", folder))?;
    if !about.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let device = |folder| fstat(folder).map(|stat| stat.st_dev).map_err(CopyError::at("look at", shown("/")));
    if device(&opened)? == device(&open(Path::new("/"))?)? {
        Err(CopyError::ReadOnlyRoot)
    } else {
        Err(CopyError::ReadOnlyVolume)
    }
}
