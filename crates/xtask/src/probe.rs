//! `cargo xtask probe`: the prebuilt bytes of crates/probe, and whether they come of its source.
//!
//! longshore carries the program as bytes, since whoever builds longshore need not have the compiler for each platform of an image. The
//! record beside them names the compiler, which brings its linker along; the same compiler makes the same bytes, in any folder.

use std::path::PathBuf;

use longshore_oci::Digest;
use serde_json::{Value, json};

use crate::command::{Result, cargo, command, context, output, repository, run, target_folder, write};
use crate::totals::Totals;

/// The name of an architecture in images, the compiler's name of it, and the most bytes that its program may have.
const ARCHITECTURES: [(&str, &str, usize); 2] =
    [("amd64", "x86_64-unknown-linux-musl", 10_000), ("arm64", "aarch64-unknown-linux-musl", 16_000)];

/// What the compiler and its linker are told beside what the profile says: no C library, nothing that starts or unwinds one, and only what
/// makes the program smaller. The target is musl's since its programs are static; nothing of musl is linked.
const FLAGS: [&str; 17] = [
    "-Clinker=rust-lld",
    "-Clinker-flavor=ld.lld",
    "-Clink-self-contained=no",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Cforce-unwind-tables=no",
    "-Cjump-tables=no",
    "-Cllvm-args=-inline-threshold=50",
    "-Clink-arg=-static",
    "-Clink-arg=-znoexecstack",
    "-Clink-arg=-znorelro",
    "-Clink-arg=-znosectionheader",
    "-Clink-arg=--build-id=none",
    "-Clink-arg=--no-eh-frame-hdr",
    "-Clink-arg=--orphan-handling=error",
    "-Clink-arg=--fatal-warnings",
    "-Clink-arg=-T",
];

fn folder() -> PathBuf {
    repository().join("crates/probe")
}

fn record() -> PathBuf {
    folder().join("prebuilt/record.json")
}

fn prebuilt(architecture: &str) -> PathBuf {
    folder().join("prebuilt").join(format!("probe-{architecture}"))
}

/// Builds the program for each architecture, and compares it with the prebuilt one or, with `--write`, takes its place.
pub(crate) fn probe(arguments: &[&str]) -> Result<bool> {
    match arguments {
        [] => match unlike_record()? {
            Some(reason) => Err(format!("the prebuilt bytes cannot be checked, because {reason}")),
            None => check(),
        },
        ["--write"] => write_all(),
        _ => Err("usage: cargo xtask probe [--write]".into()),
    }
}

/// Lints and tests the program, which is outside the workspace, and checks its prebuilt bytes where the compiler that made them is here.
pub(crate) fn test(totals: &mut Totals) -> Result<()> {
    let manifest = folder().join("Cargo.toml");
    for (name, words) in [
        ("formatting of the probe", &["fmt", "--check"][..]),
        ("lints of the probe", &["clippy", "--all-targets", "--locked", "--quiet"]),
        ("unit tests of the probe", &["test", "--locked", "--quiet"]),
    ] {
        let mut command = cargo();
        command.arg(words[0]).arg("--manifest-path").arg(&manifest).args(&words[1..]);
        command.env("CARGO_TARGET_DIR", target());
        if words[0] == "clippy" {
            command.args(["--", "-D", "warnings"]);
        }
        totals.count(name, run(&mut command)?);
    }
    const NAME: &str = "prebuilt bytes of the probe (cargo xtask probe)";
    match unlike_record()? {
        Some(reason) => totals.skip(NAME.to_owned(), reason),
        None => totals.count(NAME, check()?),
    }
    Ok(())
}

/// A target folder of its own: the profiles differ.
fn target() -> PathBuf {
    target_folder().join("probe")
}

fn compiler() -> Result<String> {
    Ok(output(command("rustc").arg("--version"))?.trim().to_owned())
}

/// Why the bytes that are made here cannot be compared with the prebuilt ones.
fn unlike_record() -> Result<Option<String>> {
    let text = std::fs::read(record()).map_err(context(format!("cannot read {}", record().display())))?;
    let known: Value = serde_json::from_slice(&text).map_err(context("the record is not JSON"))?;
    let (made_by, here) = (known["compiler"].as_str().unwrap_or_default(), compiler()?);
    if made_by != here {
        return Ok(Some(format!("they were made by {made_by}, and {here} is here")));
    }
    for (_, target, _) in ARCHITECTURES {
        if !has_target(target)? {
            return Ok(Some(format!("the compiler lacks {target}, and rustup could not add it")));
        }
    }
    Ok(None)
}

