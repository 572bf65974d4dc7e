//! The whole way: recall, or compile, list, look, assemble, remember.

use std::thread;

use longshore_config::{Lock, Vcs};
use longshore_events::Events;
use longshore_files::FileInstant;
use longshore_image::Sink;
use longshore_image::layer::FORMAT;
use longshore_oci::{Descriptor, Digest};
use longshore_store::Writer;
use longshore_toolchain::{Source, Toolchain};
use serde::{Deserialize, Serialize};

use crate::assemble::{Common, Parts};
use crate::assets::Assets;
use crate::base::{CERTIFICATES_VERSION, ForeignBase};
use crate::compile::GoCall;
use crate::error::BuildError;
use crate::flags::EnvironmentFlags;
use crate::goenv::{CHANGING, GoSurroundings};
use crate::inputs::{self, FIELDS, Modules, Package, Places};
use crate::memory::{Key, Memory, Recalled, Record, Watch};
use crate::outcome::{BuildOutcome, PlatformImage};
use crate::pins::Pins;
use crate::platform::Built;
use crate::recipe::RECIPE_VERSION;
use crate::request::{BuildEnvironment, BuildRequest};
use crate::resolved::Resolved;
use crate::vcs::{Commit, Repository};

/// Changes with everything about a build that the key's other parts do not tell.
const GENERATION: u32 = 1;

/// The folder of the store's cache that holds the memory of builds.
pub(crate) const MEMORY: &str = "builds";

/// Builds an image, or finds that the one of last time is still it. The image stands in the store without a name.
///
/// Errors: see [`BuildError`]; nothing half-done is left behind.
pub fn build(
    request: &BuildRequest,
    environment: &BuildEnvironment<'_>,
    events: &Events,
) -> Result<BuildOutcome, BuildError> {
    Builder::new(request, environment, events)?.run()
}

/// What is remembered of a build.
#[derive(Serialize, Deserialize)]
struct Remembered {
    root: Descriptor,
    images: Vec<PlatformImage>,
    blobs: Vec<Descriptor>,
    /// The lock's text.
    pins: String,
}

pub(crate) struct Builder<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) environment: &'a BuildEnvironment<'a>,
    pub(crate) events: &'a Events,
    pub(crate) resolved: Resolved,
    pub(crate) surroundings: GoSurroundings,
    pub(crate) flags: EnvironmentFlags,
    pub(crate) modules: Modules,
    pub(crate) memory: Memory,
    pub(crate) writer: Writer,
    pub(crate) pins: Pins,
}

/// What all platforms share while they are built.
pub(crate) struct Shared {
    pub(crate) toolchain: Toolchain,
    pub(crate) commit: Commit,
    pub(crate) assets: Assets,
    pub(crate) extra_ca: Vec<Vec<u8>>,
    pub(crate) temporary: tempfile::TempDir,
    /// The base of each platform; none for the built-in base.
    pub(crate) bases: Vec<ForeignBase>,
    /// What the build is made of besides its source.
    pub(crate) found: Lock,
}

