//! The files of a git repository at a commit, as a tree to copy from.
//!
//! They are checked out into a folder that is gone with the tree. Modes are git's own, whatever the umask; owners are root. `.git` is
//! there only where it was asked for: then it holds the one commit, with the remote's address without credentials.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use longshore_files::FileError;
use longshore_store::Store;

use super::address::GitAddress;
use super::error::FetchError;
use super::git::{Git, Resolved, quoted};
use crate::context::ContextTree;
use crate::memory::HashMemory;
use crate::tree::{FileNode, FileTree, TreeError};

/// A checked-out repository. Dropped, it is removed.
pub(crate) struct Checkout {
    tree: ContextTree,
    has_git_folder: bool,
    /// The time of every file, where it is the commit's.
    time: Option<i64>,
    _folder: tempfile::TempDir,
}

impl Checkout {
    /// Fetches a commit and checks it out.
    pub(crate) fn make(
        git: &Git<'_>,
        store: &Store,
        address: &GitAddress,
        resolved: &Resolved,
        keeps_git_folder: bool,
    ) -> Result<Checkout, FetchError> {
        git.fetch(resolved)?;
        let commit = git.commit_of(&resolved.object)?;
        // A tag that was named by its object is known to be one only now.
        let known = Resolved { commit: Some(commit.clone()), ..resolved.clone() };
        known.check(address.checksum.as_deref())?;
        let temporary = store.temporary_folder();
        let folder = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&temporary);
        let folder = folder.map_err(FileError::of("create a folder in", &temporary))?;
        let files = folder.path().join("files");
        fs::create_dir(&files).map_err(FileError::of("create the folder", &files))?;
        let has_git_folder = keeps_git_folder && address.folder.is_empty();
        let work = Work { git, address, files: &files };
        if has_git_folder {
            work.with_git_folder(resolved, &commit)?;
        } else {
            work.without_git_folder(&folder.path().join("git"), &commit)?;
        }
        let time = address.commit_time.then(|| git.time_of(&commit)).transpose()?;
        let memory = HashMemory::open(folder.path().join("hashes"));
        let tree = ContextTree::open(&files, memory)?;
        let checkout = Checkout { tree, has_git_folder, time, _folder: folder };
        checkout.check_folder(Path::new(&address.folder))?;
        Ok(checkout)
    }

    /// Whether the folder that is meant is one, with no link on the way that could lead elsewhere.
    fn check_folder(&self, folder: &Path) -> Result<(), FetchError> {
        for above in folder.ancestors() {
            let node = self.lookup(above)?;
            if !node.is_some_and(|node| node.is_folder()) {
                return Err(FetchError::NoFolder(folder.to_owned()));
            }
        }
        Ok(())
    }

    fn is_hidden(&self, name: &std::ffi::OsStr) -> bool {
        !self.has_git_folder && name == ".git"
    }

    fn node(&self, node: FileNode) -> FileNode {
        let mtime = self.time.map_or(node.mtime, |time| (time, 0));
        let mode = if node.is_link() { 0o777 } else { plain_mode(node.mode) };
        // Two names of one file are chance: git knows none.
        FileNode { mode, mtime, inode: None, ..node }
    }
}

/// A mode whose owner's bits are everybody's, but for writing: what git gives under the usual umask.
fn plain_mode(mode: u32) -> u32 {
    let (read, write, run) = (mode & 0o400, mode & 0o200, mode & 0o100);
    (read | read >> 3 | read >> 6) | write | (run | run >> 3 | run >> 6)
}

impl FileTree for Checkout {
    fn lookup(&self, path: &Path) -> Result<Option<FileNode>, TreeError> {
        if path.file_name().is_some_and(|name| self.is_hidden(name)) {
            return Ok(None);
        }
        Ok(self.tree.lookup(path)?.map(|node| self.node(node)))
    }

    fn list(&self, folder: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError> {
        let listed = self.tree.list(folder)?;
        let seen = listed.into_iter().filter(|(name, _)| !self.is_hidden(name));
        Ok(seen.map(|(name, node)| (name, self.node(node))).collect())
    }

    fn open(&self, path: &Path) -> Result<File, TreeError> {
        self.tree.open(path)
    }

    fn hash(&self, path: &Path, node: &FileNode) -> Result<[u8; 32], TreeError> {
        self.tree.hash(path, node)
    }
}

struct Work<'w> {
    git: &'w Git<'w>,
    address: &'w GitAddress,
    files: &'w Path,
}

