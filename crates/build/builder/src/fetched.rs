//! Build contexts that are not a folder of this machine: git repositories, archives, and single files of web servers.
//!
//! What is what follows BuildKit (`frontend/dockerui`): a repository's folder is the context; an archive is unpacked, with the owners in it;
//! any other file of a web server is the Dockerfile, alone in its context. A named context that is a file of a web server is never
//! unpacked: it holds that file, called `context`.

mod error;
mod spool;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_events::Events;
use longshore_oci::Digest;
use longshore_snapshot::{NodeKind, Snapshots};

use crate::archive;
use crate::build::Builder;
use crate::context::{ignore_file, read_disk, read_rules};
use crate::error::BuildError;
use crate::key::KeyWriter;
use crate::place::{Destination, Placer};
use crate::records::Records;
use crate::remote::{Address, AddressError, Asked, FetchError, Fetcher, GitAddress, WebFile};
use crate::request::{Credentials, DockerfilePlace, DockerfileSource};
use crate::rules::Rules;
use crate::scoped::Scoped;
use crate::select::Selected;
use crate::tree::{FileTree, SingleFile, SnapshotTree, TreeError, below_root};

pub use self::error::ContextError;
use self::spool::spool;

/// Name of a file that is a context, or that a context is made of.
const CONTEXT: &str = "context";

/// Largest file of rules or Dockerfile that is read out of a context, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The address of a context: a git repository, or something on a web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextAddress(Address);

/// Where a context comes from that is no folder.
pub enum ContextSource<'c> {
    /// An address.
    Address(&'c ContextAddress),
    /// A tar, compressed or not.
    Archive(Box<dyn Read + 'c>),
}

/// What is needed to fetch a context.
pub struct ContextRequest<'c> {
    /// Where it comes from.
    pub source: ContextSource<'c>,
    /// What git may log in with.
    pub credentials: &'c Credentials,
    /// Whether a repository's `.git` is kept; otherwise its address decides.
    pub keep_git_dir: bool,
    /// Whether a repository's files get its commit's time.
    pub commit_time: bool,
}

/// A context that was fetched. Cheap to clone.
#[derive(Clone)]
pub struct FetchedContext(Arc<Inner>);

struct Inner {
    /// Where it comes from, for messages.
    name: String,
    tree: Arc<dyn FileTree>,
    /// The tree's folder that is meant.
    folder: PathBuf,
    /// Whether it is one file, the Dockerfile.
    is_dockerfile: bool,
    /// Keeps what was unpacked from being pruned.
    _snapshots: Option<Snapshots>,
}

impl std::fmt::Debug for FetchedContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("FetchedContext").field(&self.0.name).finish()
    }
}

impl ContextAddress {
    /// Reads a text as an address; nothing where it is a path. Errors: it is an address, and malformed.
    pub fn read(text: &str) -> Option<Result<ContextAddress, AddressError>> {
        if let Some(path) = text.strip_prefix("github.com/") {
            // As Docker has it; what stands behind is a repository in any case.
            let (path, fragment) =
                path.split_once('#').map_or((path, None), |(path, rest)| (path, Some(rest)));
            let path = path.strip_suffix(".git").unwrap_or(path);
            let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
            return ContextAddress::read(&format!("https://github.com/{path}.git{fragment}"));
        }
        Address::read(text).map(|read| read.map(ContextAddress))
    }

    /// It as it may be shown in messages.
    pub fn shown(&self) -> String {
        self.0.shown()
    }
}

/// Fetches a context before its Dockerfile can be read.
///
/// Errors: it cannot be fetched or unpacked; [`BuildError::GoInside`] where that is to be done inside a user namespace.
pub fn fetch_context(
    builder: &Builder<'_>,
    request: ContextRequest<'_>,
    events: &Events,
) -> Result<FetchedContext, BuildError> {
    let snapshots = builder.isolate.before_steps()?.unwrap_or_else(|| builder.snapshots.clone());
    let (asked, records) = (Asked::default(), Records::of(builder.store, snapshots.kind()));
    let credentials = request.credentials;
    let fetcher = Fetcher { builder, credentials, asked: &asked, records, events };
    match request.source {
        ContextSource::Archive(mut reader) => {
            let archive = spool(&mut *reader, &fetcher);
            let context = archive.and_then(|(file, digest)| {
                let name = "the archive".to_owned();
                FetchedContext::unpacked(&fetcher, (name, &Arc::new(file), &digest), &snapshots)?
                    .ok_or(ContextError::NoArchive)
            });
            context.map_err(|error| error.of(""))
        }
        ContextSource::Address(address) => {
            let mut address = address.clone();
            if let Address::Git(git) = &mut address.0 {
                git.commit_time |= request.commit_time;
                git.keep_git_folder = Some(git.keep_git_folder.unwrap_or(false) || request.keep_git_dir);
            }
            let fetched = FetchedContext::fetch(&fetcher, &address, &snapshots, true);
            fetched.map_err(|error| error.of(""))?.ok_or_else(|| ContextError::Image.of(""))
        }
    }
}

