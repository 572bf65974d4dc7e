//! Instructions to stages: which there are, what each stands on, what each needs, and which of them a target needs.
//!
//! Follows BuildKit's dockerfile2llb/convert.go: names of stages are not case-sensitive, the last of two stages with one name has
//! it, `COPY --from` takes a name before an index while `RUN --mount=from` takes names alone, and what stands before the first
//! FROM may only be ARG. A stage may only need stages above it; that it does not is an error where the target needs the stage, a
//! warning where it does not, and always an error where stages need each other in a circle.

mod needs;
mod scope;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, likely};
use crate::instruction::{Instruction, InstructionKind, Span, stage_name};
use crate::tree::Dockerfile;

pub use scope::Scope;

/// What the stages of a file depend on besides the file.
#[derive(Debug, Clone, Copy)]
pub struct StageOptions<'o> {
    /// Build arguments; of two with the same name the last counts.
    pub build_args: &'o [(String, String)],
    /// The stage that is wanted, by name or index; the last one where there is none.
    pub target: Option<&'o str>,
    /// Platform of the machine that builds, as `linux/amd64`.
    pub build_platform: &'o str,
    /// Platform of the image, as `linux/arm64`.
    pub target_platform: &'o str,
    /// Names of the build contexts that were given. One that is a stage's name takes the stage's place.
    pub contexts: &'o [String],
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage, by index.
    Stage(usize),
    /// An image, or a build context of that name.
    Image(String),
    /// The stage as a whole is the build context of this name; its instructions do not count.
    Context(String),
}

/// A stage or image that is copied from or mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeededSource {
    /// A stage, by index.
    Stage(usize),
    /// An image, or a build context of that name.
    Image(String),
}

/// Something that an instruction of a stage needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub source: NeededSource,
    /// Where it is asked for. For a trigger this is the stage's FROM.
    pub span: Span,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its number, from 0.
    pub index: usize,
    /// Its name in lower case.
    pub name: Option<String>,
    /// What it starts from.
    pub base: Base,
    /// The platform that its FROM asks for, expanded.
    pub platform: Option<String>,
    /// Index of its FROM in [`Dockerfile::instructions`].
    pub from: usize,
    /// Where its FROM stands.
    pub span: Span,
    /// What its base's ONBUILD instructions add before its own, where the base is a stage of the same file. Those of an image are
    /// known to the builder alone.
    pub triggers: Arc<[Instruction]>,
    /// Its instructions after FROM.
    pub instructions: Vec<Instruction>,
    /// What its triggers and instructions copy from or mount.
    pub needs: Vec<Need>,
}

impl Stage {
    /// Its name, or `stage-N`.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("stage-{}", self.index))
    }
}

/// The stages of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageGraph {
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Index of the stage that is wanted.
    pub target: usize,
    /// Arguments of the global scope: the automatic ones, and those before the first FROM, with their values.
    pub global: Scope,
    /// What is wrong but does not stop the build.
    pub warnings: Vec<Diagnostic>,
    by_name: HashMap<String, usize>,
}

impl StageGraph {
    /// Finds the stages of a file.
    ///
    /// Errors: instructions before the first FROM, no stage at all, a base or platform that is empty or cannot be expanded, a
    /// stage or target that does not exist, stages that need what is not above them.
    pub fn of(file: &Dockerfile, options: &StageOptions<'_>) -> Result<StageGraph, Vec<Diagnostic>> {
        let mut builder = Builder { file, options, problems: Vec::new() };
        let starts = builder.starts();
        let global = builder.global_scope(starts.first().copied());
        let graph = builder.graph(&starts, global);
        match graph {
            Some(graph) if builder.problems.is_empty() => Ok(graph),
            _ => {
                builder.problems.sort_by_key(|problem| problem.span.start);
                Err(builder.problems)
            }
        }
    }

