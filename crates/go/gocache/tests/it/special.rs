//! What a table of edits cannot say: damage, strangers' toolchains, builds at the same time, and everything that must go past the cache.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Stop, TestResult};

use crate::bench::{Bench, Toolchain, is_long, said};

pub(crate) type Body = fn() -> TestResult;

pub(crate) fn all() -> Vec<(&'static str, Body)> {
    let mut all: Vec<(&'static str, Body)> = vec![
        ("-a and an empty cache give the same program", all_from_nothing),
        ("outputs that were damaged are not used", damaged_outputs),
        ("a pruned cache is filled again", pruned_cache),
        ("projects with the same module path", same_module_path),
        ("a target that is there is written anew", present_target),
        ("with cgo, Go is left alone", cgo_is_left_alone),
        ("variables and flags that steer tools", steered_tools),
        ("an absent header that appears", header_that_appears),
        ("vet fills the same cache", vet_then_build),
        ("builds at the same time", builds_at_the_same_time),
        ("everything else is as without", everything_else_is_the_same),
        ("errors are those of Go", errors_are_those_of_go),
        ("no other go on the PATH", no_other_go),
    ];
    if is_long() {
        all.push(("a toolchain that was changed has another cache", changed_toolchain));
    }
    all
}

pub(crate) const GUIDE: &[&str] = &["build", "-a", "-installsuffix", "cgo", "-o", "main", "."];

fn shop() -> Result<Bench, Stop> {
    let bench = Bench::new(Toolchain::Installed)?;
    bench.write("go.mod", "module example.com/shop\n\ngo 1.21\n")?;
    bench.write(
        "main.go",
        "package main\n\nimport \"example.com/shop/one\"\n\nfunc main() { println(one.Name) }\n",
    )?;
    bench.write("one/one.go", "package one\n\nvar Name = \"one\"\n")?;
    Ok(bench)
}

pub(crate) fn sum() -> Result<Bench, Stop> {
    let bench = Bench::new(Toolchain::Installed)?;
    bench.write("go.mod", "module example.com/shop\n\ngo 1.21\n")?;
    bench.write(
        "main.go",
        "package main\n\nimport \"example.com/shop/sum\"\n\nfunc main() { println(sum.Two()) }\n",
    )?;
    bench.write("sum/sum.go", "package sum\n\nfunc two() int64\n\nfunc Two() int64 { return two() }\n")?;
    bench.write("sum/sum_amd64.s", "#include \"textflag.h\"\n#include \"../common/values.h\"\n\nTEXT ·two(SB), NOSPLIT, $0-8\n\tMOVQ $TWO, AX\n\tMOVQ AX, ret+0(FP)\n\tRET\n")?;
    bench.write("common/values.h", "#define TWO 2\n")?;
    Ok(bench)
}

/// Go's outputs in all compartments of the cache.
pub(crate) fn outputs(folder: &Path) -> Result<Vec<PathBuf>, Stop> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(outputs(&entry.path())?);
        } else if entry.file_name().to_string_lossy().ends_with("-d") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Changes a byte in the middle of a file; its size and its time of modification stay.
pub(crate) fn damage(path: &Path) -> TestResult {
    let mut file = File::options().read(true).write(true).open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() == 0 {
        return Ok(());
    }
    let middle = SeekFrom::Start(metadata.len() / 2);
    let mut byte = [0];
    file.seek(middle)?;
    file.read_exact(&mut byte)?;
    file.seek(middle)?;
    file.write_all(&[byte[0] ^ 0x20])?;
    file.set_modified(metadata.modified()?)?;
    Ok(())
}

fn all_from_nothing() -> TestResult {
    let bench = shop()?;
    let with_cache = bench.build(GUIDE)?;
    let empty = tempfile::tempdir()?;
    let output = bench.go_without(GUIDE, empty.path())?;
    if bench.take_program(&output)? != with_cache {
        return Err(Stop::failed("the program is another when everything is compiled"));
    }
    Ok(())
}

