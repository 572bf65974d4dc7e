//! longshore.lock in a build: what it fixes, what drifts, when it is written.

use longshore_config::{BaseChoice, Lock};
use longshore_oci::{Digest, Platform};
use longshore_toolchain::{Pin, ToolchainRequest};

use crate::error::BuildError;
use crate::inputs::Modules;
use crate::request::{BuildRequest, LockMode};

/// The lock as a build found it.
#[derive(Debug, Clone)]
pub(crate) struct Pins {
    /// Whether the build must not use what the lock does not say.
    is_binding: bool,
    /// Whether the lock file may be written.
    is_writable: bool,
    folder: std::path::PathBuf,
    /// The lock, where there is one and it is heeded.
    lock: Option<Lock>,
    /// The base's reference, where there is one.
    base: Option<String>,
    /// The toolchain that the lock fixes, unless go.mod asks for a newer one.
    go: Option<Pin>,
}

impl Pins {
    /// Reads the lock. Errors: it cannot be read, or is damaged.
    pub(crate) fn read(request: &BuildRequest, modules: &Modules) -> Result<Pins, BuildError> {
        let lock = match &request.lock {
            LockMode::Ignore => None,
            LockMode::Update | LockMode::Locked => Lock::load(&request.root)?,
            LockMode::Given(lock) => Some((**lock).clone()),
        };
        let is_binding = matches!(request.lock, LockMode::Locked | LockMode::Given(_));
        let base = match &request.settings.base {
            Some(BaseChoice::Image(name)) => Some(name.clone()),
            _ => None,
        };
        let pin = |lock: &Lock| {
            let go = lock.go.as_ref()?;
            let name: longshore_golang::ToolchainName = format!("go{}", go.version).parse().ok()?;
            let hash = go.hashes.get(&Platform::host().to_string()).cloned();
            // go.mod moved on: the lock follows, unless it must not.
            let allowed = is_binding || modules.lines.satisfied_by(name.version());
            allowed.then_some(Pin { name, hash })
        };
        let go = lock.as_ref().and_then(pin);
        Ok(Pins {
            is_binding,
            is_writable: request.lock == LockMode::Update,
            folder: request.root.clone(),
            lock,
            base,
            go,
        })
    }

    /// What is asked of the toolchains.
    pub(crate) fn toolchain_request(&self, modules: &Modules) -> ToolchainRequest {
        ToolchainRequest {
            lines: modules.lines.clone(),
            file: Some(modules.lines_file.clone()),
            pin: self.go.clone(),
        }
    }

    /// The base's digest, as far as it is known without asking anybody: `None` if it is not, `Some(None)` for the built-in base.
    pub(crate) fn base(&self) -> Option<Option<&Digest>> {
        let Some(name) = &self.base else { return Some(None) };
        let pin = self.lock.as_ref().and_then(|lock| lock.bases.get(name));
        pin.map(|pin| Some(&pin.digest))
    }

    /// Whether the lock allows what was found. Errors: it must not drift, and would.
    pub(crate) fn check(&self, found: &Lock) -> Result<(), BuildError> {
        if !self.is_binding {
            return Ok(());
        }
        let drift = self.lock.clone().unwrap_or_default().drift(found);
        if drift.is_empty() { Ok(()) } else { Err(BuildError::Drift(drift)) }
    }

    /// Writes the lock where `found` says more: if there is one already, or `anew`.
    pub(crate) fn save(&self, found: &Lock, anew: bool) -> Result<(), BuildError> {
        if !self.is_writable || (self.lock.is_none() && !anew) {
            return Ok(());
        }
        let merged = self.lock.clone().unwrap_or_default().merged(found);
        if self.lock.as_ref() != Some(&merged) {
            merged.save(&self.folder)?;
        }
        Ok(())
    }
}