impl<'a> Builder<'a> {
    fn new(
        request: &'a BuildRequest,
        environment: &'a BuildEnvironment<'a>,
        events: &'a Events,
    ) -> Result<Builder<'a>, BuildError> {
        let problem = |problem| BuildError::Settings { service: request.name.clone(), problem };
        let resolved = Resolved::new(request).map_err(problem)?;
        let surroundings =
            GoSurroundings::read(&environment.variables, &environment.store.cache_folder("go"))?;
        let flags =
            EnvironmentFlags::parse(surroundings.value("GOFLAGS").unwrap_or_default()).map_err(problem)?;
        let modules = Modules::read(&request.module, surroundings.value("GOWORK"))?;
        let pins = Pins::read(request, &modules)?;
        Ok(Builder {
            memory: Memory::new(environment.store.cache_folder(MEMORY).join("records")),
            writer: environment.store.writer()?,
            request,
            environment,
            events,
            resolved,
            surroundings,
            flags,
            modules,
            pins,
        })
    }

    fn run(&self) -> Result<BuildOutcome, BuildError> {
        let chosen = self.chosen_toolchain()?;
        let mut reason = None;
        let mut known = None;
        if let (Some(toolchain), Some(base), false) = (&chosen, self.pins.base(), self.request.fresh) {
            match self.memory.recall(&self.key(toolchain, base)) {
                Recalled::Valid(value) => match self.recalled(&value)? {
                    Some(outcome) => return Ok(outcome),
                    None => reason = Some("the image of last time is no longer in the store".to_owned()),
                },
                Recalled::Edited(record, why) => {
                    known = Some(record);
                    reason = Some(why);
                }
                Recalled::Nothing(why) => reason = Some(why),
            }
        }
        let toolchain = match chosen {
            Some(toolchain) => toolchain,
            None => self
                .environment
                .toolchains
                .resolve(&self.pins.toolchain_request(&self.modules), self.events)?,
        };
        self.warn_of_left_out();
        let mut outcome = self.build(toolchain, known.as_ref())?;
        outcome.reason = outcome.reason.or(reason);
        Ok(outcome)
    }

    /// The toolchain, if it is there already.
    fn chosen_toolchain(&self) -> Result<Option<Toolchain>, BuildError> {
        let request = self.pins.toolchain_request(&self.modules);
        match self.environment.toolchains.choose(&request, self.events)? {
            longshore_toolchain::Choice::Ready(toolchain) => Ok(Some(toolchain)),
            longshore_toolchain::Choice::Fetch { .. } => Ok(None),
        }
    }

    /// Everything that decides the image and is known without looking at the source.
    fn key(&self, toolchain: &Toolchain, base: Option<&Digest>) -> Key {
        let request = self.request;
        let settings = format!("{:?}", self.resolved);
        let identity = format!(
            "{GENERATION} {FORMAT} {RECIPE_VERSION} {CERTIFICATES_VERSION} {} {} {:?} {:?} {base:?}",
            toolchain.name,
            toolchain.goroot.display(),
            request.source_date_epoch,
            request.facts,
        );
        let environment = format!("{:?}", self.surroundings.key(self.resolved.cgo));
        let probes: Vec<_> =
            self.resolved.platforms.iter().filter_map(|platform| self.resolved.probe_of(platform)).collect();
        Key::of([
            b"build".as_slice(),
            request.root.as_os_str().as_encoded_bytes(),
            request.module.as_os_str().as_encoded_bytes(),
            request.package.as_bytes(),
            request.name.as_bytes(),
            settings.as_bytes(),
            identity.as_bytes(),
            environment.as_bytes(),
            probes.concat().as_slice(),
        ])
    }

    /// What was remembered, if the store still holds all of it. Errors: the lock does not allow it.
    fn recalled(&self, value: &[u8]) -> Result<Option<BuildOutcome>, BuildError> {
        let Ok(remembered) = serde_json::from_slice::<Remembered>(value) else { return Ok(None) };
        let Ok(pins) = Lock::parse(remembered.pins.as_bytes()) else { return Ok(None) };
        for blob in &remembered.blobs {
            if !self.writer.has(blob)? {
                return Ok(None);
            }
        }
        self.pins.check(&pins)?;
        self.pins.save(&pins, false)?;
        Ok(Some(BuildOutcome {
            root: remembered.root,
            images: remembered.images,
            cached: true,
            pins,
            reason: None,
            kept: self.writer.clone(),
        }))
    }

    fn warn_of_left_out(&self) {
        for flag in &self.flags.left_out {
            self.events.warn(format!(
                "GOFLAGS has {flag}, which would change the program: it is left out; longshore.toml has keys for what a build needs"
            ));
        }
        for name in CHANGING {
            if let Some(value) = self.surroundings.value(name)
                && !self.resolved.go_env.contains_key(name)
                && !self.resolved.has_level(name)
            {
                self.events.warn(format!(
                    "{name}={value} in the environment is left out, since the image must not depend on it: write it into longshore.toml"
                ));
            }
        }
    }

    fn build(&self, toolchain: Toolchain, known: Option<&Record>) -> Result<BuildOutcome, BuildError> {
        let began = FileInstant::now();
        let mut watch = Watch::since(began);
        let bases = self.foreign_bases()?;
        let found = self.found_pins(&toolchain, bases.first());
        self.pins.check(&found)?;
        if self.resolved.cgo {
            self.check_compilers(&mut watch)?;
        }
        let repository = match self.resolved.vcs {
            Vcs::Off => None,
            _ => Repository::find(&self.request.module, &self.environment.variables, &mut watch),
        };
        let mut commit = match &repository {
            Some(repository) => {
                repository.commit(self.resolved.vcs, &self.request.module, &mut watch, self.events)?
            }
            None => Commit::default(),
        };
        commit.version = self.resolved.version.clone().or(commit.version);
        let package = self.request.module.join(&self.request.package);
        let assets = Assets::collect(&self.request.root, &self.resolved.include, &package, &mut watch)?;
        let extra_ca = self.extra_certificates(&mut watch)?;
        let temporary = self.temporary()?;
        let shared = Shared { toolchain, commit, assets, extra_ca, temporary, bases, found };
        let calls = self.calls(&shared)?;
        watch.work_begins();
        let (built, is_dirty) = self.compile(&shared, &calls, repository.as_ref(), known, &mut watch)?;
        self.finish(&shared, built, is_dirty, watch)
    }

    /// Compiles all platforms at once, and meanwhile finds out what they are made of.
    fn compile(
        &self,
        shared: &Shared,
        calls: &[GoCall],
        repository: Option<&Repository>,
        known: Option<&Record>,
        watch: &mut Watch,
    ) -> Result<(Vec<Built>, bool), BuildError> {
        thread::scope(|scope| {
            let compiled: Vec<_> = calls
                .iter()
                .enumerate()
                .map(|(index, call)| scope.spawn(move || self.compile_one(shared, call, index)))
                .collect();
            let looked = self.look(shared, calls, repository, known, watch);
            let mut built = Vec::new();
            for thread in compiled {
                built.push(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            // The compiler's words are the better ones: they are only missing where it succeeded.
            Ok((built, looked?))
        })
    }

    /// Watches every input, and tells whether any differs from the commit.
    fn look(
        &self,
        shared: &Shared,
        calls: &[GoCall],
        repository: Option<&Repository>,
        known: Option<&Record>,
        watch: &mut Watch,
    ) -> Result<bool, BuildError> {
        let places = Places {
            module_cache: self.surroundings.module_cache.clone(),
            goroot: shared.toolchain.goroot.clone(),
            toolchain_is_ours: matches!(shared.toolchain.source, Source::Fetched { .. }),
        };
        inputs::watch_toolchain(&places, watch);
        self.modules.watch(watch);
        if let Some(file) = self.surroundings.user_file() {
            watch.file(&file);
        }
        if let Some(record) = known {
            watch.renew(record);
        }
        for call in calls.iter().filter(|_| known.is_none()) {
            let json = call.list(FIELDS, self.events)?;
            match Package::parse_all(&json) {
                Ok(packages) => inputs::watch_packages(&packages, &self.modules, &places, watch),
                Err(error) => watch.spoil(format!("the answer of go list cannot be read: {error}")),
            }
        }
        match repository {
            Some(repository) if shared.commit.revision.is_some() => {
                Ok(repository.differs(watch.files(), self.events)?)
            }
            _ => Ok(false),
        }
    }

    fn finish(
        &self,
        shared: &Shared,
        built: Vec<Built>,
        is_dirty: bool,
        watch: Watch,
    ) -> Result<BuildOutcome, BuildError> {
        let recipe = self.recipe(shared, shared.bases.first());
        let common = Common {
            resolved: &self.resolved,
            name: &self.request.name,
            module_path: self.modules.main_path(),
            commit: &shared.commit,
            is_dirty,
            source_date_epoch: self.request.source_date_epoch,
            recipe: &serde_json::to_string(&recipe).map_err(BuildError::Document)?,
            has_kodata: shared.assets.has_kodata,
        };
        let (mut images, mut assembled) = (Vec::new(), Vec::new());
        for (index, (platform, built)) in self.resolved.platforms.iter().zip(built).enumerate() {
            let parts = Parts {
                platform,
                base: shared.bases.get(index),
                layers: &built.layers,
                has_certificates: built.has_certificates,
            };
            self.take_base(shared.bases.get(index))?;
            let (image, size) = common.image(&parts)?;
            if !self.resolved.annotations.is_empty() && image.dropped.contains(&"annotations") {
                self.events.warn("Docker's format has no room for annotations: they are left out".to_owned());
            }
            images.push(PlatformImage {
                manifest: image.root.clone(),
                platform: platform.clone(),
                size,
                program_size: built.elf.size,
                is_static: built.elf.is_static(),
                decisions: built.decisions,
            });
            assembled.push(image);
        }
        let root = common.write(&assembled, &self.writer)?;
        self.events.check()?;
        let reason = self.remember(shared, &root, &images, watch);
        let resolved_something =
            !shared.bases.is_empty() || matches!(shared.toolchain.source, Source::Fetched { .. });
        self.pins.save(&shared.found, resolved_something)?;
        let (pins, kept) = (shared.found.clone(), self.writer.clone());
        Ok(BuildOutcome { root, images, cached: false, pins, reason, kept })
    }

    /// Keeps the build for the next time; says why where it cannot.
    fn remember(
        &self,
        shared: &Shared,
        root: &Descriptor,
        images: &[PlatformImage],
        watch: Watch,
    ) -> Option<String> {
        let image = self.environment.store.layout().image(root);
        let blobs = image.blobs().ok()?;
        let remembered =
            Remembered { root: root.clone(), images: images.to_vec(), blobs, pins: shared.found.to_text() };
        let value = serde_json::to_vec(&remembered).ok()?;
        let record = match watch.into_record(value) {
            Ok(record) => record,
            Err(why) => return Some(format!("the next build cannot be answered from memory: {why}")),
        };
        let base = shared.found.bases.values().next().map(|pin| &pin.digest);
        let key = self.key(&shared.toolchain, base);
        self.memory.remember(&key, &record).err().map(|error| error.to_string())
    }
}
