//! `RUN --mount`: what a step sees that is no part of its stage.
//!
//! A bind mount's content is part of the step's key; a cache's is not, nor is a secret's. Files of the context are put together as
//! a snapshot of their own first, with root as owner, so that a step sees the same whoever runs the build and whatever .dockerignore
//! leaves out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use longshore_dockerfile::instruction::Run;
use longshore_dockerfile::{MountKind as SpecKind, MountSpec, Sharing};
use longshore_files::{FileError, Lock, create_folders, remove_tree};
use longshore_sandbox::{Mount, MountKind, SecretBytes};
use longshore_snapshot::Scratch;

use crate::error::{BuildError, InstructionErrorKind};
use crate::key::{Key, KeyWriter};
use crate::origin::{Origin, failed};
use crate::run::expander;
use crate::select::{Filter, SelectError, select};
use crate::solve::{At, Mode, Solve, Stop};
use crate::source::Advice;
use crate::state::StageState;

/// Folder of the sockets of ssh agents, where nothing else is asked for.
const SSH_SOCKETS: &str = "/run/buildkit";
/// Beside a cache's files: what names their owners, where these cannot stand on disk.
const OWNERS: &str = "owners";

/// A mount with what it depends on.
pub(crate) struct PreparedMount {
    spec: MountSpec,
    /// Absolute path in the step; none for a secret that is a variable alone.
    target: Option<PathBuf>,
    /// Where a bind mount's files come from, and their identity.
    origin: Option<(Origin, Key)>,
}

impl PreparedMount {
    pub(crate) fn describe(&self, key: &mut KeyWriter) {
        let spec = &self.spec;
        key.text(match spec.kind {
            SpecKind::Bind => "bind",
            SpecKind::Cache => "cache",
            SpecKind::Tmpfs => "tmpfs",
            SpecKind::Secret => "secret",
            SpecKind::Ssh => "ssh",
        });
        key.optional(self.target.as_ref().map(|target| target.to_string_lossy()).as_deref());
        key.text(&spec.source).flag(spec.read_only).optional(spec.env.as_deref());
        // What a step sees of a secret or a cache depends on which one it is and whose, not on what is in it.
        key.text(&spec.id).flag(spec.required).flag(spec.has_owner);
        key.text(match spec.sharing {
            Sharing::Shared => "shared",
            Sharing::Private => "private",
            Sharing::Locked => "locked",
        });
        key.number(spec.uid.into()).number(spec.gid.into());
        for number in [spec.mode.map(u64::from), spec.size] {
            key.flag(number.is_some()).number(number.unwrap_or_default());
        }
        if let Some((_, content)) = &self.origin {
            key.key(content);
        }
    }
}

/// What is mounted for one step. Dropped, it lets go of locks and removes what was there for the step alone.
#[derive(Default)]
pub(crate) struct Mounted {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) environment: Vec<(String, OsString)>,
    /// Files that name the owners of what is mounted, by target, where owners cannot stand on disk.
    pub(crate) owners: BTreeMap<PathBuf, PathBuf>,
    locks: Vec<Lock>,
    /// The folders of caches that are this step's alone, by name: one cache at two places is one folder.
    private: BTreeMap<String, PathBuf>,
    scratch: Vec<Scratch>,
}

impl Mounted {
    /// A script that stands in the Dockerfile, in a folder of its own.
    pub(crate) fn script(
        &mut self,
        solve: &Solve<'_>,
        target: &Path,
        (name, text): (&str, &str),
    ) -> Result<(), BuildError> {
        let folder = self.folder(solve)?;
        let file = folder.join(name);
        longshore_files::write_atomic(&file, text.as_bytes())?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&file, mode).map_err(FileError::of("set the mode of", &file))?;
        let kind = MountKind::Bind { source: folder, read_only: true };
        self.mounts.push(Mount { target: target.to_owned(), kind });
        Ok(())
    }

    /// The host's certificate authorities, where programs are told to look by variables and nothing of it lands in a layer.
    pub(crate) fn host_authorities(&mut self, bundle: &Path) {
        const PLACE: &str = "/run/longshore/certificates.pem";
        const VARIABLES: [&str; 6] = [
            "SSL_CERT_FILE",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "REQUESTS_CA_BUNDLE",
            "PIP_CERT",
            "NODE_EXTRA_CA_CERTS",
        ];
        let kind = MountKind::Bind { source: bundle.to_owned(), read_only: true };
        self.mounts.push(Mount { target: PathBuf::from(PLACE), kind });
        self.environment.extend(VARIABLES.map(|name| (name.to_owned(), OsString::from(PLACE))));
    }

    pub(crate) fn advice(&mut self, advice: Advice) {
        for mount in advice.mounts {
            let kind = MountKind::Bind { source: mount.source, read_only: mount.read_only };
            self.mounts.push(Mount { target: mount.target, kind });
        }
        let pairs = advice.environment.into_iter().map(|(name, value)| (name, OsString::from(value)));
        self.environment.extend(pairs);
    }
}

