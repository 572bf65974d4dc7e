//! From settings and an image to a container: what its program is and sees, to Docker's rules (moby: `daemon/create.go`, `oci_linux.go`).

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use longshore_events::Events;
use longshore_image::Image;
use longshore_oci::ContainerConfig;
use longshore_runtime::{ContainerSettings, MountSource, NetworkMode, RuntimeError, RuntimeErrorKind};
use longshore_sandbox::{Identity, Isolation, Rights, process_identity};
use longshore_snapshot::{SnapshotError, Snapshots, View};

use crate::error::{ContainerError, failed};
use crate::folder::{Container, Containers, is_name};
use crate::names::new_id;
use crate::record::{Health, Mounted, MountedKind, Program, Record};
use crate::rights::{filter, filter_option};
use crate::signals::signal_number;

/// Where programs are looked for when nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Largest /etc/passwd that is read.
const MAX_USERS: u64 = 4 << 20;
/// Where the init of `--init` is mounted.
const INIT: &str = "/sbin/longshore-init";
/// How long a container may take to end, where nobody says.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a container is made of.
pub(crate) struct Parts<'p> {
    pub(crate) settings: &'p ContainerSettings,
    /// The image for its platform.
    pub(crate) image: &'p Image,
    pub(crate) snapshots: &'p Snapshots,
    pub(crate) isolation: Isolation,
    pub(crate) init: Option<&'static [u8]>,
    pub(crate) events: &'p Events,
}

/// A container that was made, and the tree of its image.
pub(crate) struct Made {
    pub(crate) container: Container,
    pub(crate) record: Record,
    pub(crate) view: View,
}

