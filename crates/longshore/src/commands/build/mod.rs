//! `longshore build`: services become images.

mod cache;
mod context;
mod dockerfile;
mod files;
mod output;
mod request;
mod tags;
pub(crate) mod values;

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Args, ValueEnum};
use longshore_builder::BuiltFiles;
use longshore_config::Settings;
use longshore_docker::EngineKind;
use longshore_gobuild::{BuildEnvironment, BuildOutcome, BuildRequest, LockMode, ServiceFacts};
use longshore_image::Image;
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Descriptor, Platform, Reference};
use longshore_project::Facts;
use longshore_registry::PushOptions;
use longshore_store::Store;
use longshore_toolchain::Toolchains;

use crate::bases::Bases;
use crate::context::Context;
use crate::exit::Exit;
use crate::health;
use crate::images;
use crate::services::{self, Service, Services, ServicesArgs, Several};
use crate::settings::GO_OPTIONS;
use crate::ui::{CommandError, Ui, size};
use output::{Delivery, Destination};
use tags::TagTemplate;

pub(crate) use cache::CacheWriteError;
pub(crate) use dockerfile::DockerfileError;
pub(crate) use output::DestinationError;
pub(crate) use tags::TagError;

/// Build a Go service, or a Dockerfile, into an image
///
/// Compiles the main package for each platform, puts it on the base, and keeps the image in the store. The same source and the
/// same longshore.lock give the same digest on every machine.
///
/// With -f, builds a Dockerfile with PATH as its context, with no daemon and no root; Go options do not apply then.
///
/// Prints the image's digest, and nothing else, on standard output.
#[derive(Debug, Args)]
#[command(mut_arg("path", |path| path.help("Folder of a Go module, or of a package in it; with -f, the build context")))]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    services: ServicesArgs,

    /// Name of the image; `{name}` stands for the service's [default: {name}:latest, and none with -f]
    #[arg(long, short, value_name = "NAME[:TAG]", help_heading = "Output options")]
    tag: Vec<TagTemplate>,

    /// Also write the image's files into a folder, or what type=local|tar|oci|docker|image|registry says, with dest=, src=, name=,
    /// push=, platform-split= and tar= as buildx has them; `-` is a tar of the files on standard output; oci:DIR, oci-archive:FILE and
    /// docker-archive:FILE are images
    #[arg(long, short, value_name = "DESTINATION", help_heading = "Output options")]
    output: Vec<Destination>,

    /// Also send the image to the registries that its names name
    #[arg(long, requires = "tag", help_heading = "Output options")]
    push: bool,

    /// Also load the image into Docker, or into Podman with --load=podman
    #[arg(long, value_name = "ENGINE", value_enum, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "docker", help_heading = "Output options")]
    load: Option<LoadEngine>,

    /// Fail if anything is not as longshore.lock says
    #[arg(long, help_heading = GO_OPTIONS)]
    locked: bool,

    /// Do all of it again, even if nothing changed since the last build
    #[arg(long, help_heading = "Build options")]
    no_cache: bool,

    #[command(flatten)]
    files: files::FileArgs,

    #[command(flatten)]
    dockerfile: dockerfile::DockerfileArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LoadEngine {
    /// Docker
    Docker,
    /// Podman
    Podman,
}

/// An image that was built, with its names.
struct BuiltImage {
    service: String,
    names: Vec<Reference>,
    root: Descriptor,
    /// What is told of it in the metadata file: its platforms' images.
    images: serde_json::Value,
    /// Whether nothing had to be done.
    cached: bool,
}