impl<'a> Solve<'a> {
    /// The error of a source that cannot be mounted, with the step's place.
    fn not_mounted(&self, stop: Stop, at: &At<'_>, origin: &Origin, from: Option<&str>) -> Stop {
        match (stop, self.tree(origin)) {
            (Stop::Failed(BuildError::Select(SelectError::NotFound(path))), Ok(tree)) => {
                failed(at, self.not_found(&path, &*tree, origin, from))
            }
            (stop, _) => placed(stop, at),
        }
    }

    /// Reads a step's mounts and finds out what is in those that count.
    pub(crate) fn prepare_mounts(
        &self,
        state: &StageState,
        at: &At<'_>,
        run: &Run,
        mode: Mode,
    ) -> Result<Vec<PreparedMount>, Stop> {
        let mut prepared = Vec::new();
        for mount in &run.mounts {
            let spec = MountSpec::read(mount, &expander(state, self.file.escape))
                .map_err(|problem| failed(at, InstructionErrorKind::Mount(Box::new(problem))))?;
            let target = spec.target.as_ref().map(|target| PathBuf::from(state.absolute(target)));
            if target.as_deref().is_some_and(|target| target == Path::new("/")) {
                let expected = "a folder below the root".to_owned();
                let value = spec.target.unwrap_or_default();
                return Err(failed(
                    at,
                    InstructionErrorKind::Value { what: "a mount's target", value, expected },
                ));
            }
            let has_content =
                spec.kind == SpecKind::Bind || (spec.kind == SpecKind::Cache && spec.from.is_some());
            let origin = if has_content {
                let origin = self.origin(spec.from.as_deref(), at, mode)?;
                let content = match spec.kind {
                    SpecKind::Bind => self
                        .content(&origin, std::slice::from_ref(&spec.source), mode)
                        .map_err(|stop| self.not_mounted(stop, at, &origin, spec.from.as_deref()))?,
                    // What a cache begins with is not what it holds later: it need not be looked at where it has a name.
                    _ => match &origin {
                        Origin::State(state) => state.key,
                        Origin::Context | Origin::Named(_) => self
                            .content(&origin, std::slice::from_ref(&spec.source), mode)
                            .map_err(|stop| self.not_mounted(stop, at, &origin, spec.from.as_deref()))?,
                    },
                };
                Some((origin, content))
            } else {
                None
            };
            prepared.push(PreparedMount { spec, target, origin });
        }
        Ok(prepared)
    }

    /// Puts together what a step's mounts show.
    pub(crate) fn mount(&self, at: &At<'_>, prepared: &[PreparedMount]) -> Result<Mounted, Stop> {
        let mut mounted = Mounted { locks: self.lock_caches(prepared)?, ..Mounted::default() };
        let mut agents = 0;
        for mount in prepared {
            match mount.spec.kind {
                SpecKind::Bind => self.bind(at, mount, &mut mounted)?,
                SpecKind::Cache => self.cache(mount, &mut mounted)?,
                SpecKind::Tmpfs => {
                    let kind = MountKind::Tmpfs { size: mount.spec.size, mode: 0o1777, programs: true };
                    mounted.push(mount, kind);
                }
                SpecKind::Secret => self.secret(at, mount, &mut mounted)?,
                SpecKind::Ssh => {
                    self.agent(at, mount, agents, &mut mounted)?;
                    agents += 1;
                }
            }
        }
        Ok(mounted)
    }

