//! What COPY and ADD take from elsewhere than a tree: text in the Dockerfile, files from web servers, git repositories.
//!
//! What an address holds is identified before it is fetched wherever that is possible: by `--checksum`, or by a commit. Then a step whose
//! result is known needs no network. Otherwise the server is asked, which probing leaves to the build.

mod address;
mod checkout;
mod error;
mod fetcher;
mod git;
mod shown;
mod web;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use longshore_dockerfile::instruction::Transfer;
use longshore_files::{AtomicFile, FileError};
use longshore_oci::{Algorithm, Digest};
use longshore_snapshot::NodeKind;

use crate::error::InstructionErrorKind;
use crate::origin::failed;
use crate::solve::{At, Mode, Solve, Stop};
use crate::tree::{FileNode, FileTree, SingleFile, TreeError};

pub(crate) use self::address::{Address, GitAddress};
pub use self::error::{AddressError, FetchError};
pub(crate) use self::fetcher::{Asked, Fetcher, Remote, WebFile};
pub(crate) use self::shown::without_credentials;

/// A tree with one file whose content stands in the Dockerfile.
pub(crate) fn inline(name: &str, text: &[u8], now: i64, folder: &Path) -> Result<SingleFile, FileError> {
    let content = unnamed(folder, text)?;
    let kind = NodeKind::File { size: text.len() as u64 };
    let node = FileNode::new(kind, 0o644, now);
    Ok(SingleFile { name: OsString::from(name), node, content, digest: *blake3::hash(text).as_bytes() })
}

/// A tree with nothing in it.
pub(crate) fn nothing() -> Nothing {
    Nothing
}

/// A tree with nothing in it: for folders that are made and filled by nobody.
pub(crate) struct Nothing;

impl FileTree for Nothing {
    fn lookup(&self, _: &Path) -> Result<Option<FileNode>, TreeError> {
        Ok(None)
    }

    fn list(&self, _: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError> {
        Ok(Vec::new())
    }

    fn open(&self, path: &Path) -> Result<File, TreeError> {
        Err(TreeError::NotAFile(path.to_owned()))
    }

    fn hash(&self, path: &Path, _: &FileNode) -> Result<[u8; 32], TreeError> {
        Err(TreeError::NotAFile(path.to_owned()))
    }
}

/// A file without a name that holds `bytes`.
fn unnamed(folder: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let mut file = tempfile::tempfile_in(folder).map_err(FileError::of("create a file in", folder))?;
    file.write_all(bytes).map_err(FileError::of("write a file in", folder))?;
    Ok(file)
}

/// Notes that an item of the store's cache is in use.
fn used(item: &Path) -> Result<(), FileError> {
    AtomicFile::create_in(item)?.commit_unsynced(&item.join("last-used"))
}

/// What ADD says of an address.
struct Wanted<'w> {
    checksum: Option<&'w str>,
    keep_git_dir: Option<bool>,
}

impl<'a> Solve<'a> {
    /// A source of COPY or ADD that is an address.
    pub(crate) fn remote(
        &self,
        at: &At<'_>,
        (transfer, checksum, is_add): (&Transfer, Option<&str>, bool),
        (text, address): (&str, Result<Address, AddressError>),
        mode: Mode,
    ) -> Result<Remote, Stop> {
        let value = |what, value: &str, expected: &str| {
            let (value, expected) = (without_credentials(value), expected.to_owned());
            failed(at, InstructionErrorKind::Value { what, value, expected })
        };
        if !is_add {
            return Err(value("the source", text, "a path: COPY takes no addresses, ADD does"));
        }
        if let Some(checksum) = checksum.filter(|_| transfer.sources.len() > 1) {
            return Err(value("--checksum", checksum, "used with one source alone"));
        }
        let address = address.map_err(|error| {
            let (address, source) = (without_credentials(text), Box::new(error.into()));
            failed(at, InstructionErrorKind::Fetch { address, source })
        })?;
        let wanted = Wanted { checksum, keep_git_dir: transfer.keep_git_dir };
        self.fetch(at, &address, &wanted, mode)
    }

    /// What an address holds. While probing no server is asked.
    fn fetch(&self, at: &At<'_>, address: &Address, wanted: &Wanted<'_>, mode: Mode) -> Result<Remote, Stop> {
        let asks = mode == Mode::Build;
        let found = match address {
            Address::Web(web) => {
                let checksum = wanted.checksum.map(sha256).transpose();
                self.fetcher().file(web, checksum.map_err(|kind| failed(at, kind))?, asks)
            }
            Address::Git(git) => {
                let mut git = git.clone();
                let keeps_git_folder = merge(&mut git, wanted).map_err(|kind| failed(at, kind))?;
                self.fetcher().repository(&git, keeps_git_folder, asks)
            }
        };
        let found = found.map_err(|error| failed_fetch(at, &address.shown(), error))?;
        found.ok_or(Stop::Unknown)
    }

