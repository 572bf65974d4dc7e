//! Finds go.mod and go.work the way Go does: the nearest ones from a folder upward.
//!
//! Source: <https://go.dev/ref/mod#workspaces>, `cmd/go/internal/modload/init.go`.

use std::fs;
use std::path::{Path, PathBuf};

use longshore_golang::{GoMod, GoWork};

use crate::disk::{normalize, read_module_file};
use crate::error::ProjectError;
use crate::{DetectOptions, Workspace};

/// A module's file and folder.
#[derive(Debug, Clone)]
pub(crate) struct ModuleFile {
    /// The absolute folder.
    pub dir: PathBuf,
    pub go_mod: GoMod,
}

/// Where a project's root is and which modules it has.
#[derive(Debug)]
pub(crate) struct Location {
    /// The absolute folder that was asked about.
    pub start: PathBuf,
    /// The absolute folder of go.work or go.mod.
    pub root: PathBuf,
    pub work: Option<(PathBuf, GoWork)>,
    pub modules: Vec<ModuleFile>,
}

/// Finds the project of a folder, or of a file in it.
pub(crate) fn locate(path: &Path, options: &DetectOptions) -> Result<Location, ProjectError> {
    let start = start_folder(path)?;
    let module = nearest(&start, "go.mod");
    let work = match &options.workspace {
        Workspace::Off => None,
        Workspace::File(file) if file.is_file() => Some(file.clone()),
        Workspace::File(file) => return Err(ProjectError::NoWorkspace { path: file.clone() }),
        Workspace::Find => nearest(&start, "go.work").map(|dir| dir.join("go.work")),
    };
    match (work, module) {
        (Some(work), module) => workspace(start, &work, module.as_deref()),
        (None, Some(dir)) => {
            let module = read_module(&dir)?;
            Ok(Location { start, root: dir, work: None, modules: vec![module] })
        }
        (None, None) => Err(ProjectError::NoModule {
            has_go_files: go_files_in(&start),
            below: module_below(&start),
            start,
        }),
    }
}

pub(crate) fn read_module(dir: &Path) -> Result<ModuleFile, ProjectError> {
    let path = dir.join("go.mod");
    let bytes = read_module_file(&path)?;
    let go_mod = GoMod::parse(&bytes).map_err(|source| ProjectError::Malformed { path, source })?;
    Ok(ModuleFile { dir: dir.to_owned(), go_mod })
}

fn start_folder(path: &Path) -> Result<PathBuf, ProjectError> {
    let unreadable = |source| ProjectError::Unreadable { path: path.to_owned(), source };
    let absolute = fs::canonicalize(path).map_err(unreadable)?;
    if absolute.is_dir() {
        // A folder that cannot be listed is worth an error of its own, not "no go.mod".
        fs::read_dir(&absolute).map_err(unreadable)?;
        return Ok(absolute);
    }
    Ok(absolute.parent().map(Path::to_owned).unwrap_or(absolute))
}

fn nearest(start: &Path, name: &str) -> Option<PathBuf> {
    start.ancestors().find(|dir| dir.join(name).is_file()).map(Path::to_owned)
}

fn workspace(start: PathBuf, file: &Path, module: Option<&Path>) -> Result<Location, ProjectError> {
    let bytes = read_module_file(file)?;
    let malformed = |source| ProjectError::Malformed { path: file.to_owned(), source };
    let work = GoWork::parse(&bytes).map_err(malformed)?;
    let root = file.parent().map(Path::to_owned).unwrap_or_default();
    let root = fs::canonicalize(&root).unwrap_or(root);
    let mut modules: Vec<ModuleFile> = Vec::new();
    for used in &work.uses {
        let dir = normalize(&root.join(&used.value));
        if !dir.join("go.mod").is_file() {
            let folder = used.value.clone();
            return Err(ProjectError::NotAModule { work: file.to_owned(), line: used.line, folder });
        }
        // Links would make the same folder look like two.
        let dir = fs::canonicalize(&dir).unwrap_or(dir);
        if !modules.iter().any(|known| known.dir == dir) {
            modules.push(read_module(&dir)?);
        }
    }
    // A go.mod between the start and go.work must be one of the workspace's; one above go.work does not matter.
    if let Some(module) = module
        && module.starts_with(&root)
        && !modules.iter().any(|known| known.dir == module)
        && (module != root || start != root)
    {
        return Err(ProjectError::OutsideWorkspace { module: module.to_owned(), work: file.to_owned() });
    }
    Ok(Location { start, root, work: Some((file.to_owned(), work)), modules })
}

fn go_files_in(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".go"))
}

/// A go.mod one or two folders down, for the hint of an error.
fn module_below(dir: &Path) -> Option<PathBuf> {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        let mut folders: Vec<_> = entries
            .flatten()
            .take(1000)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with(['.', '_']))
            .map(|entry| entry.path())
            .collect();
        folders.sort();
        folders
    };
    let near = folders(dir);
    let far = near.iter().take(50).flat_map(|dir| folders(dir));
    near.iter().cloned().chain(far).find(|dir| dir.join("go.mod").is_file())
}
