//! What a stage begins with: an image, a named context, another stage, nothing.

use longshore_dockerfile::{Base, Instruction, parse_trigger};
use longshore_image::mutate::Draft;
use longshore_oci::{ImageConfig, Platform};

use crate::cache::{BUILDKIT_INLINE, INLINE};
use crate::error::{BuildError, InstructionError, InstructionErrorKind, Place};
use crate::key::KeyWriter;
use crate::request::Context;
use crate::solve::{Mode, Solve, Stop};
use crate::state::{StageState, Step};

impl<'a> Solve<'a> {
    /// What a stage begins with, and the instructions that its base left for it.
    pub(crate) fn base(&self, index: usize, mode: Mode) -> Result<(StageState, Vec<String>), Stop> {
        let stage = &self.graph.stages[index];
        let platform = match &stage.platform {
            Some(platform) => platform.parse().map_err(|_| self.platform_error(index, platform))?,
            None => self.platform.clone(),
        };
        match &stage.base {
            Base::Stage(base) => Ok((self.state_of(*base, mode)?.child(), Vec::new())),
            Base::Image(name) => {
                let mut state = match self.named_context(name) {
                    Some(context) => {
                        self.state_of_context((name, context), Some(&platform), self.from(index), mode)?
                    }
                    None => self.state_of_image(name, &platform, Some(self.from(index)))?,
                };
                let triggers = std::mem::take(&mut state.config.config.on_build);
                Ok((state, triggers))
            }
            Base::Scratch | Base::Context(_) => Ok((self.scratch(&platform), Vec::new())),
        }
    }

    /// The FROM of a stage.
    pub(crate) fn from(&self, index: usize) -> &'a Instruction {
        &self.file.instructions[self.graph.stages[index].from]
    }

    /// Instructions that an image left for whoever builds on it. Messages name the FROM that brought them, since their own lines are in
    /// another file.
    pub(crate) fn read_triggers(&self, triggers: &[String], index: usize) -> Result<Vec<Instruction>, Stop> {
        let from = self.from(index);
        let mut instructions = Vec::new();
        for trigger in triggers {
            let refuse = |why: String| {
                let kind = InstructionErrorKind::Trigger { text: trigger.clone(), why };
                Stop::Failed(Box::new(InstructionError::of(from, kind)).into())
            };
            let instruction = parse_trigger(trigger)
                .map_err(|problems| refuse(problems.into_iter().map(|problem| problem.message).collect()))?;
            self.graph.needs_of(index, &instruction).map_err(|problem| refuse(problem.message))?;
            instructions.push(at_from(instruction, from));
        }
        Ok(instructions)
    }

    fn platform_error(&self, index: usize, platform: &str) -> Stop {
        let kind = InstructionErrorKind::Value {
            what: "the platform",
            value: platform.to_owned(),
            expected: "OS/ARCHITECTURE, such as linux/arm64".to_owned(),
        };
        Stop::Failed(Box::new(InstructionError::of(self.from(index), kind)).into())
    }

    pub(crate) fn scratch(&self, platform: &Platform) -> StageState {
        let key = KeyWriter::new("scratch").finish();
        let chain = self.snapshots().scratch();
        let mut config = ImageConfig::new(platform);
        "/".clone_into(&mut config.config.working_dir);
        StageState::new(key, chain, config, platform.clone())
    }

    /// A stage that begins with an image from a registry or the store.
    pub(crate) fn state_of_image(
        &self,
        name: &str,
        platform: &Platform,
        at: Option<&Instruction>,
    ) -> Result<StageState, Stop> {
        let found = self.images.find(name, platform, self.builder.images, self.request.pull, &self.events);
        let image = found.map_err(|source| BuildError::Image {
            name: name.to_owned(),
            place: at.map(Place::of),
            source,
        })?;
        self.state_on(&image, platform)
    }

    /// A stage that begins with an image.
    fn state_on(&self, image: &longshore_image::Image, platform: &Platform) -> Result<StageState, Stop> {
        // As whatever is put on top of an image begins: with a line of history for each of its layers.
        let mut config = Draft::on(image)?.config;
        // A cache in it is about its own steps.
        for field in [INLINE, BUILDKIT_INLINE] {
            config.unknown.shift_remove(field);
        }
        let mut key = KeyWriter::new("image");
        key.list(
            config
                .rootfs
                .diff_ids
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        );
        key.text(&platform.to_string());
        let chain = self.snapshots().base(image)?;
        let mut state = StageState::new(key.finish(), chain, config, platform.clone());
        state.base_image = Some(image.clone());
        Ok(state)
    }

    /// What a named context holds, as a stage. `at` asks for it.
    pub(crate) fn state_of_context(
        &self,
        (name, context): (&str, &Context),
        platform: Option<&Platform>,
        at: &Instruction,
        mode: Mode,
    ) -> Result<StageState, Stop> {
        let platform = platform.unwrap_or(&self.platform);
        match context {
            Context::Image(image) => {
                let selected = image.select(platform).map_err(|error| BuildError::Image {
                    name: name.to_owned(),
                    place: Some(Place::of(at)),
                    source: error.into(),
                })?;
                self.state_on(&selected, platform)
            }
            Context::Reference(reference) => self.state_of_image(&reference.familiar(), platform, Some(at)),
            Context::Folder(_) | Context::Fetched(_) | Context::Address(_) => {
                let tree = self.named_tree(name, mode)?;
                let mut state = self.scratch(platform);
                let mut key = self.tree_key(&*tree, "")?;
                if let Some(epoch) = self.request.source_date_epoch {
                    // As a layer of a cache it has other times then.
                    key = KeyWriter::new("dated").key(&key).text(&epoch.to_string()).finish();
                }
                if mode == Mode::Build {
                    self.tree_snapshot(&*tree, "", &key)?;
                }
                state.key = key;
                state.steps.push(Step { snapshot: key, is_linked: false });
                state.config.history.push(Default::default());
                Ok(state)
            }
        }
    }
}

/// A trigger as messages name it: its own line is in another file, so that of the FROM that brought it counts.
pub(crate) fn at_from(trigger: Instruction, from: &Instruction) -> Instruction {
    Instruction { line: from.line, last_line: from.last_line, ..trigger }
}
