//! Random changes of a module: whatever memory answers must be what a real build gives.
//!
//! Each step changes something and asks twice: memory, and a build from nothing in another store. A hit that a real build
//! contradicts is the worst mistake that longshore can make. LONGSHORE_RANDOM_STEPS and LONGSHORE_RANDOM_SEED choose how long, and
//! which changes; a failure prints the steps that led to it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use longshore_store::Store;
use longshore_testkit::{Random, TestResult};

use crate::world::World;

/// Steps in CI.
const STEPS: u64 = 150;
const SEED: u64 = 20_261_124;

const FOLDERS: [&str; 3] = ["", "a/", "a/b/"];
const EMBEDDED: [&str; 7] = [
    "static/x.txt",
    "static/deep/y.txt",
    "static/.hidden",
    "static/_under",
    "t1.txt",
    "t2.txt",
    "tools/t3.txt",
];
const SOURCES: [&str; 5] =
    ["extra.go", "extra_linux.go", "extra_windows.go", "extra_test.go", "extra_arm64.go"];

fn module() -> World {
    let world = World::empty();
    write_module(&world);
    world
}

/// Undoes whatever made the module invalid: most of a long run should build.
fn repair(world: &World) -> String {
    remove(&world.source("../go.work"));
    remove(&world.source(""));
    write_module(world);
    "repair".to_owned()
}

fn write_module(world: &World) {
    world.write("go.mod", "module example.com/m\n\ngo 1.24\n");
    world.write(
        "main.go",
        "package main\n\nimport (\n\t\"embed\"\n\n\t\"example.com/m/a\"\n)\n\n//go:embed static t*.txt\nvar files embed.FS\n\nconst number = 1000\n\nfunc main() {\n\tentries, _ := files.ReadDir(\".\")\n\tprintln(a.Name(), len(entries), number)\n}\n",
    );
    world.write("a/a.go", "package a\n\nimport \"example.com/m/a/b\"\n\nconst number = 1000\n\nfunc Name() string { return b.Name }\n");
    world.write("a/b/b.go", "package b\n\nconst number = 1000\n\nvar Name = \"b\"\n");
    world.write("static/x.txt", "1000");
    world.write("t1.txt", "1000");
}

