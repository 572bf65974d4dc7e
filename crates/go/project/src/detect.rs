//! Puts the parts together: modules, packages, main packages and the facts of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use longshore_golang::gomod::{Replace, Replacement};
use longshore_golang::module::matches_patterns;
use longshore_golang::{BuildContext, Located, ToolchainLines, VendorModules};

use crate::DetectOptions;
use crate::analysis::{Analyzer, Program};
use crate::cgo;
use crate::disk::{join, normalize, read_module_file, relative};
use crate::embeds;
use crate::error::ProjectError;
use crate::facts::{
    CgoNeed, Diagnostic, Embed, Evidence, Fact, Facts, LocalReplacement, Main, Module, Project, Requirement,
    RootKind, Vendor,
};
use crate::locate::{Location, ModuleFile, locate, read_module};
use crate::packages::{Package, Packages, load};
use crate::threads::in_threads;

/// The Go release whose `go1.N` tags hold where nothing asks for one.
const DEFAULT_GO_MINOR: u32 = 26;

/// Detects the project of a folder, or of a file in it.
///
/// Errors: no go.mod here or above, a go.mod or go.work that is malformed, a workspace's folder that is missing, a path that
/// cannot be read.
pub fn detect(path: &Path, options: &DetectOptions) -> Result<Project, ProjectError> {
    let location = locate(path, options)?;
    let mut diagnostics = Vec::new();
    let lines = toolchain_lines(&location);
    let context = build_context(options, &lines);
    let replaced = replaced_modules(&location, &mut diagnostics);
    let mut packages = Packages::new();
    for module in location.modules.iter().chain(&replaced) {
        packages.extend(load(module, &location.root, &context, &mut diagnostics));
    }
    let own: BTreeSet<&str> =
        location.modules.iter().map(|module| module.go_mod.module.path.as_str()).collect();
    let mut mains: Vec<Main> = packages
        .values()
        .filter(|package| own.contains(package.module.as_str()) && package.name() == Some("main"))
        .map(|package| main(package, &packages))
        .collect();
    if options.programs {
        analyze(&mut mains, &packages, &mut diagnostics);
    }
    for main in &mains {
        report_unmatched_embeds(&main.facts.embeds, &mut diagnostics);
    }
    mains.sort_by(|a, b| a.import_path.cmp(&b.import_path));
    let file = root_file(&location);
    let fact = |line: u32| Evidence { file: file.clone(), line };
    let (go, toolchain) = root_lines(&location);
    Ok(Project {
        kind: if location.work.is_some() { RootKind::Workspace } else { RootKind::Module },
        start: relative(&location.start, &location.root),
        go: go.map(|go| Fact { value: go.value.clone(), evidence: fact(go.line) }),
        toolchain: toolchain.map(|line| Fact { value: line.value.clone(), evidence: fact(line.line) }),
        vendor: vendor(&location, &mut diagnostics)?,
        modules: location.modules.iter().map(|module| describe(module, &location, options)).collect(),
        mains,
        diagnostics,
        root: location.root,
    })
}

fn root_file(location: &Location) -> String {
    match &location.work {
        Some((file, _)) => relative(file, &location.root),
        None => "go.mod".to_owned(),
    }
}

type RootLines<'a> =
    (Option<&'a Located<longshore_golang::GoVersion>>, Option<&'a Located<longshore_golang::ToolchainLine>>);

fn root_lines(location: &Location) -> RootLines<'_> {
    match (&location.work, location.modules.first()) {
        (Some((_, work)), _) => (work.go.as_ref(), work.toolchain.as_ref()),
        (None, Some(module)) => (module.go_mod.go.as_ref(), module.go_mod.toolchain.as_ref()),
        (None, None) => (None, None),
    }
}

fn toolchain_lines(location: &Location) -> ToolchainLines {
    match (&location.work, location.modules.first()) {
        (Some((_, work)), _) => work.toolchain_lines(),
        (None, Some(module)) => module.go_mod.toolchain_lines(),
        (None, None) => ToolchainLines::default(),
    }
}

fn build_context(options: &DetectOptions, lines: &ToolchainLines) -> BuildContext {
    let asked = lines.exact().map(|name| name.version().minor().max(DEFAULT_GO_MINOR));
    let minor = options.go_minor.or(asked).unwrap_or(DEFAULT_GO_MINOR);
    let mut context = BuildContext::new(&options.os, &options.arch, minor);
    context.cgo = options.cgo;
    context.tags.clone_from(&options.tags);
    context
}

