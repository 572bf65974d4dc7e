//! Which errors have advice to give, and which point into a file.
//!
//! An error's `hint()` belongs to its type, and a chain of causes has lost its types; here they are found again. A new error type with a
//! hint gets a line here, and its hint is shown from wherever in a chain it stands.

use std::error::Error;
use std::path::Path;

use longshore_builder::{BuildError, InstructionError, InstructionErrorKind};
use longshore_dockerfile::{Diagnostic, InstructionKind};
use longshore_sandbox::Status;

use super::error::SourceFile;
use super::excerpt::{Excerpt, Mark};

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
        crate::commands::CacheWriteError,
        crate::commands::CopyUsageError,
        crate::commands::DestinationError,
        crate::commands::DockerfileError,
        crate::commands::TagError,
        crate::commands::TerminalError,
        crate::images::ImagesError,
        crate::services::ServicesError,
        longshore_builder::BuildError,
        longshore_config::ConfigError,
        longshore_config::LockError,
        longshore_container::ContainerError,
        longshore_container::CopyError,
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
        longshore_runtime::RuntimeError,
        longshore_sandbox::IsolationError,
        longshore_sandbox::SandboxError,
        longshore_snapshot::OutputError,
        longshore_snapshot::SnapshotError,
        longshore_store::ResolveError,
        longshore_store::StoreError,
        longshore_toolchain::ToolchainError,
    ]
}

