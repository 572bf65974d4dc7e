//! Why Go is left alone.

use std::path::PathBuf;

use longshore_files::FileError;

/// The reason for which a `go` runs as it would have run without this program. Not a failure: the result is the same, only later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Aside {
    #[error("the command does not build")]
    NotABuild,
    #[error("the effect of {0} is not known")]
    Flag(String),
    #[error("{0} is set in the environment")]
    Variable(String),
    #[error("cgo is on, and what a C compiler reads is not known (CGO_ENABLED=0 turns it off)")]
    Cgo,
    #[error("Go {0} is not one whose cache is known")]
    Version(String),
    #[error("`go env` did not answer: {0}")]
    Silent(String),
    #[error("with -a, {} would be written anew, but may be left as it is without (list it in .dockerignore)", .0.display())]
    Present(PathBuf),
    #[error("another build uses the cache, and {} is different there", .0.display())]
    Busy(PathBuf),
    #[error("the path {} holds a blank or a quote", .0.display())]
    Path(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}
