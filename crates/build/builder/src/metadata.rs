//! Instructions that change an image's configuration and no files.
//!
//! What each leaves in the configuration and in the history is BuildKit's, letter for letter, since people and tools read histories.

use longshore_dockerfile::expand::{ExpandError, expand, expand_words};
use longshore_dockerfile::instruction::{Argument, CommandLine, Healthcheck, Pair};
use longshore_dockerfile::ports::Ports;
use longshore_dockerfile::{Instruction, InstructionKind, Word, durations, signals};
use longshore_oci::Healthcheck as HealthConfig;

use crate::error::{InstructionError, InstructionErrorKind};
use crate::golang::{quoted_list, seconds};
use crate::state::StageState;

/// What an instruction sees besides its stage.
pub(crate) struct Scope<'a> {
    /// The Dockerfile's escape character.
    pub(crate) escape: char,
    /// Values from outside, by `--build-arg`.
    pub(crate) build_args: &'a [(String, String)],
    /// ARGs before the first FROM, and the automatic ones.
    pub(crate) globals: &'a [(String, String)],
}

type Outcome<T> = Result<T, InstructionErrorKind>;

impl StageState {
    /// A word with its quotes taken away and its variables replaced.
    pub(crate) fn expand(&self, word: &str, escape: char) -> Result<String, ExpandError> {
        expand(word, escape, &|name| self.variable(name).map(str::to_owned))
    }
}

/// Applies an instruction that changes no files. False where it is another one.
pub(crate) fn apply(
    state: &mut StageState,
    instruction: &Instruction,
    scope: &Scope<'_>,
) -> Result<bool, InstructionError> {
    apply_kind(state, &instruction.kind, scope).map_err(|kind| InstructionError::of(instruction, kind))
}

