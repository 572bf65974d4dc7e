//! A store of a test's own, and builds in it.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;

use longshore_builder::{
    BuildError, BuildOutcome, BuildRequest, Builder, Context, ContextRequest, ContextSource, Credentials,
    DockerfileSource, FetchedContext, ImageSource, Isolate, NetworkMode, NoCache, Secret, build,
    fetch_context,
};
use longshore_events::Events;
use longshore_http::{Client, HttpSettings};
use longshore_image::Image;
use longshore_image::flatten::{Contents, FileKind, Tree, flatten};
use longshore_image::layer::{entries, inside};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Digest, Platform, Reference};
use longshore_process::Environment;
use longshore_snapshot::{Ownership, Snapshots};
use longshore_store::Store;
use longshore_testkit::{Folder, Stop};

/// A store, a build context, and what builds are given besides.
pub(crate) struct Workshop {
    pub(crate) folder: Folder,
    pub(crate) store: Store,
    pub(crate) http: Option<Client>,
    pub(crate) environment: Environment,
    pub(crate) secrets: BTreeMap<String, Secret>,
}

/// No image is known here: stages begin with `scratch`.
struct NoImages;

impl ImageSource for NoImages {
    fn find(
        &self,
        reference: &Reference,
        _: bool,
        _: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("there is no {reference:?}").into())
    }
}

/// Nothing is run here.
struct NoSteps;

impl Isolate for NoSteps {
    fn before_steps(&self) -> Result<Option<Snapshots>, BuildError> {
        Ok(None)
    }

    fn for_run(&self) -> Result<longshore_sandbox::Isolation, BuildError> {
        Err(BuildError::Thread)
    }
}

/// What a build made.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) outcome: BuildOutcome,
    pub(crate) tree: Tree,
    /// Lines of the history.
    pub(crate) history: Vec<String>,
    image: Image,
}

impl Workshop {
    pub(crate) fn new() -> Result<Workshop, Stop> {
        let folder = Folder::new()?;
        std::fs::create_dir(folder.join("context"))?;
        let store = Store::open(&folder.join("store"))?;
        let settings = HttpSettings { attempts: 2, ..HttpSettings::default() };
        Ok(Workshop {
            folder,
            store,
            http: Some(Client::new(settings)),
            environment: Environment::inherited(),
            secrets: BTreeMap::new(),
        })
    }

    /// A file of the build context.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Stop> {
        self.folder.write(Path::new("context").join(name), content)?;
        Ok(())
    }

    /// Builds `FROM scratch` with one more line.
    pub(crate) fn add(&self, line: &str) -> Result<Built, Stop> {
        Ok(self.try_add(line, None)?)
    }

    pub(crate) fn try_add(&self, line: &str, epoch: Option<i64>) -> Result<Built, BuildError> {
        self.build(&format!("FROM scratch\n{line}\n"), |request| request.source_date_epoch = epoch)
    }

    /// Builds a Dockerfile as `change` wants it.
    pub(crate) fn build(
        &self,
        dockerfile: &str,
        change: impl FnOnce(&mut BuildRequest),
    ) -> Result<Built, BuildError> {
        let mut request = request(dockerfile.to_owned(), &self.folder.join("context"), None);
        request.credentials.secrets.clone_from(&self.secrets);
        change(&mut request);
        let outcome = self.with_builder(|builder| build(builder, &request, &Events::silent()))?;
        let image = Image::new(outcome.root.clone(), std::sync::Arc::new(self.store.layout().clone()));
        let first = image.images()?.into_iter().next().unwrap_or_else(|| image.clone());
        let tree = flatten(&first, Contents::Hashed, &Events::silent()).map_err(io_error)?;
        let history = first.config()?.history.into_iter().filter_map(|entry| entry.created_by).collect();
        Ok(Built { outcome, tree, history, image: first })
    }

    /// Fetches a context.
    pub(crate) fn fetch(&self, source: ContextSource<'_>) -> Result<FetchedContext, BuildError> {
        let credentials = &Credentials { secrets: self.secrets.clone(), ..Credentials::default() };
        let request = ContextRequest { source, credentials, keep_git_dir: false, commit_time: false };
        self.with_builder(|builder| fetch_context(builder, request, &Events::silent()))
    }

    /// Fetches a context and builds its Dockerfile.
    pub(crate) fn build_fetched(
        &self,
        source: ContextSource<'_>,
        dockerfile: &str,
    ) -> Result<Built, BuildError> {
        let context = self.fetch(source)?;
        let dockerfile = context.dockerfile(Path::new(dockerfile))?;
        self.build("", |request| {
            request.dockerfile = dockerfile;
            request.context = Context::Fetched(context);
        })
    }

    fn with_builder<T>(
        &self,
        work: impl FnOnce(&Builder<'_>) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        work(&Builder {
            store: &self.store,
            snapshots: Snapshots::open(&self.store, Ownership::Root, true)?,
            images: &NoImages,
            http: self.http.as_ref(),
            advisors: Vec::new(),
            isolate: &NoSteps,
            environment: self.environment.clone(),
        })
    }

    /// The messages of a build that must fail, from the outer to the inner, and its hint.
    pub(crate) fn refused(&self, line: &str) -> Result<(Vec<String>, Option<String>), Stop> {
        match self.try_add(line, None) {
            Ok(_) => Err(Stop::failed(format!("{line}: the build went well"))),
            Err(error) => Ok(told(&error)),
        }
    }
}

