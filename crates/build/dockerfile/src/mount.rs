//! What `RUN --mount` asks for, once its values are known.
//!
//! Follows BuildKit's instructions/commands_runmount.go, and dockerfile2llb's convert_runmount.go, convert_secrets.go and
//! convert_ssh.go for the defaults. The order of the fields matters there, and so it does here: `required` and `size` are
//! refused before the `type` that allows them.

use crate::instruction::{Mount, Word};
use crate::values::boolean;
use crate::{Diagnostic, ExpandError, paths, sizes};

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// A folder or file of the context, a stage or an image.
    Bind,
    /// A folder that outlives the build.
    Cache,
    /// A file system in memory.
    Tmpfs,
    /// A secret, as a file or in a variable.
    Secret,
    /// The socket of an SSH agent.
    Ssh,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everyone.
    Shared,
    /// Nobody else: another step gets another folder.
    Private,
    /// One after the other.
    Locked,
}

/// A mount with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// The kind.
    pub kind: MountKind,
    /// The stage or image that is mounted. `None` is the build context for a bind, an empty folder for a cache.
    pub from: Option<String>,
    /// The path in it that is mounted; empty for its root, and for kinds that have none.
    pub source: String,
    /// Where it appears; may be relative to the working folder. `None` for a secret that goes to a variable alone, and where an
    /// SSH mount leaves the place to the builder. Empty is the working folder itself.
    pub target: Option<String>,
    /// Whether writing is refused. What is written to a bind mount is thrown away.
    pub read_only: bool,
    /// Whether the build fails where a secret or agent is not there.
    pub required: bool,
    /// Largest size in bytes of a tmpfs; `None` is without limit.
    pub size: Option<u64>,
    /// Name of the secret, agent or cache. Empty for a bind and a tmpfs.
    pub id: String,
    /// Who may use a cache at the same time.
    pub sharing: Sharing,
    /// Permissions of a cache's folder, a secret's file or an agent's socket. `None` for a bind and a tmpfs.
    pub mode: Option<u32>,
    /// Owner of the same.
    pub uid: u32,
    /// Group of the same.
    pub gid: u32,
    /// Whether owner, group or mode were asked for: a cache that is new gets them only then.
    pub has_owner: bool,
    /// The variable that holds a secret.
    pub env: Option<String>,
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

impl MountSpec {
    /// Reads a mount, its values going through `expand`.
    ///
    /// Errors: a value that cannot be expanded or is not of its key's kind, and keys that do not go with the type.
    pub fn read(
        mount: &Mount,
        expand: &dyn Fn(&str) -> Result<String, ExpandError>,
    ) -> Result<MountSpec, Diagnostic> {
        let mut fields = Fields::new(mount);
        for (key, value) in &mount.fields {
            match value {
                None => fields.flag(key)?,
                Some(word) => {
                    let value = expand(&word.text).map_err(|error| {
                        let message = format!("{error}: {}", error.kind);
                        let problem = Diagnostic::error("invalid-mount", word.span.clone(), message);
                        match error.hint() {
                            Some(hint) => problem.with_hint(hint),
                            None => problem,
                        }
                    })?;
                    fields.set(key, value, word)?;
                }
            }
        }
        fields.finish()
    }
}

/// The fields of a mount as they are read.
struct Fields<'m> {
    mount: &'m Mount,
    kind: MountKind,
    from: Option<String>,
    source: String,
    target: String,
    read_only: Option<bool>,
    required: bool,
    size: Option<u64>,
    id: String,
    sharing: Option<Sharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

impl<'m> Fields<'m> {
    fn new(mount: &'m Mount) -> Self {
        Fields {
            mount,
            kind: MountKind::Bind,
            from: None,
            source: String::new(),
            target: String::new(),
            read_only: None,
            required: false,
            size: None,
            id: String::new(),
            sharing: None,
            mode: None,
            uid: None,
            gid: None,
            env: None,
        }
    }

    fn problem(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("invalid-mount", self.mount.span.clone(), message)
    }

    fn unexpected(&self, key: &str) -> Diagnostic {
        self.problem(format!("unexpected key `{key}` for mount type `{}`", name(self.kind)))
    }

    fn may_be_required(&self) -> bool {
        matches!(self.kind, MountKind::Secret | MountKind::Ssh)
    }

