//! What a service or workload comes down to: the settings of a container, and what they do not say.

use std::time::Duration;

use longshore_runtime::ContainerSettings;

use crate::document::{Problem, Span};

/// The container that a service or workload asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lowered {
    /// Its settings. Paths of the machine are absolute where the files' own folder is.
    pub settings: ContainerSettings,
    /// Files that must be there before it starts: secrets, configuration.
    pub files: Vec<Provided>,
    /// Variables that it is to have, with values from elsewhere.
    pub unknown: Vec<UnknownVariable>,
    /// What is expected of it.
    pub asked: Asked,
    /// What the settings leave out.
    pub notes: Vec<Note>,
    /// What is wrong with the part of the document that asks for it.
    pub problems: Vec<Problem>,
}

/// A file, or a folder of files, whose content stands in a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Provided {
    /// Where, as an absolute path inside.
    pub target: String,
    /// What is there. It may be secret.
    pub content: Content,
}

/// What is provided at a place.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A file.
    File(ProvidedFile),
    /// A folder: its files by their paths in it.
    Folder(Vec<(String, ProvidedFile)>),
}

/// A file whose content is known.
#[derive(Clone, PartialEq, Eq)]
pub struct ProvidedFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

impl std::fmt::Debug for Provided {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the bytes.
        match &self.content {
            Content::File(file) => write!(formatter, "{} ({:o})", self.target, file.mode),
            Content::Folder(files) => write!(formatter, "{} ({} files)", self.target, files.len()),
        }
    }
}

/// A variable whose value a document does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// Where it is asked for.
    pub span: Span,
    /// Where its value would come from: "the key password of the Secret db".
    pub from: String,
}

/// What a document says that is no setting of a container, and that a test can hold it to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The port inside that it serves on.
    pub port: Option<u16>,
    /// Path whose 2xx shows that it is ready.
    pub health_path: Option<String>,
    /// Time in which it must have become ready.
    pub ready_within: Option<Duration>,
    /// Time in which it must end when asked.
    pub grace: Option<Duration>,
    /// Whether it is refused if its user is root, or one whose number is not known.
    pub not_root: bool,
    /// Whether its image's platform was named, as `linux/arm64`.
    pub platform: Option<String>,
}

/// Something that a document asks for and the settings do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where it stands.
    pub span: Span,
    /// Its path in the document: `services.app.privileged`.
    pub field: String,
    /// Why it is left out.
    pub why: String,
    /// Whether the container is another without it.
    pub weight: Weight,
}

/// How much it matters that something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It says nothing about what the container sees.
    Ignored,
    /// The container is not the one that was asked for.
    Missing,
}

impl Note {
    pub(crate) fn ignored(span: Span, field: impl Into<String>, why: impl Into<String>) -> Note {
        Note { span, field: field.into(), why: why.into(), weight: Weight::Ignored }
    }

    pub(crate) fn missing(span: Span, field: impl Into<String>, why: impl Into<String>) -> Note {
        Note { span, field: field.into(), why: why.into(), weight: Weight::Missing }
    }
}
