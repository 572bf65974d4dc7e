//! `volumes`, `tmpfs`, `secrets` and `configs` of a service.

use longshore_runtime::{MountSettings, MountSource};

use crate::document::{Dialect, Node, Problem, Span};
use crate::fields::{Fields, Findings};
use crate::lowered::{Content, Note, Provided, ProvidedFile};
use crate::values::bytes;

use super::{Inputs, Project};

/// Where a mount leads, by which two of two files are the same one.
pub(super) fn target_of(node: &Node) -> Option<String> {
    match node.scalar() {
        Some(scalar) => Some(short(&scalar.text).ok()?.1.to_owned()),
        None => node.get("target").and_then(|target| Some(target.scalar()?.text.clone())),
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
fn short(text: &str) -> Result<(Option<&str>, &str, &str), String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [target] => Ok((None, target, "")),
        [source, target] => Ok((Some(source), target, "")),
        [source, target, options] => Ok((Some(source), target, options)),
        _ => Err("expected [SOURCE:]TARGET[:ro]".to_owned()),
    }
}

/// What lowering mounts needs to know.
pub(super) struct Places<'p> {
    pub(super) project: &'p Project,
    pub(super) root: &'p Node,
    pub(super) inputs: Inputs<'p>,
    pub(super) findings: &'p Findings,
}

