//! The files of a project: those that are named, those that they include and extend.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::{self, Entry, Node, Plain, Problem, Scalar, Sources, Span, Value};
use crate::fields::Findings;

use super::environment::{self, Variable};
use super::interpolate::interpolate;
use super::merge::{merge, without_resets};
use super::whole::{self, SECTIONS};
use super::{DIALECT, Inputs, Loaded, Project, Variables, plain};

/// Files within files: more is a mistake, or meant to be one.
const DEEPEST: usize = 32;
/// Files that are read: where each includes two, there would soon be more than anybody can wait for.
const MOST_FILES: usize = 1_000;
/// Bytes of all of them.
const MOST_BYTES: usize = 64 << 20;

pub(super) fn load(paths: &[PathBuf], inputs: Inputs<'_>) -> Loaded {
    let mut loader = Loader {
        inputs,
        sources: Sources::default(),
        folders: HashMap::new(),
        findings: Findings::default(),
        files: HashMap::new(),
        count: 0,
        bytes: 0,
    };
    let folder = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (variables, _) = loader.variables(&[folder.join(".env")], inputs.variable, true);
    let name = project_name(folder);
    let lookup = |asked: &str| {
        let own = || variables.iter().rev().find(|variable| variable.name == asked)?.value.clone();
        let named = || (asked == "COMPOSE_PROJECT_NAME").then(|| name.clone());
        (inputs.variable)(asked).or_else(own).or_else(named)
    };
    let root = loader.project(paths, folder, &lookup, &mut Vec::new());
    if let Some(root) = &root {
        whole::whole(root, &loader.findings);
    }
    Loaded {
        sources: loader.sources,
        project: Project { root, folders: loader.folders, variables },
        problems: loader.findings.problems.into_inner(),
    }
}

/// What Compose calls a project that has no name: its folder, in small letters, digits, `-` and `_`.
fn project_name(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let kept = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_');
    kept.collect::<String>().trim_start_matches(['-', '_']).to_owned()
}

struct Loader<'i> {
    inputs: Inputs<'i>,
    sources: Sources,
    folders: HashMap<u32, PathBuf>,
    findings: Findings,
    /// Files that were read, by path and by the folder that their paths are taken from.
    files: HashMap<(PathBuf, PathBuf), Option<Arc<Node>>>,
    /// How many were read.
    count: usize,
    /// Their bytes.
    bytes: usize,
}

