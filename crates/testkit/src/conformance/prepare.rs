//! Cases on disk: the case's folder, copied, with what git cannot keep made by its declarations.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use longshore_image::layer::{Entry, EntryKind, LayerBuilder, LayerError, Timestamps, decompress};
use longshore_oci::media_type::{Compression, ImageFormat};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps as FileTimes, XattrFlags};

use super::case::{Case, ContextSource, DeclaredArchive, DeclaredEntry, DeclaredFile, Served};
use crate::{Answer, FaultServer, Folder, Reply, Request};

/// Modification time of all that declares none: the first second of 2021.
const TIME: i64 = 1_609_459_200;

/// A case that is ready to be built; its folder goes on drop.
pub struct Prepared {
    folder: Folder,
    case: Case,
    server: Option<FaultServer>,
}

/// A case that cannot be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A file cannot be made.
    #[error("cannot make {}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A declared value is malformed.
    #[error("{value} is no {what}")]
    Value {
        /// "octal mode" or "hexadecimal value".
        what: &'static str,
        /// What stands there.
        value: String,
    },
    /// The server of what is served does not start.
    #[error("cannot start a web server")]
    Serve(#[source] io::Error),
    /// A declared archive cannot be written.
    #[error(transparent)]
    Archive(#[from] LayerError),
}

fn making(path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::Make { path, source }
}

impl Case {
    /// Writes the case to a temporary folder.
    ///
    /// Errors: a file cannot be made, for want of root where an attribute needs it.
    pub fn prepare(&self) -> Result<Prepared, PrepareError> {
        let folder = Folder::new().map_err(making(&std::env::temp_dir()))?;
        let root = folder.path();
        copy(&self.folder, root)?;
        let context = root.join(&self.settings.context);
        fs::create_dir_all(&context).map_err(making(&context))?;
        for file in &self.settings.files {
            make(root, file)?;
        }
        for archive in &self.settings.archives {
            write_archive(&root.join(&archive.path), archive)?;
        }
        // What was made last changed the times of the folders above it, so times come last, and deepest first.
        set_times(root)?;
        for file in self.settings.files.iter().filter(|file| file.time.is_some()) {
            let path = root.join(&file.path);
            set_time(&path, file.time.unwrap_or(TIME)).map_err(making(&path))?;
        }
        for secret in &self.settings.secrets {
            let name = secret_name(&secret.id);
            folder.write(&name, &secret.text).map_err(making(Path::new(&name)))?;
        }
        let server = serve(root, &self.settings.served)?;
        Ok(Prepared { folder, case: self.clone(), server })
    }
}

fn secret_name(id: &str) -> String {
    format!(".secrets/{id}")
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Prepared").field(&self.case.name).field(&self.folder).finish()
    }
}

impl Prepared {
    /// The case.
    #[must_use]
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// Where it was written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Dockerfile.
    #[must_use]
    pub fn dockerfile(&self) -> PathBuf {
        self.folder.join(&self.case.settings.dockerfile)
    }

    /// The context's folder.
    #[must_use]
    pub fn context(&self) -> PathBuf {
        self.folder.join(&self.case.settings.context)
    }

    /// `--build-arg`: those of the case, and SERVER where it has one.
    #[must_use]
    pub fn build_args(&self) -> Vec<(String, String)> {
        let own = self.case.settings.build_args.iter().map(|(name, value)| (name.clone(), value.clone()));
        let server = self.server.iter().map(|server| ("SERVER".to_owned(), server.url()));
        own.chain(server).collect()
    }

    /// `text` without what differs from run to run: the case's folder and its server's address.
    #[must_use]
    pub fn steady(&self, text: &str) -> String {
        let text = text.replace(&self.folder().display().to_string(), "FOLDER");
        match &self.server {
            Some(server) => text.replace(&server.url(), "SERVER"),
            None => text,
        }
    }

    /// Where each secret is, by its id.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, PathBuf)> {
        let secrets = self.case.settings.secrets.iter();
        secrets.map(|secret| (secret.id.clone(), self.folder.join(secret_name(&secret.id)))).collect()
    }

    /// Named contexts that are folders, with their names.
    #[must_use]
    pub fn folders(&self) -> Vec<(String, PathBuf)> {
        let folders = self.case.settings.contexts.iter().filter_map(|context| match &context.source {
            ContextSource::Folder(folder) => Some((context.name.clone(), self.folder.join(folder))),
            ContextSource::Base(_) => None,
        });
        folders.collect()
    }

    /// Named contexts that are base images: the context's name and the base's. Every base is one under its own name.
    #[must_use]
    pub fn bases(&self) -> Vec<(String, String)> {
        let own = crate::bases::NAMES.map(|name| (name.to_owned(), name.to_owned()));
        let given = self.case.settings.contexts.iter().filter_map(|context| match &context.source {
            ContextSource::Base(base) => Some((context.name.clone(), base.clone())),
            ContextSource::Folder(_) => None,
        });
        own.into_iter().chain(given).collect()
    }
}

fn serve(root: &Path, served: &[Served]) -> Result<Option<FaultServer>, PrepareError> {
    if served.is_empty() {
        return Ok(None);
    }
    let mut answers = BTreeMap::new();
    for served in served {
        let body = match &served.file {
            Some(file) => fs::read(root.join(file)).map_err(making(file))?,
            None => served.text.clone().into_bytes(),
        };
        let answer = Answer::new(served.status, body);
        let answer = served.headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
        answers.insert(served.target.clone(), answer);
    }
    let nothing = Answer::new(404, "nothing here\n");
    let answer =
        move |request: &Request| Reply::Answer(answers.get(&request.target).unwrap_or(&nothing).clone());
    FaultServer::start(answer).map(Some).map_err(PrepareError::Serve)
}

