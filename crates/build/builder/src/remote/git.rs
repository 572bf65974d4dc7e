//! ADD of git repositories, by the git that is installed.
//!
//! The remote's objects are kept in a bare repository in the store, one for each remote, and fetched as shallowly as the server allows;
//! a commit that is there already needs no network. git runs in an environment of its own: no configuration of the machine or its user,
//! no hooks, no prompts, and no way to fetch from the machine's own files, for submodules either. Its remote, with what credentials
//! it has, stands in a file that it alone reads, so that neither its arguments nor its messages show them. What a reference means is
//! BuildKit's (`source/git`): branches go before tags.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_events::Task;
use longshore_files::{FileError, create_folders, remove_tree, write_atomic};
use longshore_process::{Command, Environment, ProcessError, ProcessErrorKind};
use longshore_store::Store;

use super::address::{GitAddress, is_commit};
use super::error::{AddressError, FetchError};
use super::used;
use crate::key::{Key, KeyWriter};

/// Kind of the store's cache items that hold bare repositories.
const KIND: &str = "git";

/// Name of the remote in the configuration that git is given. Not `origin`: submodules have one of that name.
const REMOTE: &str = "longshore";

/// Variables that would lead git elsewhere, make it run something, or make it ask.
const REMOVED: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_TEMPLATE_DIR",
    "GIT_ASKPASS",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_ALLOW_PROTOCOL",
    "GIT_PROTOCOL_FROM_USER",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
];

/// What git may log in with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// Socket of an ssh agent.
    pub(crate) agent: Option<PathBuf>,
    /// Value of an `Authorization` header for the repository's own server.
    pub(crate) authorization: Option<String>,
}

/// A reference as the remote has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Its full name; none where a commit was named.
    pub(crate) reference: Option<String>,
    /// The object it names: a commit, or an annotated tag.
    pub(crate) object: String,
    /// The commit, where the object is known to be an annotated tag.
    pub(crate) commit: Option<String>,
}

impl Resolved {
    pub(crate) fn commit(object: &str) -> Resolved {
        Resolved { reference: None, object: object.to_owned(), commit: None }
    }

    /// Whether it is the commit that was asked for, by its beginning; either the tag's name or the commit's will do.
    pub(crate) fn check(&self, checksum: Option<&str>) -> Result<(), FetchError> {
        let Some(expected) = checksum else { return Ok(()) };
        let expected = expected.to_ascii_lowercase();
        let fits = |name: &String| name.starts_with(&expected);
        if fits(&self.object) || self.commit.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let found = self.commit.as_ref().unwrap_or(&self.object).clone();
        Err(FetchError::Checksum { expected, found })
    }
}

/// One repository, and git.
pub(crate) struct Git<'a> {
    address: &'a GitAddress,
    environment: Environment,
    /// Where the remote's objects are kept.
    folder: PathBuf,
    /// Where git finds its configuration, and nothing else.
    home: tempfile::TempDir,
    is_ssh: bool,
    has_agent: bool,
    is_offline: bool,
    task: &'a Task,
}