fn damaged_outputs() -> TestResult {
    let bench = shop()?;
    let first = bench.build(GUIDE)?;
    std::thread::sleep(Duration::from_millis(1100));
    bench.build_noted(GUIDE, "go build: with the cache, -a taken out")?;
    let outputs = outputs(bench.cache().folder())?;
    if outputs.len() < 40 {
        return Err(Stop::failed(format!("only {} outputs are in the cache", outputs.len())));
    }
    for output in outputs.iter().step_by(2) {
        damage(output)?;
    }
    let again = bench.build_noted(GUIDE, "damaged files removed from it")?;
    if again != first {
        return Err(Stop::failed("the damage is in the program"));
    }
    for output in outputs.iter().skip(1).step_by(8) {
        File::options().write(true).open(output)?.set_len(10)?;
    }
    bench.build_noted(GUIDE, "damaged files removed from it")?;
    Ok(())
}

fn pruned_cache() -> TestResult {
    let bench = shop()?;
    bench.build(GUIDE)?;
    for output in outputs(bench.cache().folder())?.iter().step_by(2) {
        fs::remove_file(output)?;
    }
    bench.build(GUIDE)?;
    if is_long() {
        fs::remove_dir_all(bench.cache().folder())?;
        fs::create_dir(bench.cache().folder())?;
        bench.build(GUIDE)?;
    }
    Ok(())
}

fn same_module_path() -> TestResult {
    let mut bench = shop()?;
    let trimmed = ["build", "-a", "-trimpath", "-o", "main", "."];
    let (first, first_trimmed) = (bench.build(GUIDE)?, bench.build(&trimmed)?);
    bench.switch("other")?;
    bench.write("go.mod", "module example.com/shop\n\ngo 1.21\n")?;
    bench.write(
        "main.go",
        "package main\n\nimport \"example.com/shop/one\"\n\nfunc main() { println(one.Name) }\n",
    )?;
    bench.write("one/one.go", "package one\n\nvar Name = \"two\"\n")?;
    if bench.build(GUIDE)? == first || bench.build(&trimmed)? == first_trimmed {
        return Err(Stop::failed("two projects give one program"));
    }
    bench.write("one/one.go", "package one\n\nvar Name = \"one\"\n")?;
    if bench.build(GUIDE)? == first || bench.build(&trimmed)? != first_trimmed {
        return Err(Stop::failed("the folder is in the program if and only if paths are not trimmed"));
    }
    Ok(())
}

fn changed_toolchain() -> TestResult {
    let mut bench = shop()?;
    let root = PathBuf::from(
        String::from_utf8_lossy(&Command::new("go").args(["env", "GOROOT"]).output()?.stdout).trim(),
    );
    let copy = bench.path("goroot");
    let status = Command::new("cp").args(["-a", "--reflink=auto"]).arg(&root).arg(&copy).status()?;
    if !status.success() {
        return Err(Stop::failed("the toolchain cannot be copied"));
    }
    let path = format!("{}:{}", copy.join("bin").display(), bench.environment["PATH"]);
    bench.environment.insert("PATH".into(), path);
    bench.environment.insert("GOROOT".into(), copy.display().to_string());
    let first = bench.build(GUIDE)?;

    // A compiler of the same version that compiles otherwise: without inlining.
    let tools = copy.join("pkg/tool").join(format!("linux_{}", go_arch()));
    fs::rename(tools.join("compile"), bench.path("compile"))?;
    let script = "#!/bin/sh\ncase \"$1\" in -V=full) exec REAL \"$@\";; esac\nexec REAL -l \"$@\"\n";
    let script = script.replace("REAL", &bench.path("compile").display().to_string());
    longshore_files::write_atomic(&tools.join("compile"), script.as_bytes())?;
    fs::set_permissions(tools.join("compile"), fs::Permissions::from_mode(0o755))?;
    // Go's cache takes the two for one: only an empty one tells what this compiler makes.
    let empty = tempfile::tempdir()?;
    let output = bench.go_without(GUIDE, empty.path())?;
    let expected = fs::read(bench.project().join("main"))?;
    fs::remove_file(bench.project().join("main"))?;
    if !output.status.success() || expected == first {
        return Err(Stop::failed(format!("the other compiler makes the same: {}", said(&output))));
    }
    let output = bench.go_with_cache(GUIDE)?;
    if !output.status.success() || fs::read(bench.project().join("main"))? != expected {
        return Err(Stop::failed(format!("what the other compiler made was used: {}", said(&output))));
    }
    Ok(())
}

