//! The folder of all containers, and that of one.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use longshore_files::{create_folders, remove_tree, write_unsynced};
use longshore_runtime::{RuntimeError, RuntimeErrorKind};
use longshore_store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ContainerError, failed};
use crate::record::Record;

const NAMES: &str = "names";
const RECORD: &str = "record";

/// All containers of a store.
#[derive(Debug, Clone)]
pub struct Containers {
    folder: PathBuf,
}

/// One container.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its id.
    pub id: String,
    pub(crate) folder: PathBuf,
    pub(crate) all: Containers,
}

impl Containers {
    /// The containers of a store. Nothing is read or written.
    pub fn of(store: &Store) -> Containers {
        Containers { folder: store.root().join("containers") }
    }

    /// The container that has this folder.
    pub(crate) fn container_at(folder: &Path) -> Option<Container> {
        let id = folder.file_name()?.to_str()?.to_owned();
        let all = Containers { folder: folder.parent()?.to_owned() };
        Some(Container { id, folder: folder.to_owned(), all })
    }

    /// Folders of volumes.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.folder.with_file_name("volumes")
    }

    /// All containers, oldest first. What is damaged is told, and left out.
    pub fn list(
        &self,
        damaged: &mut dyn FnMut(ContainerError),
    ) -> Result<Vec<(Container, Record)>, RuntimeError> {
        let mut found = Vec::new();
        for id in self.ids().map_err(failed("list", "containers"))? {
            let container = self.container(id);
            match container.read::<Record>(RECORD) {
                Ok(Some(record)) => found.push((container, record)),
                // One that is being removed, or made, is none.
                Ok(None) => {}
                Err(error) => damaged(error),
            }
        }
        found.sort_by_key(|(_, record)| record.created);
        Ok(found)
    }

    fn ids(&self) -> Result<Vec<String>, ContainerError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(ContainerError::at("list", &self.folder))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(ContainerError::at("list", &self.folder))?.file_name();
            ids.extend(name.into_string().ok().filter(|name| is_id(name)));
        }
        Ok(ids)
    }

    fn container(&self, id: String) -> Container {
        Container { folder: self.folder.join(&id), id, all: self.clone() }
    }

    /// The container of this name, id, or beginning of an id.
    ///
    /// Errors: there is none, or several.
    pub fn find(&self, action: &'static str, name: &str) -> Result<Container, RuntimeError> {
        let no = |kind| RuntimeError::new(action, name, kind);
        if is_name(name)
            && let Some(id) = self.named(name).map_err(failed(action, name))?
        {
            return Ok(self.container(id));
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(no(RuntimeErrorKind::NoContainer));
        }
        let mut ids = self.ids().map_err(failed(action, name))?;
        ids.retain(|id| id.starts_with(&name.to_ascii_lowercase()));
        match (ids.pop(), ids.is_empty()) {
            (None, _) => Err(no(RuntimeErrorKind::NoContainer)),
            (Some(id), true) => Ok(self.container(id)),
            (Some(_), false) => Err(no(RuntimeErrorKind::Ambiguous)),
        }
    }

    fn named(&self, name: &str) -> Result<Option<String>, ContainerError> {
        let path = self.folder.join(NAMES).join(name);
        match fs::read_to_string(&path) {
            Ok(id) => Ok(Some(id).filter(|id| self.folder.join(id).join(RECORD).exists())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ContainerError::at("read", path)(error)),
        }
    }

    /// Makes a container's folder and takes its name.
    ///
    /// Errors: the name is taken.
    pub(crate) fn create(&self, record: &Record) -> Result<Container, RuntimeError> {
        let container = self.container(record.id.clone());
        let problem = |error: ContainerError| failed("create", &record.name)(error);
        let names = self.folder.join(NAMES);
        let made = create_folders(&names).and_then(|()| create_folders(&container.folder));
        made.map_err(|error| problem(error.into()))?;
        if let Err(error) = self.take_name(&names.join(&record.name), record) {
            // It is empty.
            let _ = fs::remove_dir(&container.folder);
            return Err(error);
        }
        for name in ["upper", "work"] {
            let path = container.folder.join(name);
            fs::create_dir(&path).map_err(ContainerError::at("create", &path)).map_err(problem)?;
            // The upper folder's mode is that of the container's root, which every user of the image enters, whatever this process's mask is.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .map_err(ContainerError::at("create", &path))
                .map_err(problem)?;
        }
        container.write(RECORD, record).map_err(problem)?;
        Ok(container)
    }

    fn take_name(&self, path: &Path, record: &Record) -> Result<(), RuntimeError> {
        let problem = |error| failed("create", &record.name)(ContainerError::at("write", path)(error));
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => return file.write_all(record.id.as_bytes()).map_err(problem),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(problem(error)),
            }
            let holder = fs::read_to_string(path).unwrap_or_default();
            // A name is written before its container's record, so a young one may have none yet.
            let age = fs::metadata(path)
                .and_then(|about| about.modified())
                .ok()
                .and_then(|time| time.elapsed().ok());
            let is_young = age.is_none_or(|age| age.as_secs() < 10);
            if is_young || self.folder.join(&holder).join(RECORD).exists() {
                let kind = RuntimeErrorKind::NameTaken(holder.get(..12).unwrap_or(&holder).to_owned());
                return Err(RuntimeError::new("create", &record.name, kind));
            }
            // A container that was killed while it was made, or removed by hand.
            fs::remove_file(path).map_err(problem)?;
        }
    }
}

