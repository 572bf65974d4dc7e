//! Where COPY, ADD and the mounts of RUN take files from: `--from=` and `from=` made sense of.

use std::path::Path;

use std::sync::Arc;

use longshore_snapshot::{Draft, Snapshot};

use crate::error::{BuildError, InstructionErrorKind};
use crate::fetched::ContextError;
use crate::key::{Key, KeyWriter};
use crate::request::Context;
use crate::select::{Filter, describe, select};
use crate::solve::{At, Mode, Solve, Stop, held};
use crate::state::StageState;
use crate::tree::{FileTree, SnapshotTree};

/// A tree that files are taken from.
pub(crate) enum Origin {
    /// The build context.
    Context,
    /// A named context that is a folder.
    Named(String),
    /// A stage, or an image, with its state.
    State(Arc<StageState>),
}

impl<'a> Solve<'a> {
    /// What a `from` names: a stage before this one, a named context, an image. Without one it is the build context.
    pub(crate) fn origin(&self, from: Option<&str>, at: &At<'_>, mode: Mode) -> Result<Origin, Stop> {
        let Some(name) = from.filter(|name| !name.is_empty()) else { return Ok(Origin::Context) };
        if let Some(index) = self.graph.find(name).filter(|index| *index < at.stage) {
            return Ok(Origin::State(self.state_of(index, mode)?));
        }
        match self.named_context(name) {
            Some(Context::Folder(_) | Context::Fetched(_) | Context::Address(_)) => {
                self.named_tree(name, mode)?;
                return Ok(Origin::Named(name.to_owned()));
            }
            Some(context) => {
                let state = self.state_of_context((name, context), None, at.instruction, mode)?;
                return Ok(Origin::State(Arc::new(state)));
            }
            None => {}
        }
        if name.eq_ignore_ascii_case("scratch") {
            return Ok(Origin::State(Arc::new(self.scratch(&self.platform))));
        }
        let state = self.state_of_image(name, &self.platform, Some(at.instruction))?;
        Ok(Origin::State(Arc::new(state)))
    }

    /// The files of an origin. Those of a stage must have been made.
    pub(crate) fn tree(&self, origin: &Origin) -> Result<Arc<dyn FileTree>, BuildError> {
        Ok(match origin {
            Origin::Context => self.context()?,
            Origin::Named(name) => {
                held(&self.named).get(name).cloned().ok_or_else(|| ContextError::Image.of(name))?
            }
            Origin::State(state) => Arc::new(SnapshotTree(self.view(state)?)),
        })
    }

    /// The identity of what `paths` name in an origin: names, modes, owners and contents. For a stage or an image it is remembered, so
    /// that the stage need not be there to know it; nothing where it is not known and `mode` does not allow to look.
    pub(crate) fn content(&self, origin: &Origin, paths: &[String], mode: Mode) -> Result<Key, Stop> {
        let Origin::State(state) = origin else {
            return Ok(self.paths_key(&*self.tree(origin)?, paths, &Filter::default())?);
        };
        let mut short = KeyWriter::new("content of paths");
        short.key(&state.key).list(paths.iter().map(String::as_str));
        self.remembered(&short.finish(), mode, &mut || {
            Ok(self.paths_key(&*self.tree(origin)?, paths, &Filter::default())?)
        })
    }

    /// What is recorded under `key`, or is found by looking and then recorded.
    pub(crate) fn remembered(
        &self,
        key: &Key,
        mode: Mode,
        look: &mut dyn FnMut() -> Result<Key, Stop>,
    ) -> Result<Key, Stop> {
        let tell = |content: Key| {
            held(&self.told).contents.insert(*key, content);
            content
        };
        if let Some(known) = self.records().get(key) {
            return Ok(tell(known));
        }
        if let Some(known) = self.imports.content(key) {
            self.records().put(key, &known)?;
            return Ok(tell(known));
        }
        if mode == Mode::Probe {
            return Err(Stop::Unknown);
        }
        let found = look()?;
        self.records().put(key, &found)?;
        Ok(tell(found))
    }

    fn paths_key(&self, tree: &dyn FileTree, paths: &[String], filter: &Filter) -> Result<Key, BuildError> {
        let mut key = KeyWriter::new("paths");
        for path in paths {
            let selected = select(tree, path, filter)?;
            describe(tree, &selected, &mut key)?;
        }
        Ok(key.finish())
    }

    /// Key of a snapshot that holds a part of a tree.
    pub(crate) fn tree_key(&self, tree: &dyn FileTree, path: &str) -> Result<Key, BuildError> {
        let content = self.paths_key(tree, &[path.to_owned()], &Filter::default())?;
        Ok(KeyWriter::new("tree").key(&content).finish())
    }

    /// A snapshot with what stands at `path` of a tree: a folder's content in its root, or a file under its name.
    pub(crate) fn tree_snapshot(
        &self,
        tree: &dyn FileTree,
        path: &str,
        key: &Key,
    ) -> Result<Snapshot, BuildError> {
        let snapshots = self.snapshots();
        if let Some(known) = snapshots.get(&key.snapshot())? {
            return Ok(known);
        }
        Ok(self.tree_draft(tree, path)?.commit(&key.snapshot())?)
    }

    /// Writes what stands at `path` of a tree into a new folder.
    pub(crate) fn fill(&self, tree: &dyn FileTree, path: &str, place: &Path) -> Result<(), BuildError> {
        Ok(self.tree_draft(tree, path)?.release(place)?)
    }

    fn tree_draft(&self, tree: &dyn FileTree, path: &str) -> Result<Draft, BuildError> {
        let empty = self.snapshots().scratch();
        let mut draft = self.snapshots().draft(&empty)?;
        let to = crate::place::Destination::root(self.now);
        let mut writer = draft.writer(empty.view(&self.events)?)?;
        for selected in select(tree, path, &Filter::default())? {
            crate::place::Placer::new(tree, &mut writer, &to, &self.events).place(&selected)?;
        }
        drop(writer);
        Ok(draft)
    }
}

/// Errors of one instruction, with its place.
pub(crate) fn failed(at: &At<'_>, kind: impl Into<InstructionErrorKind>) -> Stop {
    Stop::Failed(Box::new(crate::error::InstructionError::of(at.instruction, kind.into())).into())
}