/// The modules in folders that replace required ones, so that imports into them can be followed.
fn replaced_modules(location: &Location, diagnostics: &mut Vec<Diagnostic>) -> Vec<ModuleFile> {
    let mut found: Vec<ModuleFile> = Vec::new();
    let lists = location.modules.iter().map(|module| (&module.dir, "go.mod", &module.go_mod.replace));
    let work = location.work.iter().map(|(_, work)| (&location.root, "go.work", &work.replace));
    for (dir, file, replaces) in lists.chain(work) {
        for replace in replaces {
            let Replacement::Folder(folder) = &replace.with else { continue };
            let target = normalize(&dir.join(folder));
            let target = fs::canonicalize(&target).unwrap_or(target);
            let known = location.modules.iter().chain(&found).any(|module| module.dir == target);
            if known {
                continue;
            }
            match read_module(&target) {
                Ok(mut module) => {
                    // Imports name the replaced module, whatever the folder's go.mod calls itself.
                    module.go_mod.module.path.clone_from(&replace.path);
                    found.push(module);
                }
                Err(_) => diagnostics.push(Diagnostic {
                    message: format!("{} is replaced by {folder}, which is no module", replace.path),
                    evidence: Evidence {
                        file: join(&relative(dir, &location.root), file),
                        line: replace.line,
                    },
                }),
            }
        }
    }
    found
}

fn vendor(location: &Location, diagnostics: &mut Vec<Diagnostic>) -> Result<Option<Vendor>, ProjectError> {
    let path = location.root.join("vendor/modules.txt");
    if !path.is_file() {
        return Ok(None);
    }
    let modules = match VendorModules::parse(&read_module_file(&path)?) {
        Ok(file) => file.modules.iter().filter(|module| !module.packages.is_empty()).count(),
        Err(error) => {
            let line = error.first.line;
            let evidence = Evidence { file: "vendor/modules.txt".to_owned(), line };
            diagnostics.push(Diagnostic { message: error.to_string(), evidence });
            0
        }
    };
    Ok(Some(Vendor { dir: "vendor".to_owned(), modules }))
}

fn describe(module: &ModuleFile, location: &Location, options: &DetectOptions) -> Module {
    let go_mod = &module.go_mod;
    let dir = relative(&module.dir, &location.root);
    let file = join(&dir, "go.mod");
    let evidence = |line: u32| Evidence { file: file.clone(), line };
    let private = go_mod.require.iter().filter(|require| matches_patterns(&options.private, &require.path));
    let cgo = go_mod.require.iter().filter_map(|require| {
        let known = cgo::known(&require.path)?;
        Some(CgoNeed {
            package: require.path.clone(),
            optional: known.optional,
            reason: known.binds.to_owned(),
            evidence: evidence(require.line),
        })
    });
    Module {
        path: go_mod.module.path.clone(),
        deprecated: go_mod.module.deprecated.clone(),
        go: go_mod.go.as_ref().map(|go| Fact { value: go.value.clone(), evidence: evidence(go.line) }),
        toolchain: go_mod
            .toolchain
            .as_ref()
            .map(|line| Fact { value: line.value.clone(), evidence: evidence(line.line) }),
        replaced: go_mod
            .replace
            .iter()
            .filter_map(|replace| local(replace, module, location, &file))
            .collect(),
        private: private
            .map(|require| Requirement {
                path: require.path.clone(),
                version: require.version.clone(),
                evidence: evidence(require.line),
            })
            .collect(),
        requirements: go_mod.require.len(),
        cgo: cgo.collect(),
        dir,
    }
}

fn local(
    replace: &Replace,
    module: &ModuleFile,
    location: &Location,
    file: &str,
) -> Option<LocalReplacement> {
    let Replacement::Folder(folder) = &replace.with else { return None };
    let target = normalize(&module.dir.join(folder));
    Some(LocalReplacement {
        path: replace.path.clone(),
        dir: if folder.starts_with('/') { folder.clone() } else { relative(&target, &location.root) },
        outside: !target.starts_with(&location.root),
        evidence: Evidence { file: file.to_owned(), line: replace.line },
    })
}

