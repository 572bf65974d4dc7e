//! The packages of a module: which folders hold them, which of their files a build takes, and what those import.
//!
//! Folders are those that Go's `./...` means: not vendor, testdata, those that start with `.` or `_`, nested modules, nor what
//! go.mod ignores. Files are read up to their last import only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use longshore_golang::{BuildContext, FileConstraint};

use crate::disk::{join, read_front, relative};
use crate::facts::{Diagnostic, Evidence};
use crate::locate::ModuleFile;
use crate::source::header::{Header, embed_patterns};
use crate::threads::in_threads;

/// How much of a file is read at first; few files have longer headers.
const FRONT: u64 = 16 << 10;
/// The most that is read of a source file, in bytes.
pub(crate) const SOURCE_LIMIT: u64 = 8 << 20;
/// Go refuses deeper import paths long before this; it only stops circles of mounts.
const DEPTH_LIMIT: usize = 100;

/// A Go file that is no test.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub name: String,
    pub header: Header,
    /// The patterns of its `//go:embed` comments.
    pub embeds: Vec<(String, u32)>,
    /// The line of `import "C"`.
    pub cgo: Option<u32>,
    /// Whether the build takes it, cgo left aside.
    pub matches: bool,
    /// Whether the build takes it.
    pub builds: bool,
}

/// The Go files of one folder.
#[derive(Debug)]
pub(crate) struct Package {
    pub import_path: String,
    /// The path of its module.
    pub module: String,
    /// The absolute folder.
    pub dir: PathBuf,
    /// The folder relative to the project's root.
    pub shown_dir: String,
    pub files: Vec<SourceFile>,
}

impl Package {
    /// The files that the build takes.
    pub(crate) fn built(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.builds)
    }

    /// The package's name, as its first file has it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.built().map(|file| file.header.package.as_str()).find(|name| !name.is_empty())
    }

    pub(crate) fn evidence(&self, file: &str, line: u32) -> Evidence {
        Evidence { file: join(&self.shown_dir, file), line }
    }
}

/// Packages by import path.
pub(crate) type Packages = BTreeMap<String, Package>;

/// Reads the packages of a module into `packages`.
pub(crate) fn load(
    module: &ModuleFile,
    root: &Path,
    context: &BuildContext,
    diagnostics: &mut Vec<Diagnostic>,
) -> Packages {
    let mut folders = Vec::new();
    walk(module, root, &mut folders, diagnostics);
    let next = AtomicUsize::new(0);
    let found = Mutex::new((Packages::new(), Vec::new()));
    let work = || {
        while let Some(dir) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut odd = Vec::new();
            let package = read_package(module, root, dir, context, &mut odd);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.1.append(&mut odd);
            if let Some(package) = package {
                found.0.insert(package.import_path.clone(), package);
            }
        }
    };
    in_threads(work);
    let (packages, mut odd) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    odd.sort_by(|a: &Diagnostic, b| a.evidence.cmp(&b.evidence));
    diagnostics.append(&mut odd);
    packages
}

/// Collects the folders of a module that can hold packages.
fn walk(module: &ModuleFile, root: &Path, folders: &mut Vec<PathBuf>, diagnostics: &mut Vec<Diagnostic>) {
    let mut waiting = vec![(module.dir.clone(), 0)];
    while let Some((dir, depth)) = waiting.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                let evidence = Evidence { file: relative(&dir, root), line: 1 };
                diagnostics.push(Diagnostic { message: format!("folder cannot be read: {error}"), evidence });
                continue;
            }
        };
        let mut has_go_files = false;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Links to folders are not followed, as Go does not follow them.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder {
                has_go_files |= name.ends_with(".go");
                continue;
            }
            let path = entry.path();
            let skipped = name.starts_with(['.', '_'])
                || matches!(&*name, "testdata" | "vendor")
                || depth >= DEPTH_LIMIT
                || is_ignored(module, &path)
                || path.join("go.mod").is_file();
            if !skipped {
                waiting.push((path, depth + 1));
            }
        }
        if has_go_files {
            folders.push(dir);
        }
    }
    folders.sort();
}