/// The messages of an error, from the outer to the inner, and its hint.
pub(crate) fn told(error: &BuildError) -> (Vec<String>, Option<String>) {
    let mut messages = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        messages.push(next.to_string());
        cause = next.source();
    }
    (messages, error.hint())
}

fn io_error(error: impl std::error::Error + Send + Sync + 'static) -> BuildError {
    longshore_files::FileError::of("read", "the image")(std::io::Error::other(error)).into()
}

fn request(dockerfile: String, context: &Path, epoch: Option<i64>) -> BuildRequest {
    BuildRequest {
        dockerfile: DockerfileSource {
            bytes: dockerfile.into_bytes(),
            place: longshore_builder::DockerfilePlace::Pipe,
        },
        context: Context::Folder(context.to_owned()),
        named_contexts: Default::default(),
        target: None,
        build_args: Vec::new(),
        platforms: vec![Platform::host()],
        platforms_named: false,
        labels: Vec::new(),
        annotations: Vec::new(),
        hosts: Vec::new(),
        credentials: Default::default(),
        no_cache: NoCache::Never,
        all_stages: false,
        pull: false,
        network: NetworkMode::None,
        allow_insecure: false,
        limits: Default::default(),
        source_date_epoch: epoch,
        host_ca: None,
        format: ImageFormat::Oci,
        cache: longshore_builder::CacheRequest::default(),
        wants_files: false,
        is_continued: false,
    }
}

impl Built {
    /// Every file: path, kind, mode, and its content's length or its target. Folders end in a slash.
    pub(crate) fn listing(&self) -> Vec<String> {
        let line = |(path, file): (&Path, &longshore_image::flatten::TreeFile)| {
            let path = path.display();
            match file.kind {
                FileKind::Directory => format!("{path}/ {:o}", file.mode),
                FileKind::File => format!("{path} {:o} {}", file.mode, file.size),
                _ => {
                    let target = file.target.clone().unwrap_or_default();
                    format!("{path} -> {}", target.display())
                }
            }
        };
        self.tree.files().filter(|(path, _)| *path != Path::new(".")).map(line).collect()
    }

    /// Whether a file has exactly this content.
    pub(crate) fn holds(&self, path: &str, content: &[u8]) -> bool {
        self.tree.get(path).and_then(|file| file.content.clone()) == Some(Digest::of(content))
    }

    /// A file's text, out of the last layer.
    pub(crate) fn text(&self, path: &str) -> Result<String, Stop> {
        let manifest = self.image.manifest()?;
        let Some(layer) = manifest.layers.last() else { return Err(Stop::failed("there is no layer")) };
        let mut tar = entries(self.image.open_layer(layer)?);
        while let Some(entry) = tar.next_entry()? {
            if inside(&entry.path).as_deref() == Some(Path::new(path)) {
                return Ok(std::io::read_to_string(tar.content())?);
            }
        }
        Err(Stop::failed(format!("there is no {path}")))
    }

    pub(crate) fn is_cached(&self) -> bool {
        self.outcome.steps == self.outcome.cached_steps
    }
}
