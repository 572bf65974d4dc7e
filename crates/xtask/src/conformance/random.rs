//! Dockerfiles that nobody thought of: random trees that random steps copy about and take apart.
//!
//! A number makes the case, so that a difference can be looked at again. Commands of a RUN may fail, and often do, without ending the
//! build; what COPY is asked for may be impossible, and then both builders must refuse the same line.

use std::fmt::Write as _;
use std::path::Path;

use longshore_testkit::Random;
use longshore_testkit::conformance::Case;

use super::chain;
use crate::command::{Result, context, write};

/// Files are from this second on, in 2001.
const TIME: usize = 1_000_000_000;

fn name(random: &mut Random) -> &'static str {
    random.of(&["a", "b", "c", "d", "e.go", ".f", "g h"])
}

/// One to three names.
fn path(random: &mut Random) -> String {
    let count = 1 + random.below(3);
    (0..count).map(|_| name(random)).collect::<Vec<_>>().join("/")
}

/// A line of a Dockerfile that needs quoting: the JSON form takes any name.
fn words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Where the cases are, so that one that shows a difference can be looked at and kept.
pub(super) fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/conformance-random")
}

/// Writes the case of a number below `folder`.
pub(super) fn case(number: u64, folder: &Path) -> Result<Case> {
    let mut random = Random(number);
    let name = format!("random-{number}");
    let place = folder.join(&name);
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(context("cannot remove the case's folder"))?;
    }
    std::fs::create_dir_all(&place).map_err(context("cannot make the case's folder"))?;
    let (files, paths) = context_files(&mut random);
    let settings = format!("description = \"made of the number {number}\"\n{files}");
    write(&place.join("case.toml"), &settings)?;
    write(&place.join("Dockerfile"), dockerfile(&mut random, &paths))?;
    Case::read(&place).map_err(|error| chain(&error))
}

/// The declarations of a context's files, and the paths that are there.
fn context_files(random: &mut Random) -> (String, Vec<String>) {
    let (mut text, mut paths, mut plain) = (String::new(), Vec::<String>::new(), Vec::<String>::new());
    let mut folders = vec![String::new()];
    for _ in 0..4 + random.below(10) {
        let folder = folders[random.below(folders.len())].clone();
        let path = format!("{folder}{}", name(random));
        if paths.contains(&path) {
            continue;
        }
        let _ = write!(text, "[[files]]\npath = \"context/{path}\"\n");
        match random.below(6) {
            0 | 1 => {
                let mode = random.of(&["644", "600", "755", "4755", "2711"]);
                // BuildKit takes files of one size and time for the same, also from context to context.
                let time = TIME + random.below(1 << 30);
                let _ = writeln!(text, "text = \"{path} {time}\"\nmode = \"{mode}\"\ntime = {time}");
                plain.push(path.clone());
            }
            2 | 3 => {
                let mode = random.of(&["755", "700", "1777", "2775"]);
                let _ = writeln!(text, "folder = true\nmode = \"{mode}\"");
                folders.push(format!("{path}/"));
            }
            4 => {
                let target = link_target(random);
                let _ = writeln!(text, "link = \"{target}\"");
            }
            _ if plain.is_empty() => {
                let _ = writeln!(text, "hole = 5000");
            }
            _ => {
                let of = &plain[random.below(plain.len())];
                let _ = writeln!(text, "hard = \"context/{of}\"");
            }
        }
        paths.push(path);
    }
    (text, paths)
}

/// Where a link leads: to what may be there, to nothing, out of the tree.
fn link_target(random: &mut Random) -> String {
    match random.below(5) {
        0 => format!("/w/{}", path(random)),
        1 => format!("../{}", path(random)),
        2 => random.of(&[".", "..", "/", "/etc", "../../../.."]).to_owned(),
        _ => path(random),
    }
}

