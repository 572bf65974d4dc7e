//! Everything that a program is made of: what `go list` names, what it looked at, and what it looked for and did not find.
//!
//! Files of the module itself, of its workspace, of replaced folders and of vendor/ are watched with their content. Files of the
//! module cache are trusted: go.sum, which is watched, says what they are. Files of an installed toolchain are watched by
//! their stats, since they do not change except by an upgrade; a toolchain that longshore fetched is read-only and verified.

mod embeds;
mod includes;
mod modules;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub(crate) use modules::Modules;

use crate::memory::{Filter, Watch};

/// The fields of `go list -json` that are asked for.
pub(crate) const FIELDS: &str = "Dir,ImportPath,Standard,Module,GoFiles,CgoFiles,HFiles,SFiles,SysoFiles,CgoPkgConfig,\
     EmbedPatterns,EmbedFiles";

/// A package as `go list` describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
pub(crate) struct Package {
    pub(crate) dir: PathBuf,
    pub(crate) import_path: String,
    pub(crate) standard: bool,
    pub(crate) module: Option<PackageModule>,
    go_files: Vec<PathBuf>,
    cgo_files: Vec<PathBuf>,
    h_files: Vec<PathBuf>,
    s_files: Vec<PathBuf>,
    syso_files: Vec<PathBuf>,
    cgo_pkg_config: Vec<String>,
    embed_patterns: Vec<String>,
    embed_files: Vec<PathBuf>,
}

/// The module that a package belongs to.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct PackageModule {
    pub(crate) path: String,
    pub(crate) dir: PathBuf,
}

impl Package {
    /// Reads what `go list -deps -json` wrote: one object after the other.
    pub(crate) fn parse_all(json: &[u8]) -> Result<Vec<Package>, serde_json::Error> {
        serde_json::Deserializer::from_slice(json).into_iter().collect()
    }
}

/// Where things lie that decide how a package is watched.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) module_cache: Option<PathBuf>,
    pub(crate) goroot: PathBuf,
    /// Whether longshore fetched the toolchain, so that nobody edits it.
    pub(crate) toolchain_is_ours: bool,
}

/// Watches the toolchain itself: its version, its commands, its settings.
pub(crate) fn watch_toolchain(places: &Places, watch: &mut Watch) {
    let host = longshore_oci::Platform::host();
    let tools = places.goroot.join(format!("pkg/tool/{}_{}", host.os, host.architecture));
    for file in ["VERSION", "bin/go", "go.env"] {
        watch_stat_or_absence(&places.goroot.join(file), watch);
    }
    for tool in ["compile", "link", "asm", "cgo"] {
        watch_stat_or_absence(&tools.join(tool), watch);
    }
}

fn watch_stat_or_absence(path: &Path, watch: &mut Watch) {
    watch.stat(path);
}

/// Watches what `packages` are made of.
pub(crate) fn watch_packages(packages: &[Package], modules: &Modules, places: &Places, watch: &mut Watch) {
    for package in packages {
        if package.standard {
            if !places.toolchain_is_ours {
                watch_standard(package, watch);
            }
            continue;
        }
        let is_cached = places.module_cache.as_ref().is_some_and(|cache| package.dir.starts_with(cache));
        if !is_cached {
            watch_local(package, modules, watch);
        }
        modules.watch_shadows(package, watch);
    }
}

fn watch_standard(package: &Package, watch: &mut Watch) {
    watch.stat(&package.dir);
    let lists =
        [&package.go_files, &package.cgo_files, &package.h_files, &package.s_files, &package.syso_files];
    for file in lists.into_iter().flatten().chain(&package.embed_files) {
        // Generated files are named by their place in the build cache.
        if file.is_relative() {
            watch.stat(&package.dir.join(file));
        }
    }
}

fn watch_local(package: &Package, modules: &Modules, watch: &mut Watch) {
    watch.folder_with_files(&package.dir, &Filter::GoSources);
    modules.watch_borders(package, watch);
    for pattern in &package.embed_patterns {
        embeds::watch_pattern(&package.dir, pattern, watch);
    }
    for file in &package.embed_files {
        watch.file(&package.dir.join(file));
    }
    includes::watch_includes(&package.dir, watch);
    if !package.cgo_pkg_config.is_empty() {
        watch.spoil(format!("{} asks pkg-config for its flags", package.import_path));
    }
}
