//! `longshore test --compose` and `--k8s`: the settings of a deployment, and what is expected under them.

use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use longshore_oci::Reference;
use longshore_prove::Deployed;
use longshore_runtime::{MountSettings, MountSource};
use longshore_workload::kubernetes::{Manifests, Workload};
use longshore_workload::{Content, Lowered, Problem, ProvidedFile, Sources, Weight, compose};

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// Largest file that is read.
const MAX_FILE: u64 = 16 << 20;

/// Whose settings count.
#[derive(Debug, Args)]
pub(super) struct DeployedArgs {
    /// Compose file whose service's settings it must bear; a second one goes over the first
    #[arg(long, value_name = "FILE")]
    compose: Vec<PathBuf>,

    /// Service of the compose files [default: those whose image is this one, or the only one]
    #[arg(long, value_name = "NAME", requires = "compose")]
    service: Vec<String>,

    /// File of Kubernetes manifests whose workload's settings it must bear; - is standard input
    #[arg(long, value_name = "FILE")]
    k8s: Vec<PathBuf>,

    /// Workload of the manifests, as NAME or KIND/NAME [default: those with this image, or the only one]
    #[arg(long, value_name = "NAME", requires = "k8s")]
    workload: Vec<String>,
}

/// A deployment: its settings, and under what name it is listed.
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) lowered: Lowered,
    /// Keeps the files that are mounted for as long as it is tested.
    _files: Option<tempfile::TempDir>,
}

/// What is wrong with the files of a deployment.
#[derive(Debug)]
pub(crate) struct WorkloadError {
    /// The files.
    pub(crate) sources: Sources,
    /// What is wrong, in the order of the files.
    pub(crate) problems: Vec<Problem>,
}

impl WorkloadError {
    /// So many mistakes are shown: one that is first often makes the others.
    pub(crate) const SHOWN: usize = 20;
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.problems.first().and_then(|problem| self.sources.path(problem.span));
        let name = path.map_or_else(|| "the deployment".to_owned(), |path| path.display().to_string());
        match self.problems.len() {
            1 => write!(formatter, "{name} has a mistake"),
            count if count > Self::SHOWN => {
                write!(formatter, "{name} has {count} mistakes, of which the first {} are shown", Self::SHOWN)
            }
            count => write!(formatter, "{name} has {count} mistakes"),
        }
    }
}

impl std::error::Error for WorkloadError {}

