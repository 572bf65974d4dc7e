//! The modules that lie in folders of this machine, and the files that say which ones those are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use longshore_golang::{GoMod, GoWork, Replacement};

use super::Package;
use crate::error::BuildError;
use crate::memory::{Filter, Watch};

/// What the go.mod and go.work files say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Modules {
    /// Path and folder of every module in a folder: the main ones, those of the workspace, and replacements.
    local: Vec<(String, PathBuf)>,
    /// Files that were read, and files that were looked for.
    files: BTreeSet<PathBuf>,
    /// Folders whose existence matters: vendor.
    folders: BTreeSet<PathBuf>,
    /// What decides the toolchain, and the file that says it.
    pub(crate) lines: longshore_golang::ToolchainLines,
    pub(crate) lines_file: PathBuf,
}

impl Modules {
    /// Reads the module in `folder`, and its workspace: GOWORK's value, or the next go.work above.
    ///
    /// Errors: a file cannot be read, or is broken.
    pub(crate) fn read(folder: &Path, gowork: Option<&str>) -> Result<Modules, BuildError> {
        let mut modules = Modules::default();
        let main = modules.add(folder)?;
        if let Some(main) = &main {
            modules.lines = main.toolchain_lines();
        }
        modules.lines_file = folder.join("go.mod");
        let workspace = match gowork {
            Some("off") => None,
            Some(file) => Some(PathBuf::from(file)),
            None => modules.find_workspace(folder),
        };
        match workspace {
            Some(file) => modules.add_workspace(&file)?,
            None => modules.watch_vendor(folder),
        }
        Ok(modules)
    }

    fn find_workspace(&mut self, folder: &Path) -> Option<PathBuf> {
        for ancestor in folder.ancestors() {
            let file = ancestor.join("go.work");
            self.files.insert(file.clone());
            if file.is_file() {
                return Some(file);
            }
        }
        None
    }

    fn add_workspace(&mut self, file: &Path) -> Result<(), BuildError> {
        self.files.insert(file.to_owned());
        self.files.insert(file.with_extension("work.sum"));
        let bytes = fs::read(file).map_err(longshore_files::FileError::of("read", file))?;
        let work =
            GoWork::parse(&bytes).map_err(|source| BuildError::Module { file: file.to_owned(), source })?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        self.lines = work.toolchain_lines();
        self.lines_file = file.to_owned();
        for used in &work.uses {
            self.add(&folder.join(&used.value))?;
        }
        self.add_replacements(folder, &work.replace);
        self.watch_vendor(folder);
        Ok(())
    }

    /// Reads a module's go.mod, and takes note of the folders that it replaces others with.
    fn add(&mut self, folder: &Path) -> Result<Option<GoMod>, BuildError> {
        let folder = plain(folder);
        let file = folder.join("go.mod");
        self.files.insert(file.clone());
        self.files.insert(folder.join("go.sum"));
        if self.local.iter().any(|(_, known)| *known == folder) {
            return Ok(None);
        }
        let bytes = fs::read(&file).map_err(longshore_files::FileError::of("read", &file))?;
        let module = GoMod::parse(&bytes).map_err(|source| BuildError::Module { file, source })?;
        self.local.push((module.module.path.clone(), folder.clone()));
        self.add_replacements(&folder, &module.replace);
        Ok(Some(module))
    }

    fn add_replacements(&mut self, folder: &Path, replacements: &[longshore_golang::Replace]) {
        for replace in replacements {
            if let Replacement::Folder(with) = &replace.with {
                let with = plain(&folder.join(with));
                self.files.insert(with.join("go.mod"));
                if !self.local.iter().any(|(_, known)| *known == with) {
                    self.local.push((replace.path.clone(), with));
                }
            }
        }
    }

    fn watch_vendor(&mut self, folder: &Path) {
        self.folders.insert(folder.join("vendor"));
        self.files.insert(folder.join("vendor/modules.txt"));
    }

    /// Path of the module that is built.
    pub(crate) fn main_path(&self) -> &str {
        self.local.first().map_or("", |(path, _)| path.as_str())
    }

    /// Watches the files that say what the modules are.
    pub(crate) fn watch(&self, watch: &mut Watch) {
        for file in &self.files {
            watch.file(file);
        }
        for folder in &self.folders {
            watch.presence(folder);
        }
    }

    /// Watches that no go.mod appears between a package and the module that it belongs to.
    pub(crate) fn watch_borders(&self, package: &Package, watch: &mut Watch) {
        let roots = || self.local.iter().map(|(_, folder)| folder);
        let root =
            roots().filter(|root| package.dir.starts_with(root)).max_by_key(|root| root.as_os_str().len());
        for folder in package.dir.ancestors() {
            if root.is_none_or(|root| !folder.starts_with(root) || folder == root) {
                break;
            }
            watch.presence(&folder.join("go.mod"));
        }
    }

    /// Watches the folders of other modules in which the package's import path would be found too, were there one.
    pub(crate) fn watch_shadows(&self, package: &Package, watch: &mut Watch) {
        for (path, folder) in &self.local {
            let own =
                package.module.as_ref().is_some_and(|module| module.dir == *folder || module.path == *path);
            let inside =
                package.import_path.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix('/'));
            if let (false, Some(inside)) = (own, inside) {
                watch.folder(&folder.join(inside), &Filter::GoSources);
                let mut between = folder.clone();
                for component in inside.split('/') {
                    between.push(component);
                    watch.presence(&between.join("go.mod"));
                }
            }
        }
    }
}

/// A path without `.` and `..`, as Go's `filepath.Clean` makes it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
