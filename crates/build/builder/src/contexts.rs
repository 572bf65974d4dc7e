//! The build context and its named sisters, each opened once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::context::{ContextTree, ignore_file, read_disk, read_rules};
use crate::error::BuildError;
use crate::fetched::{ContextError, FetchedContext};
use crate::key::KeyWriter;
use crate::memory::HashMemory;
use crate::request::{Context, DockerfilePlace};
use crate::scoped::Scoped;
use crate::solve::{Mode, Solve, Stop, held};
use crate::tree::FileTree;

impl<'a> Solve<'a> {
    /// The build context.
    pub(crate) fn context(&self) -> Result<Arc<dyn FileTree>, BuildError> {
        if let Some(tree) = self.context.get() {
            return Ok(Arc::clone(tree));
        }
        let tree = match &self.request.context {
            Context::Folder(folder) => {
                let beside = match &self.request.dockerfile.place {
                    DockerfilePlace::Disk(path) => Some(path.as_path()),
                    DockerfilePlace::Context(_) | DockerfilePlace::Pipe => None,
                };
                self.open_folder("", folder, beside)
            }
            Context::Fetched(fetched) => fetched.ignoring(&self.request.dockerfile.place),
            Context::Address(address) => {
                let fetched = FetchedContext::fetch(&self.fetcher(), address, self.snapshots(), true);
                match fetched.map_err(|error| error.of(""))? {
                    Some(fetched) => fetched.ignoring(&self.request.dockerfile.place),
                    None => Err(ContextError::Image.of("")),
                }
            }
            Context::Image(_) | Context::Reference(_) => Err(ContextError::Image.of("")),
        }?;
        Ok(Arc::clone(self.context.get_or_init(|| tree)))
    }

    /// A named context that is no image. While probing no server is asked.
    pub(crate) fn named_tree(&self, name: &str, mode: Mode) -> Result<Arc<dyn FileTree>, Stop> {
        let mut named = held(&self.named);
        if let Some(tree) = named.get(name) {
            return Ok(Arc::clone(tree));
        }
        let tree = match self.named_context(name) {
            Some(Context::Folder(folder)) => self.open_folder(name, folder, None)?,
            Some(Context::Fetched(fetched)) => fetched.tree(),
            Some(Context::Address(address)) => {
                let (fetcher, asks) = (self.fetcher(), mode == Mode::Build);
                let tree = FetchedContext::fetch_named(&fetcher, address, asks);
                tree.map_err(|error| error.of(name))?.ok_or(Stop::Unknown)?
            }
            Some(Context::Image(_) | Context::Reference(_)) | None => {
                return Err(ContextError::Image.of(name).into());
            }
        };
        named.insert(name.to_owned(), Arc::clone(&tree));
        Ok(tree)
    }

    fn open_folder(
        &self,
        name: &str,
        folder: &Path,
        dockerfile: Option<&Path>,
    ) -> Result<Arc<dyn FileTree>, BuildError> {
        let failed = |error| ContextError::from(error).of(name);
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let key = KeyWriter::new("context").bytes(path.as_os_str().as_encoded_bytes()).finish();
        let memory = HashMemory::open(self.records().hashes(&key));
        let files: Vec<PathBuf> =
            dockerfile.map(ignore_file).into_iter().chain([folder.join(".dockerignore")]).collect();
        let ignore = read_rules(files, &mut |path| read_disk(path).map_err(failed))?;
        let tree = Arc::new(ContextTree::open(folder, memory).map_err(failed)?);
        Ok(Arc::new(Scoped { tree, folder: PathBuf::new(), ignore }))
    }

    /// Keeps what was hashed for the next build.
    pub(crate) fn remember(&self) -> Result<(), BuildError> {
        if let Some(context) = self.context.get() {
            context.remember()?;
        }
        for tree in held(&self.named).values() {
            tree.remember()?;
        }
        Ok(())
    }
}
