//! The flags of `run` that say what a container is to be, with Docker's names.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use longshore_runtime::{
    Capabilities, ContainerSettings, HealthSettings, LogSettings, MountSettings, NetworkMode, PublishedPort,
    Resources, RestartPolicy, Seccomp, Ulimit,
};

use super::super::build::values::{Cpus, HostAddress, bytes};
use super::places::{mount, port, tmpfs, volume};

/// Most bytes of a profile of system calls: Docker's own has 18,000.
const MOST_PROFILE: u64 = 1 << 20;

/// A value that cannot be read, or that contradicts another.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    /// A file of variables, or a profile of system calls, cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A value is none.
    #[error("{flag} {value}: {reason}")]
    Value { flag: &'static str, value: String, reason: String },
}

pub(super) fn refuse(flag: &'static str, value: &str, reason: impl Into<String>) -> SettingsError {
    SettingsError::Value { flag, value: value.to_owned(), reason: reason.into() }
}

/// What a container is to be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Container options")]
pub(super) struct SettingsArgs {
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Variable of its environment; without a value, that of this environment
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// File of such variables, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Port of this machine that leads to one of the container: [ADDRESS:][PORT:]PORT[/tcp|/udp]
    #[arg(long, short, value_name = "HOST:CONTAINER")]
    publish: Vec<String>,

    /// Folder or file of this machine, or a volume, to be mounted: SOURCE:TARGET[:ro]
    #[arg(long, short, value_name = "SOURCE:TARGET[:ro]")]
    volume: Vec<String>,

    /// The same by keys: type=bind|volume|tmpfs,source=…,target=…,readonly,tmpfs-size=…
    #[arg(long, value_name = "type=…,…")]
    mount: Vec<String>,

    /// Folder in memory: TARGET[:size=64m,mode=1777]
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    tmpfs: Vec<String>,

    /// Let the root folder only be read
    #[arg(long)]
    read_only: bool,

    /// User that runs its program: name or number, with a group after a colon
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Further group of it
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,

    /// Working folder of its program
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,

    /// Program to run instead of the image's; empty for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// Host name inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Line of /etc/hosts
    #[arg(long, value_name = "HOST:ADDRESS")]
    add_host: Vec<HostAddress>,

    /// Label
    #[arg(long, short, value_name = "NAME=VALUE")]
    label: Vec<String>,

    /// Capability beside Docker's default ones, or ALL
    #[arg(long, value_name = "NAME")]
    cap_add: Vec<String>,

    /// Capability to take away, or ALL
    #[arg(long, value_name = "NAME")]
    cap_drop: Vec<String>,

    /// no-new-privileges, seccomp=unconfined, or seccomp=FILE with a profile of system calls in Docker's form
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// Most memory of all its processes, such as 128m, by a control group
    #[arg(long, short, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,

    /// Most processor time of all its processes, such as 0.5, by a control group
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<Cpus>,

    /// Most processes and threads, by a control group
    #[arg(long, value_name = "NUMBER")]
    pids_limit: Option<u64>,

    /// Limit of each process, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<longshore_sandbox::Ulimit>,

    /// Size of /dev/shm, such as 64m
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    shm_size: Option<u64>,

    /// When it is started again: no, on-failure[:MOST], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no", value_parser = restart)]
    restart: RestartPolicy,

    /// The network it sees
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    network: NetworkChoice,

    /// Let a small init be process 1, which passes signals on and collects orphans
    #[arg(long)]
    init: bool,

    /// Signal that asks it to end
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,

    /// Seconds after which it is killed if it did not end
    #[arg(long, value_name = "SECONDS")]
    stop_timeout: Option<u64>,

    /// Command that finds out whether it is healthy, for a shell of the image
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,

    /// Time between two health checks
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    health_interval: Option<Duration>,

    /// Time that a health check may take
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    health_timeout: Option<Duration>,

    /// Time after the start in which failed health checks do not count
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    health_start_period: Option<Duration>,

