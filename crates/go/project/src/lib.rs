//! What a Go module is, read from its source without running Go.
//!
//! [`detect`] finds the module or workspace of a folder, its main packages, and what each of their programs does: the ports and
//! routes it serves, the signals and environment variables it knows, what it needs from its image. Every fact says where it was
//! read. Nothing is executed and nothing outside the project is read, so it works on a fresh clone, on a machine without Go,
//! and on code that does not compile. What cannot be understood becomes a [`Diagnostic`]; only a missing or broken
//! go.mod or go.work fails the whole.

mod analysis;
mod cgo;
mod detect;
mod disk;
mod embeds;
mod error;
mod facts;
mod locate;
mod packages;
mod source;
mod threads;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use detect::detect;
pub use error::ProjectError;
pub use facts::*;

/// Which go.work counts: what GOWORK says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Workspace {
    /// The nearest one upward (GOWORK unset).
    #[default]
    Find,
    /// None (`GOWORK=off`).
    Off,
    /// This file.
    File(PathBuf),
}

/// What the detection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectOptions {
    /// GOOS of the target.
    pub os: String,
    /// GOARCH of the target.
    pub arch: String,
    /// Whether cgo is on.
    pub cgo: bool,
    /// Build tags.
    pub tags: BTreeSet<String>,
    /// The minor number of the Go that will build, for `go1.N` tags; none takes what go.mod's lines ask for.
    pub go_minor: Option<u32>,
    /// Which go.work counts.
    pub workspace: Workspace,
    /// GOPRIVATE's patterns.
    pub private: String,
    /// Whether what the programs do is read too. Without it only imports are looked at, which is all that a build needs to
    /// find its main packages, cgo and embedded files, and much faster in a large project.
    pub programs: bool,
}

impl Default for DetectOptions {
    fn default() -> Self {
        DetectOptions {
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            cgo: false,
            tags: BTreeSet::new(),
            go_minor: None,
            workspace: Workspace::Find,
            private: String::new(),
            programs: true,
        }
    }
}