    /// The files of an address, fetched if they are not here.
    pub(crate) fn remote_tree(&self, at: &At<'_>, remote: &Remote) -> Result<Arc<dyn FileTree>, Stop> {
        self.fetcher().tree(remote).map_err(|error| failed_fetch(at, &remote.address, error))
    }

    pub(crate) fn fetcher(&self) -> Fetcher<'_> {
        Fetcher {
            builder: self.builder,
            credentials: &self.request.credentials,
            asked: self.asked,
            records: self.records(),
            events: &self.events,
        }
    }
}

/// What a flag and the address say together. Returns whether `.git` is kept.
fn merge(address: &mut GitAddress, wanted: &Wanted<'_>) -> Result<bool, InstructionErrorKind> {
    if let Some(checksum) = wanted.checksum {
        if address::check_commit(checksum).is_err() {
            return Err(checksum_error(checksum, "the hexadecimal digits of a commit"));
        }
        if address.checksum.as_deref().is_some_and(|own| own != checksum) {
            return Err(checksum_error(checksum, "what the address says, too"));
        }
        address.checksum = Some(checksum.to_owned());
    }
    match (wanted.keep_git_dir, address.keep_git_folder) {
        (Some(flag), Some(own)) if flag != own => {
            let expected = "what the address says, too".to_owned();
            Err(InstructionErrorKind::Value { what: "--keep-git-dir", value: flag.to_string(), expected })
        }
        (flag, own) => Ok(flag.or(own).unwrap_or(false)),
    }
}

/// `--checksum` of a file.
fn sha256(checksum: &str) -> Result<Digest, InstructionErrorKind> {
    let digest: Option<Digest> = checksum.parse().ok();
    let digest = digest.filter(|digest| digest.algorithm() == Algorithm::Sha256);
    digest.ok_or_else(|| checksum_error(checksum, "sha256: and 64 hexadecimal digits"))
}

fn checksum_error(checksum: &str, expected: &str) -> InstructionErrorKind {
    InstructionErrorKind::Value {
        what: "--checksum",
        value: checksum.to_owned(),
        expected: expected.to_owned(),
    }
}

/// A pattern that matches a path and nothing else.
fn literal(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn failed_fetch(at: &At<'_>, address: &str, error: FetchError) -> Stop {
    let address = address.to_owned();
    let kind = match error {
        FetchError::Cancelled(cancelled) => InstructionErrorKind::Cancelled(cancelled),
        FetchError::Checksum { expected, found } => {
            InstructionErrorKind::Checksum { address, expected, found }
        }
        other => InstructionErrorKind::Fetch { address, source: Box::new(other) },
    };
    failed(at, kind)
}

#[cfg(test)]
mod tests {
    use longshore_dockerfile::wildcard::matches;

    use super::*;

    #[test]
    fn names_are_no_patterns() {
        for name in ["plain", "a*b", "a[1].txt", "what?", "back\\slash"] {
            assert!(matches(&literal(name), name).unwrap(), "{name}");
            assert!(!matches(&literal(name), &format!("{name}x")).unwrap(), "{name}");
        }
        assert!(!matches(&literal("a*b"), "axb").unwrap());
    }

    #[test]
    fn checksums_of_files_are_sha256() {
        let good = format!("sha256:{}", "0".repeat(64));
        assert_eq!(sha256(&good).unwrap().to_string(), good);
        for bad in ["", "abc", "md5:abc", "sha256:abc", &format!("sha512:{}", "0".repeat(128))] {
            let error = sha256(bad).unwrap_err().to_string();
            let expected = format!("--checksum is `{bad}`, and must be sha256: and 64 hexadecimal digits");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn flags_and_address_must_agree() {
        let commit = "a".repeat(40);
        let other = "b".repeat(40);
        let address = |checksum: Option<&str>, keeps| GitAddress {
            checksum: checksum.map(str::to_owned),
            keep_git_folder: keeps,
            ..GitAddress::default()
        };
        for (own, keeps, checksum, flag, expected) in [
            (None, None, None, None, Some((None, false))),
            (Some(&*commit), Some(true), None, None, Some((Some(&*commit), true))),
            (None, None, Some(&*commit), Some(true), Some((Some(&*commit), true))),
            (Some(&*commit), Some(true), Some(&*commit), Some(true), Some((Some(&*commit), true))),
            (Some(&*commit), None, Some(&*other), None, None),
            (None, Some(false), None, Some(true), None),
            (None, None, Some("main"), None, None),
        ] {
            let mut address = address(own, keeps);
            let merged = merge(&mut address, &Wanted { checksum, keep_git_dir: flag });
            let merged = merged.ok().map(|keeps| (address.checksum.as_deref(), keeps));
            assert_eq!(merged, expected);
        }
    }
}
