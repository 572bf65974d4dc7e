//! Kubernetes manifests: the workloads in them, and the container that each asks for.
//!
//! Source: the API of Kubernetes 1.33 and later, `core/v1`, `apps/v1`, `batch/v1`; the recorded cases of this room were judged by Kubernetes'
//! own types. Manifests are read as kubectl reads them, strictly: a field that there is not is told. Only what says something about a
//! container is looked at; other kinds are left alone.

mod environment;
mod pod;
mod probes;
mod security;
mod volumes;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::document::{self, Dialect, Node, Problem, Sources, Span};
use crate::fields::Findings;
use crate::lowered::Lowered;

const DIALECT: Dialect = Dialect::Kubernetes;

/// The objects of some manifests.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The files that they are from.
    pub sources: Sources,
    /// What is wrong with them as files.
    pub problems: Vec<Problem>,
    objects: Vec<Arc<Node>>,
}

/// A workload as it can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its kind: "Deployment".
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Its containers, without those that only run at the start.
    pub containers: Vec<ContainerName>,
    /// Which of the objects it is.
    object: usize,
}

/// A container of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerName {
    /// Its name.
    pub name: String,
    /// The image that it names.
    pub image: Option<String>,
}

impl Manifests {
    /// Takes the documents of one more file.
    pub fn add(&mut self, path: &Path, bytes: Vec<u8>) {
        let source = self.sources.add(path, bytes);
        let here = Span { source, start: 0, end: 0 };
        let read = document::read(source, self.sources.bytes(here));
        self.problems.extend(read.problems);
        for document in read.documents.into_iter().filter(|document| !document.is_null()) {
            self.object(document);
        }
    }

    fn object(&mut self, node: Arc<Node>) {
        let Some(kind) = text(&node, "kind") else {
            let problem = Problem::new(node.span, "the document has no `kind`");
            self.problems.push(problem.hinted("a manifest has `apiVersion`, `kind` and `metadata`"));
            return;
        };
        if kind == "List" || (kind.ends_with("List") && node.get("items").is_some()) {
            node.get("items").map(|items| items.items().to_vec()).unwrap_or_default().into_iter().for_each(
                |item| {
                    self.object(item);
                },
            );
            return;
        }
        for section in
            ["data", "binaryData"].into_iter().filter(|one| kind == "Secret" || *one == "binaryData")
        {
            for entry in node.get(section).map(|node| node.entries()).unwrap_or_default() {
                let value = entry.value.scalar().filter(|scalar| !scalar.is_null());
                if value.is_some_and(|scalar| environment::decoded(&scalar.text).is_none()) {
                    let problem =
                        Problem::new(entry.value.span, format!("{section}.{} is not base64", entry.key));
                    self.problems.push(problem.hinted("`stringData` takes text as it is").secret());
                }
            }
        }
        if let Some(template) = template(&kind) {
            let containers = node.at(template).and_then(|pod| pod.get("containers"));
            if containers.is_none_or(|containers| containers.items().is_empty()) {
                let path = template.join(".");
                let message = format!("the {kind} {} has no {path}.containers", self.name(&node));
                self.problems.push(Problem::new(node.span, message));
            }
            self.names(containers.map(|containers| containers.items()).unwrap_or_default());
        }
        self.objects.push(node);
    }

    /// Tells containers that cannot be told from others.
    fn names(&mut self, containers: &[Arc<Node>]) {
        let mut seen = HashSet::new();
        for container in containers {
            let message = match text(container, "name").filter(|name| !name.is_empty()) {
                None => "the container has no `name`".to_owned(),
                Some(name) if seen.contains(&name) => format!("there are two containers {name}"),
                Some(name) => {
                    seen.insert(name);
                    continue;
                }
            };
            self.problems.push(Problem::new(container.span, message));
        }
    }

    /// The workloads, in the order of the files.
    pub fn workloads(&self) -> Vec<Workload> {
        let of = |(object, node): (usize, &Arc<Node>)| {
            let kind = text(node, "kind")?;
            let pod = node.at(template(&kind)?)?;
            let containers = pod.get("containers").map(|list| list.items()).unwrap_or_default();
            let containers = containers.iter().map(|container| ContainerName {
                name: text(container, "name").unwrap_or_default(),
                image: text(container, "image"),
            });
            Some(Workload {
                kind,
                name: self.name(node),
                span: node.get("kind").map_or(node.span, |kind| kind.span),
                containers: containers.collect(),
                object,
            })
        };
        self.objects.iter().enumerate().filter_map(of).collect()
    }

    fn name(&self, node: &Node) -> String {
        let metadata = node.get("metadata");
        let own = metadata.and_then(|metadata| text(metadata, "name"));
        own.or_else(|| metadata.and_then(|metadata| text(metadata, "generateName"))).unwrap_or_default()
    }

    /// The container that a workload asks for; `None` if it has none of that name.
    pub fn container(&self, workload: &Workload, name: &str) -> Option<Lowered> {
        let object = self.objects.get(workload.object)?;
        let spec = object.at(template(&workload.kind)?)?;
        let containers = spec.get("containers")?.items();
        let node = containers.iter().find(|container| text(container, "name").as_deref() == Some(name))?;
        let findings = Findings::default();
        let subject = pod::Subject { manifests: self, workload, object, spec, node };
        let mut lowered = pod::lower(&subject, &findings);
        lowered.notes = findings.notes.into_inner();
        lowered.problems = findings.problems.into_inner();
        Some(lowered)
    }

    /// The object of a kind and name.
    fn find(&self, kind: &str, name: &str) -> Option<&Arc<Node>> {
        self.objects
            .iter()
            .find(|node| text(node, "kind").as_deref() == Some(kind) && self.name(node) == name)
    }
}

/// Where the pod of a kind of workload stands; `None` of other kinds.
fn template(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Pod" => &["spec"],
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            &["spec", "template", "spec"]
        }
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        "PodTemplate" => &["template", "spec"],
        _ => return None,
    })
}

/// The text of a key, whatever else is wrong with it.
fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).filter(|node| !node.is_null()).and_then(|node| Some(node.scalar()?.text.clone()))
}
