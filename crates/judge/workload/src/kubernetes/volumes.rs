//! Volumes of a pod, where a container mounts them.

use std::path::PathBuf;

use longshore_runtime::{MountSettings, MountSource};

use crate::document::{Node, Problem};
use crate::fields::Fields;
use crate::lowered::{Content, Lowered, Note, Provided, ProvidedFile};
use crate::values::thousandths;

use super::environment::{data, expanded, field};
use super::pod::Subject;
use super::{DIALECT, text};

/// Permission bits of files where nothing is said.
const MODE: u32 = 0o644;

/// What a volume is.
enum Volume {
    Mount(MountSource),
    Files(Vec<(String, ProvidedFile)>),
}

/// Takes over what a container mounts.
pub(super) fn mounts(subject: &Subject<'_>, pod: &Fields<'_>, container: &Fields<'_>, lowered: &mut Lowered) {
    let volumes = pod.list("volumes");
    let has_group = pod.get("securityContext").is_some_and(|context| context.get("fsGroup").is_some());
    for item in container.list("volumeMounts") {
        let path = container.path("volumeMounts");
        let Some(mount) = Fields::of(item, path, container.findings, DIALECT) else { continue };
        let (name, target) = (mount.string("name"), mount.string("mountPath"));
        let read_only = mount.boolean("readOnly").unwrap_or_default();
        let inner = mount.string("subPathExpr");
        let inner = inner.and_then(|path| expanded(&path, lowered, item, container));
        let inner = mount.string("subPath").or(inner).filter(|inner| !inner.is_empty());
        mount.known(&["mountPropagation", "recursiveReadOnly"]);
        mount.finish();
        let (Some(name), Some(target)) = (name, target) else {
            let problem = Problem::new(item.span, "a volume mount has a name and a mountPath");
            container.findings.problem(problem);
            continue;
        };
        let Some(volume) = volumes.iter().find(|volume| text(volume, "name").as_deref() == Some(&name))
        else {
            let message = format!("{}: the pod has no volume {name}", container.path("volumeMounts"));
            container.findings.problem(Problem::new(item.span, message));
            continue;
        };
        let Some(mut found) = source(subject, pod, volume, &name) else { continue };
        if let (Volume::Files(files), true) = (&mut found, has_group) {
            // A kubelet gives them to that group, which every process of the pod has, and lets it read them. Here they are nobody's of the pod:
            // what its processes can read is the same.
            files.iter_mut().for_each(|(_, file)| file.mode |= 0o444);
        }
        place(lowered, found, target, (read_only, inner));
    }
}

fn place(lowered: &mut Lowered, volume: Volume, target: String, (read_only, inner): (bool, Option<String>)) {
    match (volume, inner) {
        (Volume::Mount(MountSource::Bind(path)), Some(inner)) => {
            let source = MountSource::Bind(path.join(inner));
            lowered.settings.mounts.push(MountSettings { target, source, read_only });
        }
        // A folder of an empty volume is as empty.
        (Volume::Mount(source), _) => {
            lowered.settings.mounts.push(MountSettings { target, source, read_only });
        }
        (Volume::Files(files), None) => {
            lowered.files.push(Provided { target, content: Content::Folder(files) });
        }
        (Volume::Files(files), Some(inner)) => {
            let inner = inner.trim_matches('/');
            let content = match files.iter().find(|(name, _)| name == inner) {
                Some((_, file)) => Content::File(file.clone()),
                None => {
                    let below = |(name, file): (String, ProvidedFile)| {
                        Some((name.strip_prefix(inner)?.strip_prefix('/')?.to_owned(), file))
                    };
                    Content::Folder(files.into_iter().filter_map(below).collect())
                }
            };
            lowered.files.push(Provided { target, content });
        }
    }
}

