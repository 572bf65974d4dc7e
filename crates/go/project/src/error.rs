//! Why a project cannot be detected at all.

use std::io;
use std::path::PathBuf;

use longshore_golang::SyntaxErrors;

/// Detection failed as a whole. What is merely odd becomes a [`crate::Diagnostic`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The path that was asked about cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A go.mod or go.work is longer than any sane one.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// There is no go.mod in the folder or above it.
    #[error("no go.mod in {} or any folder above it", start.display())]
    NoModule {
        /// Where the search began.
        start: PathBuf,
        /// Whether the folder holds Go files nevertheless.
        has_go_files: bool,
        /// A go.mod below the folder, if one lies near.
        below: Option<PathBuf>,
    },
    /// A go.mod or go.work has mistakes.
    #[error("cannot understand {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The mistakes, each with its line.
        #[source]
        source: SyntaxErrors,
    },
    /// go.work uses a folder that is no module.
    #[error("{}:{line}: the workspace uses {folder}, which has no go.mod", work.display())]
    NotAModule {
        /// The go.work.
        work: PathBuf,
        /// The line of the `use`.
        line: u32,
        /// The folder as written.
        folder: String,
    },
    /// GOWORK names a file that is not there.
    #[error("GOWORK names {}, which is no file", path.display())]
    NoWorkspace {
        /// The path.
        path: PathBuf,
    },
    /// The folder's module is none of the workspace's.
    #[error("the module in {} is not one of those that {} uses", module.display(), work.display())]
    OutsideWorkspace {
        /// The module's folder.
        module: PathBuf,
        /// The go.work.
        work: PathBuf,
    },
}

impl ProjectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ProjectError::NoModule { below: Some(below), .. } => {
                Some(format!("there is one in {}: name that folder instead", below.display()))
            }
            ProjectError::NoModule { has_go_files: true, .. } => Some(
                "the folder holds Go files: make it a module with `go mod init example.com/name`".to_owned(),
            ),
            ProjectError::NoModule { .. } => {
                Some("name the folder of a Go module, or one inside it".to_owned())
            }
            ProjectError::Malformed { source, .. } => source.hint(),
            ProjectError::NotAModule { folder, .. } => Some(format!(
                "check the folder's name and that it was checked out, or remove it with `go work edit -dropuse={folder}`"
            )),
            ProjectError::NoWorkspace { .. } => {
                Some("unset GOWORK, or set it to off or to the path of a go.work".to_owned())
            }
            ProjectError::OutsideWorkspace { .. } => {
                Some("add it with `go work use`, or set GOWORK=off to build it alone".to_owned())
            }
            ProjectError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name the folder of a Go module, or one inside it".to_owned())
            }
            _ => None,
        }
    }
}
