//! Facts about stages that advisors decide by.

use longshore_dockerfile::instruction::Source;
use longshore_dockerfile::{Base, InstructionKind};

use crate::request::{Context, DockerfilePlace};
use crate::solve::{At, Solve};

impl<'a> Solve<'a> {
    /// What tells this project from others: the Dockerfile's path, or the context's where the Dockerfile came through a pipe.
    pub(crate) fn project(&self) -> String {
        let path = match (&self.request.dockerfile.place, &self.request.context) {
            (DockerfilePlace::Disk(path), _) => path.clone(),
            (_, Context::Folder(folder)) => folder.clone(),
            (DockerfilePlace::Context(path), Context::Fetched(context)) => {
                return format!("{} {}", context.name(), path.display());
            }
            _ => std::path::PathBuf::new(),
        };
        std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Whether a stage's files land in the image: it is the target, or the target begins with it.
    pub(crate) fn is_exported(&self, stage: usize) -> bool {
        let mut next = Some(self.graph.target);
        while let Some(index) = next {
            if index == stage {
                return true;
            }
            next = match self.graph.stages[index].base {
                Base::Stage(base) => Some(base),
                _ => None,
            };
        }
        false
    }

    /// Stages that begin with a stage, directly or not, itself first.
    fn descendants(&self, stage: usize) -> Vec<usize> {
        let mut found = vec![stage];
        for (index, other) in self.graph.stages.iter().enumerate() {
            if matches!(other.base, Base::Stage(base) if found.contains(&base)) {
                found.push(index);
            }
        }
        found
    }

    /// Texts of the instructions after one, in its stage and in those that begin with it.
    pub(crate) fn later(&self, at: &At<'_>) -> Vec<String> {
        let mut texts = Vec::new();
        for stage in self.descendants(at.stage) {
            let instructions = &self.graph.stages[stage].instructions;
            let from = if stage == at.stage {
                instructions
                    .iter()
                    .position(|other| std::ptr::eq(other, at.instruction))
                    .map_or(0, |place| place + 1)
            } else {
                0
            };
            texts.extend(
                instructions[from.min(instructions.len())..]
                    .iter()
                    .map(|instruction| instruction.text.clone()),
            );
        }
        texts
    }

    /// Paths that others take from a stage, or from those that begin with it.
    pub(crate) fn copied_from(&self, stage: usize) -> Vec<String> {
        let family = self.descendants(stage);
        let is_family = |name: &str| self.graph.find(name).is_some_and(|index| family.contains(&index));
        let mut paths = Vec::new();
        for instruction in self.graph.stages.iter().flat_map(|stage| &stage.instructions) {
            match &instruction.kind {
                InstructionKind::Copy(transfer)
                    if transfer.from.as_ref().is_some_and(|from| is_family(&from.text)) =>
                {
                    paths.extend(transfer.sources.iter().filter_map(|source| match source {
                        Source::Path(word) => Some(word.text.clone()),
                        Source::Heredoc(_) => None,
                    }));
                }
                InstructionKind::Run(run) => {
                    for mount in &run.mounts {
                        let field = |wanted: &[&str]| {
                            let mut fields = mount.fields.iter();
                            fields
                                .find(|(key, _)| wanted.contains(&key.as_str()))
                                .and_then(|(_, value)| value.as_ref())
                        };
                        if field(&["from"]).is_some_and(|from| is_family(&from.text)) {
                            let source = field(&["source", "src"]).map_or("/", |source| &source.text);
                            paths.push(source.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        paths
    }
}
