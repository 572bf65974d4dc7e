//! The build context of a Dockerfile: a folder, a tar, or what an address holds; and the Dockerfile, which may stand in it.
//!
//! What PATH and `-f` mean is buildx's (`build/build.go`): a folder's Dockerfile is named by where the user is, that of a context from
//! elsewhere by its path in it, unless it is absolute. Not as there, a file of this machine that is a tar will do, too, and what comes through
//! standard input is what its place says: a Dockerfile for `-f -`, a tar for the context `-`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use longshore_builder::{
    BuildError, Builder, Context as BuildContext, ContextAddress, ContextRequest, ContextSource, Credentials,
    DockerfilePlace, DockerfileSource, fetch_context,
};
use longshore_events::Events;

use super::dockerfile::DockerfileError;
use super::values::{ContextPlace, boolean};

/// Largest Dockerfile that is read from standard input, in bytes.
const MAX_DOCKERFILE: u64 = 16 << 20;

/// Keeps a repository's `.git`, as BuildKit has it.
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// Where the context is.
pub(super) enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A tar of this machine.
    Tar(PathBuf),
    /// A tar on standard input.
    Pipe,
    /// Elsewhere.
    Address(ContextAddress),
}

impl Place {
    /// What PATH means. Errors: it is an image, or an address that cannot be read.
    pub(super) fn of(path: &Path) -> Result<Place, DockerfileError> {
        let text = path.to_string_lossy();
        if text == "-" {
            return Ok(Place::Pipe);
        }
        if path.is_dir() {
            return Ok(Place::Folder(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Place::Tar(path.to_owned()));
        }
        match text.parse() {
            Ok(ContextPlace::Folder(folder)) => Ok(Place::Folder(folder)),
            Ok(ContextPlace::Address(address)) => Ok(Place::Address(address)),
            Ok(ContextPlace::Image(_)) => Err(DockerfileError::ImageContext(text.into_owned())),
            Err(message) => Err(DockerfileError::Context(message)),
        }
    }

    /// Whether it, or the Dockerfile, is on standard input. Errors: both are.
    pub(super) fn is_piped(&self, dockerfile: &Path) -> Result<bool, DockerfileError> {
        match (matches!(self, Place::Pipe), dockerfile == Path::new("-")) {
            (true, true) => Err(DockerfileError::BothPiped),
            (pipe, dockerfile) => Ok(pipe || dockerfile),
        }
    }

    /// Whether a process that goes on inside a user namespace opens it once more, after another one did all that this one does.
    pub(super) fn is_read_twice(&self, dockerfile: &Path) -> bool {
        matches!(self, Place::Folder(_)) && dockerfile != Path::new("-")
    }

    /// Opens the context, and fetches it where it is not here, and reads the Dockerfile.
    pub(super) fn open(
        &self,
        dockerfile: &Path,
        (builder, events): (&Builder<'_>, &Events),
        (credentials, build_args, has_epoch): (&Credentials, &[(String, String)], bool),
    ) -> Result<(BuildContext, DockerfileSource), OpenError> {
        let keep = build_args.iter().rev().find(|(name, _)| name == KEEP_GIT_DIR);
        let keep_git_dir = keep.is_some_and(|(_, value)| boolean(value) == Some(true));
        let source = match self {
            Place::Folder(folder) => {
                return Ok((BuildContext::Folder(folder.clone()), read(dockerfile)?));
            }
            Place::Address(address) => ContextSource::Address(address),
            Place::Pipe => ContextSource::Archive(Box::new(std::io::stdin())),
            Place::Tar(path) => {
                let file = File::open(path).map_err(longshore_files::FileError::of("open", path))?;
                ContextSource::Archive(Box::new(file))
            }
        };
        let request = ContextRequest { source, credentials, keep_git_dir, commit_time: has_epoch };
        let fetched = fetch_context(builder, request, events)?;
        let is_here = dockerfile == Path::new("-") || dockerfile.is_absolute();
        let dockerfile = if is_here { read(dockerfile)? } else { fetched.dockerfile(dockerfile)? };
        Ok((BuildContext::Fetched(fetched), dockerfile))
    }

    /// A name for the image, where names are made from `{name}`.
    pub(super) fn name(&self) -> String {
        let path = match self {
            Place::Folder(folder) => std::fs::canonicalize(folder).unwrap_or_else(|_| folder.clone()),
            Place::Tar(path) => path.clone(),
            Place::Address(address) => PathBuf::from(address.shown()),
            Place::Pipe => PathBuf::new(),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let short = match self {
            Place::Folder(_) => None,
            _ => [".git", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst"]
                .iter()
                .find_map(|end| name.strip_suffix(end)),
        };
        let name = short.unwrap_or(&name);
        if name.is_empty() { "image".to_owned() } else { name.to_owned() }
    }
}

/// The context or the Dockerfile cannot be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The Dockerfile cannot be read.
    Dockerfile(DockerfileError),
    /// The context cannot be fetched; or it must be fetched inside a user namespace.
    Build(BuildError),
}

impl From<DockerfileError> for OpenError {
    fn from(error: DockerfileError) -> Self {
        OpenError::Dockerfile(error)
    }
}

impl<E: Into<BuildError>> From<E> for OpenError {
    fn from(error: E) -> Self {
        OpenError::Build(error.into())
    }
}

fn read(file: &Path) -> Result<DockerfileSource, DockerfileError> {
    let failed = |source| DockerfileError::Read { path: file.to_owned(), source };
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(MAX_DOCKERFILE).read_to_end(&mut bytes).map_err(failed)?;
        return Ok(DockerfileSource { bytes, place: DockerfilePlace::Pipe });
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    Ok(DockerfileSource { bytes, place: DockerfilePlace::Disk(file.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_addresses_are_told_apart() {
        let kind = |text: &str| match Place::of(Path::new(text)) {
            Ok(place @ Place::Folder(_)) => format!("folder {}", place.name()),
            Ok(place @ Place::Tar(_)) => format!("tar {}", place.name()),
            Ok(place @ Place::Pipe) => format!("pipe {}", place.name()),
            Ok(place @ Place::Address(_)) => format!("address {}", place.name()),
            Err(error) => error.to_string(),
        };
        for (text, expected) in [
            ("-", "pipe image"),
            ("src", "folder src"),
            ("nowhere/at/all", "folder all"),
            ("Cargo.toml", "tar Cargo.toml"),
            ("https://host/a/shop.git#main:api", "address shop"),
            ("https://host/shop.tar.gz", "address shop"),
            ("http://host/Dockerfile", "address Dockerfile"),
            ("git@host:team/shop.git", "address shop"),
            ("git://host/shop", "address shop"),
            ("github.com/team/shop#main", "address shop"),
            ("docker-image://alpine", "the build context `docker-image://alpine` is an image"),
            ("oci-layout://out:v1", "the build context `oci-layout://out:v1` is an image"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