/// Gives a file new content: in place or by a rename, and sometimes with its old time.
fn rewrite(path: &Path, text: &str, random: &mut Random) {
    let stamp = fs::metadata(path).and_then(|about| about.modified()).ok();
    if path.is_dir() || fs::create_dir_all(path.parent().unwrap()).is_err() {
        return;
    }
    if random.below(2) == 0 {
        let _ =
            fs::File::create(path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    } else {
        let _ = longshore_files::write_atomic(path, text.as_bytes());
    }
    if let (Some(stamp), 0) = (stamp, random.below(3)) {
        set_time(path, stamp);
    }
}

fn set_time(path: &Path, time: SystemTime) {
    if let Ok(file) = fs::File::options().write(true).open(path) {
        let _ = file.set_modified(time);
    }
}

fn remove(path: &Path) {
    let _ =
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn toggle(path: &Path, text: &str) {
    if path.exists() {
        remove(path);
    } else {
        let _ = fs::create_dir_all(path.parent().unwrap());
        let _ = longshore_files::write_atomic(path, text.as_bytes());
    }
}

/// Edits a number in a source, so that its size stays.
fn edit(path: &Path, random: &mut Random) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let Some(at) = text.find("number = ") else { return };
    let number = format!("{}", 1000 + random.below(5));
    let edited = format!("{}{number}{}", &text[..at + 9], &text[at + 13..]);
    rewrite(path, &edited, random);
}

/// Puts a link to a moved original in the place of a file or folder, or undoes it.
fn link(path: &Path) {
    let moved = PathBuf::from(format!("{}.moved", path.display()));
    if path.is_symlink() {
        let _ = fs::remove_file(path);
        let _ = fs::rename(moved, path);
    } else if path.exists() && fs::rename(path, &moved).is_ok() {
        let _ = symlink(moved.file_name().unwrap(), path);
    }
}

fn change(world: &World, random: &mut Random) -> String {
    let source = |path: &str| world.source(path);
    let folder = random.of(&FOLDERS);
    let own = source(["main.go", "a/a.go", "a/b/b.go"][FOLDERS.iter().position(|f| *f == folder).unwrap()]);
    let package = ["main", "a", "b"][FOLDERS.iter().position(|f| *f == folder).unwrap()];
    let extra = format!("{folder}{}", random.of(&SOURCES));
    let embedded = random.of(&EMBEDDED);
    match random.below(20) {
        0..=2 => {
            edit(&own, random);
            format!("edit {}", own.display())
        }
        3 => {
            let number = 1000 + random.below(4);
            let constraint =
                random.of(&["", "//go:build linux\n\n", "//go:build windows\n\n", "//go:build ignore\n\n"]);
            let text = format!("{constraint}package {package}\n\nfunc init() {{ println({number}) }}\n");
            rewrite(&source(&extra), &text, random);
            format!("write {extra} {constraint:?}")
        }
        4 => {
            remove(&source(&extra));
            format!("remove {extra}")
        }
        5 => {
            let to = format!("{folder}{}", random.of(&SOURCES));
            let _ = fs::rename(source(&extra), source(&to));
            format!("rename {extra} to {to}")
        }
        6 | 16 => {
            set_time(&own, SystemTime::now());
            format!("touch {}", own.display())
        }
        7 | 8 => {
            let text = format!("{}", 1000 + random.below(4));
            rewrite(&source(embedded), &text, random);
            format!("write {embedded}")
        }
        9 => {
            remove(&source(embedded));
            format!("remove {embedded}")
        }
        10 => {
            let place =
                random.of(&["static/go.mod", "static/deep/go.mod", "a/go.mod", "a/b/go.mod", "docs/go.mod"]);
            toggle(&source(place), "module example.com/nested\n\ngo 1.24\n");
            format!("toggle {place}")
        }
        11 => {
            let (place, text) = random.of(&[
                ("vendor/modules.txt", ""),
                ("go.work", "go 1.24\n\nuse .\n"),
                ("go.sum", ""),
                ("default.pgo", ""),
                ("a/README.md", "text"),
                ("../go.work", "go 1.24\n\nuse ./source\n"),
            ]);
            if place == "vendor/modules.txt" && source("vendor").exists() {
                remove(&source("vendor"));
            } else {
                toggle(&source(place), text);
            }
            format!("toggle {place}")
        }
        12 => {
            let place = random.of(&["a", "a/b", "static", "t1.txt", "a/a.go", "static/x.txt"]);
            link(&source(place));
            format!("link {place}")
        }
        13 => {
            let minor = 22 + random.below(3);
            rewrite(&source("go.mod"), &format!("module example.com/m\n\ngo 1.{minor}\n"), random);
            format!("go 1.{minor}")
        }
        17 => {
            rewrite(&source("docs/notes.md"), "notes", random);
            "write docs/notes.md".to_owned()
        }
        14 => {
            let mode = random.of(&[0o644, 0o600, 0o755]);
            let _ = fs::set_permissions(&own, fs::Permissions::from_mode(mode));
            format!("chmod {mode:o} {}", own.display())
        }
        18 => "nothing".to_owned(),
        _ => {
            if let Ok(text) = fs::read(&own) {
                let _ = longshore_files::write_atomic(&own, &text);
            }
            format!("write the same into {}", own.display())
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn changes_are_never_missed() -> TestResult {
    let (steps, seed) = (number("LONGSHORE_RANDOM_STEPS", STEPS), number("LONGSHORE_RANDOM_SEED", SEED));
    println!("random changes: LONGSHORE_RANDOM_SEED={seed} LONGSHORE_RANDOM_STEPS={steps}");
    let mut random = Random(seed);
    let world = module();
    let (mut hits, mut done) = (0, Vec::new());
    for step in 0..steps {
        let changes = 1 + random.below(2);
        done.extend((0..changes).map(|_| change(&world, &mut random)));
        let recalled = world.build();
        if std::env::var_os("LONGSHORE_RANDOM_VERBOSE").is_some() {
            let told = match &recalled {
                Ok(outcome) => format!("cached: {}, {:?}", outcome.cached, outcome.reason),
                Err(error) => crate::world::chain(error),
            };
            println!("{step}: {:?}: {told}", &done[done.len() - changes..]);
        }
        if recalled.is_err() && random.below(2) == 0 {
            done.push(repair(&world));
            continue;
        }
        let cached = recalled.as_ref().is_ok_and(|outcome| outcome.cached);
        if cached {
            hits += 1;
            let (folder, real) = real_build(&world)?;
            let expected = real.map_err(|error| error.to_string());
            let found = recalled.map(|outcome| outcome.root.digest).map_err(|error| error.to_string());
            assert_eq!(found, expected, "step {step} of seed {seed}: a wrong hit after {done:#?}");
            drop(folder);
        }
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_millis(60));
        }
    }
    println!("random changes: {hits} answers from memory, all of them right");
    assert!(hits > steps / 20, "only {hits} of {steps} builds were answered from memory: nothing was tested");
    Ok(())
}

type Real = Result<longshore_oci::Digest, longshore_gobuild::BuildError>;

/// Builds in a store that remembers nothing.
fn real_build(world: &World) -> Result<(longshore_testkit::Folder, Real), longshore_testkit::Stop> {
    let folder = longshore_testkit::Folder::new()?;
    let store = Store::open(folder.path())?;
    let real = world.with_environment(|environment| {
        let environment = longshore_gobuild::BuildEnvironment {
            store: &store,
            toolchains: environment.toolchains,
            bases: environment.bases,
            variables: environment.variables.clone(),
        };
        longshore_gobuild::build(&world.request, &environment, &longshore_events::Events::silent())
    });
    Ok((folder, real.map(|outcome| outcome.root.digest)))
}