impl FetchedContext {
    /// Fetches the context at an address; nothing where a server would have to be asked and that is not to be done.
    pub(crate) fn fetch(
        fetcher: &Fetcher<'_>,
        address: &ContextAddress,
        snapshots: &Snapshots,
        asks: bool,
    ) -> Result<Option<FetchedContext>, ContextError> {
        let name = address.shown();
        let failed =
            |source: FetchError| ContextError::Fetch { address: address.shown(), source: Box::new(source) };
        match &address.0 {
            Address::Git(git) => FetchedContext::of_repository(fetcher, name, git, asks).map_err(failed),
            Address::Web(web) => {
                let Some(WebFile { file, digest }) =
                    fetcher.named_file(web, CONTEXT, asks).map_err(failed)?
                else {
                    return Ok(None);
                };
                let file = Arc::new(file);
                if let Some(context) =
                    FetchedContext::unpacked(fetcher, (name.clone(), &file, &digest), snapshots)?
                {
                    return Ok(Some(context));
                }
                let mut inner = Inner::new(name, file, PathBuf::new());
                inner.is_dockerfile = true;
                Ok(Some(FetchedContext(Arc::new(inner))))
            }
        }
    }

    /// The files of a named context at an address; nothing as for [`FetchedContext::fetch`].
    pub(crate) fn fetch_named(
        fetcher: &Fetcher<'_>,
        address: &ContextAddress,
        asks: bool,
    ) -> Result<Option<Arc<dyn FileTree>>, ContextError> {
        let failed =
            |source: FetchError| ContextError::Fetch { address: address.shown(), source: Box::new(source) };
        match &address.0 {
            Address::Git(git) => {
                let fetched = FetchedContext::of_repository(fetcher, address.shown(), git, asks);
                Ok(fetched.map_err(failed)?.map(|context| context.tree()))
            }
            Address::Web(web) => {
                let file = fetcher.named_file(web, CONTEXT, asks).map_err(failed)?;
                Ok(file.map(|file| Arc::new(file.file) as Arc<dyn FileTree>))
            }
        }
    }

    fn of_repository(
        fetcher: &Fetcher<'_>,
        name: String,
        git: &GitAddress,
        asks: bool,
    ) -> Result<Option<FetchedContext>, FetchError> {
        let keeps = git.keep_git_folder.unwrap_or(false);
        let Some(remote) = fetcher.repository(git, keeps, asks)? else { return Ok(None) };
        let inner = Inner::new(name, fetcher.tree(&remote)?, PathBuf::from(&git.folder));
        Ok(Some(FetchedContext(Arc::new(inner))))
    }

    /// A file that is an archive, unpacked once for all builds; nothing where it is none.
    fn unpacked(
        fetcher: &Fetcher<'_>,
        (name, file, digest): (String, &Arc<SingleFile>, &Digest),
        snapshots: &Snapshots,
    ) -> Result<Option<FetchedContext>, ContextError> {
        if !archive::is_archive(&**file, Path::new(CONTEXT))? {
            return Ok(None);
        }
        let key = KeyWriter::new("context archive").text(&digest.to_string()).finish();
        let _alone = fetcher
            .records
            .lock(&key.hex(), fetcher.events)
            .map_err(FetchError::from)
            .map_err(|source| ContextError::Fetch { address: name.clone(), source: Box::new(source) })?;
        let snapshot = match snapshots.get(&key.snapshot())? {
            Some(known) => known,
            None => {
                let empty = snapshots.scratch();
                let mut draft = snapshots.draft(&empty)?;
                let mut writer = draft.writer(empty.view(fetcher.events)?)?;
                unpack(file, &mut writer, fetcher.events)?;
                drop(writer);
                draft.commit(&key.snapshot())?
            }
        };
        let mut chain = snapshots.scratch();
        chain.push(snapshot);
        let tree = Arc::new(SnapshotTree(chain.view(fetcher.events)?));
        let mut inner = Inner::new(name, tree, PathBuf::new());
        inner._snapshots = Some(snapshots.clone());
        Ok(Some(FetchedContext(Arc::new(inner))))
    }

