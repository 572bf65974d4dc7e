//! What is asked of the builder, out of what was typed and what the environment says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use longshore_builder::{
    BuildRequest, Context as BuildContext, Credentials, DockerfileSource, NetworkMode, NoCache, Secret,
};
use longshore_oci::Platform;
use longshore_sandbox::Limits;

use super::dockerfile::{Asked, DockerfileArgs, DockerfileError, Entitlement, NetworkChoice};
use super::values::{ContextPlace, SecretPlace, SecretSource};
use crate::context::Context;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Ui};

/// What was read before the rest can be asked for.
pub(super) struct Sources {
    pub(super) context: BuildContext,
    pub(super) dockerfile: DockerfileSource,
    pub(super) credentials: Credentials,
    pub(super) build_args: Vec<(String, String)>,
    /// Whether another process of this build, outside of the user namespace, said what there is to say.
    pub(super) is_continued: bool,
}

/// The request for a Dockerfile's build.
pub(super) fn request(
    arguments: &DockerfileArgs,
    sources: Sources,
    asked: Asked<'_>,
    context: &Context,
    ui: &Ui,
) -> Result<BuildRequest, CommandError> {
    let Sources { is_continued, .. } = sources;
    Ok(BuildRequest {
        dockerfile: sources.dockerfile,
        context: sources.context,
        named_contexts: named_contexts(arguments, context, ui)?,
        target: arguments.target.clone(),
        build_args: sources.build_args,
        platforms_named: !asked.platforms.is_empty(),
        platforms: if asked.platforms.is_empty() { vec![Platform::host()] } else { asked.platforms },
        labels: asked.labels,
        annotations: asked.annotations,
        hosts: arguments.add_host.iter().map(|host| (host.0.clone(), host.1.clone())).collect(),
        credentials: sources.credentials,
        no_cache: match (asked.no_cache, arguments.no_cache_filter.as_slice()) {
            (true, _) => NoCache::Always,
            (false, []) => NoCache::Never,
            (false, stages) => NoCache::Stages(stages.to_vec()),
        },
        all_stages: arguments.all_stages,
        pull: arguments.pull,
        network: match arguments.network {
            Some(NetworkChoice::None) => NetworkMode::None,
            _ => NetworkMode::Host,
        },
        allow_insecure: arguments.allow.contains(&Entitlement::Insecure),
        limits: limits(arguments),
        source_date_epoch: asked.source_date_epoch,
        host_ca: arguments.host_ca.then(|| host_authorities(context)).flatten(),
        format: asked.format,
        cache: arguments.cache.request(!is_continued, context)?,
        wants_files: asked.wants_files,
        is_continued,
    })
}

fn limits(arguments: &DockerfileArgs) -> Limits {
    let default = Limits::default();
    Limits {
        ulimits: arguments.ulimit.clone(),
        shm_size: arguments.shm_size.unwrap_or(default.shm_size),
        memory: arguments.memory,
        processes: None,
        processors: arguments.cpus.map(|cpus| cpus.0),
        cgroup_parent: arguments.cgroup_parent.clone(),
    }
}

fn named_contexts(
    arguments: &DockerfileArgs,
    context: &Context,
    ui: &Ui,
) -> Result<BTreeMap<String, BuildContext>, CommandError> {
    let mut named_contexts = BTreeMap::new();
    for named in &arguments.build_context {
        let place = match &named.place {
            ContextPlace::Folder(folder) => BuildContext::Folder(folder.clone()),
            ContextPlace::Address(address) => BuildContext::Address(address.clone()),
            ContextPlace::Image(ImageLocation::Registry(reference)) => {
                BuildContext::Reference(reference.clone())
            }
            ContextPlace::Image(location) => {
                BuildContext::Image(Box::new(images::open(location, context, ui.events())?))
            }
        };
        named_contexts.insert(named.name.clone(), place);
    }
    Ok(named_contexts)
}

/// Values of ARG. As Docker has it: a name alone takes the environment's value, and nothing where there is none.
pub(super) fn build_args(arguments: &DockerfileArgs, context: &Context) -> Vec<(String, String)> {
    let mut build_args: Vec<(String, String)> = Vec::new();
    for argument in &arguments.build_arg {
        match argument.split_once('=') {
            Some((name, value)) => build_args.push((name.to_owned(), value.to_owned())),
            None => {
                let value = context.environment.variable(argument);
                let value = value.map(|value| value.to_string_lossy().into_owned());
                build_args.extend(value.map(|value| (argument.clone(), value)));
            }
        }
    }
    build_args
}

/// SOURCE_DATE_EPOCH: the build argument goes before the environment's variable.
pub(super) fn epoch(
    build_args: &[(String, String)],
    environment: Option<i64>,
) -> Result<Option<i64>, DockerfileError> {
    let given = build_args.iter().rev().find(|(name, _)| name == "SOURCE_DATE_EPOCH");
    match given {
        Some((_, value)) if value.is_empty() => Ok(None),
        Some((_, value)) => value.parse().map(Some).map_err(|_| DockerfileError::Epoch(value.clone())),
        None => Ok(environment),
    }
}

/// Secrets, read, and sockets of ssh agents.
pub(super) fn credentials(
    arguments: &DockerfileArgs,
    context: &Context,
) -> Result<Credentials, DockerfileError> {
    let mut credentials = Credentials::default();
    for secret in &arguments.secret {
        credentials.secrets.insert(secret.id.clone(), read_secret(secret, context)?);
    }
    let variable = |name: &str| context.environment.variable(name);
    for agent in &arguments.ssh {
        let socket = agent.socket.clone().or_else(|| variable("SSH_AUTH_SOCK").map(PathBuf::from));
        let socket = socket.ok_or_else(|| DockerfileError::Agent(agent.id.clone()))?;
        // It is mounted by a process that has another working folder.
        credentials.ssh.insert(agent.id.clone(), std::path::absolute(&socket).unwrap_or(socket));
    }
    Ok(credentials)
}

/// Where this machine keeps its certificate authorities, as OpenSSL would look for them.
fn host_authorities(context: &Context) -> Option<PathBuf> {
    const PLACES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let named = context.environment.variable("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain(PLACES.map(PathBuf::from)).find(|path| path.is_file())
}

fn read_secret(secret: &SecretSource, context: &Context) -> Result<Secret, DockerfileError> {
    let failed = |place: String| {
        let id = secret.id.clone();
        move |source| DockerfileError::Secret { id, place, source }
    };
    match &secret.place {
        SecretPlace::File(path) => {
            let bytes = std::fs::read(path).map_err(failed(format!(" from {}", path.display())))?;
            Ok(Secret::new(bytes))
        }
        SecretPlace::Variable(name) => match context.environment.variable(name) {
            Some(value) => Ok(Secret::new(value.as_encoded_bytes().to_vec())),
            None => {
                let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "the variable is not set");
                Err(failed(format!(" from the variable {name}"))(missing))
            }
        },
    }
}
