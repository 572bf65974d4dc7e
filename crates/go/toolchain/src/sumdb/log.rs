//! Asking the database, and believing it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_events::Events;
use longshore_files::{FileError, Lock, create_folders, remove_tree, write_atomic};

use crate::remote::RemoteError;
use crate::sumdb::note::{NoteError, Verifier, open};
use crate::sumdb::tree::{Hash, Head, ProofError, TILE_BYTES, Tile, Tiles, Tree};
use crate::sumdb::{DatabaseError, DatabaseErrorKind};

/// The longest answer to a lookup that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What a database's server answers, by path.
pub(crate) trait Server {
    /// The bytes at a path such as `lookup/…` or `tile/…`; an error if they are more than `limit`.
    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, RemoteError>;
}

/// A database with its state on this machine.
pub(crate) struct Database<'a, Remote> {
    verifier: &'a Verifier,
    folder: PathBuf,
    server: Remote,
}

/// A head with the note that proves it.
struct SignedHead {
    head: Head,
    note: Vec<u8>,
}

type Outcome<T> = Result<T, DatabaseErrorKind>;

impl<'a, Remote: Server> Database<'a, Remote> {
    /// A database whose state is kept below `folder`.
    pub(crate) fn new(verifier: &'a Verifier, folder: &Path, server: Remote) -> Self {
        Database { verifier, folder: folder.join(verifier.name()), server }
    }

    /// The `h1:` hash of a module's version, proved.
    pub(crate) fn lookup(
        &mut self,
        module: &str,
        version: &str,
        events: &Events,
    ) -> Result<String, DatabaseError> {
        let proved = self.lock(events).and_then(|_lock| self.proved_lookup(module, version));
        proved.map_err(|kind| DatabaseError {
            subject: format!("{module}@{version}"),
            database: self.verifier.name().to_owned(),
            kind,
        })
    }