    /// The stage of this name or index.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_index = || name.parse().ok().filter(|index| *index < self.stages.len());
        self.by_name.get(&stage_name(name)).copied().or_else(by_index)
    }

    /// Indices of the stages that must be built for `target`, itself included, in order.
    pub fn needed(&self, target: usize) -> Vec<usize> {
        let mut needed = vec![false; self.stages.len()];
        let mut next = vec![target];
        while let Some(index) = next.pop() {
            let Some(stage) = self.stages.get(index) else { continue };
            if std::mem::replace(&mut needed[index], true) {
                continue;
            }
            if let Base::Stage(base) = stage.base {
                next.push(base);
            }
            next.extend(stage.needs.iter().filter_map(|need| match need.source {
                NeededSource::Stage(index) => Some(index),
                NeededSource::Image(_) => None,
            }));
        }
        (0..needed.len()).filter(|index| needed[*index]).collect()
    }

    /// Indices of the stages that the target does not need.
    pub fn skipped(&self) -> Vec<usize> {
        let needed: HashSet<usize> = self.needed(self.target).into_iter().collect();
        (0..self.stages.len()).filter(|index| !needed.contains(index)).collect()
    }

    /// What an instruction of the stage `index` copies from or mounts: for triggers of images, which are known only when the image
    /// is.
    ///
    /// Errors: a stage index that does not exist, a variable in `--from`, a stage that is not above this one.
    pub fn needs_of(&self, index: usize, instruction: &Instruction) -> Result<Vec<Need>, Diagnostic> {
        let needs = needs::of(instruction, &self.by_name, self.stages.len())?;
        match needs.iter().find(|need| needs::is_not_above(need, index)) {
            Some(need) => Err(self.not_above(index, need)),
            None => Ok(needs),
        }
    }

    fn not_above(&self, index: usize, need: &Need) -> Diagnostic {
        let NeededSource::Stage(source) = need.source else {
            return Diagnostic::error("stage-order", need.span.clone(), "the source is no stage");
        };
        let message = format!(
            "stage {} needs stage {}, which must be defined before it",
            self.stages[index].label(),
            self.stages[source].label(),
        );
        Diagnostic::error("stage-order", need.span.clone(), message)
    }

    /// Adds what is wrong with the order of stages.
    fn check_order(&mut self, problems: &mut Vec<Diagnostic>) {
        if let Some((stage, need)) = needs::circle(&self.stages) {
            let message = format!("circular dependency detected on stage: {}", self.stages[stage].label());
            problems.push(Diagnostic::error("circular-stages", need.span.clone(), message));
            return;
        }
        let needed: HashSet<usize> = self.needed(self.target).into_iter().collect();
        for stage in &self.stages {
            for need in stage.needs.iter().filter(|need| needs::is_not_above(need, stage.index)) {
                let problem = self.not_above(stage.index, need);
                if needed.contains(&stage.index) {
                    problems.push(problem);
                } else {
                    self.warnings.push(Diagnostic::warning(problem.code, problem.span, problem.message));
                }
            }
        }
    }
}

