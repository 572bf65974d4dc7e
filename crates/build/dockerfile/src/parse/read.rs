//! One instruction's text to what it says. Follows BuildKit's instructions/parse.go.

use std::ops::Range;

use crate::instruction::{
    Argument, CommandLine, From, Healthcheck, Heredoc, Instruction, InstructionKind, Pair, Word, stage_name,
};
use crate::json::Json;
use crate::source::LogicalLine;
use crate::{Diagnostic, Severity, Span, durations};

use super::command::{self, Parts};
use super::flags::Flags;
use super::{KEYWORDS, words};

/// Faults that BuildKit finds when it reads an ONBUILD; others wait until the trigger runs.
const FOUND_IN_TRIGGERS: [&str; 4] =
    ["json-not-strings", "missing-value", "missing-equals", "invalid-trigger"];

/// Reads one instruction.
pub(super) struct Reader<'l> {
    pub(super) line: &'l LogicalLine,
    pub(super) escape: char,
    /// What the instruction's heredocs hold.
    pub(super) heredocs: Vec<Heredoc>,
    pub(super) diagnostics: &'l mut Vec<Diagnostic>,
}

/// An argument in JSON or as text.
pub(super) enum Form {
    Json(Vec<String>),
    Text(Range<usize>),
}

type Read = Result<InstructionKind, Diagnostic>;

