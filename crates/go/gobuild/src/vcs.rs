//! What an image tells of the commit that it was made of.
//!
//! By default what depends on the commit alone: its name and its time. Tags are asked for with `vcs = "full"`, since a clone may
//! lack them. Whether files differ from the commit is told of the files that went into the image and of no others: the answer
//! then depends on the image's own inputs, and a stray file elsewhere changes nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_config::Vcs;
use longshore_events::Events;
use longshore_process::{Command, Environment, ProcessError, Stream};

use crate::error::{SettingsError, VcsError};
use crate::memory::{Filter, Watch};

/// Tracked files of any repository fit.
const TREE_LIMIT: usize = 512 * 1024 * 1024;

/// References that name references, one after the other: git follows no more either.
const DEEPEST_REFERENCE: usize = 5;

/// The commit that a module's folder is at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Commit {
    /// The commit's full name.
    pub(crate) revision: Option<String>,
    /// The committer's time, in seconds since 1970.
    pub(crate) time: Option<i64>,
    /// The version that is asked for, or that a tag names.
    pub(crate) version: Option<String>,
}

/// A repository: the work tree, and where git keeps its things.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    /// `.git`, or the folder that a `.git` file names.
    own: PathBuf,
    /// Where branches and tags are: `own`, or the main work tree's.
    common: PathBuf,
    environment: Environment,
}

