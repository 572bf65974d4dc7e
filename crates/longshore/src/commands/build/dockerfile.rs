//! `longshore build -f`: a Dockerfile becomes an image, with no daemon.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use longshore_builder::{BuildError, BuildOutcome, Builder, Isolate, StepAdvisor};
use longshore_gocache::{GoCacheAdvisor, GoRootAdvisor};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Platform, Reference};
use longshore_sandbox::{Isolation, IsolationError, Ulimit};
use longshore_snapshot::{Ownership, Snapshots};

use super::cache::CacheArgs;
use super::context::{OpenError, Place};
use super::request::{self, Sources};
use super::values::{AgentSource, Cpus, HostAddress, NamedContext, SecretSource, bytes};
use crate::context::Context;
use crate::exit::Exit;
use crate::inside;
use crate::stage_images::StageImages;
use crate::ui::{CommandError, Ui, count, size};

/// How a Dockerfile is built.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile options")]
pub(super) struct DockerfileArgs {
    /// Build this Dockerfile, with PATH as its context: a folder, a tar, `-` for a tar on standard input, a git repository
    /// (REPOSITORY#REFERENCE:FOLDER) or a URL; `-` reads the Dockerfile from standard input
    #[arg(long, short, value_name = "FILE")]
    #[arg(conflicts_with_all = ["main", "all", "base", "tags", "ldflags", "build_mode", "race", "cgo", "user", "env", "port", "locked"])]
    pub(super) file: Option<PathBuf>,

    /// Stage to build, by name or number [default: the last one]
    #[arg(long, value_name = "STAGE", requires = "file")]
    pub(super) target: Option<String>,

    /// Value of an ARG; without a value, that of the environment's variable
    #[arg(long, value_name = "NAME[=VALUE]", requires = "file")]
    pub(super) build_arg: Vec<String>,

    /// Folder, address or image that stands for a name: NAME=DIR, git repository, URL, oci-layout://DIR[:TAG], docker-image://IMAGE
    #[arg(long, value_name = "NAME=PLACE", requires = "file")]
    pub(super) build_context: Vec<NamedContext>,

    /// Secret for RUN --mount=type=secret: id=ID[,src=FILE][,env=VARIABLE]
    #[arg(long, value_name = "id=ID,…", requires = "file")]
    pub(super) secret: Vec<SecretSource>,

    /// Socket of an ssh agent for RUN --mount=type=ssh: default, or ID=SOCKET
    #[arg(long, value_name = "ID[=SOCKET]", requires = "file")]
    pub(super) ssh: Vec<AgentSource>,

    /// Line of /etc/hosts for RUN steps
    #[arg(long, value_name = "HOST:ADDRESS", requires = "file")]
    pub(super) add_host: Vec<HostAddress>,

    /// Ask registries for base images even if they are here
    #[arg(long, requires = "file")]
    pub(super) pull: bool,

    /// Do the steps of these stages again though they are known
    #[arg(long, value_name = "STAGE", value_delimiter = ',', requires = "file")]
    pub(super) no_cache_filter: Vec<String>,

    /// Build the stages too that the target does not need
    #[arg(long, requires = "file")]
    pub(super) all_stages: bool,

    /// Network of RUN steps that name none
    #[arg(long, value_name = "MODE", value_enum, requires = "file")]
    pub(super) network: Option<NetworkChoice>,