    /// Time between two health checks in that time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    health_start_interval: Option<Duration>,

    /// Failed health checks in a row that make it unhealthy
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u32>,

    /// Ask nothing about its health
    #[arg(long, conflicts_with = "health_cmd")]
    no_healthcheck: bool,

    /// What is kept of its output: max-size=10m, max-file=3
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,

    /// Remove it when it has ended
    #[arg(long)]
    rm: bool,

    /// Keep standard input open
    #[arg(long, short)]
    interactive: bool,

    /// Give it a terminal
    #[arg(long, short)]
    tty: bool,
}

/// The network that a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum NetworkChoice {
    /// One of its own, with published ports, and with a way out where pasta is installed
    #[default]
    #[value(alias = "bridge", alias = "default")]
    Own,
    /// This machine's
    Host,
    /// One of its own, with loopback alone
    None,
}

fn restart(text: &str) -> Result<RestartPolicy, String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("no", "") => Ok(RestartPolicy::No),
        ("always", "") => Ok(RestartPolicy::Always),
        ("unless-stopped", "") => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", "") => Ok(RestartPolicy::OnFailure(None)),
        ("on-failure", most) => {
            let most = most.parse().map_err(|_| format!("`{most}` is no number"))?;
            Ok(RestartPolicy::OnFailure(Some(most)))
        }
        _ => Err("expected no, on-failure[:MOST], always or unless-stopped".to_owned()),
    }
}

/// A duration as Docker and Go write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    longshore_config::parse_duration(text)
        .ok_or_else(|| "expected a duration, such as 30s or 1m30s".to_owned())
}

impl SettingsArgs {
    /// Whether standard input is kept open, and whether there is a terminal.
    pub(super) fn streams(&self) -> (bool, bool) {
        (self.interactive, self.tty)
    }

