//! Whether a step gets the cache: a decision from what is known about the step, with nothing run.
//!
//! What the program in front cannot see is decided here: whether anything would miss the build cache that Go leaves in the stage's files
//! when it has no other place. Whether a certain `go` may use the cache is left to that program, which sees the words and the environment
//! that reach Go after every script and makefile. So a line of shell is not parsed here; it is searched for words that could make the
//! difference visible, and in doubt there is no cache.

use std::path::{Path, PathBuf};

use crate::place::{CACHE_TARGET, CacheRoot, HELPER_TARGET};

/// What a RUN instruction runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words<'a> {
    /// A script for a shell, heredocs included.
    Shell(&'a str),
    /// A program and its arguments.
    Program(&'a [String]),
}

/// A RUN instruction, and what its stage is used for.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What it runs.
    pub words: Words<'a>,
    /// Whether the stage's files as a whole become an image, or are exported.
    pub is_exported: bool,
    /// Paths that other stages copy or mount from this stage and from those that start from it.
    pub used_paths: &'a [String],
    /// What later RUN instructions run, in this stage and in those that start from it.
    pub later: &'a [Words<'a>],
    /// Where the step's own `--mount` options mount something.
    pub mounts: &'a [String],
    /// The environment of the step.
    pub environment: &'a [(String, String)],
    /// The user of the step, as the Dockerfile names it; empty for root.
    pub user: &'a str,
    /// The home folder of that user, from the stage's /etc/passwd.
    pub home: &'a str,
}

/// A look-up into the files of a stage: whether there is a file at an absolute path.
pub type Files<'f> = &'f dyn Fn(&str) -> bool;

/// A folder of the host to mount into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// The folder on the host.
    pub source: PathBuf,
    /// Where the step has it. The mount point must not stay in the stage's files.
    pub target: &'static str,
    /// Whether the step may not write to it.
    pub read_only: bool,
}

/// What a step is to get beside what its Dockerfile says. None of it may be part of a cache key or of the image's config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Variables to set.
    pub environment: Vec<(String, String)>,
    /// Folders to mount.
    pub mounts: Vec<CacheMount>,
}

/// Why a step gets no cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The words name neither Go nor what might start it.
    #[error("it does not start Go")]
    NoGo,
    /// There is no program of this name on the PATH.
    #[error("there is no go on the PATH")]
    NotInstalled,
    /// The stage is exported, with the cache that Go leaves in it.
    #[error("the stage is exported, and Go's build cache with it")]
    Exported,
    /// Go's cache, or a folder with it, is used outside the stage.
    #[error("{0} is used outside the stage, and Go's build cache may be in it")]
    Used(String),
    /// The Dockerfile gives Go a cache.
    #[error("the Dockerfile has a mount or a variable for Go's build cache: {0}")]
    OwnCache(String),
    /// A word that hints at a use of the cache, of the PATH, or of another program in front of Go's tools.
    #[error("it says {0:?}")]
    Word(String),
    /// A later step has such a word.
    #[error("a later step says {0:?}")]
    LaterWord(String),
}

/// Words that start Go, or things that usually do.
const STARTERS: [&str; 9] = ["go", "make", "gmake", "task", "just", "mage", "goreleaser", "ninja", "bazel"];

/// Parts of words after which the cache in the stage's files, or the PATH, might be missed or end up in a file.
const PRYING: [&str; 11] = [
    "go-build",
    "GOCACHE",
    ".cache",
    "XDG_CACHE",
    "toolexec",
    "which",
    "whereis",
    "printenv",
    "PATH",
    "/proc/",
    "longshore",
];

/// What later steps may not say: they would look for the cache that Go left.
const PRYING_LATER: [&str; 4] = ["go-build", "GOCACHE", ".cache", "XDG_CACHE"];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Decides whether a step gets the cache, and what to mount for it.
///
/// `helper` is the folder on the host that [`crate::install_helper`] filled; `cache` is that of the project and the step's user.
///
/// Errors: the reason why it gets none.
pub fn advise(
    step: &Step<'_>,
    files: Files<'_>,
    helper: &Path,
    cache: &CacheRoot,
) -> Result<Advice, Refusal> {
    let words = split(step.words);
    if !words.iter().any(|word| starts_go(word)) {
        return Err(Refusal::NoGo);
    }
    if let Some(word) = words.iter().find(|word| is_prying(word, &PRYING)) {
        return Err(Refusal::Word(word.clone()));
    }
    if let Some(pair) = words.windows(2).find(|pair| looks_up(&pair[0], &pair[1])) {
        return Err(Refusal::Word(pair.join(" ")));
    }
    check_stage(step)?;
    let path = variable(step, "PATH").unwrap_or(DEFAULT_PATH);
    let is_installed =
        path.split(':').any(|folder| folder.starts_with('/') && files(&format!("{folder}/go")));
    if !is_installed {
        return Err(Refusal::NotInstalled);
    }
    Ok(Advice {
        environment: vec![("PATH".to_owned(), format!("{HELPER_TARGET}:{path}"))],
        mounts: vec![
            CacheMount { source: helper.to_owned(), target: HELPER_TARGET, read_only: true },
            CacheMount { source: cache.folder().to_owned(), target: CACHE_TARGET, read_only: false },
        ],
    })
}

