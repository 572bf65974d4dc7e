//! What the store holds beside named images, and making it smaller.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use longshore_files::{FileError, Lock, foreign_file, remove_tree, tree_size};
use longshore_oci::Digest;

use crate::error::StoreError;
use crate::lease::Held;
use crate::store::Store;

/// Name of the file in a cache folder whose modification time says when the item was last used.
const USED: &str = "last-used";

/// Folder of the cache that is no cache: tree heads of checksum databases, against which later ones are proved. Forgetting them would
/// let a database tell another story than before.
const KEPT: &str = "sumdb";

/// What kind of thing an item is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CacheKind {
    /// An image that has a name. Pruned only when asked for by [`PruneOptions::named`].
    NamedImage,
    /// An image without a name.
    UnnamedImage,
    /// A blob that no listed image reaches.
    Blob,
    /// A folder of something that can be made or fetched again; the name of its kind.
    Folder(String),
    /// Files that have no name, left behind by processes that died.
    Temporary,
}

/// One thing that the store holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CacheItem {
    /// What it is.
    pub kind: CacheKind,
    /// Its name or digest.
    pub name: String,
    /// Bytes that would be freed, counting what other items share only once, with the item that was used last.
    pub size: u64,
    /// When it was last used, in seconds since 1970.
    pub used: u64,
}

/// What to prune.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Only what was not used for this long.
    pub older_than: Option<Duration>,
    /// Least recently used first, until the store has at most this many bytes.
    pub max_size: Option<u64>,
    /// Named images too.
    pub named: bool,
    /// Change nothing and say what would go.
    pub dry_run: bool,
}

/// Names the folders that are in use beside running builds.
pub type InUse<'u> = dyn Fn() -> Result<Vec<PathBuf>, Box<dyn std::error::Error + Send + Sync>> + 'u;

/// What was pruned, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct PruneReport {
    /// The items that went.
    pub removed: Vec<CacheItem>,
    /// Bytes freed.
    pub freed: u64,
    /// Bytes that remain.
    pub remaining: u64,
}