fn go_arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn present_target() -> TestResult {
    let bench = shop()?;
    let program = bench.build(GUIDE)?;
    let target = bench.project().join("main");
    // It has the build ID of what is going to be built, and something else in it.
    let mut other = program.clone();
    other.extend_from_slice(b"signed");
    longshore_files::write_atomic(&target, &other)?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
    let output = bench.go_with_cache(GUIDE)?;
    if !output.status.success() || fs::read(&target)? != program {
        return Err(Stop::failed(format!("the target is not what was built: {}", said(&output))));
    }
    let notes = bench.cache().take_notes()?;
    let expected = "go build: without the cache: with -a, ./main would be written anew, but may be left as it is without (list it in .dockerignore)";
    if notes != [expected] {
        return Err(Stop::failed(format!("the notes are {notes:?}")));
    }
    Ok(())
}

fn cgo_is_left_alone() -> TestResult {
    let mut bench = shop()?;
    let before = outputs(bench.cache().folder())?;
    bench.environment.insert("CGO_ENABLED".into(), "1".into());
    bench.build_noted(&["build", "-o", "main", "."], "go build: without the cache: cgo is on")?;
    if outputs(bench.cache().folder())? != before {
        return Err(Stop::failed("something went into the cache"));
    }
    Ok(())
}

fn steered_tools() -> TestResult {
    let mut bench = shop()?;
    let build = ["build", "-o", "main", "."];
    for (name, value) in [("GODEBUG", "gotypesalias=0"), ("GOFLAGS", "-asmflags=-D=X")] {
        let before = bench.environment.insert(name.into(), value.into());
        bench.build_noted(&build, "without the cache")?;
        match before {
            Some(before) => bench.environment.insert(name.into(), before),
            None => bench.environment.remove(name),
        };
    }
    bench.build_noted(
        &["build", "-x", "-o", "main", "."],
        "without the cache: the effect of -x is not known",
    )?;
    bench.build(&build)?;
    Ok(())
}

/// An assembler would take it in place of the one it took before.
fn header_that_appears() -> TestResult {
    let bench = sum()?;
    let before = bench.build(GUIDE)?;
    bench.write("sum/_textflag.h", "")?;
    bench.write("sum/sum_amd64.s", "#include \"textflag.h\"\n#include \"asm_ppc64x.h\"\n#include \"../common/values.h\"\n\nTEXT ·two(SB), NOSPLIT, $0-8\n\tMOVQ $TWO, AX\n\tMOVQ AX, ret+0(FP)\n\tRET\n")?;
    bench.build(GUIDE)?;
    bench.write("sum/asm_ppc64x.h", "#define TWO 3\n")?;
    bench.write("common/values.h", "")?;
    if bench.build(GUIDE)? == before {
        return Err(Stop::failed("the header changes nothing"));
    }
    Ok(())
}

fn vet_then_build() -> TestResult {
    let bench = sum()?;
    let output = bench.go_with_cache(&["vet", "./..."])?;
    if !output.status.success() {
        return Err(Stop::failed(said(&output)));
    }
    if bench.cache().take_notes()? != ["go vet: with the cache"] {
        return Err(Stop::failed("vet does not use the cache"));
    }
    let before = bench.build(GUIDE)?;
    bench.write("common/values.h", "#define TWO 4\n")?;
    if bench.build(GUIDE)? == before {
        return Err(Stop::failed("the header changes nothing"));
    }
    Ok(())
}