/// Whether the cache that Go would leave in the stage's files is missed by nobody.
fn check_stage(step: &Step<'_>) -> Result<(), Refusal> {
    if step.is_exported {
        return Err(Refusal::Exported);
    }
    for name in ["GOCACHE", "GOCACHEPROG"] {
        if variable(step, name).is_some_and(|value| !value.is_empty()) {
            return Err(Refusal::OwnCache(name.to_owned()));
        }
    }
    let place = go_cache(step);
    if let Some(mount) = step.mounts.iter().find(|mount| overlaps(mount, &place)) {
        return Err(Refusal::OwnCache(mount.clone()));
    }
    if let Some(path) = step.used_paths.iter().find(|path| overlaps(path, &place)) {
        return Err(Refusal::Used(path.clone()));
    }
    for later in step.later {
        if let Some(word) = split(*later).into_iter().find(|word| is_prying(word, &PRYING_LATER)) {
            return Err(Refusal::LaterWord(word));
        }
    }
    Ok(())
}

fn variable<'s>(step: &Step<'s>, name: &str) -> Option<&'s str> {
    step.environment.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// Where Go would have its cache (os.UserCacheDir).
fn go_cache(step: &Step<'_>) -> String {
    match variable(step, "XDG_CACHE_HOME").filter(|folder| folder.starts_with('/')) {
        Some(folder) => format!("{folder}/go-build"),
        None => format!("{}/.cache/go-build", variable(step, "HOME").unwrap_or(step.home)),
    }
}

/// Whether one of two paths from the root holds the other. Patterns and variables of COPY stand for whatever they might be.
fn overlaps(path: &str, place: &str) -> bool {
    let fixed = path.split(['*', '?', '[', '\\', '$']).next().unwrap_or_default();
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    if path.split('/').any(|part| part == "..") {
        return true;
    }
    let (mut path_parts, place_parts) = (parts(fixed), parts(place));
    if fixed.len() < path.len() && !fixed.ends_with('/') {
        // The last part is only the beginning of a name.
        path_parts.pop();
    }
    path_parts.iter().zip(&place_parts).all(|(one, other)| one == other)
}

fn starts_go(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    STARTERS.contains(&word) || word.starts_with("./") || name.ends_with(".sh") || name.ends_with(".bash")
}

fn is_prying(word: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| match *part {
        // `GOPATH` is another thing; `which` is a word of its own.
        "PATH" => word
            .split(|character: char| !character.is_alphanumeric() && character != '_')
            .any(|name| name == "PATH"),
        "which" | "whereis" | "printenv" => word == *part,
        part => word.contains(part),
    })
}

/// `command -v go`, `type go`; `env` and `set` that print what there is.
fn looks_up(first: &str, second: &str) -> bool {
    matches!((first, second), ("command", "-v" | "-V") | ("type" | "hash", "go"))
        || matches!(first, "env" | "set" | "export" | "declare") && matches!(second, ">" | "|" | ";" | "-p")
}

/// The words of what a step runs. Quotes are taken off, and whatever ends a command or redirects is a word of its own.
fn split(words: Words<'_>) -> Vec<String> {
    let Words::Shell(script) = words else {
        let Words::Program(words) = words else { return Vec::new() };
        // `sh -c` holds a script in one word.
        return words.iter().flat_map(|word| split(Words::Shell(word))).collect();
    };
    let mut found = Vec::new();
    let mut word = String::new();
    for character in script.replace("\\\n", " ").chars() {
        match character {
            '"' | '\'' => {}
            ';' | '|' | '&' | '(' | ')' | '{' | '}' | '<' | '>' | '`' | '\n' => {
                found.push(std::mem::take(&mut word));
                found.push(if character == '\n' { ";".to_owned() } else { character.to_string() });
            }
            character if character.is_whitespace() => found.push(std::mem::take(&mut word)),
            character => word.push(character),
        }
    }
    found.extend([word, ";".to_owned()]);
    found.retain(|word| !word.is_empty());
    found
}

#[cfg(test)]
mod tests;
