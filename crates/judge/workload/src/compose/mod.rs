//! Compose projects: their files put together, and the container that each service asks for.
//!
//! Source: the Compose specification (compose-spec, 2026), and where it is silent compose-go v2, which Docker Compose stands on and which the
//! recorded cases of this room were judged by.

mod environment;
mod interpolate;
mod load;
mod merge;
mod mounts;
mod ports;
mod resources;
mod service;
mod whole;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::{Dialect, Node, Problem, Sources, Span};
use crate::fields::Findings;
use crate::lowered::Lowered;

/// Looks a variable up.
pub type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;
/// Reads a file.
pub type Read<'r> = &'r dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// What a project is made of beside the files that are named.
#[derive(Clone, Copy)]
pub struct Inputs<'i> {
    /// Reads `include`d and `extends`' files, `.env` and `env_file`s.
    pub read: Read<'i>,
    /// The environment.
    pub variable: Variables<'i>,
}

/// A project, as far as it could be read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The files that were read.
    pub sources: Sources,
    /// What they come to; what had problems is left out.
    pub project: Project,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// What the files of a project come to.
#[derive(Debug, Default)]
pub struct Project {
    /// The merged document.
    root: Option<Arc<Node>>,
    /// Folder that paths of each file are taken from, by the file's place in the sources.
    folders: HashMap<u32, PathBuf>,
    /// The variables of `.env`.
    variables: Vec<environment::Variable>,
}

/// A service as it can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The image that it names.
    pub image: Option<String>,
    /// Whether its image is built.
    pub is_built: bool,
}

/// Reads the files of a project, the later ones over the earlier. The project's folder is that of the first.
pub fn load(paths: &[PathBuf], inputs: Inputs<'_>) -> Loaded {
    load::load(paths, inputs)
}

impl Project {
    /// The merged document, in which each part knows the file that it is from.
    pub fn document(&self) -> Option<&Arc<Node>> {
        self.root.as_ref()
    }

    /// Its services, in the order of the files.
    pub fn services(&self) -> Vec<ServiceName> {
        let Some(services) = self.root.as_ref().and_then(|root| root.get("services")) else {
            return Vec::new();
        };
        let name = |entry: &crate::document::Entry| ServiceName {
            name: entry.key.clone(),
            span: entry.key_span,
            image: entry.value.get("image").and_then(|image| Some(image.scalar()?.text.clone())),
            is_built: entry.value.get("build").is_some(),
        };
        services.entries().iter().map(name).collect()
    }

    /// The container that a service asks for; `None` if there is no such service.
    pub fn service(&self, name: &str, inputs: Inputs<'_>) -> Option<Lowered> {
        let root = self.root.as_ref()?;
        let node = root.at(&["services", name])?;
        let findings = Findings::default();
        let mut lowered = service::lower(self, root, (name, node), inputs, &findings);
        lowered.notes = findings.notes.into_inner();
        lowered.problems = findings.problems.into_inner();
        Some(lowered)
    }

    /// The folder that paths of a file are taken from.
    fn folder(&self, span: Span) -> &Path {
        self.folders.get(&span.source).map_or(Path::new("."), PathBuf::as_path)
    }

    /// A path as it is meant where it stands.
    fn path(&self, text: &str, span: Span, variable: Variables<'_>) -> PathBuf {
        match (text.strip_prefix('~'), variable("HOME")) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                Path::new(&home).join(rest.trim_start_matches('/'))
            }
            _ => plain(&self.folder(span).join(text)),
        }
    }

    fn own_variable(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().rev().find(|variable| variable.name == name)?;
        found.value.clone()
    }
}

/// A path without `.` and `..` where that can be told from its text.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

const DIALECT: Dialect = Dialect::Compose;