/// Whether the compiler has a target's `core`, which rustup is asked for if not.
fn has_target(target: &str) -> Result<bool> {
    let root = output(command("rustc").args(["--print", "sysroot"]))?;
    let library = PathBuf::from(root.trim()).join("lib/rustlib").join(target).join("lib");
    if library.is_dir() {
        return Ok(true);
    }
    let added =
        crate::command::find("rustup").is_some() && run(command("rustup").args(["target", "add", target]))?;
    Ok(added && library.is_dir())
}

fn check() -> Result<bool> {
    let mut same = true;
    for (architecture, target, most) in ARCHITECTURES {
        let built = build(target)?;
        let path = prebuilt(architecture);
        let known = std::fs::read(&path).map_err(context(format!("cannot read {}", path.display())))?;
        let verdict = if built == known { "as it is built" } else { "NOT as it is built" };
        println!("{}: {} bytes, {verdict}", path.display(), known.len());
        if known.len() > most {
            println!("  it may have at most {most}");
        }
        same &= built == known && known.len() <= most;
    }
    let recorded = std::fs::read_to_string(record()).map_err(context("cannot read the record"))?;
    if recorded != made_record()? {
        println!("{}: NOT what belongs to these bytes", record().display());
        same = false;
    }
    if !same {
        println!(
            "`cargo xtask probe --write` takes what is built; it changes the images that have it (CONTRIBUTING.md)."
        );
    }
    Ok(same)
}

fn write_all() -> Result<bool> {
    for (architecture, target, _) in ARCHITECTURES {
        if !has_target(target)? {
            return Err(format!("the compiler lacks {target}: rustup target add {target}"));
        }
        write(&prebuilt(architecture), build(target)?)?;
    }
    write(&record(), made_record()?)?;
    check()
}

/// The record that belongs to the prebuilt bytes and the compiler that is here.
fn made_record() -> Result<String> {
    let mut files = serde_json::Map::new();
    for (architecture, target, _) in ARCHITECTURES {
        let path = prebuilt(architecture);
        let bytes = std::fs::read(&path).map_err(context(format!("cannot read {}", path.display())))?;
        files.insert(
            format!("probe-{architecture}"),
            json!({ "target": target, "size": bytes.len(), "digest": Digest::of(&bytes).to_string() }),
        );
    }
    let record = json!({ "compiler": compiler()?, "files": files });
    let text = serde_json::to_string_pretty(&record).map_err(context("the record cannot be written"))?;
    Ok(text + "\n")
}

/// The program for a target of the compiler.
fn build(target: &str) -> Result<Vec<u8>> {
    let mut command = cargo();
    command.args(["rustc", "--release", "--locked", "--quiet", "--target", target, "--manifest-path"]);
    command.arg(folder().join("Cargo.toml")).arg("--").args(FLAGS);
    command.arg(format!("-Clink-arg={}", folder().join("probe.ld").display()));
    command.env("CARGO_TARGET_DIR", self::target());
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "CARGO_INCREMENTAL",
    ] {
        command.env_remove(variable);
    }
    if !run(&mut command)? {
        return Err(format!("the probe does not build for {target}"));
    }
    let path = self::target().join(target).join("release/probe");
    let mut bytes = std::fs::read(&path).map_err(context(format!("cannot read {}", path.display())))?;
    let end = end_of_segment(&bytes)
        .ok_or_else(|| format!("{} is not the ELF file that was asked for", path.display()))?;
    bytes.truncate(end);
    Ok(bytes)
}

/// Where the one segment that is loaded ends in a file of 64-bit little-endian ELF (System V ABI, "Program Header"): behind it the linker leaves
/// space for the section headers that it was told to leave out.
fn end_of_segment(file: &[u8]) -> Option<usize> {
    const HEADERS: usize = 64;
    let number = |place: usize| Some(u64::from_le_bytes(file.get(place..place + 8)?.try_into().ok()?));
    let is_load = file.starts_with(b"\x7fELF\x02\x01") && file.get(HEADERS..HEADERS + 4)? == [1, 0, 0, 0];
    let (start, size) = (number(HEADERS + 8)?, number(HEADERS + 32)?);
    let end = usize::try_from(size).ok().filter(|end| is_load && start == 0 && *end <= file.len())?;
    // Nothing but zeros may be lost.
    file[end..].iter().all(|byte| *byte == 0).then_some(end)
}
