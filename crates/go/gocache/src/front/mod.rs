//! The program called `go` that stands before Go's in a step.
//!
//! It decides about each command by what really reaches it, and knows three endings: it becomes the real `go` with nothing changed (for
//! everything that does not build, or that it does not know well enough); it becomes the real `go` with GOCACHE in the cache folder, `-a`
//! taken out; or there is no real `go`.
//!
//! Why the result is the same, byte for byte. An output in Go's cache is found by a hash over all that the compiler and assembler are
//! given (cmd/go/internal/work, buildActionID), and linking is always done anew. Where that does not hold, this program steps in:
//!
//! - packages with cgo depend on a C compiler's system: with cgo on, Go is left alone;
//! - the index of packages in the cache goes by the times of files (cmd/go/internal/modindex), which a checkout or an archive may set
//!   back: it is switched off (`GODEBUG=goindex=0`), which costs a tenth of a second;
//! - assembly may include files from anywhere ([`includes`]): `-toolexec` writes them down;
//! - outputs are used unread ([`entries`]): they are hashed when they changed;
//! - toolchains are told apart by their version ([`golang`]): here by their content;
//! - a target that is there already may stay as it is without `-a`: then `-a` stays.

mod aside;
mod entries;
mod golang;
mod includes;
mod memory;
mod tool;
mod words;

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_files::{FileError, create_folders, remove_tree};
use rustix::io::FdFlags;

use aside::Aside;
use golang::Golang;
use memory::Memory;
pub use tool::ToolError;
use words::Request;

use crate::place::{CacheRoot, Compartment};

/// The first word by which Go starts this program in front of a tool.
const TOOL: &str = "longshore-tool";

/// How the program was started.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The path that was executed (the auxiliary vector's AT_EXECFN).
    pub program: PathBuf,
    /// All words of the command line, the program's own name first.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why neither Go nor a tool of it was started.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// No other program called `go` is on the PATH.
    #[error("go: not found")]
    NotFound,
    /// The real `go` does not start.
    #[error("cannot start {}", path.display())]
    Start {
        /// The real `go`.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A tool of Go was not started.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl FrontError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            FrontError::Tool(ToolError::Changed { .. }) => {
                Some("run the build again: it begins with an empty cache then".to_owned())
            }
            _ => None,
        }
    }

    /// The exit code that a shell gives for a program that is not found (127) or does not start (126), or a tool's failure (1).
    pub fn exit_code(&self) -> u8 {
        match self {
            FrontError::NotFound => 127,
            FrontError::Start { .. } => 126,
            FrontError::Tool(_) => 1,
        }
    }
}

/// Whether an executed path is that of this program in a step, so that [`run`] is what to do.
pub fn is_front(program: &Path) -> bool {
    program.is_absolute() && program.ends_with("longshore/go/bin/go")
}

/// Becomes Go. Returns only if that is not possible.
pub fn run(invocation: &Invocation) -> FrontError {
    let mut words = invocation.arguments.iter().skip(1).cloned().collect::<Vec<_>>();
    if words.first().is_some_and(|word| word == TOOL) {
        return tool::run(&words[1..], &invocation.environment).into();
    }
    let Some(folder) = invocation.program.parent() else { return FrontError::NotFound };
    let mut environment = without_folder(&invocation.environment, folder);
    let Some(real) = find(&environment, &invocation.program) else { return FrontError::NotFound };

    let root = CacheRoot::at(folder.with_file_name("cache"));
    let mut held = None;
    let outcome = match prepare(&words, &environment, &real, &root, &invocation.program) {
        Ok(prepared) => {
            words = prepared.words;
            for (name, value) in prepared.environment {
                environment.retain(|(other, _)| *other != *name);
                environment.push((name.into(), value));
            }
            held = Some(prepared.lock);
            format!("with the cache{}", prepared.remark)
        }
        Err(Aside::NotABuild) => String::new(),
        Err(aside) => format!("without the cache: {aside}"),
    };
    if !outcome.is_empty() {
        let command = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        // A note that cannot be written is no reason not to build.
        let _ = root.note(&format!("go {command}: {outcome}"));
    }
    let name = invocation.arguments.first().map_or(OsStr::new("go"), OsString::as_os_str);
    let source = Command::new(&real).arg0(name).args(&words).env_clear().envs(environment).exec();
    drop(held);
    FrontError::Start { path: real, source }
}