    /// Where it comes from, for messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// A Dockerfile in it; the one file that it is, where it is one.
    ///
    /// Errors: it is not there, or no file that can be read.
    pub fn dockerfile(&self, path: &Path) -> Result<DockerfileSource, BuildError> {
        let path = if self.0.is_dockerfile { Path::new(CONTEXT) } else { path };
        let place = below_root(path);
        let bytes = read(&self.scoped(Rules::default()), &place).map_err(|error| error.of(""))?;
        let bytes = bytes.ok_or_else(|| ContextError::NoDockerfile(place.clone()).of(""))?;
        Ok(DockerfileSource { bytes, place: DockerfilePlace::Context(place) })
    }

    /// All its files.
    pub(crate) fn tree(&self) -> Arc<dyn FileTree> {
        Arc::new(self.scoped(Rules::default()))
    }

    /// Its files, less those that the rules beside its Dockerfile, or its own, leave out.
    pub(crate) fn ignoring(&self, dockerfile: &DockerfilePlace) -> Result<Arc<dyn FileTree>, BuildError> {
        let all = self.scoped(Rules::default());
        let own = PathBuf::from(".dockerignore");
        let mut read_own = |path: &Path| read(&all, path).map_err(|error| error.of(""));
        let ignore = match dockerfile {
            DockerfilePlace::Context(path) => read_rules(vec![ignore_file(path), own], &mut read_own)?,
            DockerfilePlace::Pipe => read_rules(vec![own], &mut read_own)?,
            DockerfilePlace::Disk(path) => {
                let beside = ignore_file(path);
                read_rules(vec![beside.clone(), own], &mut |path| match path == beside {
                    true => Ok(read_disk(path)?),
                    false => read_own(path),
                })?
            }
        };
        Ok(Arc::new(self.scoped(ignore)))
    }

    fn scoped(&self, ignore: Rules) -> Scoped {
        Scoped { tree: Arc::clone(&self.0.tree), folder: self.0.folder.clone(), ignore }
    }
}

impl Inner {
    fn new(name: String, tree: Arc<dyn FileTree>, folder: PathBuf) -> Self {
        Inner { name, tree, folder, is_dockerfile: false, _snapshots: None }
    }
}

/// A small file of a tree; nothing where it is not there.
fn read(tree: &dyn FileTree, path: &Path) -> Result<Option<Vec<u8>>, ContextError> {
    let place = tree.resolve(path)?;
    match tree.lookup(&place)?.map(|node| node.kind) {
        None => return Ok(None),
        Some(NodeKind::File { size }) if size <= MAX_FILE => {}
        Some(NodeKind::File { .. }) => {
            let source = io::ErrorKind::FileTooLarge.into();
            return Err(TreeError::Context { action: "read", path: path.to_owned(), source }.into());
        }
        Some(_) => return Err(TreeError::NotAFile(path.to_owned()).into()),
    }
    let mut bytes = Vec::new();
    let content = tree.open(&place)?.take(MAX_FILE).read_to_end(&mut bytes);
    content.map_err(|source| TreeError::Context { action: "read", path: path.to_owned(), source })?;
    Ok(Some(bytes))
}

fn unpack(
    file: &SingleFile,
    writer: &mut longshore_snapshot::Writer<'_>,
    events: &Events,
) -> Result<(), ContextError> {
    let to = Destination::root(0);
    let selected = Selected {
        place: PathBuf::from(CONTEXT),
        name: PathBuf::from(CONTEXT),
        node: file.node.clone(),
        items: Vec::new(),
    };
    let mut placer = Placer::new(file, writer, &to, events);
    archive::unpack(&mut placer, &selected).map_err(|kind| ContextError::Unpack(Box::new(kind)))?;
    Ok(())
}