    fn lock(&self, events: &Events) -> Outcome<Lock> {
        create_folders(&self.folder)?;
        loop {
            events.check()?;
            if let Some(lock) = Lock::try_exclusive(&self.folder.join("lock"))? {
                return Ok(lock);
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    fn proved_lookup(&mut self, module: &str, version: &str) -> Outcome<String> {
        let answer =
            self.server.read(&format!("lookup/{module}@{version}"), LONGEST_ANSWER).map_err(|error| {
                if error.is_missing() {
                    DatabaseErrorKind::Unknown
                } else {
                    DatabaseErrorKind::Unreachable(error)
                }
            })?;
        let record =
            Record::parse(&answer).ok_or(DatabaseErrorKind::Malformed("it is no record of a log"))?;
        let hash = record.hash_of(module, version)?;
        let presented = self.signed(record.note).map_err(DatabaseErrorKind::Note)?;
        match self.prove(&record, &presented) {
            // A tile that was damaged on this machine's disk must not look like an attack.
            Err(DatabaseErrorKind::Proof(_)) if self.folder.join("tile").exists() => {
                remove_tree(&self.folder.join("tile"))?;
                self.prove(&record, &presented)?;
            }
            proved => proved?,
        }
        Ok(hash)
    }

    /// Proves that the presented head and the kept one are of one history, and that the record is part of it; keeps the newer head.
    fn prove(&mut self, record: &Record<'_>, presented: &SignedHead) -> Outcome<()> {
        let kept = self.kept()?;
        let (older, newer) = match &kept {
            Some(kept) if kept.head.size > presented.head.size => (Some(presented), kept),
            Some(kept) => (Some(kept), presented),
            None => (None, presented),
        };
        let mut source = Source { server: &mut self.server, folder: &self.folder, failure: None };
        let proved = prove_in(&mut source, newer.head, older.map(|older| older.head.size), record.number);
        let failure = source.failure.take();
        let (root, leaf) = proved.map_err(|error| proof_error(error, failure))?;
        if let (Some(older), Some(root)) = (older, root)
            && older.head.root != root
        {
            let text = |signed: &SignedHead| String::from_utf8_lossy(&signed.note).into_owned();
            return Err(DatabaseErrorKind::Fork { older: text(older), newer: text(newer) });
        }
        if leaf != Hash::of_record(record.text) {
            return Err(DatabaseErrorKind::NotInLog);
        }
        if kept.is_none_or(|kept| kept.head.size < presented.head.size) {
            write_atomic(&self.folder.join("latest"), &presented.note)?;
        }
        Ok(())
    }

    fn signed(&self, note: &[u8]) -> Result<SignedHead, NoteError> {
        let text = open(note, self.verifier)?;
        let head = Head::parse(text).ok_or(NoteError::Malformed)?;
        Ok(SignedHead { head, note: note.to_vec() })
    }

    /// The head that was kept last time.
    fn kept(&self) -> Outcome<Option<SignedHead>> {
        let path = self.folder.join("latest");
        match fs::read(&path) {
            Ok(note) => match self.signed(&note) {
                Ok(kept) => Ok(Some(kept)),
                Err(source) => Err(DatabaseErrorKind::Kept { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::of("read", path)(error).into()),
        }
    }
}

/// In the tree of `head`: the root that it had at `size`, and the hash of a record.
fn prove_in<Remote: Server>(
    source: &mut Source<'_, Remote>,
    head: Head,
    size: Option<u64>,
    record: u64,
) -> Result<(Option<Hash>, Hash), ProofError<RemoteError>> {
    let mut tree = Tree::open(head, source)?;
    let root = size.map(|size| tree.root_at(size)).transpose()?;
    Ok((root, tree.record(record)?))
}

fn proof_error(error: ProofError<RemoteError>, failure: Option<FileError>) -> DatabaseErrorKind {
    match (error, failure) {
        (_, Some(failure)) => DatabaseErrorKind::File(failure),
        (ProofError::Tile(error), _) => DatabaseErrorKind::Unreachable(error),
        (ProofError::Inconsistent(what), _) => DatabaseErrorKind::Proof(what),
        (ProofError::Outside, _) => DatabaseErrorKind::Malformed("its record lies outside of its tree"),
    }
}

/// A record of the log as a lookup gives it: its number, its text up to a blank line, and the note of a tree that contains it.
struct Record<'a> {
    number: u64,
    text: &'a [u8],
    note: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(answer: &'a [u8]) -> Option<Record<'a>> {
        let end = answer.iter().position(|&byte| byte == b'\n')?;
        let number = std::str::from_utf8(&answer[..end]).ok()?.parse().ok()?;
        let rest = &answer[end + 1..];
        let blank = rest.windows(2).position(|pair| pair == b"\n\n")?;
        Some(Record { number, text: &rest[..=blank], note: &rest[blank + 2..] })
    }

    fn hash_of(&self, module: &str, version: &str) -> Outcome<String> {
        let text =
            std::str::from_utf8(self.text).map_err(|_| DatabaseErrorKind::Malformed("it is not UTF-8"))?;
        let start = format!("{module} {version} ");
        let mut hashes = text.lines().filter_map(|line| line.strip_prefix(&start));
        match (hashes.next(), hashes.next()) {
            (Some(hash), None) if hash.starts_with("h1:") => Ok(hash.to_owned()),
            _ => Err(DatabaseErrorKind::Malformed("it has no hash of what was asked for")),
        }
    }
}

/// Tiles from the disk where they are, else from the server.
struct Source<'a, Remote> {
    server: &'a mut Remote,
    folder: &'a Path,
    /// A tile that could not be kept: asked for after the proof, since a proof goes on without.
    failure: Option<FileError>,
}

impl<Remote: Server> Tiles for Source<'_, Remote> {
    type Error = RemoteError;

    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, RemoteError> {
        let size = tile.size();
        let kept =
            fs::read(self.folder.join(tile.full().path())).ok().filter(|bytes| bytes.len() == TILE_BYTES);
        if let Some(mut bytes) = kept {
            bytes.truncate(size);
            return Ok(bytes);
        }
        match self.server.read(&tile.path(), TILE_BYTES as u64) {
            // Once a tile is full, a server may forget that it ever was not.
            Err(error) if !tile.is_full() => {
                let mut bytes =
                    self.server.read(&tile.full().path(), TILE_BYTES as u64).map_err(|_| error)?;
                bytes.truncate(size);
                Ok(bytes)
            }
            answer => answer,
        }
    }

    fn believed(&mut self, tile: Tile, bytes: &[u8]) {
        let path = self.folder.join(tile.path());
        if !tile.is_full() || path.exists() {
            return;
        }
        let folder = path.parent().unwrap_or(self.folder);
        if let Err(error) = create_folders(folder).and_then(|()| write_atomic(&path, bytes)) {
            self.failure = Some(error);
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
