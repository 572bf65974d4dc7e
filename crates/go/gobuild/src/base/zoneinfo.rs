//! Time zones out of the Go toolchain's archive: the same files for the same version of Go.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{BaseError, BaseFile};

/// Where Go looks for zones.
const FOLDER: &str = "usr/share/zoneinfo";
/// The largest zone has some kilobytes.
const LARGEST: u64 = 1 << 20;

/// The zones as files of an image, sorted by path, folders first made. Errors: the archive is missing or damaged.
pub(crate) fn zone_files(archive: &Path) -> Result<Vec<BaseFile>, BaseError> {
    read(archive).map_err(|source| BaseError::Zones { path: archive.to_owned(), source })
}

fn read(archive: &Path) -> io::Result<Vec<BaseFile>> {
    let mut zip = zip::ZipArchive::new(io::BufReader::new(File::open(archive)?)).map_err(io::Error::other)?;
    let mut folders: BTreeSet<PathBuf> = ["usr", "usr/share", FOLDER].iter().map(PathBuf::from).collect();
    let mut files = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(io::Error::other)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.enclosed_name().filter(|_| entry.size() <= LARGEST);
        let name = name.ok_or_else(|| io::Error::other(format!("entry {index} is no time zone")))?;
        let path = Path::new(FOLDER).join(name);
        folders
            .extend(path.ancestors().skip(1).filter(|folder| folder.starts_with(FOLDER)).map(Path::to_owned));
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push(BaseFile::File(path, content));
    }
    files.extend(folders.into_iter().map(|path| BaseFile::Folder(path, 0o755, 0)));
    files.sort_by(|one, other| one.path().cmp(other.path()));
    Ok(files)
}
