//! One platform's part of a build: compile, read the program, decide what it needs, write the layers.

use std::path::{Path, PathBuf};

use longshore_config::Presence;
use longshore_events::TaskKind;
use longshore_image::layer::Layer;
use longshore_oci::Platform;

use crate::base::{self, BaseFile, ForeignBase, Tree};
use crate::build::{Builder, Shared};
use crate::compile::GoCall;
use crate::elf::{Elf, ElfError};
use crate::error::BuildError;
use crate::layers::Layers;
use crate::probe::PROBE_PATH;
use crate::resolved::PROGRAM_FOLDER;

/// What one platform's build gives.
pub(crate) struct Built {
    pub(crate) layers: Vec<(Layer, &'static str)>,
    pub(crate) elf: Elf,
    pub(crate) has_certificates: bool,
    pub(crate) decisions: Vec<String>,
}

impl Builder<'_> {
    /// Compiles for one platform, looks at the program, and writes the layers above the base.
    pub(crate) fn compile_one(
        &self,
        shared: &Shared,
        call: &GoCall,
        index: usize,
    ) -> Result<Built, BuildError> {
        let base = shared.bases.get(index);
        let program = shared.temporary.path().join(format!("program-{index}"));
        call.build(&program, self.events)?;
        let elf = Elf::read(&program)?;
        elf.check(&call.platform, self.resolved.mode)?;
        check_base(&elf, base)?;
        let task = self.events.task(TaskKind::Work, format!("write the layers for {}", call.platform));
        let built = self.layers(shared, &program, elf, base, &call.platform)?;
        // The temporary folder may be in memory; the program is in the layer now.
        let _ = std::fs::remove_file(&program);
        task.done(String::new());
        Ok(built)
    }

    /// The layers above a foreign base, or all of them: system, time zones, files, probe, program – what changes most comes last.
    fn layers(
        &self,
        shared: &Shared,
        program: &Path,
        elf: Elf,
        base: Option<&ForeignBase>,
        platform: &Platform,
    ) -> Result<Built, BuildError> {
        let layers = Layers {
            writer: &self.writer,
            memory: &self.memory,
            format: self.resolved.format,
            time: self.request.source_date_epoch.unwrap_or(0),
            events: self.events,
        };
        let mut decisions = Vec::new();
        let mut written = Vec::new();
        let certificates = self.needs_certificates(&elf, base, &mut decisions);
        let zones = self.needs_zones(&elf, base, &mut decisions);
        let empty = Tree::default();
        let tree = base.map_or(&empty, |base| &base.tree);
        let mut system = if base.is_none() { base::system_files() } else { Vec::new() };
        if certificates {
            system.extend(certificate_files(base, &shared.extra_ca));
            system.sort_by(|one, other| one.path().cmp(other.path()));
        }
        if !system.is_empty() {
            written.push((layers.of_base(&system, tree)?, "system files"));
        }
        let own_tree =
            Tree::of_folders(system.iter().filter(|_| base.is_none()).filter_map(|file| match file {
                BaseFile::Folder(path, ..) => Some(path.as_path()),
                BaseFile::File(..) => None,
            }));
        let tree = if base.is_some() { tree } else { &own_tree };
        if zones {
            let files = base::zone_files(&shared.toolchain.zoneinfo())?;
            written.push((layers.of_base(&files, tree)?, "time zones"));
        }
        if !shared.assets.files.is_empty() {
            written.push((layers.of_assets(&shared.assets, tree)?, "included files"));
        }
        if let Some(probe) = self.resolved.probe_of(platform) {
            decisions.push(decision("the probe", true, "the health check is made with it"));
            let place = Path::new(PROBE_PATH.trim_start_matches('/'));
            written.push((layers.of_own_program(probe, place, tree)?, "probe"));
        }
        let place = PathBuf::from(PROGRAM_FOLDER).join(&self.request.name);
        written.push((layers.of_program(program, elf.size, &place, tree)?, "program"));
        Ok(Built { layers: written, elf, has_certificates: certificates, decisions })
    }

    fn needs_certificates(&self, elf: &Elf, base: Option<&ForeignBase>, decisions: &mut Vec<String>) -> bool {
        let extra = !self.resolved.extra_ca.is_empty();
        let (needed, why) = match (self.resolved.certificates, base) {
            (Presence::Off, _) => (false, "the settings say so"),
            (Presence::On, _) => (true, "the settings say so"),
            (Presence::Auto, _) if extra => (true, "`extra-ca` names some"),
            (Presence::Auto, Some(_)) => (false, "they are the base's to bring"),
            (Presence::Auto, None) if elf.links_x509 => (true, "the program links crypto/x509"),
            (Presence::Auto, None) => (false, "the program does not link crypto/x509"),
        };
        decisions.push(decision("CA certificates", needed, why));
        needed
    }

    fn needs_zones(&self, elf: &Elf, base: Option<&ForeignBase>, decisions: &mut Vec<String>) -> bool {
        let (needed, why) = match (self.resolved.timezones, base) {
            (Presence::Off, _) => (false, "the settings say so"),
            (Presence::On, _) => (true, "the settings say so"),
            (Presence::Auto, Some(_)) => (false, "they are the base's to bring"),
            (Presence::Auto, None) if elf.embeds_tzdata => {
                (false, "the program holds them itself (time/tzdata)")
            }
            (Presence::Auto, None) if self.resolved.env.contains_key("TZ") => (true, "`env` sets TZ"),
            (Presence::Auto, None) if elf.loads_locations => (true, "the program calls time.LoadLocation"),
            (Presence::Auto, None) => (false, "the program does not call time.LoadLocation"),
        };
        decisions.push(decision("time zones", needed, why));
        needed
    }
}

fn decision(what: &str, goes_in: bool, why: &str) -> String {
    let verb = if goes_in { "in" } else { "left out" };
    format!("{what}: {verb}, {why}")
}

fn check_base(elf: &Elf, base: Option<&ForeignBase>) -> Result<(), ElfError> {
    let name =
        || base.map_or_else(|| "the built-in base".to_owned(), |base| format!("the base {}", base.reference));
    if let Some(loader) = &elf.interpreter
        && !base.is_some_and(|base| base.tree.has_file(Path::new(loader)))
    {
        return Err(ElfError::NoLoader { loader: loader.clone(), base: name() });
    }
    for library in &elf.needed {
        if !base.is_some_and(|base| base.tree.has_library(library)) {
            return Err(ElfError::NoLibrary { library: library.clone(), base: name() });
        }
    }
    Ok(())
}

/// Go reads every file in /etc/ssl/certs, so on a foreign base a company's certificates stand beside the base's own.
fn certificate_files(base: Option<&ForeignBase>, extra: &[Vec<u8>]) -> Vec<BaseFile> {
    let folders = ["etc/ssl", "etc/ssl/certs"].map(|path| BaseFile::Folder(PathBuf::from(path), 0o755, 0));
    let (path, content) = match base {
        Some(_) if !extra.is_empty() => ("etc/ssl/certs/longshore-extra-ca.crt", extra.concat()),
        _ => (base::BUNDLE_PATH, base::bundle(extra)),
    };
    folders.into_iter().chain([BaseFile::File(PathBuf::from(path), content)]).collect()
}
