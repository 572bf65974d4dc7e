//! Instructions in the form in which the oracle writes them.

use longshore_dockerfile::instruction::{
    CommandLine, Healthcheck, Instruction, InstructionKind, Mount, Pair, Run, Source, Transfer, Word,
};
use longshore_dockerfile::mount::{MountKind, MountSpec, Sharing};
use longshore_dockerfile::{durations, expand};
use serde_json::{Value, json};

/// What is compared: upstream sorts ports, and writes an empty list as null in places.
pub(crate) fn comparable(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(comparable).collect()),
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, Value)> =
                fields.iter().map(|(name, value)| (name, comparable(value))).collect();
            sorted.sort_by_key(|(name, _)| (*name).clone());
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        other => other.clone(),
    }
}

pub(crate) fn instruction(instruction: &Instruction) -> Value {
    let mut value = kind(&instruction.kind);
    value["lines"] = json!([instruction.line, instruction.last_line]);
    value
}

fn text(word: &Option<Word>) -> Value {
    word.as_ref().map_or("", |word| word.text.as_str()).into()
}

fn texts(words: &[Word]) -> Value {
    words.iter().map(|word| word.text.as_str()).collect()
}

fn pairs(pairs: &[Pair]) -> Value {
    pairs.iter().map(|pair| json!([pair.name.text, pair.value.text, pair.legacy])).collect()
}

fn command(line: &CommandLine) -> Value {
    match line {
        CommandLine::Exec(words) => json!({"exec": true, "line": words}),
        CommandLine::Shell(word) => json!({"exec": false, "line": word.text}),
    }
}

fn kind(kind: &InstructionKind) -> Value {
    match kind {
        InstructionKind::From(from) => json!({
            "kind": "from", "image": from.image.text, "platform": text(&from.platform),
            "name": from.name.as_ref().map_or(String::new(), |name| name.text.to_lowercase()),
        }),
        InstructionKind::Env(list) => json!({"kind": "env", "pairs": pairs(list)}),
        InstructionKind::Label(list) => json!({"kind": "label", "pairs": pairs(list)}),
        InstructionKind::Maintainer(word) => json!({"kind": "maintainer", "text": word.text}),
        InstructionKind::Workdir(word) => json!({"kind": "workdir", "text": word.text}),
        InstructionKind::User(word) => json!({"kind": "user", "text": word.text}),
        InstructionKind::StopSignal(word) => json!({"kind": "stopsignal", "text": word.text}),
        InstructionKind::Onbuild { text, .. } => json!({"kind": "onbuild", "text": text}),
        InstructionKind::Volume(list) => json!({"kind": "volume", "list": texts(list)}),
        InstructionKind::Expose(list) => {
            let mut list = list.clone();
            list.sort_by(|one, other| one.text.cmp(&other.text));
            json!({"kind": "expose", "list": texts(&list)})
        }
        InstructionKind::Shell(list) => json!({"kind": "shell", "list": list}),
        InstructionKind::Cmd(line) => json!({"kind": "cmd", "command": command(line)}),
        InstructionKind::Entrypoint(line) => json!({"kind": "entrypoint", "command": command(line)}),
        InstructionKind::Arg(list) => {
            let arg = |argument: &longshore_dockerfile::instruction::Argument| {
                json!([argument.name.text, argument.value.as_ref().map(|value| &value.text)])
            };
            json!({"kind": "arg", "list": list.iter().map(arg).collect::<Vec<_>>()})
        }
        InstructionKind::Add(add) => {
            let mut value = transfer("add", add);
            value["checksum"] = text(&add.checksum);
            value["keep_git_dir"] = json!(add.keep_git_dir);
            value["unpack"] = json!(add.unpack);
            value
        }
        InstructionKind::Copy(copy) => {
            let mut value = transfer("copy", copy);
            value["from"] = text(&copy.from);
            value["parents"] = json!(copy.parents);
            value
        }
        InstructionKind::Run(run) => self::run(run),
        InstructionKind::Healthcheck(healthcheck) => self::healthcheck(healthcheck),
        other => json!({"kind": format!("{other:?}")}),
    }
}