impl Parts<'_> {
    /// Makes the container: its folder, its name, its volumes. Layers that are not yet are unpacked.
    pub(crate) fn make(&self, containers: &Containers) -> Result<Made, RuntimeError> {
        let image = |error: Box<dyn std::error::Error + Send + Sync>| {
            RuntimeError::new("run", &self.settings.image, RuntimeErrorKind::Image(error))
        };
        let snapshot = |error: SnapshotError| image(error.into());
        let config = self.image.config().map_err(|error| image(error.into()))?.config;
        let chain = self.snapshots.base(self.image).map_err(snapshot)?;
        let layers = chain.folders(self.events).map_err(snapshot)?;
        let view = chain.view(self.events).map_err(snapshot)?;
        let (id, made_up) = new_id().map_err(failed("run", &self.settings.image))?;
        let name = self.settings.name.clone().unwrap_or(made_up);
        if !is_name(&name) {
            let reason =
                format!("`{name}` is no name: it has letters, digits, `_`, `.` and `-`, two at least");
            return Err(self.setting("--name", reason, None));
        }
        let program = self.program(&config, &view, &id)?;
        let health = self.health(&config)?;
        let mut record = Record {
            id,
            name,
            created: SystemTime::now(),
            settings: self.settings.clone(),
            image: self.image.digest().to_string(),
            isolation: self.isolation.name().to_owned(),
            program,
            layers,
            mounts: Vec::new(),
            health,
        };
        let container = containers.create(&record)?;
        let mounts = self.mounts(&config, &container, &view);
        let written = mounts.and_then(|mounts| {
            if mounts.is_empty() {
                return Ok(());
            }
            record.mounts = mounts;
            container.write("record", &record).map_err(failed("run", &self.settings.image))
        });
        if let Err(error) = written {
            // The first error is the one to be told.
            let _ = container.remove_files(&record.name);
            return Err(error);
        }
        Ok(Made { container, record, view })
    }

    fn setting(&self, setting: &str, reason: impl Into<String>, hint: Option<&str>) -> RuntimeError {
        let kind = RuntimeErrorKind::Setting {
            setting: setting.to_owned(),
            reason: reason.into(),
            hint: hint.map(str::to_owned),
        };
        RuntimeError::new("run", &self.settings.image, kind)
    }

    fn program(&self, config: &ContainerConfig, view: &View, id: &str) -> Result<Program, RuntimeError> {
        let settings = self.settings;
        let mut arguments = arguments(settings, config);
        if arguments.is_empty() {
            let hint = "name one after the image";
            return Err(self.setting("COMMAND", "the image has no command of its own", Some(hint)));
        }
        if settings.init {
            let words = [INIT, "init", "--"].map(str::to_owned);
            arguments.splice(0..0, words);
        }
        let user = settings.user.clone().unwrap_or_else(|| config.user.clone());
        let identity = self.identity(&user, view)?;
        let hostname = match (&settings.hostname, settings.network) {
            (Some(name), _) => name.clone(),
            (None, NetworkMode::Host) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            (None, _) => id[..12].to_owned(),
        };
        let signal = settings.stop_signal.clone().or_else(|| config.stop_signal.clone());
        let signal = signal.filter(|signal| !signal.is_empty()).unwrap_or_else(|| "SIGTERM".to_owned());
        let stop_signal = signal_number(&signal)
            .ok_or_else(|| self.setting("--stop-signal", format!("`{signal}` is no signal"), None))?;
        let folder = settings.folder.clone().unwrap_or_else(|| config.working_dir.clone());
        let folder = if folder.is_empty() { "/".to_owned() } else { folder };
        if !folder.starts_with('/') {
            return Err(self.setting("--workdir", format!("`{folder}` is not absolute"), None));
        }
        let rights =
            Rights::default().with_capabilities(&settings.capabilities.add, &settings.capabilities.drop);
        let rights =
            rights.map_err(|error| self.setting("--cap-add, --cap-drop", error.to_string(), None))?;
        // What is wrong with it is to be told before there is a container.
        filter(&settings.seccomp, rights.capabilities).map_err(|error| {
            let option = filter_option(&settings.seccomp);
            self.setting(&option, error.to_string(), error.hint().as_deref())
        })?;
        Ok(Program {
            environment: environment(settings, config, &hostname, &identity),
            arguments,
            folder,
            user,
            uid: identity.uid,
            gid: identity.gid,
            groups: identity.groups,
            hostname,
            stop_signal,
            stop_timeout: settings.stop_timeout.unwrap_or(STOP_TIMEOUT),
            capabilities: rights.capabilities,
        })
    }

    fn identity(&self, user: &str, view: &View) -> Result<Identity, RuntimeError> {
        let read = |path: &str| {
            let bytes = view.read_small(Path::new(path), MAX_USERS).map(Option::unwrap_or_default);
            bytes.map_err(|error| {
                RuntimeError::new("run", &self.settings.image, RuntimeErrorKind::Image(error.into()))
            })
        };
        let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
        let unknown = |error: longshore_sandbox::UnknownUser| {
            self.setting("--user", error.to_string(), Some("a number needs no entry in the image"))
        };
        let mut identity = process_identity(user, &passwd, &group).map_err(unknown)?;
        for name in &self.settings.groups {
            let found =
                process_identity(&format!("{}:{name}", identity.uid), &passwd, &group).map_err(unknown)?;
            if !identity.groups.contains(&found.gid) {
                identity.groups.push(found.gid);
            }
        }
        Ok(identity)
    }

    fn health(&self, config: &ContainerConfig) -> Result<Option<Health>, RuntimeError> {
        let own = self.settings.health.clone().unwrap_or_default();
        let image = config.healthcheck.clone().unwrap_or_default();
        let test = if own.test.is_empty() { &image.test } else { &own.test };
        let arguments = match test.first().map(String::as_str) {
            None | Some("NONE") => return Ok(None),
            Some("CMD") => test[1..].to_vec(),
            Some("CMD-SHELL") => {
                let shell = config.shell.clone().filter(|shell| !shell.is_empty());
                let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                words.push(test[1..].join(" "));
                words
            }
            Some(other) => {
                let reason = format!("`{other}` is not NONE, CMD or CMD-SHELL");
                return Err(self.setting("HEALTHCHECK", reason, None));
            }
        };
        if arguments.is_empty() {
            return Ok(None);
        }
        let time = |own: Option<Duration>, image: i64, otherwise: u64| {
            let image = u64::try_from(image).ok().filter(|time| *time > 0).map(Duration::from_nanos);
            own.filter(|time| !time.is_zero()).or(image).unwrap_or(Duration::from_secs(otherwise))
        };
        let retries = u32::try_from(image.retries).ok().filter(|retries| *retries > 0);
        Ok(Some(Health {
            arguments,
            interval: time(own.interval, image.interval, 30),
            timeout: time(own.timeout, image.timeout, 30),
            start_period: time(own.start_period, image.start_period, 0),
            start_interval: time(own.start_interval, image.start_interval, 5),
            retries: own.retries.filter(|retries| *retries > 0).or(retries).unwrap_or(3),
        }))
    }

    /// What is mounted: as it was asked for, and a volume for each that the image declares.
    fn mounts(
        &self,
        config: &ContainerConfig,
        container: &Container,
        view: &View,
    ) -> Result<Vec<Mounted>, RuntimeError> {
        let problem = |error: ContainerError| failed("run", &self.settings.image)(error);
        let mut mounts: Vec<Mounted> = Vec::new();
        for (number, mount) in self.settings.mounts.iter().enumerate() {
            let target = PathBuf::from(&mount.target);
            if !target.is_absolute() || target == Path::new("/") {
                let reason = format!("`{}` is no absolute path below /", mount.target);
                return Err(self.setting("--volume, --tmpfs, --mount", reason, None));
            }
            let what = match &mount.source {
                MountSource::Bind(path) => MountedKind::Bind(self.bound(path)?),
                MountSource::Volume(Some(name)) => {
                    MountedKind::Bind(container.all.volume(name, (view, &target)).map_err(problem)?)
                }
                MountSource::Volume(None) => {
                    MountedKind::Bind(container.volume(number, (view, &target)).map_err(problem)?)
                }
                MountSource::Tmpfs { size, mode, programs } => {
                    MountedKind::Tmpfs(*size, mode.unwrap_or(0o1777), *programs)
                }
            };
            mounts.push(Mounted { target, what, read_only: mount.read_only });
        }
        let asked = mounts.len();
        for (number, volume) in config.volumes.keys().enumerate() {
            let target = PathBuf::from(volume);
            if !target.is_absolute() || mounts.iter().any(|mount| mount.target == target) {
                continue;
            }
            let path = container.volume(asked + number, (view, &target)).map_err(problem)?;
            mounts.push(Mounted { target, what: MountedKind::Bind(path), read_only: false });
        }
        if self.settings.init {
            mounts.push(self.init(container)?);
        }
        // What lies deeper is mounted later.
        mounts.sort_by_key(|mount| mount.target.components().count());
        Ok(mounts)
    }

    /// The init, as a file of the container's own folder.
    fn init(&self, container: &Container) -> Result<Mounted, RuntimeError> {
        let Some(bytes) = self.init else {
            return Err(self.setting("--init", "there is no init for this kind of machine", None));
        };
        let path = container.path("init");
        let executable = std::fs::Permissions::from_mode(0o555);
        let written =
            longshore_files::write_unsynced(&path, bytes).map_err(ContainerError::from).and_then(|()| {
                std::fs::set_permissions(&path, executable)
                    .map_err(ContainerError::at("give a mode to", &path))
            });
        written.map_err(failed("run", &self.settings.image))?;
        Ok(Mounted { target: INIT.into(), what: MountedKind::Bind(path), read_only: true })
    }

    fn bound(&self, path: &Path) -> Result<PathBuf, RuntimeError> {
        path.canonicalize().map_err(|error| {
            let hint = "make it first: longshore makes no folders of the machine for containers";
            self.setting("--volume", format!("{}: {error}", path.display()), Some(hint))
        })
    }
}