/// Two builds, each of its own tree, share the cache while both run.
fn builds_at_the_same_time() -> TestResult {
    let mut bench = shop()?;
    bench.switch("other")?;
    bench.write("go.mod", "module example.com/shop\n\ngo 1.21\n")?;
    bench.write(
        "main.go",
        "package main\n\nimport \"example.com/shop/one\"\n\nfunc main() { println(one.Name) }\n",
    )?;
    bench.write("one/one.go", "package one\n\nvar Name = \"two\"\n")?;
    let trimmed = ["build", "-a", "-trimpath", "-o", "main", "."];
    let expected = ["project", "other"];
    let mut programs = Vec::new();
    for name in expected {
        bench.switch(name)?;
        programs.push(bench.reference(&trimmed)?);
    }
    let build = |name: &str| {
        let path = format!("{}:{}", bench.path("longshore/go/bin").display(), bench.environment["PATH"]);
        let mut command = Command::new(bench.path("longshore/go/bin/go"));
        command
            .args(trimmed)
            .current_dir(bench.path(name))
            .env_clear()
            .envs(&bench.environment)
            .env("PATH", path);
        command.spawn()
    };
    let mut children = Vec::new();
    for name in expected {
        children.push(build(name)?);
    }
    for (mut child, (name, program)) in children.into_iter().zip(expected.iter().zip(programs)) {
        if !child.wait()?.success() || fs::read(bench.path(name).join("main"))? != program {
            return Err(Stop::failed(format!("{name} is not what it is when built alone")));
        }
    }
    if bench.cache().take_notes()?.len() != 2 {
        return Err(Stop::failed("not both used the cache"));
    }
    Ok(())
}

/// Commands that do not build see nothing of the program in front: not in their environment, nor in their children's.
fn everything_else_is_the_same() -> TestResult {
    let bench = shop()?;
    bench.write("main.go", "package main\n\nimport \"syscall\"\n\nfunc main() {\n\tfor _, variable := range syscall.Environ() {\n\t\tprintln(variable)\n\t}\n}\n")?;
    let before = outputs(bench.cache().folder())?;
    let cache = bench.path("home/.cache/go-build");
    for words in [
        &["env", "GOCACHE", "GOFLAGS", "GODEBUG", "GOROOT"][..],
        &["version"],
        &["list", "-deps", "."],
        &["run", "."],
        &["tool"],
    ] {
        let (with, without) = (bench.go_with_cache(words)?, bench.go_without(words, &cache)?);
        let without_cache = said(&without).replace(&format!("GOCACHE={}\n", cache.display()), "");
        if said(&with) != without_cache
            || with.status.code() != without.status.code()
            || said(&with).is_empty()
        {
            return Err(Stop::failed(format!("go {words:?}:\n{}\n{without_cache}", said(&with))));
        }
    }
    if !bench.cache().take_notes()?.is_empty() || outputs(bench.cache().folder())? != before {
        return Err(Stop::failed("a command that does not build used the cache"));
    }
    Ok(())
}

fn errors_are_those_of_go() -> TestResult {
    let bench = shop()?;
    let cache = bench.plain_cache()?;
    bench.write("one/one.go", "package one\n\nvar Name = undefined\n")?;
    for words in
        [&["build", "-o", "main", "."][..], &["build", "./nowhere"], &["build", "-o"], &["vet", "./..."]]
    {
        for _ in 0..2 {
            let (with, without) = (bench.go_with_cache(words)?, bench.go_without(words, cache.path())?);
            if said(&with) != said(&without)
                || with.status.code() != without.status.code()
                || with.status.success()
            {
                return Err(Stop::failed(format!("go {words:?}:\n{}\n{}", said(&with), said(&without))));
            }
        }
    }
    Ok(())
}

fn no_other_go() -> TestResult {
    let mut bench = shop()?;
    bench.environment.insert("PATH".into(), bench.path("home").display().to_string());
    let output = bench.go_with_cache(&["version"])?;
    if output.status.code() != Some(127) || said(&output) != "go: not found\n" {
        return Err(Stop::failed(format!("{:?}: {}", output.status, said(&output))));
    }
    Ok(())
}
