//! The parsed packages of a project, and who is called what in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::disk::read_up_to;
use crate::facts::{Diagnostic, Evidence};
use crate::packages::{Package, SOURCE_LIMIT};
use crate::source::ast::{Expression, ExpressionKind, File, Function, Parameter, StepKind, Type, Values};
use crate::source::header::Import;
use crate::source::parser::Parser;
use crate::threads::in_threads;

/// A function of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FunctionId {
    pub unit: usize,
    pub file: usize,
    index: usize,
}

struct Unit {
    path: String,
    name: String,
    shown_dir: String,
    files: Vec<UnitFile>,
}

struct UnitFile {
    name: String,
    imports: Vec<Import>,
    tree: File,
}

/// Where a package variable or constant is declared.
#[derive(Clone, Copy)]
struct Global {
    file: usize,
    index: usize,
    position: usize,
}

/// All packages that any main package of the project reaches.
#[derive(Default)]
pub(crate) struct Program {
    units: Vec<Unit>,
    by_path: HashMap<String, usize>,
    functions: HashMap<(usize, String), FunctionId>,
    methods: HashMap<(usize, String, String), FunctionId>,
    types: HashMap<(usize, String), (usize, usize)>,
    globals: BTreeMap<(usize, String), Global>,
}

impl Program {
    /// Parses the files of packages. Files that are too large, cannot be read or are not understood to their end are reported;
    /// what was understood is kept.
    pub(crate) fn parse(packages: &[&Package], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let jobs: Vec<(usize, &Package, usize)> = packages
            .iter()
            .enumerate()
            .flat_map(|(unit, package)| (0..package.files.len()).map(move |file| (unit, *package, file)))
            .filter(|(_, package, file)| {
                package.files[*file].builds && !is_generated(&package.files[*file].name)
            })
            .collect();
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let work = || {
            while let Some((unit, package, file)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let parsed = parse_file(package, *file);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((*unit, *file, parsed));
            }
        };
        in_threads(work);
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(unit, file, _)| (*unit, *file));
        let mut program = Program::default();
        for package in packages {
            program.by_path.insert(package.import_path.clone(), program.units.len());
            program.units.push(Unit {
                path: package.import_path.clone(),
                name: package.name().unwrap_or_default().to_owned(),
                shown_dir: package.shown_dir.clone(),
                files: Vec::new(),
            });
        }
        for (unit, file, parsed) in done {
            let source = &packages[unit].files[file];
            match parsed {
                Ok(tree) => {
                    if let Some(line) = tree.broken {
                        let evidence = packages[unit].evidence(&source.name, line);
                        diagnostics.push(Diagnostic {
                            message: "source is not understood from here".to_owned(),
                            evidence,
                        });
                    }
                    let imports = source.header.imports.clone();
                    program.units[unit].files.push(UnitFile { name: source.name.clone(), imports, tree });
                }
                Err(message) => {
                    diagnostics
                        .push(Diagnostic { message, evidence: packages[unit].evidence(&source.name, 1) });
                }
            }
        }
        program.index();
        program
    }

    fn index(&mut self) {
        for (unit, content) in self.units.iter().enumerate() {
            for (file, source) in content.files.iter().enumerate() {
                for (index, function) in source.tree.functions.iter().enumerate() {
                    let id = FunctionId { unit, file, index };
                    match function.receiver.as_ref().and_then(|receiver| type_name(receiver.type_.as_ref()?))
                    {
                        Some(type_) => {
                            self.methods.insert((unit, type_.to_owned(), function.name.clone()), id)
                        }
                        None => self.functions.insert((unit, function.name.clone()), id),
                    };
                }
                for (index, type_) in source.tree.types.iter().enumerate() {
                    self.types.insert((unit, type_.name.clone()), (file, index));
                }
                for (index, values) in source.tree.values.iter().enumerate() {
                    for (position, name) in values.names.iter().enumerate() {
                        self.globals.insert((unit, name.clone()), Global { file, index, position });
                    }
                }
            }
        }
    }

    pub(crate) fn unit(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    pub(crate) fn function(&self, id: FunctionId) -> &Function {
        &self.units[id.unit].files[id.file].tree.functions[id.index]
    }

    pub(crate) fn function_named(&self, unit: usize, name: &str) -> Option<FunctionId> {
        self.functions.get(&(unit, name.to_owned())).copied()
    }

    pub(crate) fn method(&self, type_: &(String, String), name: &str) -> Option<FunctionId> {
        let unit = self.unit(&type_.0)?;
        self.methods.get(&(unit, type_.1.clone(), name.to_owned())).copied()
    }

    /// The init functions of a package.
    pub(crate) fn initializers(&self, unit: usize) -> Vec<FunctionId> {
        let functions = self.functions_of(&BTreeSet::from([unit]));
        functions.into_iter().filter(|id| self.function(*id).name == "init").collect()
    }

    /// Every function and method of some packages, in the order of the source.
    pub(crate) fn functions_of(&self, units: &BTreeSet<usize>) -> Vec<FunctionId> {
        let mut found = Vec::new();
        for &unit in units {
            for (file, source) in self.units[unit].files.iter().enumerate() {
                found.extend((0..source.tree.functions.len()).map(|index| FunctionId { unit, file, index }));
            }
        }
        found
    }

    pub(crate) fn global_names(&self, unit: usize) -> Vec<&str> {
        let range = (unit, String::new())..(unit + 1, String::new());
        self.globals.range(range).map(|((_, name), _)| name.as_str()).collect()
    }

    /// The declaration of a package variable or constant: its file, the declaration, and which of its names it is.
    pub(crate) fn global(&self, unit: usize, name: &str) -> Option<(usize, &Values, usize)> {
        let global = self.globals.get(&(unit, name.to_owned()))?;
        Some((global.file, &self.units[unit].files[global.file].tree.values[global.index], global.position))
    }

    /// A declared type and its file.
    pub(crate) fn type_(&self, unit: usize, name: &str) -> Option<(usize, &Type)> {
        let (file, index) = *self.types.get(&(unit, name.to_owned()))?;
        Some((file, &self.units[unit].files[file].tree.types[index]))
    }

    pub(crate) fn types_of(&self, unit: usize) -> impl Iterator<Item = (usize, &Type)> {
        let files = self.units[unit].files.iter().enumerate();
        files.flat_map(|(file, source)| source.tree.types.iter().map(move |type_| (file, type_)))
    }

    pub(crate) fn imports_of(&self, unit: usize) -> impl Iterator<Item = &str> {
        self.units[unit].files.iter().flat_map(|file| file.imports.iter().map(|import| import.path.as_str()))
    }

    /// The import path that a file calls by a name.
    pub(crate) fn import(&self, unit: usize, file: usize, name: &str) -> Option<&str> {
        let imports = &self.units[unit].files.get(file)?.imports;
        let found = imports.iter().find(|import| match (&import.name, self.unit(&import.path)) {
            (Some(given), _) => given == name,
            (None, Some(unit)) => self.units[unit].name == name,
            (None, None) => may_be_called(&import.path, name),
        });
        found.map(|import| import.path.as_str())
    }

    /// The import path and name of a type, seen from a file.
    pub(crate) fn resolve_type(
        &self,
        unit: usize,
        file: usize,
        type_: &Expression,
    ) -> Option<(String, String)> {
        match &type_.kind {
            ExpressionKind::Name(name) => Some((self.units[unit].path.clone(), name.clone())),
            ExpressionKind::Chain(base, steps) => match (base.as_name(), &steps.first()?.kind) {
                (Some(package), StepKind::Field(name)) => {
                    Some((self.import(unit, file, package)?.to_owned(), name.clone()))
                }
                (Some(name), StepKind::Index(_)) => Some((self.units[unit].path.clone(), name.to_owned())),
                _ => None,
            },
            _ => None,
        }
    }

    /// The field of a struct type, and the package and file that declare it.
    pub(crate) fn field(&self, type_: &(String, String), name: &str) -> Option<(usize, usize, &Parameter)> {
        let unit = self.unit(&type_.0)?;
        let (file, declared) = self.type_(unit, &type_.1)?;
        let field = declared.fields.iter().find(|field| field.name == name)?;
        Some((unit, file, field))
    }

    pub(crate) fn evidence(&self, unit: usize, file: usize, line: u32) -> Evidence {
        let (dir, name) = match self.units.get(unit) {
            Some(unit) => {
                (unit.shown_dir.as_str(), unit.files.get(file).map_or("", |file| file.name.as_str()))
            }
            None => (".", ""),
        };
        Evidence { file: crate::disk::join(dir, name), line }
    }
}