    /// Size of /dev/shm in RUN steps, such as 64m
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "file")]
    pub(super) shm_size: Option<u64>,

    /// Most memory of a RUN step, such as 2g, by a control group
    #[arg(long, short = 'm', value_name = "BYTES", value_parser = bytes, requires = "file")]
    pub(super) memory: Option<u64>,

    /// Most processor time of a RUN step, such as 1.5, by a control group
    #[arg(long, value_name = "NUMBER", requires = "file")]
    pub(super) cpus: Option<Cpus>,

    /// Limit of each process of RUN steps, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]", requires = "file")]
    pub(super) ulimit: Vec<Ulimit>,

    /// Control group in which those of RUN steps are made
    #[arg(long, value_name = "PATH", requires = "file")]
    pub(super) cgroup_parent: Option<String>,

    /// Allow what is refused otherwise: security.insecure
    #[arg(long, value_name = "WHAT", value_enum, requires = "file")]
    pub(super) allow: Vec<Entitlement>,

    /// How RUN steps are isolated [default: the best that works here; see `longshore doctor`]
    #[arg(long, value_name = "NAME", requires = "file")]
    isolation: Option<Isolation>,

    /// Keep what Go compiles in RUN steps, outside of the layers: an edit then takes a moment, and the image stays the same
    #[arg(long, requires = "file")]
    go_cache: bool,

    /// Let RUN steps trust this machine's certificate authorities, without leaving them in a layer
    #[arg(long, requires = "file")]
    pub(super) host_ca: bool,

    #[command(flatten)]
    pub(super) cache: CacheArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum NetworkChoice {
    /// The network that isolation gives: this machine's
    Default,
    /// This machine's network
    Host,
    /// Loopback alone
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Entitlement {
    /// RUN --security=insecure
    #[value(name = "security.insecure")]
    Insecure,
    /// RUN --network=host, which is allowed anyway
    #[value(name = "network.host")]
    HostNetwork,
}

/// What is needed for a Dockerfile is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DockerfileError {
    /// It cannot be read.
    #[error("cannot read the Dockerfile {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A secret cannot be read.
    #[error("cannot read the secret `{id}`{}", place)]
    Secret {
        /// Its id.
        id: String,
        /// Where from, for a person.
        place: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The build argument SOURCE_DATE_EPOCH is malformed.
    #[error("the build argument SOURCE_DATE_EPOCH is `{0}`, and must be a number of seconds since 1970")]
    Epoch(String),
    /// The context is an image.
    #[error("the build context `{0}` is an image")]
    ImageContext(String),
    /// The context's address cannot be read.
    #[error("the build context cannot be read as an address: {0}")]
    Context(String),
    /// Dockerfile and context are both to come through standard input.
    #[error("standard input cannot be both the Dockerfile and the build context")]
    BothPiped,
    /// No agent is known.
    #[error("cannot find the ssh agent `{0}`: SSH_AUTH_SOCK is not set")]
    Agent(String),
    /// No frontend but the built-in one.
    #[error("the Dockerfile asks for the frontend {0}, and only docker/dockerfile's language is built in")]
    Frontend(String),
}

impl DockerfileError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            DockerfileError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("-f names the Dockerfile relative to where you are, not to the context".to_owned())
            }
            DockerfileError::ImageContext(image) => Some(format!(
                "name it with --build-context NAME={image}, and copy from it with COPY --from=NAME"
            )),
            DockerfileError::BothPiped => {
                Some("a tar on standard input has its Dockerfile in it: name that with -f".to_owned())
            }
            DockerfileError::Agent(_) => Some("name the socket: --ssh default=SOCKET".to_owned()),
            DockerfileError::Frontend(_) => {
                Some("build it with BuildKit, which can load that frontend".to_owned())
            }
            _ => None,
        }
    }
}

/// What else of the command line counts for a Dockerfile.
pub(super) struct Asked<'a> {
    pub(super) place: &'a Place,
    pub(super) platforms: Vec<Platform>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) format: ImageFormat,
    pub(super) no_cache: bool,
    pub(super) source_date_epoch: Option<i64>,
    /// Whether the image's files are wanted.
    pub(super) wants_files: bool,
}

/// What came of it: an image, or the end of the process that went on inside a user namespace.
pub(super) enum Ending {
    Built(Box<BuildOutcome>),
    Inside(Exit),
}

/// Builds the Dockerfile that was named.
pub(super) fn build(
    arguments: &DockerfileArgs,
    file: &Path,
    asked: Asked<'_>,
    context: &Context,
    ui: &mut Ui,
) -> Result<Ending, CommandError> {
    // Standard input can be read once, so the process that will run the steps must be the one that reads it.
    if asked.place.is_piped(file).map_err(CommandError::usage)?
        && let Some(isolation) = inside::inside_of(arguments.isolation)
    {
        return Ok(Ending::Inside(inside::go_inside(isolation, ui)?));
    }
    let store = context.store()?;
    ui.show_steps();
    let found = StageImages::new(context, ui.events())?;
    let http = (!context.offline).then(|| longshore_http::Client::new(context.http()));
    let isolate = IsolationChoice { pinned: arguments.isolation, store: &store, choice: OnceLock::new() };
    let go_cache = arguments.go_cache.then(|| go_cache(&store)).transpose()?;
    let mut advisors: Vec<&dyn StepAdvisor> = vec![&GoRootAdvisor];
    advisors.extend(go_cache.as_ref().map(|advisor| advisor as &dyn StepAdvisor));
    let builder = Builder {
        store: &store,
        snapshots: Snapshots::open(&store, inside::ownership(), true)?,
        images: &found,
        http: http.as_ref(),
        advisors,
        environment: longshore_process::Environment::inherited(),
        isolate: &isolate,
    };
    let (credentials, build_args) =
        (request::credentials(arguments, context)?, request::build_args(arguments, context));
    let epoch = request::epoch(&build_args, asked.source_date_epoch)?;
    let opened =
        asked.place.open(file, (&builder, ui.events()), (&credentials, &build_args, epoch.is_some()));
    let (context_of_build, dockerfile) = match opened {
        Err(OpenError::Build(BuildError::GoInside(isolation))) => {
            return Ok(Ending::Inside(inside::go_inside(isolation, ui)?));
        }
        Err(OpenError::Build(error)) => return Err(error.into()),
        Err(OpenError::Dockerfile(error)) => return Err(error.into()),
        Ok(opened) => opened,
    };
    // A process that reads what can be read once, or fetches, is the only one that gets this far.
    let is_continued = longshore_sandbox::inside().is_some() && asked.place.is_read_twice(file);
    check_frontend(&dockerfile.bytes, is_continued, ui)?;
    let sources = Sources { context: context_of_build, dockerfile, credentials, build_args, is_continued };
    let asked = Asked { source_date_epoch: epoch, ..asked };
    let request = request::request(arguments, sources, asked, context, ui)?;
    match longshore_builder::build(&builder, &request, ui.events()) {
        Err(BuildError::GoInside(isolation)) => Ok(Ending::Inside(inside::go_inside(isolation, ui)?)),
        Ok(outcome) => Ok(Ending::Built(Box::new(outcome))),
        Err(error) => {
            let file = &request.dockerfile;
            Err(CommandError::from(error).in_file(file.name(), &file.bytes))
        }
    }
}