fn dockerfile(random: &mut Random, context: &[String]) -> String {
    let mut text = "FROM busybox AS one\n".to_owned();
    for _ in 0..2 + random.below(5) {
        instruction(random, context, None, &mut text);
    }
    if random.one_in(3) {
        text.push_str("FROM one AS two\n");
    } else {
        let base = random.of(&["busybox", "scratch"]);
        let _ = writeln!(text, "FROM {base} AS two\nCOPY --from=one /w /w");
    }
    for _ in 0..1 + random.below(4) {
        instruction(random, context, Some("one"), &mut text);
    }
    text
}

fn instruction(random: &mut Random, context: &[String], stage: Option<&str>, text: &mut String) {
    // On scratch there is no shell, and the stage may be one.
    let can_run = !text.contains("FROM scratch");
    match random.below(8) {
        0..=2 if can_run => run(random, text),
        3 => {
            let _ = writeln!(text, "WORKDIR /w/{}", path(random).replace(' ', "_"));
        }
        _ => copy(random, context, stage, text),
    }
}

fn copy(random: &mut Random, context: &[String], stage: Option<&str>, text: &mut String) {
    let mut flags = String::new();
    let mut add = |flag: &str| {
        flags.push_str(flag);
        flags.push(' ');
    };
    let stage = stage.filter(|_| random.one_in(2));
    if let Some(stage) = stage {
        add(&format!("--from={stage}"));
    }
    if random.one_in(4) {
        add(random.of(&["--chown=7:8", "--chown=9", "--chown=0:12"]));
    }
    if random.one_in(5) {
        add(random.of(&["--chmod=640", "--chmod=1755", "--chmod=u=rwX,go=r"]));
    }
    if random.one_in(5) {
        add("--link");
    }
    if random.one_in(6) {
        add(&format!("--exclude={}", random.of(&["a", "**/b", "c/*", "*.go"])));
    }
    // What it makes of the whole context, and of links that lead nowhere, BuildKit refuses for no reason that its documents give.
    let has_parents = stage.is_some() && random.one_in(8);
    if has_parents {
        add("--parents");
    }
    let mut named = Vec::new();
    for _ in 0..1 + random.below(2) {
        named.push(match (stage, random.below(5)) {
            (Some(_), 0) => format!("/w/{}", path(random)),
            (Some(_), 1) => "/w/*".to_owned(),
            (Some(_), _) => "/w".to_owned(),
            (None, 0) => ".".to_owned(),
            (None, 1) => random.of(&["*", "a*", "*/b", "./d/"]).to_owned(),
            (None, _) if context.is_empty() => ".".to_owned(),
            (None, _) => context[random.below(context.len())].clone(),
        });
    }
    let slash = if named.len() > 1 || random.one_in(2) { "/" } else { "" };
    named.push(format!("{}{}{slash}", random.of(&["/w/", "/w/", "", "/w/../w/"]), path(random)));
    let _ = writeln!(text, "COPY {flags}{}", words(&named));
}

fn run(random: &mut Random, text: &mut String) {
    let mut commands = vec!["mkdir -p /w && cd /w".to_owned()];
    for _ in 0..1 + random.below(5) {
        let (one, other) = (path(random), path(random));
        let command = match random.below(13) {
            0 | 1 => format!("mkdir -p '{one}'"),
            2 => format!("rm -rf '{one}'"),
            3 => format!("rm -rf '{one}'; mkdir -p '{one}'"),
            4 => format!("ln -sfn '{}' '{one}'", link_target(random)),
            5 => format!("ln '{one}' '{other}'"),
            6 => format!("mv '{one}' '{other}'"),
            7 => format!("chmod {} '{one}'", random.of(&["700", "4711", "1777", "000", "g+s"])),
            8 => format!("chown -hR {} '{one}'", random.of(&["3:4", "daemon", "0:5"])),
            9 => format!("cp -a '{one}' '{other}'"),
            10 => format!("mkfifo '{one}'"),
            // Nobody reads what is written into a pipe.
            _ => format!("test -p '{one}' || echo {} > '{one}'", random.below(9)),
        };
        commands.push(format!("{{ {command}; }} 2>/dev/null"));
    }
    // The first has to work; those behind it may fail.
    let _ = writeln!(text, "RUN {}; true", commands.join("; "));
}