impl Loader<'_> {
    fn problem(&self, problem: Problem) {
        self.findings.problem(problem);
    }

    /// Whether so much was read that nothing more is.
    fn is_full(&self) -> bool {
        self.count > MOST_FILES || self.bytes > MOST_BYTES
    }

    /// The files of a project over one another, with what they include.
    fn project(
        &mut self,
        paths: &[PathBuf],
        folder: &Path,
        variables: Variables<'_>,
        within: &mut Vec<PathBuf>,
    ) -> Option<Arc<Node>> {
        let mut merged: Option<Arc<Node>> = None;
        for path in paths {
            let Some(root) = self.file(path, folder, variables, None) else { continue };
            let root = self.extended(&root, (path, folder), variables);
            let root = self.included(&root, path, folder, variables, within);
            merged = Some(match merged {
                Some(base) => merge(&base, &root, &mut Vec::new()),
                None => root,
            });
        }
        merged.map(|root| without_resets(&root))
    }

    /// A file with its variables replaced; `from` is where it is named.
    fn file(
        &mut self,
        path: &Path,
        folder: &Path,
        variables: Variables<'_>,
        from: Option<Span>,
    ) -> Option<Arc<Node>> {
        let known = (path.to_owned(), folder.to_owned());
        if let Some(root) = self.files.get(&known) {
            return root.clone();
        }
        if self.is_full() {
            return None;
        }
        let bytes = match (self.inputs.read)(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let span = from.unwrap_or_else(|| self.place_of(path));
                self.problem(Problem::new(span, format!("cannot read {}: {error}", path.display())));
                return None;
            }
        };
        (self.count, self.bytes) = (self.count + 1, self.bytes + bytes.len());
        if self.is_full() {
            let span = from.unwrap_or_else(|| self.place_of(path));
            let message = format!("with it there are over {MOST_FILES} files, or {MOST_BYTES} bytes of them");
            self.problem(Problem::new(span, message));
            return None;
        }
        let source = self.sources.add(path, bytes);
        let here = Span { source, start: 0, end: 0 };
        self.folders.insert(source, folder.to_owned());
        let read = document::read(source, self.sources.bytes(here));
        let is_broken = !read.problems.is_empty();
        read.problems.into_iter().for_each(|problem| self.problem(problem));
        let mut documents = read.documents.into_iter().filter(|document| !document.is_null());
        let mut root = documents.next();
        // Compose puts the documents of one file over one another.
        for other in documents {
            root = root.map(|base| merge(&base, &other, &mut Vec::new()));
        }
        let root = match root {
            Some(root) if matches!(root.value, Value::Mapping(_)) => {
                self.keys(&root);
                Some(interpolate(&root, variables, &self.findings))
            }
            Some(root) => {
                self.problem(Problem::new(
                    root.span,
                    format!("a compose file is a mapping, and this is {}", root.kind()),
                ));
                None
            }
            None => {
                if !is_broken {
                    self.problem(Problem::new(here, "the compose file is empty"));
                }
                None
            }
        };
        self.files.insert(known, root.clone());
        root
    }

    /// Tells keys that are no strings, which are easily written by mistake (`on`, `8080`).
    fn keys(&self, node: &Node) {
        for entry in node.entries() {
            let key = Scalar { text: entry.key.clone(), plain: entry.key_plain };
            if !matches!(key.resolve(DIALECT), Plain::Text(_)) {
                let message =
                    format!("the key `{}` is {}, and must be a string", key.text, key.kind(DIALECT));
                self.problem(Problem::new(entry.key_span, message).hinted("put it in quotes"));
            }
            self.keys(&entry.value);
        }
        node.items().iter().for_each(|item| self.keys(item));
    }

    /// A place for what is wrong with a file that is not there.
    fn place_of(&mut self, path: &Path) -> Span {
        Span { source: self.sources.add(path, Vec::new()), start: 0, end: 0 }
    }

    /// A document whose services hold what they extend.
    fn extended(&mut self, root: &Arc<Node>, file: (&Path, &Path), variables: Variables<'_>) -> Arc<Node> {
        let Some(services) = root.get("services") else { return Arc::clone(root) };
        if services.entries().iter().all(|entry| entry.value.get("extends").is_none()) {
            return Arc::clone(root);
        }
        let mut resolved = Vec::new();
        for entry in services.entries() {
            let value = self.service(root, &entry.key, file, variables, &mut Vec::new());
            resolved
                .push(Entry { value: value.unwrap_or_else(|| Arc::clone(&entry.value)), ..entry.clone() });
        }
        let services = Arc::new(Node::new(services.span, Value::Mapping(resolved)));
        with(root, "services", services)
    }

    /// A service of a document over the one that it extends.
    fn service(
        &mut self,
        root: &Arc<Node>,
        name: &str,
        (path, folder): (&Path, &Path),
        variables: Variables<'_>,
        within: &mut Vec<(PathBuf, String)>,
    ) -> Option<Arc<Node>> {
        let own = Arc::clone(root.at(&["services", name])?);
        let Some(extends) = own.get("extends").cloned().filter(|node| !node.is_null()) else {
            return Some(own);
        };
        let this = (path.to_owned(), name.to_owned());
        if within.contains(&this) || within.len() > DEEPEST {
            let message = match within.contains(&this) {
                true => format!("the service {name} extends itself"),
                false => format!("over {DEEPEST} services extend one another, up to {name}"),
            };
            self.problem(Problem::new(extends.span, message));
            return Some(own);
        }
        let text = |node: &Node| node.scalar().map(|scalar| scalar.text.clone());
        let other = text(&extends).or_else(|| extends.get("service").and_then(|node| text(node)));
        let Some(other) = other else {
            self.problem(Problem::new(extends.span, format!("services.{name}.extends names no service")));
            return Some(own);
        };
        within.push(this);
        let base = match extends.get("file").and_then(|node| text(node)) {
            Some(file) => {
                let file = plain(&folder.join(file));
                let parent = file.parent().map(Path::to_owned).unwrap_or_default();
                let root = self.file(&file, &parent, variables, Some(extends.span))?;
                self.service(&root, &other, (&file, &parent), variables, within)
            }
            None => self.service(root, &other, (path, folder), variables, within),
        };
        within.pop();
        let Some(base) = base else {
            self.problem(Problem::new(extends.span, format!("there is no service {other} to extend")));
            return Some(own);
        };
        let mut at = vec!["services".to_owned(), name.to_owned()];
        Some(without(&merge(&base, &own, &mut at), "extends"))
    }

    /// A document with what it includes.
    fn included(
        &mut self,
        root: &Arc<Node>,
        path: &Path,
        folder: &Path,
        variables: Variables<'_>,
        within: &mut Vec<PathBuf>,
    ) -> Arc<Node> {
        let Some(include) = root.get("include").filter(|node| !node.is_null()) else {
            return Arc::clone(root);
        };
        let own = without(root, "include");
        if within.iter().any(|outer| outer == path) || within.len() > DEEPEST {
            let message = match within.iter().any(|outer| outer == path) {
                true => format!("{} includes itself", path.display()),
                false => format!("over {DEEPEST} files include one another, up to {}", path.display()),
            };
            self.problem(Problem::new(include.span, message));
            return own;
        }
        within.push(path.to_owned());
        let mut taken = Arc::new(Node::new(include.span, Value::Mapping(Vec::new())));
        for item in include.items().to_vec() {
            // It was told; what follows would be as much again.
            if self.is_full() {
                break;
            }
            if let Some(other) = self.include(&item, folder, variables, within) {
                taken = self.taken_over(&taken, &other);
            }
        }
        within.pop();
        merge(&taken, &own, &mut Vec::new())
    }

    fn include(
        &mut self,
        item: &Arc<Node>,
        folder: &Path,
        variables: Variables<'_>,
        within: &mut Vec<PathBuf>,
    ) -> Option<Arc<Node>> {
        let texts = |node: Option<&Arc<Node>>| -> Vec<PathBuf> {
            let Some(node) = node else { return Vec::new() };
            let items = if node.scalar().is_some() { vec![Arc::clone(node)] } else { node.items().to_vec() };
            items.iter().filter_map(|item| Some(plain(&folder.join(&item.scalar()?.text)))).collect()
        };
        let paths = match item.scalar() {
            Some(_) => texts(Some(item)),
            None => texts(item.get("path")),
        };
        let Some(first) = paths.first() else {
            self.problem(Problem::new(item.span, "an include names no file"));
            return None;
        };
        let own = texts(item.get("project_directory")).pop();
        let inner = own.unwrap_or_else(|| first.parent().map(Path::to_owned).unwrap_or_default());
        let named = texts(item.get("env_file"));
        let (files, optional) = match named.is_empty() {
            true => (vec![inner.join(".env")], true),
            false => (named, false),
        };
        let (more, missing) = self.variables(&files, variables, optional);
        for path in missing {
            self.problem(Problem::new(item.span, format!("cannot read {}", path.display())));
        }
        let lookup = |asked: &str| {
            let own = || more.iter().rev().find(|variable| variable.name == asked)?.value.clone();
            variables(asked).or_else(own)
        };
        if (self.inputs.read)(first).is_err() {
            self.problem(Problem::new(item.span, format!("cannot read {}", first.display())));
            return None;
        }
        // What was read until now was read with other variables.
        self.files.clear();
        let project = self.project(&paths, &inner, &lookup, within);
        self.files.clear();
        project
    }

    /// What was included before, with the parts of one more. What both have must be the same.
    fn taken_over(&self, root: &Arc<Node>, other: &Arc<Node>) -> Arc<Node> {
        let mut merged = Arc::clone(root);
        for section in SECTIONS {
            let Some(theirs) = other.get(section) else { continue };
            let mut entries = root.get(section).map(|own| own.entries().to_vec()).unwrap_or_default();
            for entry in theirs.entries() {
                match entries.iter().find(|own| own.key == entry.key) {
                    Some(own) if *own.value != *entry.value => {
                        let message = format!("{section}.{} stands in two included files", entry.key);
                        self.problem(Problem::new(own.key_span, message));
                    }
                    Some(_) => {}
                    None => entries.push(entry.clone()),
                }
            }
            merged = with(&merged, section, Arc::new(Node::new(theirs.span, Value::Mapping(entries))));
        }
        merged
    }

    /// The variables of files; those that are not there.
    fn variables(
        &mut self,
        files: &[PathBuf],
        outer: Variables<'_>,
        optional: bool,
    ) -> (Vec<Variable>, Vec<PathBuf>) {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for path in files {
            let Ok(bytes) = (self.inputs.read)(path) else {
                if !optional {
                    missing.push(path.clone());
                }
                continue;
            };
            match environment::parse(&String::from_utf8_lossy(&bytes), outer) {
                Ok(variables) => found.extend(variables),
                Err((at, reason)) => {
                    // The place is one in the text, which is longer than the bytes where those are no UTF-8.
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let line = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default().len();
                    let source = self.sources.add(path, text.into_bytes());
                    let place = |at: usize| u32::try_from(at).unwrap_or_default();
                    let span = Span { source, start: place(at), end: place(at + line) };
                    self.problem(Problem::new(span, reason).secret());
                }
            }
        }
        (found, missing)
    }
}

/// A mapping with another value for a key.
fn with(node: &Arc<Node>, key: &str, value: Arc<Node>) -> Arc<Node> {
    let mut entries = node.entries().to_vec();
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.value = value,
        None => entries.push(Entry { key: key.to_owned(), key_plain: false, key_span: value.span, value }),
    }
    Arc::new(Node::new(node.span, Value::Mapping(entries)))
}

/// A mapping without a key.
fn without(node: &Arc<Node>, key: &str) -> Arc<Node> {
    let entries = node.entries().iter().filter(|entry| entry.key != key).cloned().collect();
    Arc::new(Node::new(node.span, Value::Mapping(entries)))
}