fn parse_file(package: &Package, file: usize) -> Result<File, String> {
    let path: PathBuf = package.dir.join(&package.files[file].name);
    match read_up_to(&path, SOURCE_LIMIT) {
        Ok(Some(bytes)) => Ok(Parser::file(&String::from_utf8_lossy(&bytes))),
        Ok(None) => Err(format!("file is larger than {SOURCE_LIMIT} bytes and was not read")),
        Err(error) => Err(format!("file cannot be read: {error}")),
    }
}

/// Generated code that only describes messages: large, and without anything that is asked about.
fn is_generated(name: &str) -> bool {
    name.ends_with(".pb.go") || name.ends_with(".pb.gw.go") || name.starts_with("zz_generated")
}

/// Whether a package may be called by a name, judged by its import path: what it calls itself is not known without its source.
fn may_be_called(path: &str, name: &str) -> bool {
    let path = without_major(path);
    let last = path.rsplit('/').next().unwrap_or(path);
    let last = last.split_once(".v").map_or(last, |(front, _)| front);
    last == name
        || last.strip_prefix("go-") == Some(name)
        || last.strip_suffix("-go") == Some(name)
        || last.strip_suffix(".go") == Some(name)
        || last.replace(['-', '.'], "") == name
        || last.replace('-', "_") == name
}

/// An import path without the major version at its end or before its last element.
pub(crate) fn without_major(path: &str) -> &str {
    let Some((front, last)) = path.rsplit_once('/') else { return path };
    let version = last
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    if version { front } else { path }
}

/// The name of a receiver's type.
fn type_name(type_: &Expression) -> Option<&str> {
    match &type_.kind {
        ExpressionKind::Name(name) => Some(name),
        ExpressionKind::Chain(base, _) => base.as_name(),
        _ => None,
    }
}