fn source(subject: &Subject<'_>, pod: &Fields<'_>, node: &Node, name: &str) -> Option<Volume> {
    let path = format!("{}.{name}", pod.path("volumes"));
    let volume = Fields::of(node, path, pod.findings, DIALECT)?;
    volume.known(&["name"]);
    let memory = |size: Option<u128>| {
        let size = size.map(|size| u64::try_from(size.div_ceil(1_000)).unwrap_or(u64::MAX));
        // As a kubelet makes it: anybody may write, and programs may be started.
        MountSource::Tmpfs { size: size.filter(|size| *size > 0), mode: Some(0o777), programs: true }
    };
    let stand_in = |key: &'static str, why: &str| {
        volume.findings.note(Note::ignored(node.span, volume.path(key), why));
        Some(Volume::Mount(memory(None)))
    };
    let found = if volume.node_has("emptyDir") {
        let fields = volume.fields("emptyDir");
        let size = fields.as_ref().and_then(|fields| fields.parsed("sizeLimit", thousandths));
        if let Some(fields) = fields {
            fields.known(&["medium"]);
            fields.finish();
        }
        Some(Volume::Mount(memory(size)))
    } else if let Some(fields) = volume.fields("hostPath") {
        let path = fields.string("path");
        fields.known(&["type"]);
        fields.finish();
        path.map(|path| Volume::Mount(MountSource::Bind(PathBuf::from(path))))
    } else if volume.get("persistentVolumeClaim").is_some() {
        stand_in("persistentVolumeClaim", "an empty folder in memory stands for it")
    } else if volume.get("ephemeral").is_some() {
        stand_in("ephemeral", "an empty folder in memory stands for it")
    } else {
        files(subject, &volume).map(Volume::Files)
    };
    if found.is_none() && pod.findings.problems.borrow().is_empty() {
        let why = "such a volume cannot be had, or what it names is not in the manifests";
        pod.findings.note(Note::missing(node.span, pod.path(&format!("volumes.{name}")), why));
    }
    found
}

/// The files of a `configMap`, `secret`, `downwardAPI` or `projected` volume, or of a source of the latter.
fn files(subject: &Subject<'_>, volume: &Fields<'_>) -> Option<Vec<(String, ProvidedFile)>> {
    for (key, kind, named) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")] {
        let Some(fields) = volume.fields(key) else { continue };
        let name = fields.string(named).or_else(|| fields.string("name")).unwrap_or_default();
        let mode = fields.number::<u32>("defaultMode").unwrap_or(MODE);
        let optional = fields.boolean("optional").unwrap_or_default();
        let items = items(&fields, mode);
        fields.finish();
        let Some(data) = data(subject.manifests, kind, &name) else {
            return optional.then(Vec::new);
        };
        let file = |bytes: &Vec<u8>, mode| ProvidedFile { bytes: bytes.clone(), mode };
        return Some(match items.is_empty() {
            true => data.iter().map(|(key, bytes)| (key.clone(), file(bytes, mode))).collect(),
            false => items
                .into_iter()
                .filter_map(|(key, path, mode)| Some((path, file(data.get(&key)?, mode))))
                .collect(),
        });
    }
    if let Some(fields) = volume.fields("downwardAPI") {
        let mode = fields.number::<u32>("defaultMode").unwrap_or(MODE);
        let files = fields.list("items").iter().filter_map(|item| {
            let value =
                item.at(&["fieldRef", "fieldPath"]).and_then(|path| field(subject, &path.scalar()?.text));
            Some((text(item, "path")?, ProvidedFile { bytes: value?.into_bytes(), mode }))
        });
        return Some(files.collect());
    }
    let fields = volume.fields("projected")?;
    fields.known(&["defaultMode"]);
    let mut found = Vec::new();
    for item in fields.list("sources") {
        let path = fields.path("sources");
        let Some(source) = Fields::of(item, path, fields.findings, DIALECT) else { continue };
        if let Some(token) = source.fields("serviceAccountToken") {
            let path = token.string("path").unwrap_or_default();
            token.ignored("path", "a file that is no token stands for it");
            found.push((path, ProvidedFile { bytes: b"not a token".to_vec(), mode: MODE }));
            continue;
        }
        found.extend(files(subject, &source)?);
    }
    fields.finish();
    Some(found)
}

/// Key, path and mode of the items that a volume chooses.
fn items(fields: &Fields<'_>, mode: u32) -> Vec<(String, String, u32)> {
    let one = |item: &std::sync::Arc<Node>| {
        let item = Fields::of(item, fields.path("items"), fields.findings, DIALECT)?;
        let found = (item.string("key")?, item.string("path")?, item.number("mode").unwrap_or(mode));
        item.finish();
        Some(found)
    };
    fields.list("items").iter().filter_map(one).collect()
}