    /// A key without a value.
    fn flag(&mut self, key: &str) -> Result<(), Diagnostic> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" if self.may_be_required() => self.required = true,
            "required" => return Err(self.unexpected(key)),
            _ => return Err(not_a_pair(self.mount, key)),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String, word: &Word) -> Result<(), Diagnostic> {
        let invalid = || {
            let message = format!("invalid value for {key}: `{value}`");
            Diagnostic::error("invalid-mount", word.span.clone(), message)
        };
        let number = |radix: u32| {
            let is_number = !value.starts_with('+');
            is_number.then(|| u32::from_str_radix(&value, radix).ok()).flatten().ok_or_else(invalid)
        };
        match key {
            "type" => {
                let likely = || invalid().with_likely(&value, KINDS.map(|(name, _)| name));
                self.kind = kind(&value).ok_or_else(likely)?;
            }
            "from" => self.from = Some(value).filter(|from| !from.is_empty()),
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.read_only = Some(boolean(&value).ok_or_else(invalid)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(&value).ok_or_else(invalid)?),
            "required" if self.may_be_required() => self.required = boolean(&value).ok_or_else(invalid)?,
            "size" if self.kind == MountKind::Tmpfs => {
                let size = sizes::parse(&value).map_err(|_| invalid().with_hint("write it as 64m or 1g"))?;
                self.size = Some(size).filter(|size| *size > 0);
            }
            "required" | "size" => return Err(self.unexpected(key)),
            "id" => self.id = value,
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(invalid().with_likely(&value, ["shared", "private", "locked"])),
                });
            }
            "mode" => self.mode = Some(number(8)?),
            "uid" => self.uid = Some(number(10)?),
            "gid" => self.gid = Some(number(10)?),
            "env" => self.env = Some(value),
            _ => return Err(unknown_key(self.mount, key)),
        }
        Ok(())
    }

    /// Checks what goes with what, and fills in the defaults.
    fn finish(self) -> Result<MountSpec, Diagnostic> {
        let kind = self.kind;
        let owners = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
        let owner = owners.into_iter().find_map(|(key, value)| value.map(|_| key));
        if let Some(key) = owner.filter(|_| matches!(kind, MountKind::Bind | MountKind::Tmpfs)) {
            return Err(self.problem(format!("{key} is not allowed for mounts of type {}", name(kind))));
        }
        if kind == MountKind::Secret {
            self.check_secret()?;
        }
        if self.sharing.is_some() && kind != MountKind::Cache {
            return Err(self.problem(format!("sharing is not allowed for mounts of type {}", name(kind))));
        }
        if kind == MountKind::Ssh && !self.source.is_empty() {
            return Err(self.problem("a mount of type ssh does not support source"));
        }
        let is_folder = matches!(kind, MountKind::Bind | MountKind::Cache | MountKind::Tmpfs);
        if is_folder && self.target.starts_with('/') && paths::clean(&self.target) == "/" {
            return Err(self.problem(format!("invalid mount target `{}`", self.target)));
        }
        let id = self.default_id();
        let target = match kind {
            MountKind::Secret if self.target.is_empty() && self.env.is_none() => {
                Some(format!("/run/secrets/{}", paths::base(&id)))
            }
            MountKind::Secret | MountKind::Ssh if self.target.is_empty() => None,
            _ => Some(self.target),
        };
        Ok(MountSpec {
            kind,
            from: self.from,
            source: if kind == MountKind::Secret { String::new() } else { self.source },
            target,
            read_only: self.read_only.unwrap_or(!matches!(kind, MountKind::Cache | MountKind::Tmpfs)),
            required: self.required,
            size: self.size,
            id,
            sharing: self.sharing.unwrap_or(Sharing::Shared),
            mode: match kind {
                MountKind::Bind | MountKind::Tmpfs => None,
                MountKind::Cache => self.mode.or(Some(0o755)),
                MountKind::Secret => self.mode.or(Some(0o400)),
                MountKind::Ssh => self.mode.or(Some(0o600)),
            },
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
            has_owner: owner.is_some(),
            env: self.env,
        })
    }

    fn check_secret(&self) -> Result<(), Diagnostic> {
        if self.from.is_some() {
            return Err(self.problem("a secret mount should not have a from"));
        }
        if self.sharing.is_some() {
            return Err(self.problem("a secret mount should not define sharing"));
        }
        if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
            return Err(self.problem("a secret mount needs one of id, source and target"));
        }
        if !self.source.is_empty() && !self.id.is_empty() {
            return Err(self.problem("a secret mount can not have both source and id"));
        }
        Ok(())
    }

    fn default_id(&self) -> String {
        match self.kind {
            MountKind::Bind | MountKind::Tmpfs => String::new(),
            MountKind::Secret if !self.source.is_empty() => self.source.clone(),
            _ if !self.id.is_empty() => self.id.clone(),
            MountKind::Cache => paths::clean(&self.target),
            MountKind::Secret => paths::base(&self.target),
            MountKind::Ssh => "default".to_owned(),
        }
    }
}

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

