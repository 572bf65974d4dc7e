//! What instructions copy from and mount.

use std::collections::HashMap;

use crate::Diagnostic;
use crate::expand::Expander;
use crate::instruction::{Instruction, InstructionKind, Word, stage_name};

use super::{Need, NeededSource, Stage};

/// What an instruction copies from or mounts, in order.
pub(super) fn of(
    instruction: &Instruction,
    by_name: &HashMap<String, usize>,
    count: usize,
) -> Result<Vec<Need>, Diagnostic> {
    let named = |word: &Word| Need {
        source: match by_name.get(&stage_name(&word.text)) {
            Some(stage) => NeededSource::Stage(*stage),
            None => NeededSource::Image(word.text.clone()),
        },
        span: word.span.clone(),
    };
    match &instruction.kind {
        InstructionKind::Copy(copy) => match &copy.from {
            Some(from) => Ok(vec![copied(from, count)?.unwrap_or_else(|| named(from))]),
            None => Ok(Vec::new()),
        },
        InstructionKind::Run(run) => {
            let from = run.mounts.iter().flat_map(|mount| {
                let fields = mount.fields.iter().rev();
                let from = fields.filter(|(key, _)| key == "from").find_map(|(_, value)| value.as_ref());
                from.filter(|from| !from.text.is_empty())
            });
            Ok(from.map(named).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// A `--from` that is an index.
fn copied(from: &Word, count: usize) -> Result<Option<Need>, Diagnostic> {
    let problem = |code, message: String| Diagnostic::error(code, from.span.clone(), message);
    let is_literal =
        Expander::new('\\', &|_| None).expand(&from.text).is_ok_and(|as_is| as_is.text == from.text);
    if !is_literal {
        let message = "variable expansion is not supported for --from".to_owned();
        let hint = "define a stage with FROM, and an ARG before the first FROM, and use its name";
        return Err(problem("variable-in-from", message).with_hint(hint));
    }
    let Ok(index) = from.text.parse::<i64>() else { return Ok(None) };
    match usize::try_from(index).ok().filter(|index| *index < count) {
        Some(index) => Ok(Some(Need { source: NeededSource::Stage(index), span: from.span.clone() })),
        None => Err(problem("invalid-stage-index", format!("invalid stage index {index}"))),
    }
}

/// Whether a need of the stage `index` is met by a stage that is built only after it, or by itself.
pub(super) fn is_not_above(need: &Need, index: usize) -> bool {
    matches!(need.source, NeededSource::Stage(source) if source >= index)
}

/// A need that closes a circle, and a stage in it. What a stage starts from is always above it and in no circle.
pub(super) fn circle(stages: &[Stage]) -> Option<(usize, &Need)> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; stages.len()];
    for start in 0..stages.len() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        let mut path = vec![(start, 0)];
        while let Some((stage, position)) = path.last_mut() {
            let index = *stage;
            let Some(need) = stages[index].needs.get(*position) else {
                states[index] = State::Done;
                path.pop();
                continue;
            };
            *position += 1;
            let NeededSource::Stage(source) = need.source else { continue };
            match states[source] {
                State::Open => return Some((source, need)),
                State::New => {
                    states[source] = State::Open;
                    path.push((source, 0));
                }
                State::Done => {}
            }
        }
    }
    None
}
