//! Which errors have advice to give, and which point into a file.
//!
//! An error's `hint()` belongs to its type, and a chain of causes has lost its types; here they are found again. A new error type with a
//! hint gets a line here, and its hint is shown from wherever in a chain it stands.

use std::error::Error;
use std::path::Path;

use super::excerpt::Excerpt;

/// The advice of one error of a chain.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    macro_rules! first_of {
        ($($known:ty),+ $(,)?) => {
            None$(.or_else(|| error.downcast_ref::<$known>().and_then(<$known>::hint)))+
        };
    }
    first_of![
        crate::context::ContextError,
        crate::context::StoreLocationError,
        crate::commands::DockerfileError,
        crate::commands::TagError,
        crate::commands::TerminalError,
        crate::images::ImagesError,
        crate::services::ServicesError,
        longshore_builder::BuildError,
        longshore_config::ConfigError,
        longshore_config::LockError,
        longshore_docker::EngineError,
        longshore_files::FileError,
        longshore_gobuild::BuildError,
        longshore_gobuild::GoFailure,
        longshore_gobuild::ReproduceError,
        longshore_golang::SyntaxErrors,
        longshore_image::archive::ArchiveError,
        longshore_image::archive::SaveError,
        longshore_image::diff::DiffError,
        longshore_image::ContentError,
        longshore_image::CopyError,
        longshore_image::LayoutError,
        longshore_process::ProcessError,
        longshore_project::ProjectError,
        longshore_registry::RegistryError,
        longshore_sandbox::IsolationError,
        longshore_sandbox::SandboxError,
        longshore_snapshot::SnapshotError,
        longshore_store::ResolveError,
        longshore_store::StoreError,
        longshore_toolchain::ToolchainError,
    ]
}

/// Where in a file one error of a chain points.
pub(super) fn excerpt(error: &(dyn Error + 'static)) -> Option<Excerpt> {
    if let Some(config) = error.downcast_ref::<longshore_config::ConfigError>() {
        let position = config.position?;
        let (line, column) = (position.line, Some(position.column));
        return Some(Excerpt { path: config.file.clone(), line, column, label: config.kind.to_string() });
    }
    if let Some(longshore_gobuild::BuildError::Module { file, source }) = error.downcast_ref() {
        return Some(syntax(file, &source.first));
    }
    match error.downcast_ref::<longshore_project::ProjectError>()? {
        longshore_project::ProjectError::Malformed { path, source } => Some(syntax(path, &source.first)),
        _ => None,
    }
}

fn syntax(path: &Path, mistake: &longshore_golang::SyntaxError) -> Excerpt {
    let position = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Excerpt {
        path: path.to_owned(),
        line: position(mistake.line),
        column: Some(position(mistake.column)),
        label: mistake.problem.to_string(),
    }
}