fn kind(text: &str) -> Option<MountKind> {
    let lower = text.to_lowercase();
    KINDS.into_iter().find(|(name, _)| *name == lower).map(|(_, kind)| kind)
}

fn name(kind: MountKind) -> &'static str {
    KINDS.into_iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

fn unknown_key(mount: &Mount, key: &str) -> Diagnostic {
    let message = format!("unexpected key `{}` in a mount", crate::expand::shortened(key));
    Diagnostic::error("invalid-mount", mount.span.clone(), message).with_likely(key, KEYS)
}

fn not_a_pair(mount: &Mount, key: &str) -> Diagnostic {
    let message = format!("`{}` in a mount must be a key=value pair", crate::expand::shortened(key));
    Diagnostic::error("invalid-mount", mount.span.clone(), message).with_likely(key, KEYS)
}

/// Checks what can be known before variables are: the keys, that `from` is no variable, and all of a mount without variables.
pub(crate) fn check(mount: &Mount) -> Result<(), Diagnostic> {
    let mut is_plain = true;
    for (key, value) in &mount.fields {
        let Some(value) = value else {
            if !["readonly", "ro", "readwrite", "rw", "required"].contains(&key.as_str()) {
                return Err(not_a_pair(mount, key));
            }
            continue;
        };
        if !KEYS.contains(&key.as_str()) {
            return Err(unknown_key(mount, key));
        }
        // A dollar sign at the very end is no variable.
        if key == "from" && value.text.find('$').is_some_and(|at| at + 1 < value.text.len()) {
            let message = "from does not support variables";
            return Err(Diagnostic::error("invalid-mount", value.span.clone(), message)
                .with_hint("define a stage with FROM, and an ARG before the first FROM, and use its name"));
        }
        is_plain &= !value.text.contains(['$', '\'', '"', '\\', '`']);
    }
    if is_plain { MountSpec::read(mount, &|text| Ok(text.to_owned())).map(|_| ()) } else { Ok(()) }
}

/// Takes the value of `--mount` apart: a line of CSV, each field `key=value` or a bare key.
pub(crate) fn fields(value: &Word) -> Result<Vec<(String, Option<Word>)>, Diagnostic> {
    let problem = |message| Diagnostic::error("invalid-mount", value.span.clone(), message);
    let is_literal = value.text.len() == value.span.len();
    let mut fields = Vec::new();
    let mut rest = value.text.as_str();
    if rest.is_empty() {
        return Err(problem("an empty list of fields"));
    }
    loop {
        let start = value.text.len() - rest.len();
        let (field, after) = csv_field(rest).map_err(problem)?;
        let (key, text) = field.split_once('=').map_or((&*field, None), |(key, text)| (key, Some(text)));
        let end = value.text.len() - after.map_or(0, |after| after.len() + 1);
        let span = if is_literal && end - start == field.len() {
            let offset = value.span.start + start;
            offset + field.len() - text.map_or(0, str::len)..offset + field.len()
        } else {
            value.span.clone()
        };
        fields.push((key.to_lowercase(), text.map(|text| Word { text: text.to_owned(), span })));
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// Reads a field, and gives what follows the comma after it.
fn csv_field(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let (field, after) = text.split_once(',').map_or((text, None), |(field, after)| (field, Some(after)));
        return match field.contains('"') {
            true => Err("a quote within a field that does not start with one"),
            false => Ok((field.to_owned(), after)),
        };
    };
    let mut field = String::new();
    loop {
        let (inner, after) = quoted.split_once('"').ok_or("a quote that is not closed")?;
        field.push_str(inner);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                quoted = after;
            }
            None if after.is_empty() => return Ok((field, None)),
            None => {
                let after = after.strip_prefix(',').ok_or("text behind a field in quotes")?;
                return Ok((field, Some(after)));
            }
        }
    }
}