fn apply_kind(state: &mut StageState, kind: &InstructionKind, scope: &Scope<'_>) -> Outcome<bool> {
    match kind {
        InstructionKind::Arg(arguments) => arg(state, arguments, scope)?,
        InstructionKind::Env(pairs) => env(state, pairs, scope)?,
        InstructionKind::Label(pairs) => label(state, pairs, scope)?,
        InstructionKind::Cmd(command) => {
            let command = command_words(state, command);
            state.note(format!("CMD {}", quoted_list(&command)));
            state.config.config.cmd = (!command.is_empty()).then_some(command);
            state.config.config.args_escaped = Some(true);
            state.cmd_is_set = true;
        }
        InstructionKind::Entrypoint(command) => {
            let command = command_words(state, command);
            state.note(format!("ENTRYPOINT {}", quoted_list(&command)));
            state.config.config.entrypoint = (!command.is_empty()).then_some(command);
            if !state.cmd_is_set {
                state.config.config.cmd = None;
            }
        }
        InstructionKind::Expose(words) => expose(state, words, scope)?,
        InstructionKind::Healthcheck(check) => healthcheck(state, check)?,
        InstructionKind::Maintainer(word) => {
            let author = state.expand(&word.text, scope.escape)?;
            state.note(format!("MAINTAINER {author}"));
            state.config.author = Some(author);
        }
        InstructionKind::Onbuild { text, .. } => state.config.config.on_build.push(text.clone()),
        InstructionKind::Shell(words) => {
            state.note(format!("SHELL [{}]", words.join(" ")));
            state.config.config.shell = Some(words.clone());
        }
        InstructionKind::StopSignal(word) => {
            let signal = state.expand(&word.text, scope.escape)?;
            if signals::number(&signal).is_none() {
                return Err(InstructionErrorKind::Signal(signal));
            }
            state.note(format!("STOPSIGNAL {signal}"));
            state.config.config.stop_signal = Some(signal);
        }
        InstructionKind::User(word) => {
            let user = state.expand(&word.text, scope.escape)?;
            state.note(format!("USER {user}"));
            state.config.config.user = user;
        }
        InstructionKind::Volume(words) => volume(state, words, scope)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn command_words(state: &StageState, command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(line) => {
            let mut words = state.shell();
            words.push(line.text.clone());
            words
        }
    }
}

fn arg(state: &mut StageState, arguments: &[Argument], scope: &Scope<'_>) -> Outcome<()> {
    let find = |list: &[(String, String)], name: &str| {
        list.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut told = Vec::new();
    for argument in arguments {
        let name = &argument.name.text;
        let value = match (find(scope.build_args, name), &argument.value) {
            (Some(given), _) => Some(given),
            (None, Some(default)) => Some(state.expand(&default.text, scope.escape)?),
            (None, None) => find(scope.globals, name),
        };
        if let Some(value) = &value {
            state.set_variable(name, value);
        }
        told.push(value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}")));
        state.arguments.push((name.clone(), value));
    }
    state.note(format!("ARG {}", told.join(" ")));
    Ok(())
}

/// Names and values with variables as they were before the instruction.
fn expand_pairs(state: &StageState, pairs: &[Pair], scope: &Scope<'_>) -> Outcome<Vec<(String, String)>> {
    let expand = |word: &Word| state.expand(&word.text, scope.escape);
    let mut expanded = Vec::with_capacity(pairs.len());
    for pair in pairs {
        expanded.push((expand(&pair.name)?, expand(&pair.value)?));
    }
    Ok(expanded)
}

fn told(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

fn env(state: &mut StageState, pairs: &[Pair], scope: &Scope<'_>) -> Outcome<()> {
    let pairs = expand_pairs(state, pairs, scope)?;
    for (name, value) in &pairs {
        state.set_variable(name, value);
        state.set_image_variable(name, value);
    }
    state.note(format!("ENV{}", told(&pairs)));
    Ok(())
}

fn label(state: &mut StageState, pairs: &[Pair], scope: &Scope<'_>) -> Outcome<()> {
    let pairs = expand_pairs(state, pairs, scope)?;
    for (name, value) in &pairs {
        state.config.config.labels.insert(name.clone(), value.clone());
    }
    state.note(format!("LABEL{}", told(&pairs)));
    Ok(())
}

fn expose(state: &mut StageState, words: &[Word], scope: &Scope<'_>) -> Outcome<()> {
    let mut opened = Vec::new();
    // Sorted as they are written, before variables are replaced.
    let mut words: Vec<&Word> = words.iter().collect();
    words.sort_by(|a, b| a.text.cmp(&b.text));
    for word in words {
        let lookup = |name: &str| state.variable(name).map(str::to_owned);
        for text in expand_words(&word.text, scope.escape, &lookup)? {
            opened.extend(Ports::parse(&text)?.names());
        }
    }
    for port in &opened {
        state.config.config.exposed_ports.insert(port.clone(), serde_json::json!({}));
    }
    state.config.config.exposed_ports.sort_keys();
    state.note(format!("EXPOSE [{}]", opened.join(" ")));
    Ok(())
}

fn volume(state: &mut StageState, words: &[Word], scope: &Scope<'_>) -> Outcome<()> {
    let mut places = Vec::new();
    for word in words {
        let place = state.expand(&word.text, scope.escape)?;
        if place.is_empty() {
            return Err(InstructionErrorKind::EmptyVolume);
        }
        state.config.config.volumes.insert(place.clone(), serde_json::json!({}));
        places.push(place);
    }
    state.config.config.volumes.sort_keys();
    state.note(format!("VOLUME [{}]", places.join(" ")));
    Ok(())
}

fn healthcheck(state: &mut StageState, check: &Healthcheck) -> Outcome<()> {
    let mut config = HealthConfig::default();
    match check {
        Healthcheck::None => config.test = vec!["NONE".to_owned()],
        Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries } => {
            config.test = match command {
                CommandLine::Exec(words) => std::iter::once("CMD".to_owned()).chain(words.clone()).collect(),
                CommandLine::Shell(line) => vec!["CMD-SHELL".to_owned(), line.text.clone()],
            };
            let read = |word: &Option<Word>| -> Outcome<i64> {
                let Some(word) = word else { return Ok(0) };
                Ok(durations::parse(&word.text)?)
            };
            config.interval = read(interval)?;
            config.timeout = read(timeout)?;
            config.start_period = read(start_period)?;
            config.start_interval = read(start_interval)?;
            if let Some(word) = retries {
                let number = || InstructionErrorKind::Retries(word.text.clone());
                config.retries = word.text.parse().map_err(|_| number())?;
                if config.retries < 0 {
                    return Err(number());
                }
            }
        }
    }
    state.note(format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        config.test.join(" "),
        seconds(config.interval),
        seconds(config.timeout),
        seconds(config.start_period),
        seconds(config.start_interval),
        config.retries
    ));
    state.config.config.healthcheck = Some(config);
    Ok(())
}