impl Reader<'_> {
    /// Reads `range` of the text: the keyword, and what the instruction says.
    pub(super) fn instruction(&mut self, range: &Range<usize>) -> (Word, InstructionKind) {
        let Parts { keyword, flags, arguments } = command::split(self.line, range, self.escape);
        let keyword = self.line.word(&keyword);
        let upper = keyword.text.to_ascii_uppercase();
        let mut flags = Flags::new(flags);
        let kind = self.kind(&keyword, &upper, &mut flags, &arguments);
        match upper.as_str() {
            "ARG" | "STOPSIGNAL" => self.diagnostics.extend(flags.ignored(&upper)),
            "HEALTHCHECK" if matches!(kind, Ok(InstructionKind::Healthcheck(Healthcheck::None))) => {
                self.diagnostics.extend(flags.ignored("HEALTHCHECK NONE"));
            }
            _ if KEYWORDS.contains(&upper.as_str()) => self.diagnostics.extend(flags.finish()),
            _ => {}
        }
        let kind = kind.unwrap_or_else(|diagnostic| {
            self.diagnostics.push(diagnostic);
            InstructionKind::Malformed
        });
        (keyword, kind)
    }

    fn kind(&mut self, keyword: &Word, upper: &str, flags: &mut Flags, arguments: &Range<usize>) -> Read {
        let place = &keyword.span;
        match upper {
            "ADD" => self.transfer("ADD", place, flags, arguments).map(InstructionKind::Add),
            "ARG" => self.arg(place, arguments),
            "CMD" => Ok(InstructionKind::Cmd(self.command_line("CMD", place, arguments)?)),
            "COPY" => self.transfer("COPY", place, flags, arguments).map(InstructionKind::Copy),
            "ENTRYPOINT" => {
                Ok(InstructionKind::Entrypoint(self.command_line("ENTRYPOINT", place, arguments)?))
            }
            "ENV" => self.pairs("ENV", place, arguments).map(InstructionKind::Env),
            "EXPOSE" => Ok(InstructionKind::Expose(self.at_least_one("EXPOSE", place, arguments)?)),
            "FROM" => self.from(place, flags, arguments),
            "HEALTHCHECK" => self.healthcheck(place, flags, arguments),
            "LABEL" => self.pairs("LABEL", place, arguments).map(InstructionKind::Label),
            "MAINTAINER" => self.exactly_one("MAINTAINER", place, arguments).map(InstructionKind::Maintainer),
            "ONBUILD" => self.onbuild(place, arguments),
            "RUN" => self.run(place, flags, arguments).map(InstructionKind::Run),
            "SHELL" => self.shell(place, arguments),
            "STOPSIGNAL" => self.exactly_one("STOPSIGNAL", place, arguments).map(InstructionKind::StopSignal),
            "USER" => self.exactly_one("USER", place, arguments).map(InstructionKind::User),
            "VOLUME" => self.volume(place, arguments),
            "WORKDIR" => self.exactly_one("WORKDIR", place, arguments).map(InstructionKind::Workdir),
            _ => {
                let message = format!("unknown instruction: {}", crate::expand::shortened(&keyword.text));
                let unknown = Diagnostic::error("unknown-instruction", place.clone(), message);
                Err(unknown.with_likely(&keyword.text, KEYWORDS))
            }
        }
    }

    /// A JSON array of strings, or the text as it is. What is no JSON is text; an array of other things is an error.
    pub(super) fn form(&self, arguments: &Range<usize>) -> Result<Form, Diagnostic> {
        let text = &self.line.text[arguments.clone()];
        let Some(Json::Array(elements)) = text.starts_with('[').then(|| Json::read(text)).flatten() else {
            return Ok(Form::Text(arguments.clone()));
        };
        let string = |element| match element {
            Json::String(text) => Some(text),
            _ => None,
        };
        elements.into_iter().map(string).collect::<Option<_>>().map(Form::Json).ok_or_else(|| {
            let message = "an array in JSON form must hold strings only";
            Diagnostic::error("json-not-strings", self.line.span(arguments), message)
        })
    }

    /// The command of RUN, CMD and ENTRYPOINT. None at all is an empty line for the shell, as with BuildKit.
    pub(super) fn command_line(
        &mut self,
        keyword: &str,
        place: &Span,
        arguments: &Range<usize>,
    ) -> Result<CommandLine, Diagnostic> {
        Ok(match self.form(arguments)? {
            Form::Json(words) => CommandLine::Exec(words),
            Form::Text(range) => {
                if range.is_empty() {
                    let message = format!("{keyword} without a command");
                    self.diagnostics.push(Diagnostic::warning("empty-command", place.clone(), message));
                }
                CommandLine::Shell(self.line.word(&range))
            }
        })
    }

    fn none(&self, keyword: &str, place: &Span) -> Diagnostic {
        let message = format!("{keyword} requires at least one argument");
        Diagnostic::error("missing-argument", place.clone(), message)
    }

    fn exactly_one(&self, keyword: &str, place: &Span, arguments: &Range<usize>) -> Result<Word, Diagnostic> {
        if arguments.is_empty() {
            let message = format!("{keyword} requires exactly one argument");
            return Err(Diagnostic::error("missing-argument", place.clone(), message));
        }
        Ok(self.line.word(arguments))
    }

    fn at_least_one(
        &self,
        keyword: &str,
        place: &Span,
        arguments: &Range<usize>,
    ) -> Result<Vec<Word>, Diagnostic> {
        let words = words::at_blanks(self.line, arguments);
        if words.is_empty() {
            return Err(self.none(keyword, place));
        }
        Ok(words.iter().map(|word| self.line.word(word)).collect())
    }

    fn arg(&self, place: &Span, arguments: &Range<usize>) -> Read {
        let words = words::split(self.line, arguments, self.escape);
        if words.is_empty() {
            return Err(self.none("ARG", place));
        }
        let argument = |range: &Range<usize>| match words::name_and_value(self.line, range) {
            None => Ok(Argument { name: self.line.word(range), value: None }),
            Some((name, _)) if name.text.is_empty() => {
                let span = self.line.span(range);
                Err(Diagnostic::error("blank-name", span, "ARG names can not be blank"))
            }
            Some((name, value)) => Ok(Argument { name, value: Some(value) }),
        };
        words.iter().map(argument).collect::<Result<_, _>>().map(InstructionKind::Arg)
    }

    /// `NAME=value …`, or the old form `NAME value`.
    fn pairs(&self, keyword: &str, place: &Span, arguments: &Range<usize>) -> Result<Vec<Pair>, Diagnostic> {
        let words = words::split(self.line, arguments, self.escape);
        let first = words.first().ok_or_else(|| self.none(keyword, place))?;
        if !self.line.text[first.clone()].contains('=') {
            let text = &self.line.text[arguments.clone()];
            let end = text.find(command::is_blank).ok_or_else(|| {
                let message = format!("{keyword} must have two arguments");
                let hint = "write it as NAME=VALUE";
                Diagnostic::error("missing-value", self.line.span(arguments), message).with_hint(hint)
            })?;
            let value = arguments.end - text[end..].trim_start_matches(command::is_blank).len();
            return Ok(vec![Pair {
                name: self.line.word(&(arguments.start..arguments.start + end)),
                value: self.line.word(&(value..arguments.end)),
                legacy: true,
            }]);
        }
        let pair = |range: &Range<usize>| {
            let problem = |code, message| Diagnostic::error(code, self.line.span(range), message);
            let (name, value) = words::name_and_value(self.line, range).ok_or_else(|| {
                let word = crate::expand::shortened(&self.line.text[range.clone()]);
                problem("missing-equals", format!("no = in `{word}`: it must be of the form name=value"))
                    .with_hint("put the value in quotes if it has blanks")
            })?;
            if name.text.is_empty() {
                return Err(problem("blank-name", format!("{keyword} names can not be blank")));
            }
            Ok(Pair { name, value, legacy: false })
        };
        words.iter().map(pair).collect()
    }

    fn from(&self, place: &Span, flags: &mut Flags, arguments: &Range<usize>) -> Read {
        let platform = flags.text("platform");
        let words: Vec<Word> =
            words::at_blanks(self.line, arguments).iter().map(|word| self.line.word(word)).collect();
        let (image, name) = match &words[..] {
            [image] => (image, None),
            [image, keyword, name] if keyword.text.eq_ignore_ascii_case("AS") => (image, Some(name)),
            _ => {
                let span = if words.is_empty() { place.clone() } else { self.line.span(arguments) };
                let message = "FROM requires either one or three arguments";
                let hint = "write it as FROM IMAGE, or FROM IMAGE AS NAME";
                return Err(Diagnostic::error("invalid-from", span, message).with_hint(hint));
            }
        };
        if let Some(name) = name {
            let lower = stage_name(&name.text);
            let is_valid = lower.starts_with(|first: char| first.is_ascii_lowercase())
                && lower.chars().all(|character| {
                    character.is_ascii_lowercase()
                        || character.is_ascii_digit()
                        || matches!(character, '-' | '_' | '.')
                });
            if !is_valid {
                let message = format!("invalid name for build stage: `{}`", name.text);
                let hint = "a name starts with a letter, and goes on with letters, digits, -, _ and .";
                return Err(
                    Diagnostic::error("invalid-stage-name", name.span.clone(), message).with_hint(hint)
                );
            }
        }
        Ok(InstructionKind::From(From { platform, image: image.clone(), name: name.cloned() }))
    }

    fn healthcheck(&self, place: &Span, flags: &mut Flags, arguments: &Range<usize>) -> Read {
        let text = &self.line.text[arguments.clone()];
        let kind_end = text.find(char::is_whitespace).unwrap_or(text.len());
        let kind = self.line.word(&(arguments.start..arguments.start + kind_end));
        let command = self.line.trim(&(arguments.start + kind_end..arguments.end));
        let form = self.form(&command)?;
        if kind.text.to_uppercase() == "NONE" {
            return self.no_healthcheck(&kind, &form);
        }
        let [every, timeout, start_period, start_interval, tries] =
            ["interval", "timeout", "start-period", "start-interval", "retries"].map(|name| flags.text(name));
        let problem = |message: String| Diagnostic::error("invalid-healthcheck", kind.span.clone(), message);
        match kind.text.to_uppercase().as_str() {
            "" => Err(self.none("HEALTHCHECK", place)),
            "CMD" => {
                let command = match form {
                    Form::Json(words) if !words.is_empty() => CommandLine::Exec(words),
                    Form::Text(range) if !range.is_empty() => CommandLine::Shell(self.line.word(&range)),
                    _ => return Err(problem("missing command after HEALTHCHECK CMD".to_owned())),
                };
                Ok(InstructionKind::Healthcheck(Healthcheck::Command {
                    command,
                    interval: checked(every, interval)?,
                    timeout: checked(timeout, interval)?,
                    start_period: checked(start_period, interval)?,
                    start_interval: checked(start_interval, interval)?,
                    retries: checked(tries, retries)?,
                }))
            }
            _ => {
                let message =
                    format!("unknown type `{}` in HEALTHCHECK", crate::expand::shortened(&kind.text));
                Err(problem(message).with_hint("it is CMD or NONE"))
            }
        }
    }

    fn no_healthcheck(&self, kind: &Word, form: &Form) -> Read {
        let is_empty = match form {
            Form::Json(words) => words.is_empty(),
            Form::Text(range) => range.is_empty(),
        };
        if is_empty {
            return Ok(InstructionKind::Healthcheck(Healthcheck::None));
        }
        let message = "HEALTHCHECK NONE takes no arguments";
        Err(Diagnostic::error("invalid-healthcheck", kind.span.clone(), message))
    }

    fn onbuild(&mut self, place: &Span, arguments: &Range<usize>) -> Read {
        if arguments.is_empty() {
            return Err(self.none("ONBUILD", place));
        }
        let before = self.diagnostics.len();
        let (keyword, kind) = self.instruction(arguments);
        for diagnostic in &mut self.diagnostics[before..] {
            if !FOUND_IN_TRIGGERS.contains(&diagnostic.code) && diagnostic.severity == Severity::Error {
                diagnostic.severity = Severity::Warning;
                diagnostic.hint.get_or_insert_with(|| "it fails when the trigger runs".to_owned());
            }
        }
        let refused = match keyword.text.to_uppercase().as_str() {
            "ONBUILD" => Some("chaining ONBUILD by ONBUILD ONBUILD is not allowed".to_owned()),
            name @ ("MAINTAINER" | "FROM") => Some(format!("{name} is not allowed as an ONBUILD trigger")),
            _ => None,
        };
        if let Some(message) = refused {
            return Err(Diagnostic::error("invalid-trigger", keyword.span, message));
        }
        // Upstream keeps what stands behind the last word.
        let mut text = self.line.text[arguments.start..].to_owned();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        let instruction = Instruction {
            span: self.line.span(arguments),
            keyword,
            line: 0,
            last_line: 0,
            text: self.line.text[arguments.clone()].to_owned(),
            kind,
        };
        Ok(InstructionKind::Onbuild { text, instruction: Box::new(instruction) })
    }

    fn shell(&self, place: &Span, arguments: &Range<usize>) -> Read {
        match self.form(arguments)? {
            Form::Json(words) if !words.is_empty() => Ok(InstructionKind::Shell(words)),
            Form::Text(range) if !range.is_empty() => {
                let message = "SHELL requires the arguments to be in JSON form";
                let hint = r#"write it as SHELL ["program", "argument"]"#;
                Err(Diagnostic::error("shell-not-json", self.line.span(&range), message).with_hint(hint))
            }
            _ => Err(self.none("SHELL", place)),
        }
    }

    fn volume(&self, place: &Span, arguments: &Range<usize>) -> Read {
        let volumes: Vec<Word> = match self.form(arguments)? {
            Form::Json(words) => {
                let span = self.line.span(arguments);
                words.iter().map(|text| Word { text: text.trim().to_owned(), span: span.clone() }).collect()
            }
            Form::Text(range) => {
                words::at_blanks(self.line, &range).iter().map(|word| self.line.word(word)).collect()
            }
        };
        if volumes.is_empty() {
            return Err(self.none("VOLUME", place));
        }
        if volumes.iter().any(|volume| volume.text.is_empty()) {
            let message = "VOLUME can not be an empty string";
            return Err(Diagnostic::error("empty-volume", self.line.span(arguments), message));
        }
        Ok(InstructionKind::Volume(volumes))
    }
}

/// A flag's value if `check` has nothing against it.
fn checked(
    word: Option<Word>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Option<Word>, Diagnostic> {
    if let Some(word) = &word
        && !word.text.is_empty()
    {
        check(&word.text)
            .map_err(|message| Diagnostic::error("invalid-healthcheck", word.span.clone(), message))?;
    }
    Ok(word)
}

fn interval(text: &str) -> Result<(), String> {
    let duration = durations::parse(text).map_err(|error| error.to_string())?;
    if duration != 0 && duration < durations::MILLISECOND {
        return Err(format!("the interval `{text}` cannot be less than 1ms"));
    }
    Ok(())
}

fn retries(text: &str) -> Result<(), String> {
    match text.parse::<i32>() {
        Ok(0..) => Ok(()),
        Ok(_) => Err(format!("--retries cannot be negative ({text})")),
        Err(_) => Err(format!("--retries is not a number: `{text}`")),
    }
}
