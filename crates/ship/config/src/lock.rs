//! `longshore.lock`: what the outside could change, as it was when the image was built.
//!
//! The file is TOML, sorted, and the same for the same pins on any machine, so that a diff of it shows what changed. It
//! stands beside `longshore.toml` and belongs into version control.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use longshore_oci::Digest;
use toml_edit::{DocumentMut, Item, TableLike};

/// The name of the lock file, beside `longshore.toml`.
pub const LOCK_FILE: &str = "longshore.lock";

/// The format that this program writes, and the newest that it reads.
const FORMAT: i64 = 1;
const SIZE_LIMIT: u64 = 1 << 20;
const PREAMBLE: &str = "\
# What this project's images are made of besides its source. Written by `longshore build`;
# keep it in version control. `longshore build --locked` refuses to use anything else.
";

/// The pins of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The Go toolchain.
    pub go: Option<ToolchainPin>,
    /// Version of the CA certificates that the built-in base carries.
    pub certificates: Option<String>,
    /// Base images, by the reference as it was written.
    pub bases: BTreeMap<String, BasePin>,
}

/// Which Go compiles the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolchainPin {
    /// `1.26.8`: Go's version without the `go` before it.
    pub version: String,
    /// Hash (`h1:…`) of the toolchain's module by platform (`linux/amd64`), for those that were fetched.
    pub hashes: BTreeMap<String, String>,
}

/// Which image a base's reference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePin {
    /// Digest of the index, or of the manifest where there is no index.
    pub digest: Digest,
}

/// One pin that no longer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What is pinned, for a person: "Go", "base alpine:3.22".
    pub what: String,
    /// What the lock says; `None` where it says nothing.
    pub locked: Option<String>,
    /// What would be used.
    pub found: String,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.locked {
            Some(locked) => write!(formatter, "{}: locked {locked}, found {}", self.what, self.found),
            None => write!(formatter, "{}: not locked, found {}", self.what, self.found),
        }
    }
}

/// `longshore.lock` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", file.display())]
pub struct LockError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    #[source]
    pub kind: LockErrorKind,
}

/// What is wrong with `longshore.lock`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockErrorKind {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// The file cannot be written.
    #[error("the file cannot be written")]
    Unwritable(#[source] longshore_files::FileError),
    /// A newer longshore wrote it.
    #[error("it has format {found}, and this longshore knows formats up to {FORMAT}")]
    Newer {
        /// The file's format.
        found: i64,
    },
    /// The file is damaged.
    #[error("it is not a lock file: {reason}")]
    Malformed {
        /// What is wrong, and where.
        reason: String,
    },
}

impl LockError {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        match self.kind {
            LockErrorKind::Newer { .. } => {
                Some("use a newer longshore, or remove the file to lock anew".to_owned())
            }
            LockErrorKind::Malformed { .. } => {
                Some("restore the file from version control, or remove it to lock anew".to_owned())
            }
            _ => None,
        }
    }
}