impl<'a> Git<'a> {
    /// git for one repository. `environment` is what git's is made from: PATH and what the network takes.
    pub(crate) fn new(
        store: &Store,
        address: &'a GitAddress,
        (environment, access): (&Environment, &Access),
        is_offline: bool,
        task: &'a Task,
    ) -> Result<Git<'a>, FetchError> {
        let temporary = store.temporary_folder();
        let home = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&temporary);
        let home = home.map_err(FileError::of("create a folder in", &temporary))?;
        write_atomic(&home.path().join(".gitconfig"), configuration(address, access).as_bytes())?;
        let key = KeyWriter::new("git repository").text(&address.remote).finish();
        Ok(Git {
            address,
            environment: clean(environment, home.path(), access.agent.as_deref()),
            folder: store.cache_folder(KIND).join(key.hex()),
            home,
            is_ssh: is_ssh(&address.remote),
            has_agent: access.agent.is_some(),
            is_offline,
            task,
        })
    }

    /// A command of git's on a repository.
    pub(crate) fn command(&self, repository: &Path) -> Command {
        let environment = self.environment.clone().with("GIT_DIR", repository);
        self.plain(environment)
    }

    /// The same with one more variable.
    pub(crate) fn command_with(&self, repository: &Path, name: &str, value: &OsStr) -> Command {
        self.plain(self.environment.clone().with("GIT_DIR", repository).with(name, value))
    }

    fn plain(&self, environment: Environment) -> Command {
        Command::new("git", environment)
            .folder(self.home.path())
            .hint_if_missing("install git: ADD fetches repositories by it")
    }

    /// Runs a command to its end and returns what it wrote.
    pub(crate) fn run(&self, command: &Command) -> Result<String, FetchError> {
        let finished =
            command.run_in(self.task).and_then(|finished| finished.success()).map_err(|error| {
                let failed = matches!(error.kind, ProcessErrorKind::Failed { .. });
                if self.is_ssh && !self.has_agent && failed {
                    FetchError::GitWithoutAgent(error)
                } else {
                    FetchError::Git(error)
                }
            })?;
        Ok(String::from_utf8_lossy(&finished.into_stdout()?).into_owned())
    }

    /// The bare repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// What the address's reference means at the remote.
    pub(crate) fn resolve(&self) -> Result<Resolved, FetchError> {
        self.online()?;
        let mut command = self.plain(self.environment.clone()).argument("ls-remote");
        let Some(reference) = &self.address.reference else {
            let listed = self.run(&command.arguments(["--symref", REMOTE, "HEAD"]))?;
            return default_branch(&listed).ok_or(FetchError::NoDefaultBranch);
        };
        command = command.arguments([REMOTE, reference]).argument(format!("{reference}^{{}}"));
        let listed = self.run(&command)?;
        choose(&listed, reference).ok_or_else(|| FetchError::NoReference(reference.clone()))
    }

    fn online(&self) -> Result<(), FetchError> {
        if self.is_offline { Err(FetchError::Offline) } else { Ok(()) }
    }

    /// Sees to it that an object of the remote is in the bare repository.
    pub(crate) fn fetch(&self, resolved: &Resolved) -> Result<(), FetchError> {
        let repository = self.repository();
        create_folders(&self.folder)?;
        if !repository.join("HEAD").is_file() {
            // What a kill left of an earlier attempt is of no use.
            remove_tree(&repository)?;
            self.run(&self.init(&repository, &resolved.object).argument("--bare"))?;
        }
        used(&self.folder)?;
        if self.has(&resolved.object)? {
            return Ok(());
        }
        self.online()?;
        // Left behind by a git that was killed. Nobody else is at it: the caller holds the repository's lock.
        match fs::remove_file(repository.join("shallow.lock")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::of("remove", repository.join("shallow.lock"))(error).into());
            }
            _ => {}
        }
        if let Some(reference) = &resolved.reference {
            self.fetch_shallow(&format!("+{reference}:{}", kept(&resolved.object)))?;
            if self.has(&resolved.object)? {
                return Ok(());
            }
        }
        // It is named by its commit, or the reference has moved on since it was looked up.
        let by_commit = self.fetch_shallow(&format!("+{}:{}", resolved.object, kept(&resolved.object)));
        match by_commit {
            Ok(()) => {}
            Err(FetchError::Git(error))
                if says(&error, &["not our ref", "unadvertised object", "not found"]) =>
            {
                self.fetch_all()?;
            }
            Err(error) => return Err(error),
        }
        if self.has(&resolved.object)? {
            Ok(())
        } else {
            Err(FetchError::NoReference(resolved.object.clone()))
        }
    }

    /// `git init` of a repository whose objects are named as `object` is. No template, and so no hooks.
    pub(crate) fn init(&self, repository: &Path, object: &str) -> Command {
        let command = self.command(repository).arguments(["init", "--quiet", "--template="]);
        if object.len() == 64 { command.argument("--object-format=sha256") } else { command }
    }

    fn fetch_shallow(&self, refspec: &str) -> Result<(), FetchError> {
        let command = self.command(&self.repository()).arguments(["fetch", "--quiet", "--no-tags"]);
        let shallow = command.clone().arguments(["--depth=1", REMOTE, refspec]);
        match self.run(&shallow) {
            // Plain web servers have no way to give a part of the history.
            Err(FetchError::Git(error)) if says(&error, &["--depth", "shallow"]) => {
                self.run(&command.arguments([REMOTE, refspec])).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Fetches every branch and tag with its history: servers that give no commit by its name leave no other way.
    fn fetch_all(&self) -> Result<(), FetchError> {
        let repository = self.repository();
        let mut command = self.command(&repository).arguments(["fetch", "--quiet", "--no-tags", "--prune"]);
        if repository.join("shallow").is_file() {
            command = command.argument("--unshallow");
        }
        let refspecs = ["+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*"];
        self.run(&command.argument(REMOTE).arguments(refspecs)).map(drop)
    }

    fn has(&self, object: &str) -> Result<bool, FetchError> {
        let command = self.command(&self.repository()).arguments(["cat-file", "-e", object]);
        Ok(command.run(self.task.events())?.status.is_success())
    }

    /// The commit that an object is, or that a tag names.
    pub(crate) fn commit_of(&self, object: &str) -> Result<String, FetchError> {
        let command = self.command(&self.repository()).arguments(["rev-parse", "--verify", "--quiet"]);
        let named = self.run(&command.argument(format!("{object}^{{commit}}")));
        Ok(named?.trim().to_owned())
    }

    /// When a commit was made, in seconds since 1970.
    pub(crate) fn time_of(&self, commit: &str) -> Result<i64, FetchError> {
        let command = self.command(&self.repository()).arguments(["log", "-1", "--format=%ct", commit]);
        let said = self.run(&command)?;
        said.trim().parse().map_err(|_| FetchError::NoReference(commit.to_owned()))
    }
}

/// Where a fetched object is kept from being thrown away. Flat names: none is the beginning of another.
fn kept(object: &str) -> String {
    format!("refs/kept/{object}")
}

fn says(error: &ProcessError, parts: &[&str]) -> bool {
    match &error.kind {
        ProcessErrorKind::Failed { output, .. } => parts.iter().any(|part| output.contains(part)),
        _ => false,
    }
}

/// What an address means that names its commit, so that no server need be asked. Errors: it must name one and does not.
pub(crate) fn pinned(address: &GitAddress) -> Result<Option<Resolved>, FetchError> {
    if let Some(reference) = address.reference.as_deref().filter(|reference| is_commit(reference)) {
        return Ok(Some(Resolved::commit(reference)));
    }
    if !address.by_commit {
        return Ok(None);
    }
    match address.checksum.as_deref().filter(|checksum| is_commit(checksum)) {
        Some(checksum) => Ok(Some(Resolved::commit(checksum))),
        None => {
            let checksum = address.checksum.clone().unwrap_or_default();
            Err(AddressError::value(
                "checksum",
                &checksum,
                "a whole commit where fetch-by-commit is asked for",
            )
            .into())
        }
    }
}

/// The identity of a repository's files at a commit.
pub(crate) fn identity(address: &GitAddress, resolved: &Resolved, keeps_git_folder: bool) -> Key {
    let commit = resolved.commit.as_ref().filter(|_| !keeps_git_folder).unwrap_or(&resolved.object);
    let mut key = KeyWriter::new("git");
    key.text(commit).text(&address.folder).flag(address.skip_submodules).flag(address.commit_time);
    key.flag(keeps_git_folder);
    if keeps_git_folder {
        // Both stand in the files of .git.
        key.optional(resolved.reference.as_deref()).text(&address.shown());
    }
    key.finish()
}

/// The reference that `HEAD` is, from `ls-remote --symref`.
fn default_branch(listed: &str) -> Option<Resolved> {
    let mut reference = None;
    for (value, name) in listed.lines().filter_map(|line| line.split_once('\t')) {
        if name != "HEAD" {
            continue;
        }
        match value.strip_prefix("ref: ") {
            Some(target) => reference = Some(target.trim().to_owned()),
            None if is_commit(value) => {
                return Some(Resolved { reference, object: value.to_owned(), commit: None });
            }
            None => {}
        }
    }
    None
}

/// The one of several references that a name means: exactly it, a branch, a tag.
fn choose(listed: &str, reference: &str) -> Option<Resolved> {
    let find = |wanted: &str| {
        let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(object, name)| *name == wanted && is_commit(object)).map(|(object, _)| object.to_owned())
    };
    let below = |prefix: &str| format!("{prefix}{}", reference.strip_prefix(prefix).unwrap_or(reference));
    for name in [below("refs/"), below("refs/heads/"), below("refs/tags/")] {
        if let Some(object) = find(&name) {
            let commit = find(&format!("{name}^{{}}"));
            return Some(Resolved { reference: Some(name), object, commit });
        }
    }
    None
}

fn is_ssh(remote: &str) -> bool {
    remote.starts_with("ssh://") || !remote.contains("://")
}

/// The configuration that git reads instead of the user's.
fn configuration(address: &GitAddress, access: &Access) -> String {
    let mut text = format!("[remote \"{REMOTE}\"]\n\turl = {}\n", quoted(&address.remote));
    text.push_str("[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n[gc]\n\tauto = 0\n");
    text.push_str("[advice]\n\tdetachedHead = false\n[init]\n\tdefaultBranch = master\n");
    // The repositories are this process's own, whoever the store belongs to.
    text.push_str("[safe]\n\tdirectory = *\n[maintenance]\n\tauto = false\n");
    if let Some(authorization) = &access.authorization
        && let Some(server) = server(&address.remote)
    {
        let header = quoted(&format!("Authorization: {authorization}"));
        text.push_str(&format!("[http {}]\n\textraHeader = {header}\n", quoted(&server)));
    }
    text
}

/// Scheme and host of a remote that speaks HTTP.
fn server(remote: &str) -> Option<String> {
    let url: longshore_http::Url = remote.parse().ok()?;
    matches!(url.scheme(), "http" | "https")
        .then(|| format!("{}://{}/", url.scheme(), longshore_http::host_of(&url)))
}

/// A value as git's configuration files have it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn clean(environment: &Environment, home: &Path, agent: Option<&Path>) -> Environment {
    let mut environment = environment.clone();
    for name in REMOVED {
        environment = environment.without(name);
    }
    let mut ssh = OsString::from("ssh -F /dev/null -o BatchMode=yes");
    match agent {
        Some(socket) => environment = environment.with("SSH_AUTH_SOCK", socket),
        // Keys are used by somebody's wish only: --ssh.
        None => ssh.push(" -o IdentitiesOnly=yes -o IdentityFile=/dev/null"),
    }
    environment
        .with("HOME", home)
        .with("GIT_CONFIG_NOSYSTEM", "1")
        .with("GIT_TERMINAL_PROMPT", "0")
        .with("GIT_CEILING_DIRECTORIES", home.parent().unwrap_or(home))
        .with("GIT_ALLOW_PROTOCOL", "http:https:ssh:git")
        .with("GIT_SSH_COMMAND", ssh)
        .with("LC_ALL", "C")
}

#[cfg(test)]
#[path = "git_tests.rs"]
mod tests;