pub(crate) fn build(arguments: &BuildArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let epoch = source_date_epoch(context)?;
    if let Some(file) = &arguments.dockerfile.file {
        return build_dockerfile(arguments, file, epoch, context, ui);
    }
    let services = services::resolve(&arguments.services, Several::Ask, context, ui)?;
    let tags = arguments.tags();
    tags::check(&tags, services.chosen.len()).map_err(CommandError::usage)?;
    output::check(&arguments.output, (services.chosen.len(), &tags), context)?;
    let (store, toolchains) = (context.store()?, context.toolchains()?);
    let tools = Tools { store: &store, toolchains: &toolchains, bases: Bases::new(context)? };
    let mut built = Vec::new();
    for service in &services.chosen {
        let request = BuildRequest {
            lock: if arguments.locked { LockMode::Locked } else { LockMode::Update },
            fresh: arguments.no_cache,
            source_date_epoch: epoch,
            ..request(service, &services)
        };
        let outcome = longshore_gobuild::build(&request, &tools.environment(context), ui.events())?;
        let names = tags::names(&tags, &service.name)?;
        for name in &names {
            store.tag(name, &outcome.root)?;
        }
        tell(&outcome, &names, ui);
        let image = BuiltImage {
            service: service.name.clone(),
            names,
            root: outcome.root,
            images: serde_json::to_value(&outcome.images)?,
            cached: outcome.cached,
        };
        deliver(&image, None, arguments, &store, context, ui)?;
        built.push(image);
    }
    tell_digests(&built, arguments, ui)
}

/// The results: files that were asked for, and digests on standard output unless it is taken.
fn tell_digests(built: &[BuiltImage], arguments: &BuildArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    arguments.files.write(built)?;
    if !arguments.output.iter().any(Destination::is_stream) {
        ui.print(&built.iter().map(|image| format!("{}\n", image.root.digest)).collect::<String>())?;
    }
    Ok(Exit::Done)
}

impl BuildArgs {
    /// The names that images get: those of `--tag` and of outputs that name some.
    fn tags(&self) -> Vec<TagTemplate> {
        self.tag.iter().chain(self.output.iter().flat_map(Destination::names)).cloned().collect()
    }
}

fn build_dockerfile(
    arguments: &BuildArgs,
    file: &Path,
    epoch: Option<i64>,
    context: &Context,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let place = context::Place::of(&arguments.services.path).map_err(CommandError::usage)?;
    let typed = arguments.services.settings.over(&Settings::default());
    let parse = |name: &String| name.parse::<Platform>();
    let tags = arguments.tags();
    output::check(&arguments.output, (1, &tags), context)?;
    let asked = dockerfile::Asked {
        place: &place,
        platforms: typed.platforms.iter().flatten().map(parse).collect::<Result<_, _>>()?,
        labels: typed.labels.into_iter().collect(),
        annotations: typed.annotations.into_iter().collect(),
        format: match typed.image_format {
            Some(longshore_config::ImageFormat::Docker) => ImageFormat::Docker,
            _ => ImageFormat::Oci,
        },
        no_cache: arguments.no_cache,
        source_date_epoch: epoch,
        wants_files: arguments.output.iter().any(Destination::takes_files),
    };
    let outcome = match dockerfile::build(&arguments.dockerfile, file, asked, context, ui)? {
        dockerfile::Ending::Built(outcome) => outcome,
        dockerfile::Ending::Inside(exit) => return Ok(exit),
    };
    let store = context.store()?;
    let service = place.name();
    let names = if tags.is_empty() { Vec::new() } else { tags::names(&tags, &service)? };
    for name in &names {
        store.tag(name, &outcome.root)?;
    }
    if names.is_empty() {
        store.add(&outcome.root)?;
    }
    dockerfile::tell(&outcome, &names, ui);
    let image = BuiltImage {
        service,
        names,
        cached: outcome.steps == outcome.cached_steps,
        images: dockerfile::images(&outcome),
        root: outcome.root.clone(),
    };
    deliver(&image, outcome.files.as_ref(), arguments, &store, context, ui)?;
    let caches = &arguments.dockerfile.cache;
    caches.write(&outcome.caches, &image.names, (context, ui.events()))?;
    tell_digests(std::slice::from_ref(&image), arguments, ui)
}

/// What builds work with.
pub(super) struct Tools<'a> {
    pub(super) store: &'a Store,
    pub(super) toolchains: &'a Toolchains,
    pub(super) bases: Bases,
}

