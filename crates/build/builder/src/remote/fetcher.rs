//! Whoever takes something from an address: ADD, and contexts that are elsewhere.
//!
//! What an address holds is asked once in a build, however many instructions and platforms name it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use longshore_events::{Events, Task, TaskKind};
use longshore_files::Lock;
use longshore_oci::Digest;

use super::address::{GitAddress, WebAddress};
use super::checkout::Checkout;
use super::error::FetchError;
use super::git::{self, Access, Git, Resolved};
use super::literal;
use super::web::{self, Web};
use crate::build::Builder;
use crate::key::{Key, KeyWriter};
use crate::records::{LockError, Records};
use crate::request::Credentials;
use crate::rules::Rules;
use crate::solve::held;
use crate::tree::{FileTree, SingleFile};

/// What addresses were found to hold in this build.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    files: Mutex<HashMap<String, Digest>>,
    references: Mutex<HashMap<(String, Option<String>), Resolved>>,
}

/// What an address holds, known by its identity and fetched when it is needed.
pub(crate) struct Remote {
    /// Equal for equal content under equal names.
    identity: Key,
    /// Pattern for what of the tree is meant.
    pub(crate) path: String,
    /// The address, for messages.
    pub(crate) address: String,
    source: Source,
    tree: Mutex<Option<Arc<dyn FileTree>>>,
}

enum Source {
    Web { address: WebAddress, digest: Digest, is_pinned: bool },
    Git { address: GitAddress, resolved: Resolved, keeps_git_folder: bool },
}

impl Remote {
    /// Writes into a key what is taken of it.
    pub(crate) fn describe(&self, unpack: bool, exclude: Option<&Rules>, key: &mut KeyWriter) {
        key.text("address").key(&self.identity).flag(unpack);
        key.optional(exclude.map(ToString::to_string).as_deref());
    }
}

/// A file of a web server, fetched.
pub(crate) struct WebFile {
    pub(crate) file: SingleFile,
    pub(crate) digest: Digest,
}

/// Fetches, and keeps what was fetched in the store.
pub(crate) struct Fetcher<'f> {
    pub(crate) builder: &'f Builder<'f>,
    pub(crate) credentials: &'f Credentials,
    pub(crate) asked: &'f Asked,
    pub(crate) records: Records,
    pub(crate) events: &'f Events,
}

