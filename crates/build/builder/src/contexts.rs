//! The build context and its named sisters, each opened once.

use std::path::Path;
use std::sync::Arc;

use crate::context::{ContextTree, IgnoreError, ignore_file};
use crate::error::BuildError;
use crate::key::KeyWriter;
use crate::memory::HashMemory;
use crate::request::Context;
use crate::solve::{Solve, held};

impl<'a> Solve<'a> {
    /// The build context.
    pub(crate) fn context(&self) -> Result<Arc<ContextTree>, BuildError> {
        if let Some(tree) = self.context.get() {
            return Ok(Arc::clone(tree));
        }
        let Context::Folder(folder) = &self.request.context else {
            let what = "is an image, and the build context must be a folder".to_owned();
            return Err(BuildError::NamedContext { name: "context".to_owned(), what });
        };
        let tree = self.open_context(folder, self.request.dockerfile.path.as_deref())?;
        Ok(Arc::clone(self.context.get_or_init(|| tree)))
    }

    /// A named context that is a folder.
    pub(crate) fn named_tree(&self, name: &str) -> Result<Arc<ContextTree>, BuildError> {
        let mut named = held(&self.named);
        if let Some(tree) = named.get(name) {
            return Ok(Arc::clone(tree));
        }
        let Some(Context::Folder(folder)) = self.named_context(name) else {
            let what = "is no folder".to_owned();
            return Err(BuildError::NamedContext { name: name.to_owned(), what });
        };
        let tree = self.open_context(folder, None)?;
        named.insert(name.to_owned(), Arc::clone(&tree));
        Ok(tree)
    }

    fn open_context(&self, folder: &Path, dockerfile: Option<&Path>) -> Result<Arc<ContextTree>, BuildError> {
        let ignore = ignore_file(folder, dockerfile).map_err(|error| match error {
            IgnoreError::File(error) => BuildError::from(error),
            IgnoreError::Patterns { file, text, problems } => BuildError::Dockerfile {
                file: file.display().to_string(),
                source_text: text,
                diagnostics: problems,
            },
        })?;
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let name = KeyWriter::new("context").bytes(path.as_os_str().as_encoded_bytes()).finish();
        let memory = HashMemory::open(self.records().hashes(&name));
        Ok(Arc::new(ContextTree::open(folder, ignore, memory)?))
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
