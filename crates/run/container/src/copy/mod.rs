//! Copying files into containers and out of them, as `docker cp` does.
//!
//! What is copied is what the container sees: while it runs, volumes and folders in memory too; when it has ended, its own files and
//! the folders of the machine that are mounted in it. A *courier* ([`courier`]) goes there and speaks tar over a socket; this side reads
//! and writes the machine's files, as whoever typed the command.

mod courier;
mod error;
mod pack;
mod parcel;
mod place;
mod session;
mod unpack;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use longshore_events::Events;
use longshore_files::Reach;
use longshore_image::layer::decompress;
use longshore_oci::media_type::Compression;
use longshore_runtime::{RuntimeError, RuntimeErrorKind};
use rustix::fs::OFlags;

pub(crate) use courier::{COURIER, main as courier};
pub use error::CopyError;
pub use place::CopyPath;

use self::courier::Request;
use self::error::{reason, shown};
use self::pack::Packing;
use self::parcel::{Arriving, Leaving, Notes, Parcel};
use self::place::{Destination, Plan};
use self::session::Session;
use self::unpack::{Owners, Unpacking};
use crate::folder::Container;

/// How files are copied.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions<'e> {
    /// Whether files keep the ids of their users and groups. Otherwise they become root's in a container, and on the machine those of
    /// whoever copies. There only root can give files away; others' become theirs in any case.
    pub keep_owners: bool,
    /// Whether a link that is named as the source stands for what it leads to.
    pub follow_link: bool,
    /// Who is asked whether to go on.
    pub events: &'e Events,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Size in bytes of the tar that went from one side to the other.
    pub bytes: u64,
    /// What was left out, and why, a sentence each, up to twenty.
    pub left_out: Vec<String>,
    /// How many more there would be.
    pub left_out_more: u64,
}

/// What the action is called where files leave a container.
const OUT: &str = "copy from";
/// The same where they come into one.
const IN: &str = "copy to";

impl Container {
    /// Copies from the container to the machine.
    ///
    /// Errors: there is no such source, or the destination is nothing that it can be copied to.
    pub fn copy_out(
        &self,
        source: &CopyPath,
        destination: &CopyPath,
        options: CopyOptions<'_>,
    ) -> Result<Copied, RuntimeError> {
        self.session(OUT, options, |session| {
            let follow = options.follow_link;
            let is_folder = session.ask(&Request::Look(source.clone(), follow))?;
            let destination = Destination::find(&Reach::Machine, destination)?;
            let plan = Plan::make(source, is_folder, &destination)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let folder =
                Reach::Machine.open(&plan.folder, flags).map_err(CopyError::opening(&plan.folder))?;
            session.say(&Request::pack(source, follow, plan.name))?;
            let unpacking = Unpacking {
                reach: &Reach::Below(folder),
                folder: Path::new(""),
                shown: &plan.folder,
                owners: if options.keep_owners && rustix::process::geteuid().is_root() {
                    Owners::Kept
                } else {
                    Owners::Own
                },
                events: options.events,
            };
            let mut notes = Notes::default();
            let mut arriving = Arriving::new(&mut session.line);
            let unpacked = unpacking.unpack(&mut arriving, &mut |note| notes.add(note));
            let count = arriving.count;
            if let Some(failure) = arriving.failure {
                return Err(failure);
            }
            unpacked?;
            session.line.notes.append(notes);
            Ok(count)
        })
    }

    /// Writes something of the container as a tar.
    ///
    /// Errors: there is no such source; or `to` does not take it, which whoever calls has to ask of it.
    pub fn copy_out_tar(
        &self,
        source: &CopyPath,
        to: &mut dyn Write,
        options: CopyOptions<'_>,
    ) -> Result<Copied, RuntimeError> {
        self.session(OUT, options, |session| {
            let name = source.name().map(OsString::from);
            session.say(&Request::pack(source, options.follow_link, name))?;
            let mut arriving = Arriving::new(&mut session.line);
            while let Some(bytes) = arriving.part()? {
                to.write_all(&bytes).map_err(|error| CopyError::Output(reason(&error)))?;
            }
            Ok(arriving.count)
        })
    }