/// What offers Go's build cache to steps, with a copy of this program for them to start.
fn go_cache(store: &longshore_store::Store) -> Result<GoCacheAdvisor, CommandError> {
    use std::os::unix::fs::MetadataExt;
    let executable = Path::new("/proc/self/exe");
    let about =
        std::fs::metadata(executable).map_err(longshore_files::FileError::of("look at", executable))?;
    let name = format!("{}-{}-{}.{}", about.ino(), about.len(), about.mtime(), about.mtime_nsec());
    let helper = store.cache_folder("go-front").join(name);
    longshore_gocache::install_helper(executable, &helper)?;
    Ok(GoCacheAdvisor { caches: store.cache_folder("go-build"), helper })
}

/// Chooses how RUN steps are isolated, when it matters and once: trying what works here takes milliseconds.
struct IsolationChoice<'a> {
    pinned: Option<Isolation>,
    store: &'a longshore_store::Store,
    choice: OnceLock<Result<Isolation, IsolationError>>,
}

impl IsolationChoice<'_> {
    fn choose(&self) -> Result<Isolation, IsolationError> {
        self.choice.get_or_init(|| longshore_sandbox::choose(self.pinned)).clone()
    }
}

impl Isolate for IsolationChoice<'_> {
    fn before_steps(&self) -> Result<Option<Snapshots>, BuildError> {
        if longshore_sandbox::inside().is_some() {
            return Ok(None);
        }
        let is_root = rustix::process::geteuid().is_root();
        match self.choose() {
            Ok(isolation) if isolation.is_inside() => Err(BuildError::GoInside(isolation)),
            Ok(isolation) if isolation.has_namespaces() => Ok(None),
            Ok(_) => Ok(Some(Snapshots::open(self.store, Ownership::Root, false)?)),
            Err(error) if self.pinned.is_some() => Err(error.into()),
            // What only copies needs no isolation: a RUN will be refused. Owners that cannot be set are kept in a table.
            Err(_) if is_root => Ok(None),
            Err(_) => Ok(Some(Snapshots::open(self.store, Ownership::Recorded, false)?)),
        }
    }

    fn for_run(&self) -> Result<Isolation, BuildError> {
        match longshore_sandbox::inside() {
            Some(inside) => Ok(inside),
            None => Ok(self.choose()?),
        }
    }
}

/// `# syntax=`: Docker's own frontend is the one that is built in; another one would have to be run.
fn check_frontend(bytes: &[u8], is_continued: bool, ui: &Ui) -> Result<(), DockerfileError> {
    let Some(directive) = longshore_dockerfile::detect_syntax(bytes) else { return Ok(()) };
    let name = directive.value.text.split_whitespace().next().unwrap_or_default().to_owned();
    let repository = name.trim_start_matches("docker.io/");
    let repository = repository.split(['@', ':']).next().unwrap_or_default();
    match repository {
        "docker/dockerfile" | "docker/dockerfile-upstream" if is_continued => Ok(()),
        "docker/dockerfile" | "docker/dockerfile-upstream" => {
            ui.events().note(format!("{name} is asked for: the built-in frontend serves it"));
            Ok(())
        }
        _ => Err(DockerfileError::Frontend(name)),
    }
}

/// Says what was built, on standard error.
pub(super) fn tell(outcome: &BuildOutcome, names: &[Reference], ui: &Ui) {
    for what in &outcome.dropped {
        ui.events().warn(format!("the image's format has no room for {what}: left out"));
    }
    let names: Vec<_> = names.iter().map(Reference::familiar).collect();
    let name = if names.is_empty() { outcome.root.digest.short().to_string() } else { names.join(", ") };
    let platforms: Vec<_> =
        outcome.images.iter().map(|image| format!("{} {}", image.platform, size(image.size))).collect();
    let steps = match (outcome.steps, outcome.cached_steps) {
        (steps, cached) if steps == cached => "nothing changed".to_owned(),
        (steps, cached) => format!("{} of {} done", steps - cached, count(steps, "step")),
    };
    ui.events().note(format!("{name} ({}, {steps})", platforms.join(", ")));
}

/// What is told of an image's platforms in the metadata file.
pub(super) fn images(outcome: &BuildOutcome) -> serde_json::Value {
    let image = |image: &longshore_builder::PlatformImage| serde_json::json!({"platform": image.platform.to_string(), "manifest": image.manifest, "size": image.size});
    outcome.images.iter().map(image).collect()
}
