//! A Dockerfile's build as a whole: read, solve for each platform, write the image.

use std::sync::{Arc, Mutex};

use longshore_dockerfile::{Dockerfile, Severity, StageGraph, StageOptions, parse};
use longshore_events::{Events, TaskKind};
use longshore_http::Client;
use longshore_image::Content;
use longshore_image::mutate::{self, Assembled};
use longshore_oci::{Descriptor, Platform, StringMap};
use longshore_snapshot::{Snapshots, View};
use longshore_store::Store;

use crate::cache::{self, BuiltCache, CacheMode, Imports, Part};
use crate::error::BuildError;
use crate::export::{Exported, keep};
use crate::files::BuiltFiles;
use crate::images::Images;
use crate::remote::Asked;
use crate::request::BuildRequest;
use crate::solve::{Common, Done, Solve, Stop, held};
use crate::source::{ImageSource, Isolate, StepAdvisor};

/// What builds work with.
pub struct Builder<'a> {
    /// Where images and what is remembered live.
    pub store: &'a Store,
    /// Where layers are unpacked.
    pub snapshots: Snapshots,
    /// Where base images come from.
    pub images: &'a dyn ImageSource,
    /// What fetches the addresses of ADD; none where the network is to be left alone.
    pub http: Option<&'a Client>,
    /// Who may speed steps up.
    pub advisors: Vec<&'a dyn StepAdvisor>,
    /// How steps are isolated.
    pub isolate: &'a dyn Isolate,
    /// The environment that git is run in.
    pub environment: longshore_process::Environment,
}

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Builder").field("store", self.store).finish_non_exhaustive()
    }
}

/// What was built.
#[derive(Debug, Clone)]
pub struct BuildOutcome {
    /// The manifest, or the index where several platforms were asked for. It is in the store, and has no name yet.
    pub root: Descriptor,
    /// The image of each platform, in the order in which they were asked for.
    pub images: Vec<PlatformImage>,
    /// Steps, over all platforms.
    pub steps: usize,
    /// Steps whose results were known.
    pub cached_steps: usize,
    /// Stages that the target did not need.
    pub skipped: Vec<String>,
    /// What the image's format has no room for and was left out.
    pub dropped: Vec<&'static str>,
    /// The caches that were asked for.
    pub caches: Vec<BuiltCache>,
    /// The files of the images, where they were wanted.
    pub files: Option<BuiltFiles>,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// The platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Bytes of its layers, compressed.
    pub size: u64,
}

/// Builds a Dockerfile into the store.
///
/// Errors: the Dockerfile has mistakes, an instruction fails, a base cannot be had, the store cannot be written, the work was asked to
/// stop.
pub fn build(
    builder: &Builder<'_>,
    request: &BuildRequest,
    events: &Events,
) -> Result<BuildOutcome, BuildError> {
    let file = read(request, events)?;
    let writer = builder.store.writer()?;
    let (images, asked) = (Images::default(), Asked::default());
    let (imports, redone) = (Imports::default(), Mutex::default());
    let common = Common {
        builder,
        request,
        file: &file,
        images: &images,
        asked: &asked,
        imports: &imports,
        redone: &redone,
        writer: &writer,
        events,
        now: jiff::Timestamp::now().as_second(),
    };
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        let work = |platform: &Platform| build_platform(&common, platform);
        match request.platforms.as_slice() {
            [only] => outcomes.push(work(only)),
            platforms => {
                let threads: Vec<_> =
                    platforms.iter().map(|platform| scope.spawn(move || work(platform))).collect();
                outcomes.extend(
                    threads.into_iter().map(|thread| thread.join().unwrap_or(Err(BuildError::Thread))),
                );
            }
        }
    });
    let built: Vec<PlatformBuilt> = outcomes.into_iter().collect::<Result<_, _>>()?;
    let skipped = tell_skipped(request, &built, events);
    let bases: Vec<Arc<dyn Content>> =
        std::iter::once(Arc::new(builder.store.layout().clone()) as Arc<dyn Content>)
            .chain(built.iter().flat_map(|built| built.bases.iter().cloned()))
            .collect();
    let assembled: Vec<Assembled> = built.iter().map(|built| built.exported.assembled.clone()).collect();
    let whole = match assembled.as_slice() {
        [only] => only.clone(),
        several => mutate::index(several, StringMap::new(), request.format)?,
    };
    let root = keep(&whole, bases, &mut writer.clone(), events)?;
    let caches = caches(&common, &built)?;
    Ok(outcome(root, built, (skipped, whole.dropped.clone(), caches), request))
}