fn transfer(kind: &str, transfer: &Transfer) -> Value {
    let mut sources = Vec::new();
    let mut contents = Vec::new();
    for source in &transfer.sources {
        match source {
            Source::Path(word) => sources.push(word.text.clone()),
            Source::Heredoc(heredoc) => contents.push(json!([heredoc.name, heredoc.text(), heredoc.expand])),
        }
    }
    json!({
        "kind": kind, "sources": sources, "contents": contents, "destination": transfer.destination.text,
        "chown": text(&transfer.chown), "chmod": text(&transfer.chmod), "link": transfer.link,
        "exclude": texts(&transfer.exclude),
    })
}

fn healthcheck(healthcheck: &Healthcheck) -> Value {
    let mut value = json!({
        "kind": "healthcheck", "test": ["NONE"], "interval": 0, "timeout": 0, "start_period": 0, "start_interval": 0,
        "retries": 0,
    });
    if let Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries } =
        healthcheck
    {
        value["test"] = match command {
            CommandLine::Exec(words) => ["CMD"].into_iter().chain(words.iter().map(String::as_str)).collect(),
            CommandLine::Shell(word) => json!(["CMD-SHELL", word.text]),
        };
        let duration = |word: &Option<Word>| {
            word.as_ref()
                .filter(|word| !word.text.is_empty())
                .map_or(0, |word| durations::parse(&word.text).unwrap())
        };
        value["interval"] = duration(interval).into();
        value["timeout"] = duration(timeout).into();
        value["start_period"] = duration(start_period).into();
        value["start_interval"] = duration(start_interval).into();
        value["retries"] = retries.as_ref().map_or(0, |word| word.text.parse::<i64>().unwrap()).into();
    }
    value
}

fn run(run: &Run) -> Value {
    let files: Vec<Value> =
        run.heredocs.iter().map(|heredoc| json!([heredoc.name, heredoc.content, heredoc.chomp])).collect();
    let mut value = json!({
        "kind": "run", "command": command(&run.command), "files": files,
        "network": run.network.as_ref().map_or("default", |word| word.text.as_str()),
        "security": run.security.as_ref().map_or("sandbox", |word| word.text.as_str()),
    });
    let mounts: Result<Vec<Value>, _> = run.mounts.iter().map(mount).collect();
    match mounts {
        Ok(mounts) => value["mounts"] = mounts.into(),
        Err(()) => value["mounts_error"] = true.into(),
    }
    value
}

fn mount(mount: &Mount) -> Result<Value, ()> {
    let values = [("A", "alpha"), ("T", "cache"), ("N", "42")];
    let lookup =
        |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let spec = MountSpec::read(mount, &|word| expand(word, '\\', &lookup)).map_err(|_| ())?;
    let has = |key: &str| mount.fields.iter().any(|(name, _)| name == key);
    let typed = |keys: &[&str]| {
        let field = mount.fields.iter().rev().find(|(name, _)| keys.contains(&name.as_str()));
        field.and_then(|(_, value)| value.as_ref()).map(|value| expand(&value.text, '\\', &lookup).unwrap())
    };
    Ok(json!({
        "type": match spec.kind {
            MountKind::Bind => "bind",
            MountKind::Cache => "cache",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Secret => "secret",
            MountKind::Ssh => "ssh",
        },
        "from": spec.from.unwrap_or_default(),
        "source": typed(&["source", "src"]).unwrap_or_default(),
        "target": typed(&["target", "dst", "destination"]).unwrap_or_default(),
        "read_only": spec.read_only,
        "size": spec.size.unwrap_or(0),
        "id": typed(&["id"]).unwrap_or_default(),
        "sharing": if has("sharing") {
            match spec.sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            }
        } else {
            ""
        },
        "required": spec.required,
        "env": spec.env,
        "mode": spec.mode.filter(|_| has("mode")),
        "uid": has("uid").then_some(spec.uid),
        "gid": has("gid").then_some(spec.gid),
    }))
}