impl Fetcher<'_> {
    /// The file at an address. Where its checksum is not known a server must be asked: nothing if that is not to be done.
    pub(crate) fn file(
        &self,
        address: &WebAddress,
        pinned: Option<Digest>,
        asks: bool,
    ) -> Result<Option<Remote>, FetchError> {
        let is_pinned = pinned.is_some();
        let digest = match pinned {
            Some(digest) => digest,
            None if !asks => return Ok(None),
            None => {
                let _alone = self.alone("address", address.url.as_str())?;
                let known = held(&self.asked.files).get(address.url.as_str()).cloned();
                let digest = known.map_or_else(|| self.web().ask(address), Ok)?;
                held(&self.asked.files).insert(address.url.to_string(), digest.clone());
                digest
            }
        };
        Ok(Some(Remote {
            identity: web::identity(address, &digest),
            path: literal(&address.name),
            address: longshore_http::redacted(&address.url),
            source: Source::Web { address: address.clone(), digest, is_pinned },
            tree: Mutex::default(),
        }))
    }

    /// The file at an address under another name; nothing as for [`Fetcher::file`].
    pub(crate) fn named_file(
        &self,
        address: &WebAddress,
        name: &str,
        asks: bool,
    ) -> Result<Option<WebFile>, FetchError> {
        match self.file(address, None, asks)?.map(|remote| remote.source) {
            Some(Source::Web { mut address, digest, is_pinned }) => {
                address.name = name.to_owned();
                Ok(Some(WebFile { file: self.content(&address, &digest, is_pinned)?, digest }))
            }
            _ => Ok(None),
        }
    }

    /// What a repository has. Where no commit is named a server must be asked: nothing if that is not to be done.
    pub(crate) fn repository(
        &self,
        address: &GitAddress,
        keeps_git_folder: bool,
        asks: bool,
    ) -> Result<Option<Remote>, FetchError> {
        let resolved = match git::pinned(address)? {
            Some(resolved) => resolved,
            None if !asks => return Ok(None),
            None => {
                let _alone = self.alone("git", &address.remote)?;
                let name = (address.remote.clone(), address.reference.clone());
                let known = held(&self.asked.references).get(&name).cloned();
                let resolved = known.map_or_else(|| self.with_git(address, |git| git.resolve()), Ok)?;
                held(&self.asked.references).insert(name, resolved.clone());
                resolved
            }
        };
        resolved.check(address.checksum.as_deref())?;
        Ok(Some(Remote {
            identity: git::identity(address, &resolved, keeps_git_folder),
            path: literal(&address.folder),
            address: address.shown(),
            source: Source::Git { address: address.clone(), resolved, keeps_git_folder },
            tree: Mutex::default(),
        }))
    }

    /// The files, fetched if they are not here.
    pub(crate) fn tree(&self, remote: &Remote) -> Result<Arc<dyn FileTree>, FetchError> {
        let mut tree = held(&remote.tree);
        if let Some(tree) = &*tree {
            return Ok(Arc::clone(tree));
        }
        let made: Arc<dyn FileTree> = match &remote.source {
            Source::Web { address, digest, is_pinned } => {
                Arc::new(self.content(address, digest, *is_pinned)?)
            }
            Source::Git { address, resolved, keeps_git_folder } => {
                let _alone = self.alone("git", &address.remote)?;
                let store = self.builder.store;
                let make = |git: &Git<'_>| Checkout::make(git, store, address, resolved, *keeps_git_folder);
                Arc::new(self.with_git(address, make)?)
            }
        };
        *tree = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The file at an address, and the digest that it was asked for.
    fn content(
        &self,
        address: &WebAddress,
        digest: &Digest,
        is_pinned: bool,
    ) -> Result<SingleFile, FetchError> {
        let _alone = self.alone("content", digest.encoded())?;
        self.web().file(address, digest, is_pinned)
    }

    fn web(&self) -> Web<'_> {
        Web { store: self.builder.store, http: self.builder.http, events: self.events }
    }

    /// Works with a repository, whose lock the caller holds.
    fn with_git<T>(
        &self,
        address: &GitAddress,
        work: impl FnOnce(&Git<'_>) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let task: Task = self.events.task(TaskKind::Download, address.shown());
        let access = self.access();
        let is_offline = self.builder.http.is_none();
        let surroundings = (&self.builder.environment, &access);
        let git = Git::new(self.builder.store, address, surroundings, is_offline, &task)?;
        let done = work(&git)?;
        task.done("");
        Ok(done)
    }

    /// The ssh agent and the secrets that were given for git, by the names that BuildKit has for them.
    fn access(&self) -> Access {
        let secret = |id: &str| {
            let secret = self.credentials.secrets.get(id)?;
            let text = String::from_utf8_lossy(secret.reveal()).trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let token = |token: String| format!("basic {}", BASE64.encode(format!("x-access-token:{token}")));
        let agent: Option<PathBuf> = self.credentials.ssh.get("default").cloned();
        Access {
            agent,
            authorization: secret("GIT_AUTH_HEADER").or_else(|| secret("GIT_AUTH_TOKEN").map(token)),
        }
    }

    /// Keeps other builds from fetching the same at the same time: they find what this one leaves.
    fn alone(&self, kind: &str, name: &str) -> Result<Lock, FetchError> {
        let key = KeyWriter::new(kind).text(name).finish();
        Ok(self.records.lock(&key.hex(), self.events)?)
    }
}

impl From<LockError> for FetchError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::File(error) => error.into(),
            LockError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}