    /// Copies from the machine into the container.
    ///
    /// Errors: there is no such source, or the destination is nothing that it can be copied to.
    pub fn copy_in(
        &self,
        source: &CopyPath,
        destination: &CopyPath,
        options: CopyOptions<'_>,
    ) -> Result<Copied, RuntimeError> {
        self.session(IN, options, |session| {
            let packing = Packing {
                reach: &Reach::Machine,
                source,
                follow: options.follow_link,
                events: options.events,
            };
            let is_folder = packing.look()?;
            let destination: Destination = session.ask(&Request::Find(destination.clone()))?;
            let plan = Plan::make(source, is_folder, &destination)?;
            session.say(&Request::unpack(&plan.folder, options.keep_owners))?;
            let mut notes = Notes::default();
            let packed = packing
                .pack(plan.name.as_deref(), Leaving::new(session.line.socket), &mut |note| notes.add(note));
            let count = session.sent(packed)?;
            session.line.notes.append(notes);
            Ok(count)
        })
    }

    /// Unpacks a tar, which may be compressed by gzip or zstd, in a folder of the container.
    ///
    /// Errors: what comes is no tar, or there is no such folder.
    pub fn copy_in_tar(
        &self,
        tar: impl Read + Send + 'static,
        destination: &CopyPath,
        options: CopyOptions<'_>,
    ) -> Result<Copied, RuntimeError> {
        self.session(IN, options, |session| {
            let found: Destination = session.ask(&Request::Find(destination.clone()))?;
            if found.found != place::Found::Folder {
                return Err(CopyError::NotFolder(shown(found.path())));
            }
            session.say(&Request::unpack(found.path(), options.keep_owners))?;
            let failed =
                |error: std::io::Error| CopyError::Tar(format!("cannot read it: {}", reason(&error)));
            let mut tar = decompress(tar, Compression::None).map_err(failed)?;
            let mut left = Leaving::new(session.line.socket);
            let mut buffer = vec![0; 64 << 10];
            let copied = loop {
                options.events.check().map_err(CopyError::from)?;
                match tar.read(&mut buffer) {
                    Ok(0) => break Ok(left),
                    Ok(count) => {
                        if let Err(error) = left.write_all(&buffer[..count]) {
                            break Err(CopyError::Output(reason(&error)));
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed(error)),
                }
            };
            session.sent(copied)
        })
    }

    /// Sends a courier, and has something done with it.
    fn session(
        &self,
        action: &'static str,
        options: CopyOptions<'_>,
        work: impl FnOnce(&mut Session<'_>) -> Result<u64, CopyError>,
    ) -> Result<Copied, RuntimeError> {
        let record = self.record(action)?;
        let failed = |error: CopyError| {
            let hint = error.hint();
            RuntimeError::new(action, &record.name, RuntimeErrorKind::Failed { cause: error.into(), hint })
        };
        if options.keep_owners && action == IN && record.isolation == "single-user" {
            return Err(failed(CopyError::SingleUser));
        }
        let courier = session::Courier::send(self, &record, options.events).map_err(failed)?;
        let mut session = courier.session(options.events).map_err(failed)?;
        let bytes = work(&mut session).map_err(failed)?;
        let Notes { kept, more } = std::mem::take(&mut session.line.notes);
        Ok(Copied { bytes, left_out: kept, left_out_more: more })
    }
}

impl Session<'_> {
    /// Ends a tar that was sent, and hears what became of it.
    fn sent(&mut self, tar: Result<Leaving<'_>, CopyError>) -> Result<u64, CopyError> {
        let ended = tar.and_then(|mut left| {
            left.flush().map_err(|error| CopyError::Output(reason(&error)))?;
            Ok(left.count)
        });
        let count = match ended {
            // The courier has hung up, and has said why.
            Err(CopyError::Output(why)) => {
                return Err(match self.line.hear::<bool>() {
                    Err(CopyError::Lost) | Ok(_) => CopyError::Output(why),
                    Err(error) => error,
                });
            }
            ended => ended?,
        };
        self.line.say(&Parcel::End)?;
        self.line.hear::<bool>()?;
        Ok(count)
    }
}