/// A service or workload that cannot be told from others, or is not there.
#[derive(Debug, thiserror::Error)]
enum ChoiceError {
    #[error("there is no {kind} {name} in {place}")]
    None { kind: &'static str, name: String, place: String },
    #[error("{place} has several {kind}s, and none of them has the image {image}")]
    Several { kind: &'static str, place: String, image: String },
    #[error("{place} has no {kind}")]
    Empty { kind: &'static str, place: String },
    #[error("cannot read {path}")]
    Read { path: String, source: io::Error },
    #[error("cannot provide {target} for {deployment}")]
    Provide { target: String, deployment: String, source: io::Error },
}

impl DeployedArgs {
    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        !self.compose.is_empty() || !self.k8s.is_empty()
    }

    /// The deployments whose settings `image` must bear. Errors: files that cannot be read, mistakes in them, nothing that has the image.
    pub(super) fn deployments(
        &self,
        image: &str,
        context: &Context,
        ui: &Ui,
    ) -> Result<Vec<Deployment>, CommandError> {
        let mut found = Vec::new();
        if !self.compose.is_empty() {
            found.extend(self.services(image, context)?);
        }
        if !self.k8s.is_empty() {
            found.extend(self.workloads(image)?);
        }
        for deployment in &found {
            let ignored = deployment.lowered.notes.iter().filter(|note| note.weight == Weight::Ignored);
            ignored.for_each(|note| {
                ui.events().note(format!("{}: {} is left out: {}", deployment.name, note.field, note.why));
            });
        }
        Ok(found)
    }

    fn services(&self, image: &str, context: &Context) -> Result<Vec<Deployment>, CommandError> {
        let variables = context.environment.variables();
        let variable = |name: &str| Some(variables.get(std::ffi::OsStr::new(name))?.to_str()?.to_owned());
        let inputs = compose::Inputs { read: &read, variable: &variable };
        let paths: Vec<PathBuf> = self.compose.iter().map(std::path::absolute).collect::<io::Result<_>>()?;
        let loaded = compose::load(&paths, inputs);
        refuse(&loaded.sources, loaded.problems)?;
        let services = loaded.project.services();
        let place = names(&self.compose);
        let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
        let named = |at: usize| services[at].image.as_deref().is_some_and(|own| is_same(own, image));
        let built: Vec<usize> = (0..services.len())
            .filter(|at| services[*at].is_built && services[*at].image.is_none())
            .collect();
        let is_named = (0..services.len()).any(named);
        // Beside a database and the like, the one that is built here is meant.
        let has = |at: usize| named(at) || (!is_named && built == [at]);
        let chosen = choose("service", &self.service, &names, &has, (&place, image))?;
        let mut found = Vec::new();
        for name in chosen.into_iter().map(|at| &names[at]) {
            let Some(lowered) = loaded.project.service(name, inputs) else { continue };
            refuse(&loaded.sources, lowered.problems.clone())?;
            found.push(Deployment::new(format!("{place}: {name}"), lowered)?);
        }
        Ok(found)
    }

    fn workloads(&self, image: &str) -> Result<Vec<Deployment>, CommandError> {
        let mut manifests = Manifests::default();
        for path in &self.k8s {
            let shown = path.display().to_string();
            let bytes = read(path)
                .map_err(|source| CommandError::usage(ChoiceError::Read { path: shown, source }))?;
            manifests.add(path, bytes);
        }
        refuse(&manifests.sources, manifests.problems.clone())?;
        let place = names(&self.k8s);
        let workloads = manifests.workloads();
        let of = |workload: &Workload| -> Vec<(Workload, String, Option<String>)> {
            let containers = workload.containers.iter();
            containers.map(|one| (workload.clone(), one.name.clone(), one.image.clone())).collect()
        };
        let containers: Vec<_> = workloads.iter().flat_map(of).collect();
        let names: Vec<String> =
            containers.iter().map(|(workload, ..)| format!("{}/{}", workload.kind, workload.name)).collect();
        let has = |at: usize| containers[at].2.as_deref().is_some_and(|own| is_same(own, image));
        let chosen = choose("workload", &self.workload, &names, &has, (&place, image))?;
        let mut found = Vec::new();
        for (workload, container, _) in chosen.into_iter().map(|at| &containers[at]) {
            let Some(lowered) = manifests.container(workload, container) else { continue };
            refuse(&manifests.sources, lowered.problems.clone())?;
            let name = match workload.containers.len() {
                1 => format!("{place}: {}/{}", workload.kind, workload.name),
                _ => format!("{place}: {}/{}, container {container}", workload.kind, workload.name),
            };
            found.push(Deployment::new(name, lowered)?);
        }
        Ok(found)
    }
}

/// Which of several are meant: those that are named, else those with the image, else the only one.
fn choose(
    kind: &'static str,
    asked: &[String],
    names: &[String],
    has: &dyn Fn(usize) -> bool,
    (place, image): (&str, &str),
) -> Result<Vec<usize>, CommandError> {
    let all = 0..names.len();
    let listed = || format!("there is {}", names.join(", "));
    if !asked.is_empty() {
        let mut found = Vec::new();
        for name in asked {
            let is_it = |at: &usize| names[*at] == *name || names[*at].split('/').next_back() == Some(name);
            let before = found.len();
            found.extend(all.clone().filter(is_it));
            if found.len() == before {
                let error = ChoiceError::None { kind, name: name.clone(), place: place.to_owned() };
                return Err(CommandError::usage(error).hinted(listed()));
            }
        }
        return Ok(found);
    }
    let with: Vec<usize> = all.filter(|at| has(*at)).collect();
    match (with.is_empty(), names.len()) {
        (false, _) => Ok(with),
        (true, 1) => Ok(vec![0]),
        (true, 0) => Err(CommandError::usage(ChoiceError::Empty { kind, place: place.to_owned() })),
        (true, _) => {
            let error = ChoiceError::Several { kind, place: place.to_owned(), image: image.to_owned() };
            Err(CommandError::usage(error).hinted(format!("{}; --{kind} names one", listed())))
        }
    }
}

/// Whether two names are of the same image, however much of them is written out.
fn is_same(one: &str, other: &str) -> bool {
    let parsed = |name: &str| name.parse::<Reference>().map(|name| name.with_default_tag().to_string()).ok();
    one == other || parsed(one).is_some_and(|one| parsed(other) == Some(one))
}

fn names(paths: &[PathBuf]) -> String {
    let name = |path: &PathBuf| match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
    };
    paths.iter().map(name).collect::<Vec<_>>().join(" and ")
}

/// Reads a file that a person wrote; `-` is standard input.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    // A FIFO that nobody writes to must not hold everything up.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refuse(sources: &Sources, mut problems: Vec<Problem>) -> Result<(), CommandError> {
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort_by_key(|problem| problem.span);
    problems.dedup();
    Err(CommandError::usage(WorkloadError { sources: sources.clone(), problems }))
}