impl Commit {
    /// Replaces the placeholders in a stamp. Errors: a placeholder that is none.
    pub(crate) fn fill(&self, text: &str) -> Result<String, SettingsError> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let (name, after) =
                after.split_once('}').ok_or_else(|| SettingsError::Placeholder(text.to_owned()))?;
            match name {
                "version" => filled.push_str(self.version.as_deref().unwrap_or("devel")),
                "revision" => filled.push_str(self.revision.as_deref().unwrap_or("unknown")),
                "date" => filled.push_str(&crate::time::rfc3339(self.time.unwrap_or(0))?),
                _ => return Err(SettingsError::Placeholder(format!("${{{name}}}"))),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// The commit that `folder` is at, if it is in a repository with commits. Errors: git is not there, or refuses.
pub(crate) fn revision(
    folder: &Path,
    variables: &BTreeMap<OsString, OsString>,
    events: &Events,
) -> Result<Option<String>, VcsError> {
    let mut watch = Watch::since(longshore_files::FileInstant::now());
    match Repository::find(folder, variables, &mut watch) {
        Some(repository) => Ok(repository.commit(Vcs::Commit, folder, &mut watch, events)?.revision),
        None => Ok(None),
    }
}

impl Repository {
    /// The repository that `folder` belongs to, if any. What was looked at for the answer is watched.
    pub(crate) fn find(
        folder: &Path,
        variables: &BTreeMap<OsString, OsString>,
        watch: &mut Watch,
    ) -> Option<Repository> {
        for ancestor in folder.ancestors() {
            let entry = ancestor.join(".git");
            watch.presence(&entry);
            let Ok(about) = fs::metadata(&entry) else { continue };
            let own = if about.is_file() {
                watch.file(&entry);
                let text = fs::read(&entry).ok()?;
                let target = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
                ancestor.join(OsStr::from_bytes(target))
            } else {
                entry
            };
            let common_file = own.join("commondir");
            watch.file(&common_file);
            let common = match fs::read(&common_file) {
                Ok(text) => own.join(OsStr::from_bytes(text.trim_ascii_end())),
                Err(_) => own.clone(),
            };
            let passed = ["PATH", "HOME", "XDG_CONFIG_HOME"].into_iter();
            let passed = passed.filter_map(|name| Some((name, variables.get(OsStr::new(name))?)));
            let environment = Environment::empty().with_all(passed).with_all([
                ("LC_ALL", "C"),
                ("GIT_OPTIONAL_LOCKS", "0"),
                ("GIT_TERMINAL_PROMPT", "0"),
            ]);
            return Some(Repository { root: ancestor.to_owned(), own, common, environment });
        }
        None
    }

    /// Reads the commit; an empty one for a repository without commits.
    ///
    /// Errors: git is not there, or refuses.
    pub(crate) fn commit(
        &self,
        choice: Vcs,
        module: &Path,
        watch: &mut Watch,
        events: &Events,
    ) -> Result<Commit, VcsError> {
        if choice == Vcs::Off || !self.watch_head(watch) {
            return Ok(Commit::default());
        }
        let said =
            self.git(&["log", "-1", "--no-show-signature", "--format=%H%n%ct", "HEAD"], None, events)?;
        let text = String::from_utf8_lossy(&said);
        let mut lines = text.lines();
        let revision = lines.next().map(str::to_owned);
        let time = lines.next().and_then(|line| line.parse().ok());
        let version = match choice {
            Vcs::Full => self.version(module, watch, events)?,
            _ => None,
        };
        Ok(Commit { revision, time, version })
    }

    /// Watches what says which commit HEAD is. Returns whether it is any.
    fn watch_head(&self, watch: &mut Watch) -> bool {
        let head = self.own.join("HEAD");
        watch.file(&head);
        let packed = self.common.join("packed-refs");
        watch.file(&packed);
        // Repositories with the newer format of references keep all of them behind this one file.
        let tables = self.common.join("reftable/tables.list");
        watch.file(&tables);
        let own_tables = self.own.join("reftable/tables.list");
        watch.file(&own_tables);
        if tables.is_file() {
            return true;
        }
        let Ok(mut text) = fs::read(&head) else { return false };
        // A branch may be a name for another branch.
        for _ in 0..DEEPEST_REFERENCE {
            let Some(name) = text.strip_prefix(b"ref: ").map(<[u8]>::trim_ascii_end) else { return true };
            let loose = self.common.join(OsStr::from_bytes(name));
            watch.file(&loose);
            match fs::read(&loose) {
                Ok(target) => text = target,
                Err(_) => return is_packed(&packed, name),
            }
        }
        true
    }

    /// The highest version among the tags on HEAD: `v1.2.3`, or `folder/v1.2.3` for a module below the root.
    fn version(&self, module: &Path, watch: &mut Watch, events: &Events) -> Result<Option<String>, VcsError> {
        watch_folders(&self.common.join("refs/tags"), watch);
        let said = self.git(&["tag", "--points-at", "HEAD"], None, events)?;
        let text = String::from_utf8_lossy(&said);
        let prefix = match module.strip_prefix(&self.root) {
            Ok(inside) if inside != Path::new("") => format!("{}/", inside.display()),
            _ => String::new(),
        };
        let versions = text.lines().filter_map(|tag| tag.strip_prefix(&prefix)).filter_map(|tag| {
            let key = version_key(tag)?;
            Some((key, tag.to_owned()))
        });
        Ok(versions.max().map(|(_, tag)| tag))
    }

    /// Whether any of `files` differs from what HEAD holds. Files outside the work tree are not asked about.
    ///
    /// Errors: git is not there, or refuses.
    pub(crate) fn differs<'a>(
        &self,
        files: impl Iterator<Item = &'a Path>,
        events: &Events,
    ) -> Result<bool, VcsError> {
        let Ok(root) = self.root.canonicalize() else { return Ok(false) };
        let own = self.own.canonicalize().unwrap_or_else(|_| self.own.clone());
        let mut inside: Vec<PathBuf> = Vec::new();
        for file in files {
            // A link's target is what was read.
            let Ok(file) = file.canonicalize() else { continue };
            if file.starts_with(&own) {
                continue;
            }
            if let Ok(relative) = file.strip_prefix(&root) {
                inside.push(relative.to_owned());
            }
        }
        inside.sort();
        inside.dedup();
        let tree = self.git(&["ls-tree", "-r", "-z", "--full-tree", "HEAD"], None, events)?;
        let mut committed: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        for line in tree.split(|byte| *byte == 0) {
            // MODE SP TYPE SP NAME TAB PATH
            let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
            let name = line[..tab].rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            committed.insert(&line[tab + 1..], name);
        }
        let quotable = |path: &PathBuf| path.as_os_str().as_bytes().contains(&b'\n');
        if inside.iter().any(|path| !committed.contains_key(path.as_os_str().as_bytes()) || quotable(path)) {
            return Ok(true);
        }
        let mut input = OsString::new();
        for path in &inside {
            input.push(path);
            input.push("\n");
        }
        let hashes = self.git(&["hash-object", "--stdin-paths"], Some(input), events)?;
        let mut hashes = hashes.split(|byte| *byte == b'\n');
        Ok(inside.iter().any(|path| committed.get(path.as_os_str().as_bytes()).copied() != hashes.next()))
    }

    fn git(&self, arguments: &[&str], input: Option<OsString>, events: &Events) -> Result<Vec<u8>, VcsError> {
        // Another user's repository is only read, and its own configuration must not start programs.
        let settings =
            ["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        let mut command =
            Command::new("git", self.environment.clone()).folder(&self.root).capture(Stream::Out, TREE_LIMIT);
        command = command.arguments(settings).arguments(arguments.iter().copied());
        if let Some(input) = input {
            command = command.input(input);
        }
        let run = || -> Result<Vec<u8>, ProcessError> { command.run(events)?.success()?.into_stdout() };
        run().map_err(|source| VcsError { folder: self.root.clone(), source })
    }
}

/// Whether the file of packed references has `name`.
fn is_packed(file: &Path, name: &[u8]) -> bool {
    let packed = fs::read(file).unwrap_or_default();
    packed
        .split(|byte| *byte == b'\n')
        .any(|line| line.ends_with(name) && (line.get(40) == Some(&b' ') || line.get(64) == Some(&b' ')))
}

fn watch_folders(folder: &Path, watch: &mut Watch) {
    watch.folder_with_files(folder, &Filter::All);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            watch_folders(&entry.path(), watch);
        }
    }
}

