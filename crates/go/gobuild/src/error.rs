//! What can go wrong between a package and its image.

use std::path::PathBuf;

use longshore_config::{Drift, LockError};
use longshore_events::Cancelled;
use longshore_files::FileError;
use longshore_image::ContentError;
use longshore_image::layer::LayerError;
use longshore_process::ProcessError;
use longshore_store::StoreError;
use longshore_toolchain::ToolchainError;

use crate::base::BaseError;
use crate::elf::ElfError;

/// An image could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The settings contradict each other, or what is there.
    #[error("cannot build {service} as asked")]
    Settings {
        /// The service.
        service: String,
        /// What is wrong.
        #[source]
        problem: SettingsError,
    },
    /// longshore.lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The build would use what longshore.lock does not say.
    #[error("the build would drift from longshore.lock: {}", listed(.0))]
    Drift(Vec<Drift>),
    /// There is no toolchain.
    #[error(transparent)]
    Toolchain(Box<ToolchainError>),
    /// A go.mod or go.work cannot be read.
    #[error("cannot read {}", file.display())]
    Module {
        /// The file.
        file: PathBuf,
        /// Its mistakes.
        #[source]
        source: longshore_golang::SyntaxErrors,
    },
    /// Go did not build the package.
    #[error(transparent)]
    Go(#[from] GoFailure),
    /// A child process could not be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The program is not what was asked for, or does not fit its base.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The base cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A file that was to be included cannot be.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// A layer cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image in the store cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The image's config, manifest or index has no JSON form.
    #[error("cannot write the image's config and manifest")]
    Document(#[source] serde_json::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob cannot be written into the store.
    #[error(transparent)]
    Sink(#[from] longshore_image::SinkError),
    /// The facts of the commit cannot be read.
    #[error(transparent)]
    Vcs(#[from] VcsError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Settings that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A platform's name has no meaning.
    #[error("`{0}` is not a platform")]
    Platform(String),
    /// A variant of a processor that Go does not know.
    #[error("Go knows no variant `{variant}` of {architecture}: it knows {known}")]
    Variant {
        /// The variant.
        variant: String,
        /// GOARCH.
        architecture: String,
        /// What Go knows.
        known: &'static str,
    },
    /// A setting for one processor with a platform of another.
    #[error("`{setting}` means nothing for {platform}")]
    Architecture {
        /// The key.
        setting: &'static str,
        /// The platform.
        platform: String,
    },
    /// The race detector without cgo.
    #[error("the race detector needs cgo")]
    RaceWithoutCgo,
    /// A platform that the race detector does not know.
    #[error("the race detector does not exist for {0}")]
    RacePlatform(String),
    /// cgo without a C compiler.
    #[error("cgo needs a C compiler, and `{compiler}` is not in PATH")]
    NoCompiler {
        /// The compiler that would be run.
        compiler: String,
    },
    /// cgo for another platform without a compiler for it.
    #[error("cgo for {platform} needs a C compiler that builds for it")]
    NoCrossCompiler {
        /// The platform.
        platform: String,
        /// The variable that may name one.
        variable: String,
    },
    /// An argument that Go's command line cannot carry.
    #[error("`{0}` has both kinds of quotes, which Go's flags cannot carry")]
    Unquotable(String),
    /// A variable in `go-env` that has a key of its own, or is longshore's.
    #[error("`go-env` may not set {name}")]
    GoEnvironment {
        /// The variable.
        name: String,
        /// What to use in its place.
        instead: &'static str,
    },
    /// GOFLAGS has a flag that runs other programs or replaces files.
    #[error("GOFLAGS has {0}, which would run or read what no image can name")]
    GoFlags(String),
    /// A placeholder in a stamp that means nothing.
    #[error("`{0}` is not a placeholder: there are ${{version}}, ${{revision}} and ${{date}}")]
    Placeholder(String),
    /// SOURCE_DATE_EPOCH or a commit's time that no date can show.
    #[error("{0} is not a time between 1970 and 9999")]
    Time(i64),
    /// A base for other platforms.
    #[error("the base {base} is for {found}, not for {platform}")]
    BasePlatform {
        /// The base's reference.
        base: String,
        /// The platform.
        platform: String,
        /// What the base is for.
        found: String,
    },
    /// A user that the built-in base does not know.
    #[error("the built-in base has no user or group `{0}`")]
    User(String),
    /// A health check for a program that has none.
    #[error("`healthcheck` has no `command`, and the program has no `health` sub-command or health route")]
    NoHealthCommand,
    /// A health check with the probe, which is not there for a platform.
    #[error("`healthcheck` names {path}, and there is none for {0}", path = crate::probe::PROBE_PATH)]
    NoProbe(String),
}

/// Go did not build a package.
#[derive(Debug, thiserror::Error)]
#[error("cannot build {package} for {platform}:\n{message}")]
pub struct GoFailure {
    /// The package as it was asked for: `./cmd/api`.
    pub package: String,
    /// The platform.
    pub platform: String,
    /// What Go said, as it said it.
    pub message: String,
    /// What kind of failure it is.
    pub kind: GoFailureKind,
}

/// Why Go did not build a package, as far as its message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoFailureKind {
    /// The source does not compile.
    Compile,
    /// The program does not link.
    Link,
    /// go.sum lacks a hash, or go.mod lacks a requirement.
    Sums,
    /// A module cannot be fetched.
    Fetch,
    /// A module is not what go.sum or the checksum database says.
    Verification,
    /// All of a package's files are excluded: mostly a package that needs cgo.
    Excluded,
    /// There is no such package, or it is no program.
    NoProgram,
    /// vendor/ does not agree with go.mod.
    Vendoring,
    /// Something else.
    Other,
}

/// A file that was to be included cannot be.
#[derive(Debug, thiserror::Error)]
#[error("cannot include {}", path.display())]
pub struct AssetError {
    /// The file, folder or pattern.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub kind: AssetErrorKind,
}

/// Why a file cannot be included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssetErrorKind {
    /// Nothing matches.
    #[error("nothing matches it")]
    NoMatch,
    /// The pattern is none.
    #[error("it is not a pattern")]
    Pattern(#[source] globset::Error),
    /// A link leads out of the project.
    #[error("it leads out of {}", .0.display())]
    Outside(PathBuf),
    /// Links lead in a circle, or folders are nested without end.
    #[error("its folders are nested too deep: links lead in a circle")]
    Depth,
    /// A device, pipe or socket.
    #[error("it is neither a file nor a folder")]
    Special,
    /// Two files for one place in the image.
    #[error("{} is already there, from {}", destination.display(), other.display())]
    Twice {
        /// The place.
        destination: PathBuf,
        /// The file that is there.
        other: PathBuf,
    },
    /// The file is not text with PEM certificates.
    #[error("it holds no PEM certificate")]
    NoCertificate,
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
}

/// The facts of the commit cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the commit of {}", folder.display())]
pub struct VcsError {
    /// The repository's folder.
    pub folder: PathBuf,
    /// Why.
    #[source]
    pub source: ProcessError,
}

fn listed(drift: &[Drift]) -> String {
    drift.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl GoFailure {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self.kind {
            GoFailureKind::Sums => "run `go mod tidy` and commit go.mod and go.sum",
            GoFailureKind::Fetch => {
                "check the network, GOPROXY and GOPRIVATE; a private module needs credentials in ~/.netrc or git's configuration"
            }
            GoFailureKind::Verification => {
                "somebody changed the module after go.sum was written: do not build it before you know who"
            }
            GoFailureKind::Excluded => {
                "if the package needs cgo, set `cgo = true` in longshore.toml; otherwise its build constraints exclude this platform"
            }
            GoFailureKind::Vendoring => {
                "run `go mod vendor` (in a workspace, `go work vendor`) and commit vendor/"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl SettingsError {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SettingsError::RaceWithoutCgo => "set `cgo = true` beside `race = true`".to_owned(),
            SettingsError::NoCompiler { .. } => {
                "install one (Debian: apt-get install gcc libc6-dev), or name one with CC in `go-env`"
                    .to_owned()
            }
            SettingsError::NoCrossCompiler { variable, .. } => {
                format!("name one with {variable} in `go-env`, such as \"aarch64-linux-gnu-gcc\"")
            }
            SettingsError::GoEnvironment { instead, .. } => (*instead).to_owned(),
            SettingsError::GoFlags(_) => "unset GOFLAGS, or take the flag out of it".to_owned(),
            SettingsError::User(_) => "use numbers, such as 1000:1000, or nonroot".to_owned(),
            SettingsError::NoHealthCommand => "write `command = [...]` into `healthcheck`".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}

impl From<ToolchainError> for BuildError {
    fn from(error: ToolchainError) -> Self {
        BuildError::Toolchain(Box::new(error))
    }
}

impl BuildError {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            BuildError::Settings { problem, .. } => problem.hint(),
            BuildError::Lock(error) => error.hint(),
            BuildError::Drift(_) => {
                Some("build without --locked to bring longshore.lock up to date".to_owned())
            }
            BuildError::Toolchain(error) => error.hint(),
            BuildError::Go(error) => error.hint(),
            BuildError::Process(error) => error.hint(),
            BuildError::Elf(error) => error.hint(),
            BuildError::Base(error) => error.hint(),
            BuildError::Store(error) => error.hint(),
            BuildError::Content(error) => error.hint(),
            BuildError::File(error) => error.hint(),
            BuildError::Sink(error) => error.hint(),
            BuildError::Vcs(_) => Some(
                "install git, or write `vcs = \"off\"` to build an image that does not name its commit"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        match self {
            BuildError::Cancelled(_) => true,
            BuildError::Toolchain(error) => error.is_cancelled(),
            BuildError::Process(error) => error.is_cancelled(),
            BuildError::Vcs(error) => error.source.is_cancelled(),
            _ => false,
        }
    }
}
