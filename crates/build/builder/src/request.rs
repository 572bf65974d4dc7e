//! What is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use longshore_image::Image;
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Platform, Reference};

use crate::cache::{CacheMode, CacheSource};

use crate::fetched::{ContextAddress, FetchedContext};

/// A Dockerfile to build, and how.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
    /// The build context.
    pub context: Context,
    /// Contexts by name: they stand for images and stages of that name.
    pub named_contexts: BTreeMap<String, Context>,
    /// Stage to build, by name or number; the last one where none is named.
    pub target: Option<String>,
    /// Values of ARG.
    pub build_args: Vec<(String, String)>,
    /// Platforms to build for, at least one.
    pub platforms: Vec<Platform>,
    /// Whether the platforms were asked for, rather than being the machine's own.
    pub platforms_named: bool,
    /// Labels of the image, over those of the Dockerfile.
    pub labels: Vec<(String, String)>,
    /// Annotations of the manifest.
    pub annotations: Vec<(String, String)>,
    /// Names and addresses for /etc/hosts of RUN steps.
    pub hosts: Vec<(String, String)>,
    /// What steps and git may log in with.
    pub credentials: Credentials,
    /// Which steps are done again though they are known.
    pub no_cache: NoCache,
    /// Whether stages that the target does not need are built too.
    pub all_stages: bool,
    /// Whether a registry is asked for bases that are here already.
    pub pull: bool,
    /// Network of RUN steps that do not name one.
    pub network: NetworkMode,
    /// Whether RUN steps may ask for `--security=insecure`.
    pub allow_insecure: bool,
    /// Limits of RUN steps.
    pub limits: longshore_sandbox::Limits,
    /// Latest time in the image, in seconds since 1970: SOURCE_DATE_EPOCH.
    pub source_date_epoch: Option<i64>,
    /// The host's certificate authorities, for RUN steps to trust without their landing in a layer.
    pub host_ca: Option<PathBuf>,
    /// Media types of the image.
    pub format: ImageFormat,
    /// Caches of other builds, and those that this one leaves.
    pub cache: CacheRequest,
    /// Whether the target's files are wanted: [`crate::BuildOutcome::files`].
    pub wants_files: bool,
    /// Whether another process of the same build read the Dockerfile before, and said what there is to say about it.
    pub is_continued: bool,
}

/// Which caches a build takes from, and which it leaves.
#[derive(Debug, Clone, Default)]
pub struct CacheRequest {
    /// Where results are taken from, the first first.
    pub from: Vec<CacheSource>,
    /// Whether to say why one of them cannot be read; not where another process of the same build has said it.
    pub says_why: bool,
    /// Caches to put together.
    pub to: Vec<CacheMode>,
    /// Whether the image's config holds a cache.
    pub inline: bool,
}

/// Where the Dockerfile's text comes from.
#[derive(Debug, Clone)]
pub struct DockerfileSource {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it stands, for messages and for the .dockerignore beside it.
    pub place: DockerfilePlace,
}

/// Where a Dockerfile stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfilePlace {
    /// On this machine's disk.
    Disk(PathBuf),
    /// In the build context, which comes from elsewhere: its path there.
    Context(PathBuf),
    /// Nowhere: it came through a pipe.
    Pipe,
}

impl DockerfileSource {
    /// Its name, for messages.
    pub fn name(&self) -> String {
        match &self.place {
            DockerfilePlace::Disk(path) | DockerfilePlace::Context(path) => path.display().to_string(),
            DockerfilePlace::Pipe => "Dockerfile".to_owned(),
        }
    }
}

/// A build context.
#[derive(Debug, Clone)]
pub enum Context {
    /// A folder.
    Folder(PathBuf),
    /// What was fetched already: an archive, or what an address holds.
    Fetched(FetchedContext),
    /// A git repository, or something on a web server.
    Address(ContextAddress),
    /// An image, whichever way it was found.
    Image(Box<Image>),
    /// A name that a registry or the store knows.
    Reference(Reference),
}

/// What a build is trusted with.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Secrets by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of ssh agents by id.
    pub ssh: BTreeMap<String, PathBuf>,
}

/// A secret: a file or a value that a RUN step sees by a mount only. It does not print.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(bytes)
    }

    pub(crate) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Which steps are done again though their results are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCache {
    /// None.
    Never,
    /// All.
    Always,
    /// Those of these stages.
    Stages(Vec<String>),
}

impl NoCache {
    /// Whether the steps of a stage are done again.
    pub(crate) fn applies_to(&self, stage: Option<&str>) -> bool {
        match self {
            NoCache::Never => false,
            NoCache::Always => true,
            NoCache::Stages(names) => {
                stage.is_some_and(|stage| names.iter().any(|name| name.eq_ignore_ascii_case(stage)))
            }
        }
    }
}

/// The network that a step sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// The machine's own.
    Host,
    /// Loopback alone.
    None,
}