/// Orders versions; none for a tag that is no version. A release is above its pre-releases.
fn version_key(tag: &str) -> Option<(u64, u64, u64, bool, String)> {
    let rest = tag.strip_prefix('v')?;
    let core = rest.split('+').next().unwrap_or_default();
    let (numbers, before) = match core.split_once('-') {
        Some((numbers, before)) => (numbers, Some(before)),
        None => (core, None),
    };
    let mut parts = numbers.split('.').map(str::parse::<u64>);
    let (major, minor, patch) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts
        .next()
        .is_none()
        .then(|| (major, minor, patch, before.is_none(), before.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_unknown_ones_refused() {
        let commit =
            Commit { revision: Some("abc".into()), time: Some(86_400), version: Some("v1.2.3".into()) };
        let cases = [
            ("plain $x", Some("plain $x")),
            ("${version}-${revision}", Some("v1.2.3-abc")),
            ("${date}", Some("1970-01-02T00:00:00Z")),
            ("${what}", None),
            ("${version", None),
        ];
        for (text, expected) in cases {
            assert_eq!(commit.fill(text).ok().as_deref(), expected, "{text}");
        }
        assert_eq!(Commit::default().fill("${version} ${revision}").unwrap(), "devel unknown");
    }

    #[test]
    fn versions_are_ordered_as_versions() {
        let mut tags = ["v1.10.0", "v1.9.0", "v1.10.0-rc.1", "v2.0.0+incompatible"];
        tags.sort_by_key(|tag| version_key(tag));
        assert_eq!(tags, ["v1.9.0", "v1.10.0-rc.1", "v1.10.0", "v2.0.0+incompatible"]);
        for bad in ["1.2.3", "v1.2", "v1.2.3.4", "vx.y.z", "latest"] {
            assert_eq!(version_key(bad), None, "{bad}");
        }
    }
}