    /// What was asked for.
    pub(super) fn settings(
        &self,
        image: &str,
        command: &[String],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ContainerSettings, SettingsError> {
        let (no_new_privileges, seccomp) = self.security()?;
        if self.rm && self.restart != RestartPolicy::No {
            return Err(refuse(
                "--rm",
                "--restart",
                "one that is removed at its end cannot be started again",
            ));
        }
        Ok(ContainerSettings {
            image: image.to_owned(),
            name: self.name.clone(),
            entrypoint: self.entrypoint.as_ref().map(|program| match program.as_str() {
                "" => Vec::new(),
                program => vec![program.to_owned()],
            }),
            command: (!command.is_empty()).then(|| command.to_vec()),
            environment: self.environment(variable)?,
            folder: self.workdir.clone(),
            user: self.user.clone(),
            groups: self.group_add.clone(),
            hostname: self.hostname.clone(),
            hosts: self.add_host.iter().map(|host| (host.0.clone(), host.1.clone())).collect(),
            labels: self.label.iter().map(|label| pair(label)).collect(),
            network: match self.network {
                NetworkChoice::Own => NetworkMode::Own,
                NetworkChoice::Host => NetworkMode::Host,
                NetworkChoice::None => NetworkMode::None,
            },
            ports: self.ports()?,
            mounts: self.mounts()?,
            read_only: self.read_only,
            terminal: self.tty,
            interactive: self.interactive,
            capabilities: Capabilities { add: self.cap_add.clone(), drop: self.cap_drop.clone() },
            no_new_privileges,
            seccomp,
            resources: Resources {
                memory: self.memory,
                processors: self.cpus.map(|cpus| cpus.0),
                processes: self.pids_limit,
                shared_memory: self.shm_size,
                ulimits: self.ulimit.iter().map(ulimit).collect(),
            },
            restart: self.restart,
            init: self.init,
            stop_signal: self.stop_signal.clone(),
            stop_timeout: self.stop_timeout.map(Duration::from_secs),
            health: self.health(),
            log: self.log()?,
            remove: self.rm,
        })
    }

    fn environment(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, SettingsError> {
        let mut variables = Vec::new();
        let mut add = |text: &str| match text.split_once('=') {
            Some((name, value)) => variables.push((name.to_owned(), value.to_owned())),
            // One that this environment does not have is left out, as Docker does.
            None => variables.extend(variable(text).map(|value| (text.to_owned(), value))),
        };
        for path in &self.env_file {
            let text = read(path)?;
            for line in text.lines().map(str::trim_start) {
                if !line.is_empty() && !line.starts_with('#') {
                    add(line);
                }
            }
        }
        for text in &self.env {
            if text.is_empty() || text.starts_with('=') {
                return Err(refuse("--env", text, "it has no name"));
            }
            add(text);
        }
        Ok(variables)
    }

    fn ports(&self) -> Result<Vec<PublishedPort>, SettingsError> {
        self.publish.iter().map(|text| port(text)).collect()
    }

    fn mounts(&self) -> Result<Vec<MountSettings>, SettingsError> {
        let volumes = self.volume.iter().map(|text| volume(text));
        let mounts = self.mount.iter().map(|text| mount(text));
        let memory = self.tmpfs.iter().map(|text| tmpfs(text));
        volumes.chain(mounts).chain(memory).collect()
    }

    fn security(&self) -> Result<(bool, Seccomp), SettingsError> {
        let (mut forgoes, mut filter) = (false, Seccomp::Default);
        for option in &self.security_opt {
            match option.as_str() {
                "no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true" => forgoes = true,
                "no-new-privileges=false" | "no-new-privileges:false" => forgoes = false,
                "seccomp=unconfined" | "seccomp:unconfined" => filter = Seccomp::Unconfined,
                "seccomp=builtin" | "seccomp=default" => filter = Seccomp::Default,
                other => {
                    let file = other.strip_prefix("seccomp=").or_else(|| other.strip_prefix("seccomp:"));
                    let Some(file) = file.filter(|file| !file.is_empty()) else {
                        let reason = "expected no-new-privileges, seccomp=unconfined or seccomp=FILE";
                        return Err(refuse("--security-opt", other, reason));
                    };
                    filter = Seccomp::Profile { name: file.to_owned(), text: profile(file, other)? };
                }
            }
        }
        Ok((forgoes, filter))
    }

    fn health(&self) -> Option<HealthSettings> {
        let test = match (&self.health_cmd, self.no_healthcheck) {
            (_, true) => vec!["NONE".to_owned()],
            (Some(command), _) => vec!["CMD-SHELL".to_owned(), command.clone()],
            _ => Vec::new(),
        };
        Some(HealthSettings {
            test,
            interval: self.health_interval,
            timeout: self.health_timeout,
            start_period: self.health_start_period,
            start_interval: self.health_start_interval,
            retries: self.health_retries,
        })
    }

    fn log(&self) -> Result<LogSettings, SettingsError> {
        let mut log = LogSettings::default();
        for option in &self.log_opt {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "max-size" => {
                    let size = bytes(value).map_err(|reason| refuse("--log-opt", option, reason))?;
                    log.max_size = Some(size);
                }
                "max-file" => {
                    let count = value.parse().ok().filter(|count| *count > 0);
                    log.max_files =
                        Some(count.ok_or_else(|| refuse("--log-opt", option, "it is no number above 0"))?);
                }
                _ => return Err(refuse("--log-opt", option, "expected max-size=BYTES or max-file=NUMBER")),
            }
        }
        Ok(log)
    }
}

/// The text of a profile of system calls. What never ends, or is no profile's size, is not read.
fn profile(file: &str, option: &str) -> Result<String, SettingsError> {
    let failed = |source| SettingsError::Read { path: file.into(), source };
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(refuse("--security-opt", option, "it is no regular file"));
    }
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    let length = opened.take(MOST_PROFILE + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(length).is_ok_and(|length| length > MOST_PROFILE) {
        return Err(refuse("--security-opt", option, "a profile of system calls has at most 1 MiB"));
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn ulimit(limit: &longshore_sandbox::Ulimit) -> Ulimit {
    Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard }
}