impl Lock {
    /// Reads the file in `folder`, if there is one.
    ///
    /// Errors: the file cannot be read, is damaged, or a newer longshore wrote it.
    pub fn load(folder: &Path) -> Result<Option<Lock>, LockError> {
        let path = folder.join(LOCK_FILE);
        let error = |kind| LockError { file: path.clone(), kind };
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() > SIZE_LIMIT => {
                let reason = format!("it has {} bytes", metadata.len());
                Err(error(LockErrorKind::Malformed { reason }))
            }
            Ok(_) => {
                let bytes =
                    std::fs::read(&path).map_err(|source| error(LockErrorKind::Unreadable(source)))?;
                Lock::parse(&bytes).map(Some).map_err(error)
            }
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(error(LockErrorKind::Unreadable(source))),
        }
    }

    /// Reads a lock file's bytes.
    ///
    /// Errors: the file is damaged, or a newer longshore wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Lock, LockErrorKind> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8 text"))?;
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| malformed(error.message().replace('\n', ", ")))?;
        let root: &dyn TableLike = document.as_table();
        // The format comes first: what stands in a newer file may mean anything.
        match root.get("version").and_then(Item::as_integer) {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(LockErrorKind::Newer { found }),
            _ => return Err(malformed("`version` is missing or no format")),
        }
        known_keys(root, &["version", "go", "certificates", "base"], "")?;
        let mut lock = Lock::default();
        if let Some(go) = root.get("go") {
            lock.go = Some(toolchain(table(go, "go")?)?);
        }
        if let Some(certificates) = root.get("certificates") {
            let certificates = table(certificates, "certificates")?;
            known_keys(certificates, &["version"], "certificates.")?;
            lock.certificates = Some(string(certificates, "version", "certificates.")?);
        }
        if let Some(bases) = root.get("base") {
            let bases =
                bases.as_array_of_tables().ok_or_else(|| malformed("`base` is not a list of tables"))?;
            for base in bases {
                known_keys(base, &["name", "digest"], "base.")?;
                let digest = string(base, "digest", "base.")?;
                let digest = digest.parse().map_err(|_| malformed(format!("`{digest}` is not a digest")))?;
                let name = string(base, "name", "base.")?;
                if lock.bases.insert(name.clone(), BasePin { digest }).is_some() {
                    return Err(malformed(format!("base `{name}` is there twice")));
                }
            }
        }
        Ok(lock)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{PREAMBLE}version = {FORMAT}\n");
        if let Some(go) = &self.go {
            push(&mut text, format_args!("\n[go]\nversion = {}\n", quoted(&go.version)));
            if !go.hashes.is_empty() {
                text.push_str("\n[go.hashes]\n");
            }
            for (platform, hash) in &go.hashes {
                push(&mut text, format_args!("{} = {}\n", quoted(platform), quoted(hash)));
            }
        }
        if let Some(version) = &self.certificates {
            push(&mut text, format_args!("\n[certificates]\nversion = {}\n", quoted(version)));
        }
        for (name, pin) in &self.bases {
            let digest = quoted(&pin.digest.to_string());
            push(&mut text, format_args!("\n[[base]]\nname = {}\ndigest = {digest}\n", quoted(name)));
        }
        text
    }

    /// Writes the file into `folder`, whole or not at all, unless it says the same already; tells whether it wrote.
    ///
    /// Errors: the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<bool, LockError> {
        let path = folder.join(LOCK_FILE);
        let text = self.to_text();
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(false);
        }
        longshore_files::write_output(&path, text.as_bytes())
            .map_err(|source| LockError { file: path, kind: LockErrorKind::Unwritable(source) })?;
        Ok(true)
    }

    /// These pins, with those of `newer` in their places. Hashes of other platforms stay while the version does.
    #[must_use]
    pub fn merged(mut self, newer: &Lock) -> Lock {
        if let Some(newer) = &newer.go {
            match &mut self.go {
                Some(go) if go.version == newer.version => go.hashes.extend(newer.hashes.clone()),
                go => *go = Some(newer.clone()),
            }
        }
        if newer.certificates.is_some() {
            self.certificates.clone_from(&newer.certificates);
        }
        self.bases.extend(newer.bases.clone());
        self
    }

    /// What of `found` the lock does not say, or says otherwise. What the lock says beyond `found` is no drift.
    pub fn drift(&self, found: &Lock) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut compare = |what: String, locked: Option<String>, found: String| {
            if locked.as_ref() != Some(&found) {
                drift.push(Drift { what, locked, found });
            }
        };
        if let Some(go) = &found.go {
            compare("Go".to_owned(), self.go.as_ref().map(|go| go.version.clone()), go.version.clone());
            for (platform, hash) in &go.hashes {
                let locked = self.go.as_ref().and_then(|go| go.hashes.get(platform)).cloned();
                // A machine of another kind than those before finds no hash for its own: the version stands for it.
                if locked.is_some() {
                    compare(format!("Go toolchain for {platform}"), locked, hash.clone());
                }
            }
        }
        if let Some(version) = &found.certificates {
            compare("CA certificates".to_owned(), self.certificates.clone(), version.clone());
        }
        for (name, pin) in &found.bases {
            let locked = self.bases.get(name).map(|pin| pin.digest.to_string());
            compare(format!("base {name}"), locked, pin.digest.to_string());
        }
        drift
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

fn malformed(reason: impl Into<String>) -> LockErrorKind {
    LockErrorKind::Malformed { reason: reason.into() }
}

fn known_keys(table: &dyn TableLike, known: &[&str], path: &str) -> Result<(), LockErrorKind> {
    match table.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(malformed(format!("unknown key `{path}{name}`"))),
        None => Ok(()),
    }
}

fn table<'a>(item: &'a Item, name: &str) -> Result<&'a dyn TableLike, LockErrorKind> {
    item.as_table_like().ok_or_else(|| malformed(format!("`{name}` is not a table")))
}

fn string(table: &dyn TableLike, name: &str, path: &str) -> Result<String, LockErrorKind> {
    let value = table.get(name).and_then(Item::as_str);
    value.map(str::to_owned).ok_or_else(|| malformed(format!("`{path}{name}` is not a string")))
}

fn toolchain(go: &dyn TableLike) -> Result<ToolchainPin, LockErrorKind> {
    known_keys(go, &["version", "hashes"], "go.")?;
    let mut hashes = BTreeMap::new();
    if let Some(item) = go.get("hashes") {
        let table = table(item, "go.hashes")?;
        for (platform, _) in table.iter() {
            hashes.insert(platform.to_owned(), string(table, platform, "go.hashes.")?);
        }
    }
    Ok(ToolchainPin { version: string(go, "version", "go.")?, hashes })
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