/// A graph being made.
struct Builder<'b> {
    file: &'b Dockerfile,
    options: &'b StageOptions<'b>,
    problems: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn problem(&mut self, code: &'static str, span: &Span, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, span.clone(), message));
    }

    /// Indices of the FROM instructions.
    fn starts(&mut self) -> Vec<usize> {
        let instructions = &self.file.instructions;
        let is_from = |index: &usize| matches!(instructions[*index].kind, InstructionKind::From(_));
        let starts: Vec<usize> = (0..instructions.len()).filter(is_from).collect();
        let first = starts.first().copied().unwrap_or(instructions.len());
        for instruction in &instructions[..first] {
            if !matches!(instruction.kind, InstructionKind::Arg(_) | InstructionKind::Malformed) {
                let message = format!(
                    "no build stage in current context: {} stands before the first FROM",
                    instruction.keyword.text
                );
                let hint = "only ARG may stand before the first FROM";
                let problem =
                    Diagnostic::error("before-first-stage", instruction.keyword.span.clone(), message);
                self.problems.push(problem.with_hint(hint));
            }
        }
        if starts.is_empty() {
            self.problem("no-stages", &(0..0), "the file has no stages to build");
        }
        starts
    }

    /// The automatic arguments, and the ARGs before the first FROM.
    fn global_scope(&mut self, first: Option<usize>) -> Scope {
        let instructions = &self.file.instructions;
        let last = instructions.iter().rev().find_map(|instruction| match &instruction.kind {
            InstructionKind::From(from) => Some(from.name.as_ref().map(|name| stage_name(&name.text))),
            _ => None,
        });
        let stage = match self.options.target {
            Some(target) => Some(target.to_owned()),
            None => last.flatten(),
        };
        let mut scope = Scope::global(self.options, stage.as_deref());
        let arguments = instructions[..first.unwrap_or(instructions.len())].iter().flat_map(|instruction| {
            match &instruction.kind {
                InstructionKind::Arg(arguments) => arguments.as_slice(),
                _ => &[],
            }
        });
        for argument in arguments {
            if let Err(error) = scope.declare(argument, self.options.build_args, self.file.escape) {
                let span = argument.value.as_ref().map_or(&argument.name.span, |value| &value.span);
                self.problems.push(scope::cannot_expand(&error, span));
            }
        }
        scope
    }

    fn graph(&mut self, starts: &[usize], global: Scope) -> Option<StageGraph> {
        let mut graph = StageGraph {
            stages: Vec::new(),
            target: 0,
            global,
            warnings: Vec::new(),
            by_name: HashMap::new(),
        };
        for (index, from) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(self.file.instructions.len());
            self.stage(&mut graph, *from, end)?;
        }
        graph.target = self.target(&graph)?;
        self.needs(&mut graph);
        let mut problems = Vec::new();
        graph.check_order(&mut problems);
        self.problems.append(&mut problems);
        Some(graph)
    }

    /// Adds the stage that starts at the instruction `start` and ends before `end`.
    fn stage(&mut self, graph: &mut StageGraph, start: usize, end: usize) -> Option<()> {
        let instruction = &self.file.instructions[start];
        let InstructionKind::From(from) = &instruction.kind else { return None };
        let index = graph.stages.len();
        let name = from.name.as_ref().map(|name| stage_name(&name.text));
        let image = self.expanded(graph, &from.image, "base name");
        let platform = match &from.platform {
            Some(platform) if !platform.text.is_empty() => Some(self.expanded(graph, platform, "platform")),
            _ => None,
        };
        let base = match &name {
            Some(name) if self.is_context(name) => Base::Context(name.clone()),
            _ => match graph.by_name.get(&image) {
                Some(stage) => Base::Stage(*stage),
                None if image == "scratch" => Base::Scratch,
                None => Base::Image(image),
            },
        };
        let is_context = matches!(base, Base::Context(_));
        let instructions = if is_context { &[] } else { &self.file.instructions[start + 1..end] };
        let triggers = match base {
            Base::Stage(stage) => triggers(&graph.stages[stage]),
            _ => Arc::default(),
        };
        if let Some(name) = &name {
            graph.by_name.insert(name.clone(), index);
        }
        graph.stages.push(Stage {
            index,
            name,
            base,
            platform,
            from: start,
            span: instruction.span.clone(),
            triggers,
            instructions: instructions.to_vec(),
            needs: Vec::new(),
        });
        Some(())
    }

    fn is_context(&self, name: &str) -> bool {
        !["scratch", "context"].contains(&name)
            && self.options.contexts.iter().any(|context| stage_name(context) == name)
    }

    /// A word of FROM with the global arguments in it; it must not come out empty.
    fn expanded(&mut self, graph: &StageGraph, word: &crate::Word, what: &str) -> String {
        let expansion = match graph.global.expand(&word.text, self.file.escape) {
            Ok(expansion) => expansion,
            Err(error) => {
                self.problems.push(scope::cannot_expand(&error, &word.span));
                return word.text.clone();
            }
        };
        if expansion.text.is_empty() {
            let message = format!("the {what} `{}` is empty once its variables are replaced", word.text);
            let mut problem = Diagnostic::error("empty-base", word.span.clone(), message);
            if let Some(name) = expansion.unset.iter().next() {
                let known = graph.global.names();
                problem = problem.with_likely(name, known);
                problem.hint.get_or_insert_with(|| format!("declare ARG {name} before the first FROM"));
            }
            self.problems.push(problem);
        }
        expansion.text
    }

    fn target(&mut self, graph: &StageGraph) -> Option<usize> {
        let Some(target) = self.options.target else { return graph.stages.len().checked_sub(1) };
        let found = graph.find(target);
        if found.is_none() {
            let names: Vec<&str> = graph.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
            let message = format!("target stage `{target}` could not be found");
            let mut problem = Diagnostic::error("unknown-target", 0..0, message);
            problem.hint = match likely(target, names.iter().copied()) {
                Some(name) => Some(format!("did you mean {name}?")),
                None if names.is_empty() => Some("no stage of the file has a name".to_owned()),
                None => Some(format!("the stages are {}", names.join(", "))),
            };
            self.problems.push(problem);
        }
        found
    }

    /// Finds what each stage needs. All names are known by now, later ones too.
    fn needs(&mut self, graph: &mut StageGraph) {
        let count = graph.stages.len();
        for stage in &mut graph.stages {
            let own = stage.instructions.iter().map(|instruction| (instruction, None));
            let triggers = stage.triggers.iter().map(|trigger| (trigger, Some(&stage.span)));
            for (instruction, place) in triggers.chain(own) {
                match needs::of(instruction, &graph.by_name, count) {
                    Ok(needs) => stage.needs.extend(needs.into_iter().map(|need| match place {
                        Some(span) => Need { span: span.clone(), ..need },
                        None => need,
                    })),
                    Err(problem) => {
                        let span = place.cloned().unwrap_or(problem.span);
                        self.problems.push(Diagnostic { span, ..problem });
                    }
                }
            }
        }
    }
}

/// The instructions that a stage's ONBUILDs add to a stage that starts from it. What is wrong with them was said when the file was
/// read, where they stand.
fn triggers(stage: &Stage) -> Arc<[Instruction]> {
    let trigger = |instruction: &Instruction| match &instruction.kind {
        InstructionKind::Onbuild { instruction, .. } => Some((**instruction).clone()),
        _ => None,
    };
    stage.instructions.iter().filter_map(trigger).collect()
}