/// Copies what git keeps. Modes are normalised: those of a checkout follow the umask.
fn copy(from: &Path, to: &Path) -> Result<(), PrepareError> {
    for entry in fs::read_dir(from).map_err(making(to))? {
        let entry = entry.map_err(making(to))?;
        let target = to.join(entry.file_name());
        let failed = || making(&target);
        let metadata = entry.metadata().map_err(failed())?;
        if metadata.is_symlink() {
            let link = fs::read_link(entry.path()).map_err(failed())?;
            std::os::unix::fs::symlink(link, &target).map_err(failed())?;
        } else if metadata.is_dir() {
            fs::create_dir(&target).map_err(failed())?;
            set_mode(&target, 0o755).map_err(failed())?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(failed())?;
            set_mode(&target, if metadata.mode() & 0o100 == 0 { 0o644 } else { 0o755 }).map_err(failed())?;
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn octal(mode: &str) -> Result<u32, PrepareError> {
    u32::from_str_radix(mode, 8)
        .map_err(|_| PrepareError::Value { what: "octal mode", value: mode.to_owned() })
}

fn make(root: &Path, file: &DeclaredFile) -> Result<(), PrepareError> {
    let path = root.join(&file.path);
    let failed = || making(&path);
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        fs::create_dir_all(parent).map_err(failed())?;
    }
    if let Some(text) = &file.text {
        create(&path, text).map_err(failed())?;
        set_mode(&path, 0o644).map_err(failed())?;
    } else if let Some(size) = file.hole {
        fs::File::create(&path).and_then(|file| file.set_len(size)).map_err(failed())?;
        set_mode(&path, 0o644).map_err(failed())?;
    } else if let Some(link) = &file.link {
        std::os::unix::fs::symlink(link, &path).map_err(failed())?;
    } else if let Some(of) = &file.hard {
        fs::hard_link(root.join(of), &path).map_err(failed())?;
    } else if file.folder {
        fs::create_dir_all(&path).map_err(failed())?;
    } else if file.pipe {
        let made = rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0);
        made.map_err(io::Error::from).map_err(failed())?;
    }
    if let Some(mode) = &file.mode {
        set_mode(&path, octal(mode)?).map_err(failed())?;
    }
    for (name, value) in &file.attributes {
        let value = unhex(value)?;
        rustix::fs::setxattr(&path, name.as_str(), &value, XattrFlags::empty())
            .map_err(io::Error::from)
            .map_err(failed())?;
    }
    Ok(())
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut fs::File::create(path)?, text.as_bytes())
}

fn unhex(text: &str) -> Result<Vec<u8>, PrepareError> {
    let bad = || PrepareError::Value { what: "hexadecimal value", value: text.to_owned() };
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(bad());
    }
    let pairs = (0..text.len() / 2).map(|pair| u8::from_str_radix(&text[pair * 2..pair * 2 + 2], 16));
    pairs.collect::<Result<_, _>>().map_err(|_| bad())
}

fn set_times(folder: &Path) -> Result<(), PrepareError> {
    for entry in fs::read_dir(folder).map_err(making(folder))? {
        let entry = entry.map_err(making(folder))?;
        if entry.file_type().map_err(making(folder))?.is_dir() {
            set_times(&entry.path())?;
        }
        set_time(&entry.path(), TIME).map_err(making(&entry.path()))?;
    }
    Ok(())
}

fn set_time(path: &Path, seconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = FileTimes { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn write_archive(path: &Path, archive: &DeclaredArchive) -> Result<(), PrepareError> {
    let mut builder = LayerBuilder::new(Vec::new(), Timestamps::Keep);
    for declared in &archive.entries {
        builder.append(&entry(declared)?, &mut declared.text.as_bytes())?;
    }
    // The suite's archives are made as layers are, which are always compressed.
    let (_, mut bytes) = builder.finish(ImageFormat::Oci).map_err(making(path))?;
    if !archive.gzip {
        let mut plain = Vec::new();
        decompress(io::Cursor::new(bytes), Compression::Gzip)
            .and_then(|mut reader| io::Read::read_to_end(&mut reader, &mut plain))
            .map_err(making(path))?;
        bytes = plain;
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(making(path))?;
    }
    fs::File::create(path)
        .and_then(|mut file| io::Write::write_all(&mut file, &bytes))
        .map_err(making(path))?;
    set_mode(path, 0o644).map_err(making(path))
}

fn entry(declared: &DeclaredEntry) -> Result<Entry, PrepareError> {
    let path = declared.path.clone();
    let mut entry = if let Some(link) = &declared.link {
        Entry::symlink(path, link)
    } else if let Some(of) = &declared.hard {
        Entry { kind: EntryKind::Hardlink { target: of.clone() }, ..Entry::file(path, 0o644, 0) }
    } else if declared.folder {
        Entry::directory(path, 0o755)
    } else {
        Entry::file(path, 0o644, declared.text.len() as u64)
    };
    if let Some(mode) = &declared.mode {
        entry.mode = octal(mode)?;
    }
    entry.mtime = declared.time;
    Ok(entry.owned_by(declared.uid, declared.gid))
}