impl Places<'_> {
    fn problem(&self, span: Span, message: String) {
        self.findings.problem(Problem::new(span, message));
    }

    /// An item of `volumes`.
    pub(super) fn volume(&self, node: &Node, path: &str) -> Option<MountSettings> {
        let Some(scalar) = node.scalar() else { return self.long(node, path) };
        let (source, target, options) = match short(&scalar.text) {
            Ok(parts) => parts,
            Err(reason) => {
                self.problem(node.span, format!("{path}: `{}`: {reason}", scalar.text));
                return None;
            }
        };
        let mut read_only = false;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "nocopy" | "copy" => {}
                "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {}
                other => self.problem(node.span, format!("{path}: the option {other} is unknown")),
            }
        }
        let is_path = |source: &str| source.starts_with(['.', '/', '~']);
        let source = match source {
            None => MountSource::Volume(None),
            Some(source) if is_path(source) => {
                MountSource::Bind(self.project.path(source, node.span, self.inputs.variable))
            }
            Some(name) => self.named(name, node.span, path)?,
        };
        Some(MountSettings { target: target.to_owned(), source, read_only })
    }

    fn named(&self, name: &str, span: Span, path: &str) -> Option<MountSource> {
        match self.root.at(&["volumes", name]) {
            Some(volume) => {
                if let Some(options) = volume.get("driver_opts").filter(|node| !node.entries().is_empty()) {
                    let why = "options of volumes are not heeded: an empty one stands for it";
                    self.findings.note(Note::missing(
                        options.span,
                        format!("volumes.{name}.driver_opts"),
                        why,
                    ));
                }
            }
            None => {
                self.problem(
                    span,
                    format!("{path}: there is no volume {name} among the top-level `volumes`"),
                );
                return None;
            }
        }
        Some(MountSource::Volume(Some(name.to_owned())))
    }

    fn long(&self, node: &Node, path: &str) -> Option<MountSettings> {
        let fields = Fields::of(node, path, self.findings, Dialect::Compose)?;
        let kind = fields.string("type");
        let source = fields.string("source");
        let read_only = fields.boolean("read_only").unwrap_or_default();
        let memory = fields.fields("tmpfs");
        let size = memory.as_ref().and_then(|memory| memory.parsed("size", bytes));
        let mode = memory.as_ref().and_then(|memory| memory.number::<u32>("mode"));
        if let Some(memory) = memory {
            memory.finish();
        }
        if let Some(volume) = fields.fields("volume") {
            volume.missing("subpath", "a part of a volume cannot be mounted");
            volume.known(&["nocopy", "labels"]);
            volume.finish();
        }
        fields.known(&["consistency", "bind"]);
        fields.missing("image", "images cannot be mounted");
        let Some(target) = fields.string("target") else {
            self.problem(node.span, format!("{path} has no target"));
            return None;
        };
        fields.finish();
        let source = match (kind.as_deref(), source) {
            (Some("bind"), Some(source)) => {
                let span = node.get("source").map_or(node.span, |source| source.span);
                MountSource::Bind(self.project.path(&source, span, self.inputs.variable))
            }
            (Some("volume"), Some(name)) => self.named(&name, node.span, path)?,
            (Some("volume"), None) => MountSource::Volume(None),
            (Some("tmpfs"), _) => {
                MountSource::Tmpfs { size: size.filter(|size| *size > 0), mode, programs: false }
            }
            (Some("bind"), None) => {
                self.problem(node.span, format!("{path} has no source"));
                return None;
            }
            (Some(other), _) => {
                let why = format!("mounts of type {other} cannot be had");
                self.findings.note(Note::missing(node.span, path, why));
                return None;
            }
            (None, _) => {
                self.problem(node.span, format!("{path} has no type"));
                return None;
            }
        };
        Some(MountSettings { target, source, read_only })
    }

    /// An item of `tmpfs`: `TARGET[:OPTIONS]`, as `docker run --tmpfs` takes it.
    pub(super) fn tmpfs(&self, node: &Node, path: &str) -> Option<MountSettings> {
        let text = &node.scalar()?.text;
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let (mut size, mut mode, mut read_only, mut programs) = (None, None, false, false);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let wrong = |reason: String| self.problem(node.span, format!("{path}: `{option}`: {reason}"));
            match option.split_once('=').unwrap_or((option, "")) {
                ("size", value) => size = bytes(value).map_err(wrong).ok(),
                ("mode", value) => {
                    mode = u32::from_str_radix(value, 8).map_err(|_| wrong("it is no mode".to_owned())).ok();
                }
                ("ro", "") => read_only = true,
                ("exec", "") => programs = true,
                ("noexec", "") => programs = false,
                ("rw" | "nosuid" | "nodev" | "noatime" | "nodiratime" | "relatime", "") => {}
                ("uid" | "gid" | "nr_inodes" | "nr_blocks", _) => {
                    let why = format!("the option {option} is not heeded");
                    self.findings.note(Note::missing(node.span, path, why));
                }
                _ => wrong("it is no option of a tmpfs".to_owned()),
            }
        }
        let source = MountSource::Tmpfs { size, mode, programs };
        Some(MountSettings { target: target.to_owned(), source, read_only })
    }

    /// An item of `secrets` or `configs`: a file of the machine, or one whose content is known.
    pub(super) fn provided(&self, node: &Node, section: &'static str) -> Option<Given> {
        let path = format!("services.{section}");
        let (source, target, mode) = match node.scalar() {
            Some(scalar) => (scalar.text.clone(), None, None),
            None => {
                let fields = Fields::of(node, path.as_str(), self.findings, Dialect::Compose)?;
                let parts = (fields.string("source")?, fields.string("target"), fields.number::<u32>("mode"));
                fields.known(&["uid", "gid"]);
                fields.finish();
                parts
            }
        };
        let Some(defined) = self.root.at(&[section, &source]) else {
            let message = format!("there is no {source} among the top-level `{section}`");
            self.problem(node.span, message);
            return None;
        };
        let folder = if section == "secrets" { "/run/secrets/" } else { "/" };
        let target = match target {
            Some(target) if target.starts_with('/') => target,
            Some(target) => format!("{folder}{target}"),
            None => format!("{folder}{source}"),
        };
        let fields = Fields::of(defined, format!("{section}.{source}"), self.findings, Dialect::Compose)?;
        fields.known(&["name", "labels", "driver", "driver_opts", "template_driver"]);
        let file = fields.string("file");
        let content = if section == "configs" { fields.string("content") } else { None };
        let variable = fields.string("environment");
        let external = fields.boolean("external").unwrap_or_default();
        fields.finish();
        if let Some(file) = file {
            let span = defined.get("file").map_or(defined.span, |file| file.span);
            let source = MountSource::Bind(self.project.path(&file, span, self.inputs.variable));
            return Some(Given::Mount(MountSettings { target, source, read_only: true }));
        }
        let value = variable
            .as_ref()
            .map(|name| (self.inputs.variable)(name).or_else(|| self.project.own_variable(name)).ok_or(name));
        match (content, value) {
            (Some(content), _) | (None, Some(Ok(content))) => {
                let file = ProvidedFile { bytes: content.into_bytes(), mode: mode.unwrap_or(0o444) };
                Some(Given::File(Provided { target, content: Content::File(file) }))
            }
            (None, Some(Err(name))) => {
                self.problem(defined.span, format!("{section}.{source}: the variable {name} is not set"));
                None
            }
            (None, None) => {
                let what = if external {
                    "is kept elsewhere"
                } else {
                    "names neither file, content nor environment"
                };
                let why = format!("it {what}: nothing stands for it");
                self.findings.note(Note::missing(defined.span, format!("{section}.{source}"), why));
                None
            }
        }
    }
}

/// A secret or configuration.
pub(super) enum Given {
    Mount(MountSettings),
    File(Provided),
}
