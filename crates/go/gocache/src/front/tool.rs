//! The program between Go and its tools (`-toolexec`), which adds the one thing that Go's cache lacks: see [`super::includes`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use longshore_files::FileError;

use super::includes::{self, Assembly};
use crate::place::Compartment;

/// A tool that was not started, or could not be.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no tool to start, or no cache to keep in order: the program was not started by Go.
    #[error("`{word}` is started by Go alone", word = super::TOOL)]
    NotFromGo,
    /// What a package includes was looked at in vain.
    #[error("cannot find out what the package includes")]
    Includes(#[source] FileError),
    /// A file was changed after its package was assembled, by a build that ran at the same time.
    #[error("{} is not what it was when its package was assembled by another build", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The tool does not start.
    #[error("cannot start {}", path.display())]
    Start {
        /// The tool.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Becomes the tool that `words` names (its path, then its arguments) after writing down what it includes. Returns only to say why not.
pub(super) fn run(words: &[OsString], environment: &[(OsString, OsString)]) -> ToolError {
    use std::os::unix::process::CommandExt as _;

    let Some((tool, words)) = words.split_first() else { return ToolError::NotFromGo };
    let tool = PathBuf::from(tool);
    let cache = environment.iter().find(|(name, _)| name == "GOCACHE").map(|(_, value)| PathBuf::from(value));
    let Some(compartment) = cache.as_deref().and_then(Compartment::of_go_cache) else {
        return ToolError::NotFromGo;
    };
    let is_question = words.first().is_some_and(|word| word == "-V=full");
    let watched = match tool.file_name().and_then(|name| name.to_str()) {
        Some("asm") if !is_question => record(words, &compartment),
        Some("link") if !is_question => check(&compartment),
        _ => Ok(()),
    };
    if let Err(error) = watched {
        return error;
    }
    let source = Command::new(&tool).args(words).exec();
    ToolError::Start { path: tool, source }
}

fn record(words: &[OsString], compartment: &Compartment) -> Result<(), ToolError> {
    // Go starts the assembler in the package's folder.
    let folder =
        std::fs::canonicalize(".").map_err(FileError::of("look at", ".")).map_err(ToolError::Includes)?;
    let uncounted = Assembly::read(words).uncounted(&folder).map_err(ToolError::Includes)?;
    includes::record(&compartment.includes(), &uncounted).map_err(ToolError::Includes)
}

/// Objects of two builds that see different files under one name cannot both be in the cache. What the other one put there since this
/// one started may be in this program.
fn check(compartment: &Compartment) -> Result<(), ToolError> {
    match includes::changed(&compartment.includes()).map_err(ToolError::Includes)? {
        Some(path) => Err(ToolError::Changed { path }),
        None => Ok(()),
    }
}