    fn bind(&self, at: &At<'_>, mount: &PreparedMount, mounted: &mut Mounted) -> Result<(), Stop> {
        let Some((origin, content)) = &mount.origin else { return Ok(()) };
        let lower = match origin {
            Origin::State(stage) => {
                let view = self.view(stage)?;
                let place = view.resolve(&Path::new("/").join(&mount.spec.source))?;
                view.on_disk(&place, &self.events)?
            }
            Origin::Context | Origin::Named(_) => {
                let tree = self.tree(origin)?;
                let key = KeyWriter::new("tree").key(content).finish();
                let snapshot = self.tree_snapshot(&*tree, &mount.spec.source, &key)?;
                let selected = select(&*tree, &mount.spec.source, &Filter::default());
                let selected = selected.map_err(|error| failed(at, error))?;
                let file = selected.first().filter(|selected| !selected.node.is_folder());
                vec![match file {
                    Some(file) => snapshot.tree().join(&file.name),
                    None => snapshot.tree(),
                }]
            }
        };
        let is_file = lower.first().is_some_and(|path| !path.is_dir());
        let kind = match (lower.as_slice(), mount.spec.read_only) {
            ([], _) => {
                let (source, from) = (Path::new(&mount.spec.source), mount.spec.from.as_deref());
                let tree = self.tree(origin)?;
                return Err(failed(at, self.not_found(source, &*tree, origin, from)));
            }
            ([only], true) => MountKind::Bind { source: only.clone(), read_only: true },
            ([only], false) if is_file => {
                MountKind::Bind { source: mounted.copy(self, only)?, read_only: false }
            }
            _ => {
                let (upper, work) = mounted.overlay(self)?;
                MountKind::Overlay { lower, upper, work, read_only: mount.spec.read_only }
            }
        };
        mounted.push(mount, kind);
        Ok(())
    }

    /// Waits for the caches that nobody else may use meanwhile. In one order for all steps and once for each cache, so that no two steps
    /// wait for each other, nor one for itself.
    fn lock_caches(&self, prepared: &[PreparedMount]) -> Result<Vec<Lock>, Stop> {
        let specs = prepared.iter().map(|mount| &mount.spec);
        let locked = specs.filter(|spec| spec.kind == SpecKind::Cache && spec.sharing == Sharing::Locked);
        let names: BTreeSet<String> = locked.map(cache_name).collect();
        let lock = |name: String| Ok(self.records().lock(&format!("mount-{name}"), &self.events)?);
        names.into_iter().map(lock).collect()
    }

    /// The folder of a cache, which a step has that may use it.
    fn cache_folder(&self, spec: &MountSpec, mounted: &mut Mounted) -> Result<PathBuf, Stop> {
        let name = cache_name(spec);
        if spec.sharing != Sharing::Private {
            return Ok(self.snapshots().cache_mount(&name));
        }
        if let Some(folder) = mounted.private.get(&name) {
            return Ok(folder.clone());
        }
        let mut number = 0;
        loop {
            let other = format!("{name}-{number}");
            if let Some(lock) = self.records().try_lock(&format!("mount-{other}"))? {
                mounted.locks.push(lock);
                let folder = self.snapshots().cache_mount(&other);
                mounted.private.insert(name, folder.clone());
                return Ok(folder);
            }
            number += 1;
        }
    }

    /// A folder that outlives the build.
    fn cache(&self, mount: &PreparedMount, mounted: &mut Mounted) -> Result<(), Stop> {
        let spec = &mount.spec;
        let folder = self.cache_folder(spec, mounted)?;
        let data = folder.join("data");
        if !data.is_dir() {
            // Stages that run side by side may both be the first to use it.
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let _lock = self.records().lock(&format!("fill-{name}"), &self.events)?;
            if !data.is_dir() {
                self.fill_cache(mount, &folder)?;
            }
        }
        self.snapshots().mark_used(&folder)?;
        if let Some(target) = mount.target.as_ref().filter(|_| self.snapshots().records_owners()) {
            mounted.owners.insert(target.clone(), folder.join(OWNERS));
        }
        mounted.push(mount, MountKind::Bind { source: data, read_only: spec.read_only });
        Ok(())
    }