impl Work<'_> {
    /// Checks out by a repository beside the files, which borrows the objects of the one in the store.
    fn without_git_folder(&self, repository: &Path, commit: &str) -> Result<(), FetchError> {
        let git = self.git;
        git.run(&git.init(repository, commit))?;
        let stored = git.repository();
        let lend = repository.join("objects/info/alternates");
        let objects = stored.join("objects").into_os_string().into_encoded_bytes();
        append(&lend, &[&objects[..], b"\n"].concat())?;
        match fs::copy(stored.join("shallow"), repository.join("shallow")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::of("copy", stored.join("shallow"))(error).into());
            }
            _ => {}
        }
        self.name_origin(repository, &self.address.remote)?;
        self.check_out(repository, commit)?;
        self.submodules(repository)
    }

    /// Checks out with a repository among the files, which holds this commit and nothing before it.
    fn with_git_folder(&self, resolved: &Resolved, commit: &str) -> Result<(), FetchError> {
        let git = self.git;
        let repository = self.files.join(".git");
        git.run(&git.init(&repository, commit))?;
        let mut source = OsString::from("file://");
        source.push(git.repository());
        let name = match &resolved.reference {
            Some(name) if name != "HEAD" => name.clone(),
            _ => format!("refs/fetched/{commit}"),
        };
        let refspec = format!("+refs/kept/{}:{name}", resolved.object);
        // Named, so that it can be fetched from there: it may have come among others.
        let keep = git.command(&git.repository()).argument("update-ref");
        git.run(&keep.argument(format!("refs/kept/{}", resolved.object)).argument(&resolved.object))?;
        // The one repository of this machine that git may read is the store's own.
        let fetch = git.command_with(&repository, "GIT_ALLOW_PROTOCOL", "file".as_ref());
        let fetch = fetch.arguments(["fetch", "--quiet", "--no-tags", "--depth=1"]);
        git.run(&fetch.arguments(["--update-head-ok", "--"]).argument(source).argument(refspec))?;
        self.name_origin(&repository, &self.address.remote)?;
        self.check_out(&repository, commit)?;
        self.submodules(&repository)?;
        let shown = self.address.shown();
        if shown != self.address.remote {
            let set = git.command(&repository).arguments(["remote", "set-url", "origin"]);
            git.run(&set.argument(shown))?;
        }
        git.run(&git.command(&repository).arguments(["reflog", "expire", "--all", "--expire=now"]))?;
        let fetched = repository.join("FETCH_HEAD");
        match fs::remove_file(&fetched) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::of("remove", &fetched)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// What addresses of submodules are relative to.
    fn name_origin(&self, repository: &Path, remote: &str) -> Result<(), FetchError> {
        let text = format!(
            "[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(remote)
        );
        append(&repository.join("config"), text.as_bytes())
    }

    fn check_out(&self, repository: &Path, commit: &str) -> Result<(), FetchError> {
        let command = self.git.command_with(repository, "GIT_WORK_TREE", self.files.as_os_str());
        self.git.run(&command.arguments(["checkout", "--quiet", "--force", "--detach", commit])).map(drop)
    }

    fn submodules(&self, repository: &Path) -> Result<(), FetchError> {
        let listed = self.files.join(".gitmodules");
        if self.address.skip_submodules || fs::symlink_metadata(&listed).is_err() {
            return Ok(());
        }
        let command = self.git.command_with(repository, "GIT_WORK_TREE", self.files.as_os_str());
        let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
        self.git.run(&command.folder(self.files).arguments(update)).map(drop)
    }
}

fn append(path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
    if let Some(folder) = path.parent() {
        longshore_files::create_folders(folder)?;
    }
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    Ok(written.map_err(FileError::of("write", path))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gits_whatever_the_umask() {
        for (mode, expected) in [
            (0o600, 0o644),
            (0o644, 0o644),
            (0o664, 0o644),
            (0o700, 0o755),
            (0o775, 0o755),
            (0o400, 0o444),
            (0o4755, 0o755),
        ] {
            assert_eq!(plain_mode(mode), expected, "{mode:o}");
        }
    }
}