impl Tools<'_> {
    pub(super) fn environment(&self, context: &Context) -> BuildEnvironment<'_> {
        BuildEnvironment {
            store: self.store,
            toolchains: self.toolchains,
            bases: &self.bases,
            variables: context.environment.variables(),
        }
    }
}

/// What is asked for a service: settings, facts and places.
fn request(service: &Service, services: &Services) -> BuildRequest {
    let module = services::module_folder(&services.project, &service.main);
    let folder = services.project.root.join(&service.main.dir);
    let package = folder.strip_prefix(&module).unwrap_or(std::path::Path::new(""));
    let package = package.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>();
    BuildRequest {
        root: services.root.clone(),
        package: if package.is_empty() { ".".to_owned() } else { package.join("/") },
        module,
        name: service.name.clone(),
        settings: service.settings.clone(),
        facts: facts(&service.main.facts, &service.settings),
        lock: LockMode::Update,
        fresh: false,
        source_date_epoch: None,
    }
}

/// Of what was found in the source, what an image's configuration says.
fn facts(found: &Facts, settings: &Settings) -> ServiceFacts {
    let port = |port: &longshore_project::Port| {
        let protocol = match port.protocol {
            longshore_project::Protocol::Tcp => longshore_config::Protocol::Tcp,
            longshore_project::Protocol::Udp => longshore_config::Protocol::Udp,
        };
        // What only this machine can reach is not worth a line in an image.
        let number = port.number.filter(|number| *number > 0 && !port.loopback)?;
        Some(longshore_config::Port { number, protocol })
    };
    ServiceFacts {
        ports: found.ports.iter().filter_map(port).collect::<BTreeSet<_>>().into_iter().collect(),
        health: found.health_command.as_ref().map(|command| command.arguments.clone()),
        health_url: health::url(found, settings).map(|(url, _)| url),
    }
}

/// SOURCE_DATE_EPOCH is malformed.
#[derive(Debug, thiserror::Error)]
#[error("SOURCE_DATE_EPOCH is `{0}`, and must be a number of seconds since 1970")]
struct EpochError(String);

fn source_date_epoch(context: &Context) -> Result<Option<i64>, CommandError> {
    let Some(value) = context.environment.variable("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let text = value.to_string_lossy().into_owned();
    match text.parse() {
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) => Err(CommandError::usage(EpochError(text))),
    }
}

/// Says what was built, on standard error.
fn tell(outcome: &BuildOutcome, names: &[Reference], ui: &Ui) {
    if !outcome.cached {
        let decisions = outcome.images.first().map(|image| image.decisions.as_slice()).unwrap_or_default();
        decisions.iter().for_each(|decision| ui.events().note(format!("  {decision}")));
    }
    let names: Vec<_> = names.iter().map(Reference::familiar).collect();
    let platforms: Vec<_> =
        outcome.images.iter().map(|image| format!("{} {}", image.platform, size(image.size))).collect();
    let cached = if outcome.cached { ", nothing changed" } else { "" };
    ui.events().note(format!("{} ({}{cached})", names.join(", "), platforms.join(", ")));
}

/// Writes an image, or its files, to wherever else it was asked for.
fn deliver(
    image: &BuiltImage,
    files: Option<&BuiltFiles>,
    arguments: &BuildArgs,
    store: &Store,
    context: &Context,
    ui: &Ui,
) -> Result<(), CommandError> {
    let stored: Image = store.layout().image(&image.root);
    let (names, service) = (image.names.as_slice(), image.service.as_str());
    let delivery = Delivery { image: &stored, names, service, files, store };
    for destination in &arguments.output {
        output::deliver(&delivery, destination, context, ui)?;
    }
    if let Some(engine) = arguments.load {
        let kind = match engine {
            LoadEngine::Docker => EngineKind::Docker,
            LoadEngine::Podman => EngineKind::Podman,
        };
        images::load(&stored, image.names.clone(), kind, context, ui.events())?;
    }
    if arguments.push {
        let registries = context.registries()?;
        for name in &image.names {
            registries.push(&stored, name, &PushOptions::default(), ui.events())?;
        }
    }
    Ok(())
}