/// The advice that needs the file a command was about, or that an excerpt would have shown.
pub(super) fn hint_in(error: &(dyn Error + 'static), source: Option<&SourceFile>) -> Option<String> {
    match error.downcast_ref()? {
        BuildError::Dockerfile { diagnostics, .. } => without_place(diagnostics)?.hint.clone(),
        BuildError::Image { name, place: Some(_), .. } => {
            let stages = stage_names(&source?.text);
            let near = longshore_config::nearest(name, stages.iter().map(String::as_str))?;
            Some(format!("did you mean the stage `{near}`?"))
        }
        _ => None,
    }
}

fn stage_names(text: &[u8]) -> Vec<String> {
    let file = longshore_dockerfile::parse(text).file;
    let name = |instruction: &longshore_dockerfile::Instruction| match &instruction.kind {
        InstructionKind::From(from) => from.name.as_ref().map(|name| name.text.clone()),
        _ => None,
    };
    file.instructions.iter().filter_map(name).collect()
}

/// Where in files one error of a chain points, in the files' order. `source` is the file that a command was about, where it read one.
pub(super) fn excerpts(error: &(dyn Error + 'static), source: Option<&SourceFile>) -> Vec<Excerpt> {
    if let Some(config) = error.downcast_ref::<longshore_config::ConfigError>() {
        let excerpt = config.position.map(|position| Excerpt {
            path: config.file.clone(),
            text: None,
            mark: Mark::Word { line: position.line, column: position.column },
            label: config.kind.to_string(),
            hint: None,
        });
        return excerpt.into_iter().collect();
    }
    if let Some(longshore_gobuild::BuildError::Module { file, source }) = error.downcast_ref() {
        return vec![syntax(file, &source.first)];
    }
    if let Some(error) = error.downcast_ref::<longshore_builder::BuildError>() {
        return dockerfile(error, source);
    }
    if let Some(error) = error.downcast_ref::<crate::commands::WorkloadError>() {
        let shown = error.problems.iter().take(crate::commands::WorkloadError::SHOWN);
        return shown.map(|problem| deployment(&error.sources, problem)).collect();
    }
    match error.downcast_ref::<longshore_project::ProjectError>() {
        Some(longshore_project::ProjectError::Malformed { path, source }) => {
            vec![syntax(path, &source.first)]
        }
        _ => Vec::new(),
    }
}

fn deployment(sources: &longshore_workload::Sources, problem: &longshore_workload::Problem) -> Excerpt {
    let span = problem.span;
    let mut text = sources.bytes(span).to_vec();
    let marked = text.get_mut(span.start as usize..span.end as usize).filter(|_| problem.is_secret);
    // Where it stands is shown, and not what.
    for byte in marked.into_iter().flatten().filter(|byte| **byte != b'\n') {
        *byte = b'*';
    }
    Excerpt {
        path: sources.path(span).unwrap_or(Path::new("")).to_owned(),
        text: Some(text),
        mark: Mark::Bytes(span.start as usize..span.end as usize),
        label: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}

/// What an error says beside its excerpt. A Dockerfile's instruction stands in the excerpt, so it is not repeated.
pub(super) fn message(error: &(dyn Error + 'static), source: Option<&SourceFile>) -> String {
    match (error.downcast_ref(), source) {
        (Some(BuildError::Instruction(instruction)), Some(_)) => return instruction_failed(instruction),
        (Some(BuildError::Dockerfile { file, diagnostics, .. }), _) => {
            if let Some(diagnostic) = without_place(diagnostics) {
                return format!("{file}: {}", diagnostic.message);
            }
        }
        _ => {}
    }
    match error.downcast_ref() {
        Some(InstructionErrorKind::Exit { status, .. }) if source.is_some() => match status {
            Status::Exited(code) => format!("its command ended with exit code {code}"),
            Status::Signalled(signal) => format!("its command was ended by signal {signal}"),
        },
        _ => error.to_string(),
    }
}

fn instruction_failed(error: &InstructionError) -> String {
    let keyword = error.place.text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    // A stage without a name is known by its number, which says less than the excerpt.
    match error.stage.starts_with("stage-") || error.stage.is_empty() {
        true => format!("{keyword} failed"),
        false => format!("{keyword} failed in stage {}", error.stage),
    }
}

/// The one mistake that is about the file as a whole, or about what was asked of it.
fn without_place(diagnostics: &[Diagnostic]) -> Option<&Diagnostic> {
    match diagnostics {
        [only] if only.span.is_empty() && only.span.start == 0 => Some(only),
        _ => None,
    }
}

/// The last lines that a failed step wrote.
pub(super) fn output<'e>(error: &'e (dyn Error + 'static)) -> &'e [String] {
    match error.downcast_ref() {
        Some(InstructionErrorKind::Exit { output, .. }) => output,
        _ => &[],
    }
}

fn dockerfile(error: &BuildError, source: Option<&SourceFile>) -> Vec<Excerpt> {
    let place = match error {
        BuildError::Dockerfile { diagnostics, .. } if without_place(diagnostics).is_some() => None,
        BuildError::Dockerfile { file, source_text, diagnostics } => {
            let excerpt = |diagnostic: &Diagnostic| Excerpt {
                path: file.into(),
                text: Some(source_text.clone()),
                mark: Mark::Bytes(diagnostic.span.clone()),
                label: diagnostic.message.clone(),
                hint: diagnostic.hint.clone(),
            };
            let mut excerpts: Vec<_> = diagnostics.iter().map(|one| (one.span.start, excerpt(one))).collect();
            excerpts.sort_by_key(|(start, _)| *start);
            return excerpts.into_iter().map(|(_, excerpt)| excerpt).collect();
        }
        BuildError::Instruction(instruction) => Some(&instruction.place),
        BuildError::Image { place, .. } => place.as_ref(),
        _ => None,
    };
    let excerpt = place.zip(source).map(|(place, source)| Excerpt {
        path: source.name.clone().into(),
        text: Some(source.text.clone()),
        mark: Mark::Lines(place.line, last_line(&source.text, place.line)),
        label: String::new(),
        hint: None,
    });
    excerpt.into_iter().collect()
}

/// The last line of the instruction that begins on a line.
fn last_line(text: &[u8], line: usize) -> usize {
    let file = longshore_dockerfile::parse(text).file;
    let found = file.instructions.iter().find(|instruction| instruction.line == line);
    found.map_or(line, |instruction| instruction.last_line)
}

fn syntax(path: &Path, mistake: &longshore_golang::SyntaxError) -> Excerpt {
    let position = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Excerpt {
        path: path.to_owned(),
        text: None,
        mark: Mark::Word { line: position(mistake.line), column: position(mistake.column) },
        label: mistake.problem.to_string(),
        hint: None,
    }
}