/// The name that `go build` gives a program: the last element of its import path, or the one before a major version.
fn binary_name(import_path: &str) -> &str {
    let (front, last) = import_path.rsplit_once('/').unwrap_or(("", import_path));
    let is_version = last.strip_prefix('v').is_some_and(|digits| {
        !digits.is_empty()
            && !digits.starts_with('0')
            && digits != "1"
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    if is_version && !front.is_empty() { front.rsplit('/').next().unwrap_or(front) } else { last }
}

/// The project's own packages that a package reaches by imports, itself first.
fn reachable<'a>(start: &'a Package, packages: &'a Packages) -> Vec<&'a Package> {
    let mut seen: BTreeMap<&str, &Package> = BTreeMap::new();
    let mut waiting = vec![start];
    while let Some(package) = waiting.pop() {
        if seen.insert(&package.import_path, package).is_some() {
            continue;
        }
        let imports = package.built().flat_map(|file| &file.header.imports);
        waiting.extend(imports.filter_map(|import| packages.get(&import.path)));
    }
    seen.remove(start.import_path.as_str());
    std::iter::once(start).chain(seen.into_values()).collect()
}

fn main(package: &Package, packages: &Packages) -> Main {
    let reached = reachable(package, packages);
    let mut facts = Facts::default();
    for reached in &reached {
        import_facts(reached, packages, &mut facts);
    }
    let mut names: Vec<String> = reached.iter().map(|package| package.import_path.clone()).collect();
    names.sort();
    Main {
        import_path: package.import_path.clone(),
        name: binary_name(&package.import_path).to_owned(),
        dir: package.shown_dir.clone(),
        module: package.module.clone(),
        files: package.built().map(|file| file.name.clone()).collect(),
        packages: names,
        facts,
    }
}

/// Reads what each program does. Only packages that some program reaches are parsed.
fn analyze(mains: &mut [Main], packages: &Packages, diagnostics: &mut Vec<Diagnostic>) {
    let reached: BTreeSet<&str> =
        mains.iter().flat_map(|main| main.packages.iter().map(String::as_str)).collect();
    let reached: Vec<&Package> = reached.into_iter().filter_map(|path| packages.get(path)).collect();
    let program = Program::parse(&reached, diagnostics);
    let waiting = Mutex::new(mains.iter_mut());
    let work = || {
        let mut odd = Vec::new();
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(main) = next else { return odd };
            if !Analyzer::run(&program, &main.import_path, &main.packages, &mut main.facts) {
                odd.push(Diagnostic {
                    message: format!("{} is too large to be followed to its end", main.import_path),
                    evidence: Evidence { file: main.dir.clone(), line: 1 },
                });
            }
        }
    };
    diagnostics.extend(in_threads(work).into_iter().flatten());
}

/// The facts that imports and comments alone tell.
fn import_facts(package: &Package, packages: &Packages, facts: &mut Facts) {
    let without_cgo = package.files.iter().any(|file| file.matches && file.cgo.is_none());
    for file in package.files.iter().filter(|file| file.matches) {
        if let Some(line) = file.cgo {
            facts.cgo.push(CgoNeed {
                package: package.import_path.clone(),
                optional: without_cgo && package.name() != Some("main"),
                reason: "imports \"C\"".to_owned(),
                evidence: package.evidence(&file.name, line),
            });
        }
    }
    for file in package.built() {
        for import in &file.header.imports {
            let evidence = package.evidence(&file.name, import.line);
            match import.path.as_str() {
                "time/tzdata" if facts.tzdata.is_none() => facts.tzdata = Some(evidence),
                "plugin" => facts.plugins.push(evidence),
                path => {
                    let known = cgo::known(path).filter(|_| !packages.contains_key(path));
                    facts.cgo.extend(known.map(|known| CgoNeed {
                        package: path.to_owned(),
                        optional: known.optional,
                        reason: known.binds.to_owned(),
                        evidence,
                    }));
                }
            }
        }
        facts.embeds.extend(file.embeds.iter().map(|(pattern, line)| {
            let found = embeds::matches(&package.dir, pattern);
            Embed {
                pattern: pattern.clone(),
                files: found.files,
                count: found.count,
                evidence: package.evidence(&file.name, *line),
            }
        }));
    }
}

fn report_unmatched_embeds(embeds: &[Embed], diagnostics: &mut Vec<Diagnostic>) {
    for embed in embeds.iter().filter(|embed| embed.count == 0) {
        let diagnostic = Diagnostic {
            message: format!("//go:embed {}: no matching files", embed.pattern),
            evidence: embed.evidence.clone(),
        };
        if !diagnostics.contains(&diagnostic) {
            diagnostics.push(diagnostic);
        }
    }
}