/// What is run: words of the settings before those of the image.
fn arguments(settings: &ContainerSettings, config: &ContainerConfig) -> Vec<String> {
    let (mut words, command) = match &settings.entrypoint {
        Some(entrypoint) => (entrypoint.clone(), settings.command.clone().unwrap_or_default()),
        None => (
            config.entrypoint.clone().unwrap_or_default(),
            settings.command.clone().or_else(|| config.cmd.clone()).unwrap_or_default(),
        ),
    };
    words.extend(command);
    words
}

fn environment(
    settings: &ContainerSettings,
    config: &ContainerConfig,
    hostname: &str,
    identity: &Identity,
) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut set = |name: &str, value: &str| match places.get(name) {
        Some(place) => value.clone_into(&mut variables[*place].1),
        None => {
            places.insert(name.to_owned(), variables.len());
            variables.push((name.to_owned(), value.to_owned()));
        }
    };
    set("PATH", PATH);
    set("HOSTNAME", hostname);
    if settings.terminal {
        set("TERM", "xterm");
    }
    for variable in &config.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        set(name, value);
    }
    for (name, value) in &settings.environment {
        set(name, value);
    }
    if !places.contains_key("HOME") {
        let home = identity.home.clone().filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned());
        variables.push(("HOME".to_owned(), home));
    }
    variables
}
