//! What a build needs before Go starts: bases, compilers, certificates, command lines, the recipe.

use std::fs;
use std::path::Path;

use longshore_config::{BaseChoice, BasePin, Lock, ToolchainPin};
use longshore_files::FileInstant;
use longshore_image::layer::FORMAT;
use longshore_image::{Image, Sink};
use longshore_oci::{Platform, Reference};
use longshore_toolchain::{Source, Toolchain};

use crate::base::{BaseError, CERTIFICATES_VERSION, ForeignBase, Tree, pem_certificates};
use crate::build::{Builder, Shared};
use crate::compile::{GoCall, compilation_flags, selection_flags};
use crate::error::{AssetError, AssetErrorKind, BuildError, SettingsError};
use crate::memory::{Key, Recalled, Watch};
use crate::recipe::{RECIPE_VERSION, Recipe};

impl Builder<'_> {
    pub(crate) fn problem(&self, problem: SettingsError) -> BuildError {
        BuildError::Settings { service: self.request.name.clone(), problem }
    }

    /// The base of each platform; none for the built-in base.
    pub(crate) fn foreign_bases(&self) -> Result<Vec<ForeignBase>, BuildError> {
        let BaseChoice::Image(name) = &self.resolved.base else { return Ok(Vec::new()) };
        let failed = |source| BaseError::Resolve { reference: name.clone(), source };
        let reference: Reference =
            name.parse().map_err(|error: longshore_oci::ReferenceError| failed(Box::new(error)))?;
        let pinned = self.pins.base().flatten().cloned();
        let image =
            self.environment.bases.resolve(&reference, pinned.as_ref(), self.events).map_err(failed)?;
        self.resolved.platforms.iter().map(|platform| self.foreign_base(name, &image, platform)).collect()
    }

    fn foreign_base(
        &self,
        name: &str,
        image: &Image,
        platform: &Platform,
    ) -> Result<ForeignBase, BuildError> {
        let failed = |source| BaseError::Content { reference: name.to_owned(), source };
        let single = image.select(platform).map_err(failed)?;
        let manifest = single.manifest().map_err(failed)?;
        let config = single.config().map_err(failed)?;
        if config.architecture != platform.architecture || config.os != platform.os {
            return Err(self.problem(SettingsError::BasePlatform {
                base: name.to_owned(),
                platform: platform.to_string(),
                found: config.platform().to_string(),
            }));
        }
        // The headers of a base's layers never change: they are read once.
        let key = Key::of([b"base tree 1".as_slice(), single.digest().to_string().as_bytes()]);
        let known = match self.memory.recall(&key) {
            Recalled::Valid(value) => serde_json::from_slice(&value).ok(),
            Recalled::Edited(..) | Recalled::Nothing(_) => None,
        };
        let tree = match known {
            Some(tree) => tree,
            None => {
                let tree = Tree::read(name, &single, &manifest)?;
                if let Ok(value) = serde_json::to_vec(&tree)
                    && let Ok(record) = Watch::since(FileInstant::now()).into_record(value)
                {
                    // Should this fail, the next build reads the layers again.
                    let _ = self.memory.remember(&key, &record);
                }
                tree
            }
        };
        Ok(ForeignBase {
            reference: name.to_owned(),
            digest: image.digest().clone(),
            image: single,
            manifest,
            tree,
        })
    }

    /// Puts a base's layers into the store, unless they are there.
    pub(crate) fn take_base(&self, base: Option<&ForeignBase>) -> Result<(), BuildError> {
        let Some(base) = base else { return Ok(()) };
        let mut writer = self.writer.clone();
        for layer in &base.manifest.layers {
            self.events.check()?;
            if !writer.has(layer)? {
                writer.write(layer, &mut base.image.open(layer)?)?;
            }
        }
        Ok(())
    }

    /// What this build is made of besides its source.
    pub(crate) fn found_pins(&self, toolchain: &Toolchain, base: Option<&ForeignBase>) -> Lock {
        let host = Platform::host().to_string();
        let hashes = match &toolchain.source {
            Source::Fetched { hash, .. } => [(host, hash.clone())].into(),
            Source::Installed => std::collections::BTreeMap::new(),
        };
        Lock {
            go: Some(ToolchainPin { version: toolchain.version().to_string(), hashes }),
            certificates: base.is_none().then(|| CERTIFICATES_VERSION.to_owned()),
            bases: base
                .map(|base| (base.reference.clone(), BasePin { digest: base.digest.clone() }))
                .into_iter()
                .collect(),
        }
    }

    /// Whether cgo finds a compiler for every platform; the compilers are inputs.
    pub(crate) fn check_compilers(&self, watch: &mut Watch) -> Result<(), BuildError> {
        for platform in &self.resolved.platforms {
            let compiler = self
                .surroundings
                .compiler(&self.resolved, platform)
                .map_err(|problem| self.problem(problem))?;
            watch.stat(&compiler);
        }
        Ok(())
    }

    /// The certificates that `extra-ca` names, as PEM.
    pub(crate) fn extra_certificates(&self, watch: &mut Watch) -> Result<Vec<Vec<u8>>, BuildError> {
        let mut all = Vec::new();
        for name in &self.resolved.extra_ca {
            let path = self.request.root.join(name);
            let error = |kind| AssetError { path: path.clone(), kind };
            watch.file(&path);
            let bytes = fs::read(&path).map_err(|source| error(AssetErrorKind::Io(source)))?;
            all.push(pem_certificates(&bytes).ok_or_else(|| error(AssetErrorKind::NoCertificate))?);
        }
        Ok(all)
    }

    /// A folder for Go's work and the programs, on the store's file system, so that nothing is copied.
    pub(crate) fn temporary(&self) -> Result<tempfile::TempDir, BuildError> {
        let folder = self.environment.store.temporary_folder();
        longshore_files::create_folders(&folder)?;
        let made = tempfile::Builder::new().prefix("build-").tempdir_in(&folder);
        Ok(made.map_err(longshore_files::FileError::of("make a folder in", &folder))?)
    }

    /// The calls of `go`, one for each platform.
    pub(crate) fn calls(&self, shared: &Shared) -> Result<Vec<GoCall>, BuildError> {
        let selection = selection_flags(&self.resolved, &self.flags.followed);
        let compilation =
            compilation_flags(&self.resolved, &shared.commit).map_err(|problem| self.problem(problem))?;
        let package = match self.request.package.as_str() {
            "." | "" => ".".to_owned(),
            folder => format!("./{folder}"),
        };
        let work = shared.temporary.path().join("go");
        longshore_files::create_folders(&work)?;
        let call = |platform: &Platform| {
            let environment = self.surroundings.for_build(
                &self.resolved,
                platform,
                &shared.toolchain,
                &self.request.module,
            );
            GoCall {
                go: shared.toolchain.go.clone(),
                folder: self.request.module.clone(),
                name: self.request.name.clone(),
                package: package.clone(),
                platform: platform.clone(),
                environment: environment.with("GOTMPDIR", &work),
                selection: selection.clone(),
                compilation: compilation.clone(),
            }
        };
        Ok(self.resolved.platforms.iter().map(call).collect())
    }

    /// What the image says of its own making.
    pub(crate) fn recipe(&self, shared: &Shared, base: Option<&ForeignBase>) -> Recipe {
        let module = match self.request.module.strip_prefix(&self.request.root) {
            Ok(inside) if inside != Path::new("") => inside.to_string_lossy().into_owned(),
            _ => ".".to_owned(),
        };
        let mut settings = self.request.settings.clone();
        settings.platforms = Some(self.resolved.platforms.iter().map(Platform::to_string).collect());
        settings.version.clone_from(&shared.commit.version);
        Recipe {
            version: RECIPE_VERSION,
            layers: FORMAT,
            name: self.request.name.clone(),
            module,
            package: self.request.package.clone(),
            settings,
            facts: self.request.facts.clone(),
            go: shared.toolchain.version().to_string(),
            certificates: base.is_none().then(|| CERTIFICATES_VERSION.to_owned()),
            base: base.map(|base| (base.reference.clone(), base.digest.to_string())),
            source_date_epoch: self.request.source_date_epoch,
        }
    }
}
