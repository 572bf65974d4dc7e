//! Where images come from, and who may speed a step up: what the caller brings.

use std::path::PathBuf;

use longshore_events::Events;
use longshore_image::Image;
use longshore_oci::Reference;
use longshore_sandbox::Isolation;
use longshore_snapshot::Snapshots;

use crate::error::BuildError;

/// Finds the images that a Dockerfile names.
pub trait ImageSource: Send + Sync {
    /// The image, or index of images, called `reference`. With `pull`, a registry is asked even if it is here already.
    ///
    /// Errors: nobody has it, or it cannot be read.
    fn find(
        &self,
        reference: &Reference,
        pull: bool,
        events: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>>;
}

/// How steps are isolated, decided when it is needed: a build that has nothing to do asks nothing of the machine.
pub trait Isolate: Sync {
    /// Asked before the first step is done. The snapshots to work with from then on, where they are others than those of
    /// [`crate::Builder::snapshots`]: whether overlays can be mounted depends on the means of isolation.
    ///
    /// Errors: [`BuildError::GoInside`] where the process must go on inside a user namespace.
    fn before_steps(&self) -> Result<Option<Snapshots>, BuildError>;

    /// By which means RUN steps are isolated; asked before each. Errors: nothing that isolates works here.
    fn for_run(&self) -> Result<Isolation, BuildError>;
}

/// What a RUN step is, for those who may advise it.
#[derive(Debug, Clone, Copy)]
pub struct StepFacts<'a> {
    /// The Dockerfile's folder, or another text that tells projects apart.
    pub project: &'a str,
    /// The stage's name or number.
    pub stage: &'a str,
    /// Whether files of this stage land in the image that is built: the target is this stage, or begins with it.
    pub is_exported: bool,
    /// The step's words: the shell and its line, or the program and its arguments.
    pub arguments: &'a [String],
    /// Names and values of its environment.
    pub environment: &'a [(String, String)],
    /// Its working folder.
    pub folder: &'a str,
    /// Its user as USER names it, empty for root.
    pub user: &'a str,
    /// The user's home folder, by the image's /etc/passwd.
    pub home: Option<&'a str>,
    /// Targets of the mounts that the step has already.
    pub mounts: &'a [String],
    /// Text of the instructions that come later in the stage.
    pub later: &'a [String],
    /// Paths that other stages copy from this one or mount.
    pub copied: &'a [String],
    /// Whether the step sees a /proc.
    pub has_proc: bool,
    /// Reads a small file of the stage: the Go toolchain's VERSION, for one.
    pub files: &'a dyn StageFiles,
}

/// The files of a stage as they are before a step.
pub trait StageFiles {
    /// A file's content, if it is a regular file of at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> Option<Vec<u8>>;
}

impl std::fmt::Debug for dyn StageFiles + '_ {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StageFiles")
    }
}

/// What a step gets besides what the Dockerfile says. It is part of no cache key: it must not change what the step leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advice {
    /// Variables of the step's environment.
    pub environment: Vec<(String, String)>,
    /// Folders and files of the machine to mount.
    pub mounts: Vec<AdvisedMount>,
    /// What is done and why, or why nothing is: one sentence for the log; empty where there is nothing to say.
    pub reason: String,
}

/// A folder or file of the machine that a step sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvisedMount {
    /// Path on the machine.
    pub source: PathBuf,
    /// Absolute path in the step.
    pub target: PathBuf,
    /// Whether the step may only read it.
    pub read_only: bool,
}

/// Somebody who knows how to make steps faster without changing what they leave.
pub trait StepAdvisor: Send + Sync {
    /// Advice for a step that is about to run.
    fn advise(&self, step: &StepFacts<'_>) -> Advice;
}