/// Whether an `ignore` line of go.mod covers a folder: `./x` is one folder of the module, `x` any folder of that name.
fn is_ignored(module: &ModuleFile, dir: &Path) -> bool {
    let inside = format!("/{}", relative(dir, &module.dir));
    module.go_mod.ignore.iter().any(|ignored| match ignored.value.strip_prefix("./") {
        Some(folder) => inside[1..] == *folder.trim_end_matches('/'),
        None => inside.ends_with(&format!("/{}", ignored.value.trim_matches('/'))),
    })
}

fn read_package(
    module: &ModuleFile,
    root: &Path,
    dir: &Path,
    context: &BuildContext,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Package> {
    let inside = relative(dir, &module.dir);
    let path = &module.go_mod.module.path;
    let import_path = if inside == "." { path.clone() } else { format!("{path}/{inside}") };
    let mut package = Package {
        import_path,
        module: path.clone(),
        dir: dir.to_owned(),
        shown_dir: relative(dir, root),
        files: Vec::new(),
    };
    let mut names: Vec<String> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".go") && !name.ends_with("_test.go") && !name.starts_with(['.', '_']))
        .collect();
    names.sort();
    for name in names {
        match read_file(&dir.join(&name), &name, context) {
            Ok((file, odd)) => {
                if let Some((line, message)) = odd {
                    diagnostics.push(Diagnostic { message, evidence: package.evidence(&name, line) });
                }
                package.files.push(file);
            }
            Err(error) => diagnostics.push(Diagnostic {
                message: format!("file cannot be read: {error}"),
                evidence: package.evidence(&name, 1),
            }),
        }
    }
    report_mixed_names(&package, diagnostics);
    (!package.files.is_empty()).then_some(package)
}

fn report_mixed_names(package: &Package, diagnostics: &mut Vec<Diagnostic>) {
    let mut names = package.built().filter(|file| !file.header.package.is_empty());
    let Some(first) = names.next() else { return };
    if let Some(other) = names.find(|file| file.header.package != first.header.package) {
        let message = format!(
            "the folder holds two packages: {} in {} and {} in {}",
            first.header.package, first.name, other.header.package, other.name
        );
        diagnostics.push(Diagnostic { message, evidence: package.evidence(&other.name, 1) });
    }
}

type Oddity = Option<(u32, String)>;

fn read_file(path: &Path, name: &str, context: &BuildContext) -> std::io::Result<(SourceFile, Oddity)> {
    let mut bytes = read_front(path, FRONT)?;
    let mut header = Header::read(&String::from_utf8_lossy(&bytes));
    let whole = (bytes.len() as u64) < FRONT;
    if !whole && (!header.complete || header.import("embed").is_some()) {
        bytes = read_front(path, SOURCE_LIMIT)?;
        header = Header::read(&String::from_utf8_lossy(&bytes));
    }
    let mut odd = None;
    let constrained = match FileConstraint::of_source(&bytes) {
        Ok(constraint) => constraint.is_none_or(|constraint| constraint.holds(context)),
        Err(error) => {
            odd = Some((1, error.to_string()));
            false
        }
    };
    if let Some(line) = header.broken {
        odd = odd.or_else(|| Some((line, "expected a package clause and imports".to_owned())));
    }
    let embeds = match header.import("embed") {
        Some(_) => embed_patterns(&String::from_utf8_lossy(&bytes)),
        None => Vec::new(),
    };
    let cgo = header.import("C").map(|import| import.line);
    let matches = constrained && context.matches_name(name) && header.package != "documentation";
    let builds = matches && (cgo.is_none() || context.cgo);
    let odd = odd.filter(|_| context.matches_name(name));
    Ok((SourceFile { name: name.to_owned(), header, embeds, cgo, matches, builds }, odd))
}