impl Container {
    /// What it is.
    pub fn record(&self, action: &'static str) -> Result<Record, RuntimeError> {
        let record = self.read(RECORD).map_err(failed(action, &self.id))?;
        record.ok_or_else(|| RuntimeError::new(action, &self.id, RuntimeErrorKind::NoContainer))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads one of its files; `None` where it is not there.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ContainerError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| ContainerError {
                message: format!("{} is damaged: {error}", path.display()),
                hint: Some("`longshore rm --force` removes the container".to_owned()),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ContainerError::at("read", path)(error)),
        }
    }

    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), ContainerError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| ContainerError::new(format!("cannot write {name}: {error}")))?;
        Ok(write_unsynced(&self.path(name), &bytes)?)
    }

    /// The same for a container whose record cannot be read, so that its name must be looked for. Errors: its monitor lives.
    pub(crate) fn remove_damaged(&self) -> Result<(), ContainerError> {
        if self.is_watched()? {
            return Err(ContainerError::new("its record is damaged and its monitor lives: kill that first"));
        }
        let names = self.all.folder.join(NAMES);
        for entry in fs::read_dir(&names).map_err(ContainerError::at("list", &names))? {
            let path = entry.map_err(ContainerError::at("list", &names))?.path();
            if fs::read_to_string(&path).is_ok_and(|id| id == self.id) {
                fs::remove_file(&path).map_err(ContainerError::at("remove", &path))?;
            }
        }
        Ok(remove_tree(&self.folder)?)
    }

    /// Removes its folder and gives its name free. Nothing of it may run.
    pub(crate) fn remove_files(&self, name: &str) -> Result<(), ContainerError> {
        let path = self.all.folder.join(NAMES).join(name);
        if fs::read_to_string(&path).is_ok_and(|id| id == self.id) {
            fs::remove_file(&path).map_err(ContainerError::at("remove", &path))?;
        }
        // Without its record it is a container no more, whatever becomes of the rest.
        let record = self.path(RECORD);
        match fs::remove_file(&record) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ContainerError::at("remove", &record)(error));
            }
            _ => {}
        }
        Ok(remove_tree(&self.folder)?)
    }
}

/// Whether it may be the name of a container.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first
        && name.len() > 1
        && name.len() < 200
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