    /// Makes a cache's folder with what it begins with. It gets its name when it is whole.
    fn fill_cache(&self, mount: &PreparedMount, folder: &Path) -> Result<(), Stop> {
        create_folders(folder)?;
        let new = folder.join("new");
        remove_tree(&new)?;
        match &mount.origin {
            Some((origin, _)) => self.fill(&*self.tree(origin)?, &mount.spec.source, &new)?,
            None => create_folders(&new)?,
        }
        let spec = &mount.spec;
        let mode = spec.mode.unwrap_or(0o755);
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))
            .map_err(FileError::of("set the mode of", &new))?;
        if spec.has_owner && self.snapshots().records_owners() {
            let line = format!("{} {} /\0", spec.uid, spec.gid);
            longshore_files::write_atomic(&folder.join(OWNERS), line.as_bytes())?;
        } else if spec.has_owner {
            chown(&new, Some(spec.uid), Some(spec.gid)).map_err(FileError::of("set the owner of", &new))?;
        }
        fs::rename(&new, folder.join("data")).map_err(FileError::of("name", &new))?;
        Ok(())
    }

    fn secret(&self, at: &At<'_>, mount: &PreparedMount, mounted: &mut Mounted) -> Result<(), Stop> {
        let spec = &mount.spec;
        let Some(secret) = self.request.credentials.secrets.get(&spec.id) else {
            return if spec.required {
                Err(failed(at, InstructionErrorKind::NoSecret(spec.id.clone())))
            } else {
                Ok(())
            };
        };
        if let Some(name) = &spec.env {
            use std::os::unix::ffi::OsStringExt;
            mounted.environment.push((name.clone(), OsString::from_vec(secret.reveal().to_vec())));
        }
        if mount.target.is_some() {
            let bytes = SecretBytes::new(secret.reveal().to_vec());
            let mode = spec.mode.unwrap_or(0o400);
            mounted.push(mount, MountKind::Content { bytes, mode, uid: spec.uid, gid: spec.gid });
        }
        Ok(())
    }

    fn agent(
        &self,
        at: &At<'_>,
        mount: &PreparedMount,
        number: usize,
        mounted: &mut Mounted,
    ) -> Result<(), Stop> {
        let spec = &mount.spec;
        let Some(socket) = self.request.credentials.ssh.get(&spec.id) else {
            return if spec.required {
                Err(failed(at, InstructionErrorKind::NoAgent(spec.id.clone())))
            } else {
                Ok(())
            };
        };
        let default = || PathBuf::from(format!("{SSH_SOCKETS}/ssh_agent.{number}"));
        let target = mount.target.clone().unwrap_or_else(default);
        if number == 0 {
            mounted.environment.push(("SSH_AUTH_SOCK".to_owned(), target.clone().into_os_string()));
        }
        mounted
            .mounts
            .push(Mount { target, kind: MountKind::Bind { source: socket.clone(), read_only: false } });
        Ok(())
    }
}

/// What a cache is called in the store.
fn cache_name(spec: &MountSpec) -> String {
    KeyWriter::new("cache mount").text(&spec.id).finish().hex()[..32].to_owned()
}

/// Tells an error of a mount's source where the mount stands.
fn placed(stop: Stop, at: &At<'_>) -> Stop {
    match stop {
        Stop::Failed(BuildError::Select(error)) => failed(at, error),
        Stop::Failed(BuildError::Tree(error)) => failed(at, error),
        other => other,
    }
}

impl Mounted {
    fn push(&mut self, mount: &PreparedMount, kind: MountKind) {
        if let Some(target) = &mount.target {
            self.mounts.push(Mount { target: target.clone(), kind });
        }
    }

    /// A new folder that is gone when the step has ended.
    fn folder(&mut self, solve: &Solve<'_>) -> Result<PathBuf, BuildError> {
        let folder = solve.snapshots().temporary()?;
        let path = folder.path();
        self.scratch.push(folder);
        Ok(path)
    }

    /// Folders for an overlay whose changes are dropped.
    fn overlay(&mut self, solve: &Solve<'_>) -> Result<(PathBuf, PathBuf), BuildError> {
        let folder = self.folder(solve)?;
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        create_folders(&upper)?;
        create_folders(&work)?;
        Ok((upper, work))
    }

    /// A file that may be written to without the original's changing.
    fn copy(&mut self, solve: &Solve<'_>, file: &Path) -> Result<PathBuf, BuildError> {
        let copy = self.folder(solve)?.join("file");
        fs::copy(file, &copy).map_err(FileError::of("copy", file))?;
        Ok(copy)
    }
}