fn outcome(
    root: Descriptor,
    built: Vec<PlatformBuilt>,
    (skipped, dropped, caches): (Vec<String>, Vec<&'static str>, Vec<BuiltCache>),
    request: &BuildRequest,
) -> BuildOutcome {
    let steps = built.iter().map(|built| built.steps).sum();
    let cached_steps = built.iter().map(|built| built.cached_steps).sum();
    let (mut platforms, mut files) = (Vec::new(), BuiltFiles::new(request.source_date_epoch));
    for built in built {
        if let Some((view, snapshots)) = built.files {
            files.push(built.platform.clone(), view, snapshots);
        }
        platforms.push(PlatformImage {
            platform: built.platform,
            manifest: built.exported.assembled.root,
            size: built.exported.size,
        });
    }
    BuildOutcome {
        root,
        steps,
        cached_steps,
        skipped,
        dropped,
        caches,
        images: platforms,
        files: request.wants_files.then_some(files),
    }
}

struct PlatformBuilt {
    platform: Platform,
    exported: Exported,
    steps: usize,
    cached_steps: usize,
    parts: Vec<(CacheMode, Part)>,
    bases: Vec<Arc<dyn Content>>,
    skipped: Vec<String>,
    files: Option<(View, Snapshots)>,
}

fn read(request: &BuildRequest, events: &Events) -> Result<Dockerfile, BuildError> {
    let parsed = parse(&request.dockerfile.bytes);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        parsed.diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    for warning in warnings.into_iter().filter(|_| !request.is_continued) {
        let line = parsed.file.line_of(warning.span.start);
        events.warn(format!("{}:{line}: {}", request.dockerfile.name(), warning.message));
    }
    if errors.is_empty() { Ok(parsed.file) } else { Err(mistakes(request, errors)) }
}

fn mistakes(request: &BuildRequest, diagnostics: Vec<longshore_dockerfile::Diagnostic>) -> BuildError {
    BuildError::Dockerfile {
        file: request.dockerfile.name(),
        source_text: request.dockerfile.bytes.clone(),
        diagnostics,
    }
}

/// The caches that were asked for, each of all platforms.
fn caches(common: &Common<'_>, built: &[PlatformBuilt]) -> Result<Vec<BuiltCache>, BuildError> {
    let store: Arc<dyn Content> = Arc::new(common.builder.store.layout().clone());
    let assemble = |mode: &CacheMode| {
        let parts = built.iter().flat_map(|built| &built.parts);
        let parts = parts.filter(|(of, _)| of == mode).map(|(_, part)| part);
        cache::assemble(parts, *mode, Arc::clone(&store), common.writer)
    };
    common.request.cache.to.iter().map(assemble).collect()
}

/// How often a build begins again because what it relied on was lost. Each time it knows one thing less.
const MOST_ATTEMPTS: usize = 1000;

fn build_platform(common: &Common<'_>, platform: &Platform) -> Result<PlatformBuilt, BuildError> {
    let request = common.request;
    let contexts: Vec<String> = request.named_contexts.keys().cloned().collect();
    let options = StageOptions {
        build_args: &request.build_args,
        target: request.target.as_deref(),
        build_platform: &Platform::host().to_string(),
        target_platform: &platform.to_string(),
        contexts: &contexts,
    };
    let graph = StageGraph::of(common.file, &options).map_err(|problems| mistakes(request, problems))?;
    let mut done = Done::default();
    for _ in 0..MOST_ATTEMPTS {
        let solve = Solve::new(common, graph.clone(), platform.clone(), done);
        match attempt(&solve) {
            Err(BuildError::Again) => {
                common.events.check()?;
                done = std::mem::take(&mut *held(&solve.done));
            }
            other => return other,
        }
    }
    Err(BuildError::Again)
}

fn attempt(solve: &Solve<'_>) -> Result<PlatformBuilt, BuildError> {
    if solve.request.wants_files {
        // Even if all is known, files may be another user's outside of the isolation.
        solve.choose_snapshots()?;
    }
    let state = match solve.probe() {
        Ok(None) => solve.build(),
        Ok(Some(state)) => Ok(state),
        Err(stop) => Err(stop),
    };
    // What was hashed is of use to the next build even if this one failed.
    let remembered = solve.remember();
    let state = state.map_err(|stop| match stop {
        Stop::Failed(error) => error,
        Stop::Unknown | Stop::Elsewhere => BuildError::Thread,
    })?;
    remembered?;
    let exported = solve.export(&state, solve.writer)?;
    let modes = solve.request.cache.to.iter();
    let parts =
        modes.map(|mode| Ok((*mode, solve.part(&state, *mode)?))).collect::<Result<_, BuildError>>()?;
    let bases = state.base_image.iter().map(|image| Arc::clone(image.content())).collect();
    let files = match solve.request.wants_files {
        true => Some((solve.view(&state)?, solve.snapshots().clone())),
        false => None,
    };
    let graph = &solve.graph;
    let done = held(&solve.done);
    Ok(PlatformBuilt {
        platform: solve.platform.clone(),
        exported,
        steps: done.len(),
        cached_steps: done.values().filter(|cached| **cached).count(),
        parts,
        bases,
        skipped: graph.skipped().into_iter().map(|index| graph.stages[index].label()).collect(),
        files,
    })
}

/// Says which stages nobody needed: tests and scans that never ran are worth a line.
fn tell_skipped(request: &BuildRequest, built: &[PlatformBuilt], events: &Events) -> Vec<String> {
    let skipped = built.first().map(|built| built.skipped.clone()).unwrap_or_default();
    if request.all_stages {
        return Vec::new();
    }
    for stage in &skipped {
        let task = events.task(TaskKind::Step, format!("[{stage}]"));
        task.skipped("the target does not need it; --all-stages builds it too");
    }
    skipped
}
