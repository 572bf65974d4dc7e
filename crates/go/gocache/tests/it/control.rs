//! Go's own cache, alone, where it is wrong: what the program in front is for. Should one of these fail, Go has mended it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use longshore_testkit::{Stop, TestResult};
use tempfile::TempDir;

use crate::bench::{Bench, Toolchain, said};
use crate::special::{Body, outputs, sum};

pub(crate) fn all() -> Vec<(&'static str, Body)> {
    vec![
        ("Go alone misses a header elsewhere", header_elsewhere),
        ("Go alone misses an edit of equal size and time", equal_size_and_time),
        ("Go alone uses damaged outputs", damaged_outputs),
    ]
}

const BUILD: &[&str] = &["build", "-o", "main", "."];

/// The program that Go builds, with a cache that it keeps.
fn build(bench: &Bench, cache: &Path) -> Result<Vec<u8>, Stop> {
    let output = bench.go_without(BUILD, cache)?;
    if !output.status.success() {
        return Err(Stop::failed(said(&output)));
    }
    let program = fs::read(bench.project().join("main"))?;
    fs::remove_file(bench.project().join("main"))?;
    Ok(program)
}

fn with_cache(bench: Bench) -> Result<(Bench, TempDir), Stop> {
    let cache = bench.plain_cache()?;
    Ok((bench, cache))
}

fn expect_stale(kept: &[u8], before: &[u8], expected: &[u8]) -> TestResult {
    if before == expected {
        return Err(Stop::failed("the edit changes nothing"));
    }
    if kept != before {
        return Err(Stop::failed("Go's cache sees this by itself"));
    }
    Ok(())
}

fn header_elsewhere() -> TestResult {
    let (bench, cache) = with_cache(sum()?)?;
    let before = build(&bench, cache.path())?;
    bench.write("common/values.h", "#define TWO 3\n")?;
    expect_stale(&build(&bench, cache.path())?, &before, &bench.reference(BUILD)?)
}

fn equal_size_and_time() -> TestResult {
    let (bench, cache) = with_cache(Bench::new(Toolchain::Installed)?)?;
    bench.write("go.mod", "module example.com/shop\n\ngo 1.21\n")?;
    bench.write("main.go", "package main\n\nvar name = \"none\"\n\nfunc main() { println(name) }\n")?;
    bench
        .write("blue.go", "//go:build amd64 || arm64\n\npackage main\n\nfunc init() { name = \"blue\" }\n")?;
    let before = build(&bench, cache.path())?;
    bench
        .write("blue.go", "//go:build never || mips6\n\npackage main\n\nfunc init() { name = \"blue\" }\n")?;
    let kept = build(&bench, cache.path())?;
    let expected = bench.reference(BUILD)?;
    if kept == expected || before == expected {
        return Err(Stop::failed("Go's cache sees this by itself"));
    }
    Ok(())
}

fn damaged_outputs() -> TestResult {
    let (bench, cache) = with_cache(sum()?)?;
    let before = build(&bench, cache.path())?;
    std::thread::sleep(Duration::from_millis(20));
    let mut used = false;
    // Written anew, not in place: the file may have another name in the cache of another test.
    for output in outputs(cache.path())? {
        let object = fs::read(&output)?;
        // The constant 2 in the object of the assembly source, as the machine has it: MOVQ $2, AX.
        let code = [0x48, 0xc7, 0xc0, 2, 0, 0, 0];
        let Some(at) = object.windows(code.len()).position(|window| window == code) else { continue };
        let mut changed = object;
        changed[at + 3] = 7;
        longshore_files::write_atomic(&output, &changed)?;
        used |= build(&bench, cache.path())? != before;
    }
    if !used {
        return Err(Stop::failed("Go's cache sees this by itself"));
    }
    Ok(())
}