/// The environment as it would be without this program.
fn without_folder(environment: &[(OsString, OsString)], folder: &Path) -> Vec<(OsString, OsString)> {
    let rest = |path: &OsStr| {
        let kept = path.as_encoded_bytes().split(|byte| *byte == b':');
        let kept = kept.filter(|entry| *entry != folder.as_os_str().as_encoded_bytes());
        std::os::unix::ffi::OsStringExt::from_vec(kept.collect::<Vec<_>>().join(&b':'))
    };
    environment
        .iter()
        .map(|(name, value)| (name.clone(), if name == "PATH" { rest(value) } else { value.clone() }))
        .collect()
}

/// The `go` that a shell would start.
fn find(environment: &[(OsString, OsString)], own: &Path) -> Option<PathBuf> {
    let own = std::fs::metadata(own).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value)?;
    std::env::split_paths(path).map(|folder| folder.join("go")).find(|candidate| {
        std::fs::metadata(candidate).is_ok_and(|metadata| {
            let is_own = own == Some((metadata.dev(), metadata.ino()));
            metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 && !is_own
        })
    })
}

/// What is different about a `go` that uses the cache.
struct Prepared {
    words: Vec<OsString>,
    environment: [(&'static str, OsString); 2],
    /// Held by this process, by Go and by its tools until the last of them ends.
    lock: File,
    remark: String,
}

fn prepare(
    words: &[OsString],
    environment: &[(OsString, OsString)],
    real: &Path,
    root: &CacheRoot,
    own: &Path,
) -> Result<Prepared, Aside> {
    let request = words::read(words)?;
    golang::check_environment(environment)?;
    let golang = Golang::ask(real, request.folder.as_deref(), environment)?;
    words::check_environment(&golang.flags)?;
    let mut remark = String::new();
    if request.all {
        check_targets(&request)?;
        remark.push_str(", -a taken out");
    }
    let mut memory = Memory::read(&root.memory())?;
    let compartment = root.compartment(&golang.identity(&mut memory)?);
    create_folders(&compartment.go_cache())?;
    memory.write(&root.memory())?;
    let (lock, damaged) = enter(&compartment)?;
    if damaged > 0 {
        remark.push_str(&format!(", {damaged} damaged files removed from it"));
    }
    let environment =
        [("GOCACHE", compartment.go_cache().into_os_string()), ("GODEBUG", OsString::from("goindex=0"))];
    Ok(Prepared { words: request.words(own)?, environment, lock, remark })
}

/// Whether `-a` may go. `go install` would leave a program in GOBIN that it takes for up to date.
fn check_targets(request: &Request) -> Result<(), Aside> {
    if request.command == "install" {
        return Err(Aside::Flag("-a with install".into()));
    }
    let folder = request.folder.as_ref().map_or(Path::new("."), Path::new);
    match golang::present_target(request.output.as_deref(), folder)? {
        Some(target) => Err(Aside::Present(target)),
        None => Ok(()),
    }
}

impl Request {
    fn words(self, own: &Path) -> Result<Vec<OsString>, Aside> {
        let own_name = own.to_str().filter(|name| !name.contains([' ', '\t', '\n', '\r', '\'', '"']));
        let own_name = own_name.ok_or_else(|| Aside::Path(own.to_owned()))?;
        let mut words = vec![OsString::from(self.command)];
        if let Some(folder) = self.folder {
            words.extend(["-C".into(), folder]);
        }
        words.push(format!("-toolexec={own_name} {TOOL}").into());
        words.extend(self.rest);
        Ok(words)
    }
}

/// Takes part in the use of a compartment. Who comes first looks whether all is in order, before others may come.
fn enter(compartment: &Compartment) -> Result<(File, usize), Aside> {
    let path = compartment.lock();
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(FileError::of("open the lock", &path))?;
    let mut damaged = 0;
    match file.try_lock() {
        Ok(()) => {
            if includes::changed(&compartment.includes())?.is_some() {
                remove_tree(&compartment.go_cache())?;
                std::fs::remove_file(compartment.includes())
                    .map_err(FileError::of("remove", compartment.includes()))?;
                create_folders(&compartment.go_cache())?;
            }
            damaged = entries::remove_damaged(&compartment.go_cache(), &compartment.memory())?;
            file.lock_shared().map_err(FileError::of("lock", &path))?;
        }
        Err(TryLockError::WouldBlock) => {
            file.lock_shared().map_err(FileError::of("lock", &path))?;
            if let Some(changed) = includes::changed(&compartment.includes())? {
                return Err(Aside::Busy(changed));
            }
        }
        Err(TryLockError::Error(error)) => return Err(FileError::of("lock", &path)(error).into()),
    }
    let inherited = rustix::io::fcntl_setfd(&file, FdFlags::empty());
    inherited.map_err(|error| FileError::of("keep the lock of", &path)(error.into()))?;
    Ok((file, damaged))
}