impl Store {
    /// Everything that the store holds, most recently used first.
    pub fn cache(&self) -> Result<Vec<CacheItem>, StoreError> {
        let mut items = self.image_items()?;
        let blob = |file: crate::garbage::BlobFile| CacheItem {
            kind: CacheKind::Blob,
            name: file.digest.to_string(),
            size: file.size,
            used: seconds(file.modified),
        };
        items.extend(self.unreachable(&HashSet::new())?.into_iter().map(blob));
        items.extend(self.folder_items()?);
        items.extend(self.temporary_item()?);
        items.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.name.cmp(&b.name)));
        Ok(items)
    }

    fn image_items(&self) -> Result<Vec<CacheItem>, StoreError> {
        let sizes: std::collections::HashMap<Digest, (u64, SystemTime)> =
            self.blob_files()?.into_iter().map(|blob| (blob.digest, (blob.size, blob.modified))).collect();
        let mut counted = HashSet::new();
        let mut items = Vec::new();
        for stored in self.images()?.into_iter().rev() {
            let digest = stored.image.digest();
            let mut size = 0;
            for descriptor in stored.image.blobs().unwrap_or_default() {
                let bytes = sizes.get(&descriptor.digest).map_or(0, |(size, _)| *size);
                size += if counted.insert(descriptor.digest) { bytes } else { 0 };
            }
            let used = sizes.get(digest).map_or(0, |(_, modified)| seconds(*modified));
            let kind = if stored.name.is_some() { CacheKind::NamedImage } else { CacheKind::UnnamedImage };
            items.push(CacheItem {
                kind,
                name: stored.name.unwrap_or_else(|| digest.to_string()),
                size,
                used,
            });
        }
        Ok(items)
    }

    fn folder_items(&self) -> Result<Vec<CacheItem>, StoreError> {
        let mut items = Vec::new();
        for (kind, folder) in folders(&self.root().join("cache"))? {
            if kind == KEPT {
                continue;
            }
            for (name, path) in folders(&folder)? {
                let stamp = fs::metadata(path.join(USED)).or_else(|_| fs::metadata(&path));
                let used = match stamp.and_then(|metadata| metadata.modified()) {
                    // A build that goes on meanwhile names what it finished, and removes what it no longer needs.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    used => used.map_err(FileError::of("look at", &path))?,
                };
                let size = tree_size(&path)?;
                items.push(CacheItem {
                    kind: CacheKind::Folder(kind.clone()),
                    name,
                    size,
                    used: seconds(used),
                });
            }
        }
        Ok(items)
    }

    fn temporary_item(&self) -> Result<Option<CacheItem>, StoreError> {
        let size = tree_size(&self.temporary_folder())?;
        let item =
            CacheItem { kind: CacheKind::Temporary, name: "temporary files".to_owned(), size, used: 0 };
        Ok((size > 0).then_some(item))
    }

    /// Removes what `options` asks for, never what a running build needs. Without any option, what nothing reaches.
    pub fn prune(&self, options: &PruneOptions) -> Result<PruneReport, StoreError> {
        self.prune_but(options, &|| Ok(Vec::new()))
    }

    /// The same, but for items of the cache that have one of the folders that `in_use` names: what runs stands on them. It is asked once
    /// more before each is removed.
    pub fn prune_but(&self, options: &PruneOptions, in_use: &InUse<'_>) -> Result<PruneReport, StoreError> {
        let items = self.cache()?;
        let total: u64 = items.iter().map(|item| item.size).sum();
        let used = in_use().map_err(StoreError::InUse)?;
        let free = items.into_iter().filter(|item| !self.has_one_of(item, &used)).collect();
        let chosen = choose(free, total, options, SystemTime::now());
        let planned: u64 = chosen.iter().map(|item| item.size).sum();
        if options.dry_run {
            return Ok(PruneReport { removed: chosen, freed: planned, remaining: total - planned });
        }
        let mut foreign = None;
        for item in &chosen {
            match self.prune_item(item, in_use) {
                // The others can go all the same.
                Err(error @ StoreError::Foreign { .. }) => foreign = foreign.or(Some(error)),
                other => other?,
            }
        }
        self.collect_garbage()?;
        if let Some(error) = foreign {
            return Err(error);
        }
        let remaining = self.cache()?.iter().map(|item| item.size).sum();
        Ok(PruneReport { removed: chosen, freed: total.saturating_sub(remaining), remaining })
    }

    /// Whether an item of the cache has one of these folders, or is in one.
    fn has_one_of(&self, item: &CacheItem, folders: &[PathBuf]) -> bool {
        let CacheKind::Folder(kind) = &item.kind else { return false };
        let path = self.cache_folder(kind).join(&item.name);
        folders.iter().any(|folder| folder.starts_with(&path))
    }

    fn prune_item(&self, item: &CacheItem, in_use: &InUse<'_>) -> Result<(), StoreError> {
        match &item.kind {
            CacheKind::NamedImage => self.untag(&item.name).map(|_| ()),
            CacheKind::UnnamedImage => match item.name.parse() {
                Ok(digest) => self.remove_unnamed(&digest),
                Err(_) => Ok(()),
            },
            CacheKind::Folder(kind) => {
                let _alone = Lock::exclusive(&self.prune_lock())?;
                if Held::read(&self.root().join("leases"))?.is_anyone_at_work() {
                    return Ok(());
                }
                // Whoever begins to use it holds a lease until it can be named here.
                if self.has_one_of(item, &in_use().map_err(StoreError::InUse)?) {
                    return Ok(());
                }
                let (path, away) =
                    (self.cache_folder(kind).join(&item.name), self.temporary_folder().join(&item.name));
                if !path.exists() {
                    // A build that has ended since, or another pruning, took it away.
                    return Ok(());
                }
                if let Some(file) = foreign_file(&path)? {
                    return Err(StoreError::Foreign { item: path, file });
                }
                // A rename first: a kill in mid-removal must not leave half an item under its name.
                remove_tree(&away)?;
                fs::rename(&path, &away).map_err(FileError::of("remove", &path))?;
                Ok(remove_tree(&away)?)
            }
            // Garbage collection takes these.
            CacheKind::Blob | CacheKind::Temporary => Ok(()),
        }
    }
}

/// Items that go, least recently used first.
fn choose(items: Vec<CacheItem>, total: u64, options: &PruneOptions, now: SystemTime) -> Vec<CacheItem> {
    let limit = options.older_than.map(|age| seconds(now).saturating_sub(age.as_secs()));
    let unbounded = options.older_than.is_none() && options.max_size.is_none();
    let mut remaining = total;
    let mut chosen = Vec::new();
    for item in items.into_iter().rev() {
        let garbage = matches!(item.kind, CacheKind::Blob | CacheKind::Temporary);
        let allowed = item.kind != CacheKind::NamedImage || options.named;
        let old = limit.is_some_and(|limit| item.used <= limit);
        let surplus = options.max_size.is_some_and(|size| remaining > size);
        if garbage || (allowed && (old || surplus || (unbounded && item.kind == CacheKind::UnnamedImage))) {
            remaining -= item.size;
            chosen.push(item);
        }
    }
    chosen
}

fn folders(path: &std::path::Path) -> Result<Vec<(String, std::path::PathBuf)>, FileError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::of("list", path)(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::of("list", path))?;
        if entry.file_type().map_err(FileError::of("look at", entry.path()))?.is_dir() {
            folders.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    folders.sort();
    Ok(folders)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