impl Deployment {
    fn new(name: String, mut lowered: Lowered) -> Result<Deployment, CommandError> {
        let files = match lowered.files.is_empty() {
            true => None,
            false => Some(provide(&name, &mut lowered)?),
        };
        Ok(Deployment { name, lowered, _files: files })
    }

    /// What its checks stand under, and what is expected of the image.
    pub(super) fn deployed(&self, image_user: &str, given: &[(String, String)]) -> Deployed {
        let notes = self.lowered.notes.iter().filter(|note| note.weight == Weight::Missing);
        let missing = notes.map(|note| format!("{}: {}", note.field, note.why));
        let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
        let unknown = self.lowered.unknown.iter().filter(|one| !is_given(&one.name));
        let unknown = unknown.map(|one| match one.name.ends_with('*') {
            true => format!("the variables {} are from {}, which is not in the files", one.name, one.from),
            false => format!("the variable {} is from {}; -e gives it", one.name, one.from),
        });
        Deployed {
            name: self.name.clone(),
            not_root: self.lowered.asked.not_root,
            image_user: image_user.to_owned(),
            missing: missing.chain(unknown).collect(),
        }
    }
}

/// Writes the files that a deployment provides where nobody else reads them, and mounts them.
fn provide(name: &str, lowered: &mut Lowered) -> Result<tempfile::TempDir, CommandError> {
    let folder = tempfile::Builder::new().prefix("longshore-provided-").tempdir()?;
    for (number, provided) in std::mem::take(&mut lowered.files).into_iter().enumerate() {
        let place = folder.path().join(number.to_string());
        put(&place, &provided.content).map_err(|source| {
            let is_wrong = source.kind() == io::ErrorKind::InvalidInput;
            let (target, deployment) = (provided.target.clone(), name.to_owned());
            let error = CommandError::usage(ChoiceError::Provide { target, deployment, source });
            if is_wrong { error } else { error.ending(Exit::Unchecked) }
        })?;
        let source = MountSource::Bind(place);
        lowered.settings.mounts.push(MountSettings { target: provided.target, source, read_only: true });
    }
    Ok(folder)
}

/// Writes what is provided at a place.
fn put(place: &Path, content: &Content) -> io::Result<()> {
    match content {
        Content::File(file) => write(place, file),
        Content::Folder(files) => {
            folder(place)?;
            files.iter().try_for_each(|(name, file)| write_below(place, name, file))
        }
    }
}

/// Makes a folder that everybody may enter, whatever this process's mask is: the program inside is often another user.
fn folder(place: &Path) -> io::Result<()> {
    match std::fs::create_dir(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))
}

/// Writes a file at a path that a document names: never outside the folder.
fn write_below(outer: &Path, name: &str, file: &ProvidedFile) -> io::Result<()> {
    let path = Path::new(name);
    let is_inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !is_inside || path.as_os_str().is_empty() {
        let message = format!("`{name}` is no path within a volume");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut place = outer.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        place.push(part);
        folder(&place)?;
    }
    write(&outer.join(path), file)
}

fn write(place: &Path, file: &ProvidedFile) -> io::Result<()> {
    longshore_files::write_atomic(place, &file.bytes).map_err(io::Error::other)?;
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(file.mode & 0o777))
}
