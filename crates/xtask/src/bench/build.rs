//! Native builds against ko (nothing changed) and against `go build` itself (one line changed, and cold).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Registry, copy_tree, example};

use super::measure::{alternate, answer, time};
use super::report::Row;
use super::{Bench, recreate};
use crate::command::{Result, command, context, run};

const ROUNDS_UNCHANGED: usize = 15;
const ROUNDS_CHANGED: usize = 7;
const ROUNDS_COLD: usize = 3;
/// Most that "nothing changed" may take.
const AT_MOST: Duration = Duration::from_millis(50);

/// An example, its main package, and the file and line that "one line changed" changes.
struct Subject {
    name: &'static str,
    main: &'static str,
    file: &'static str,
    line: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject { name: "hello", main: ".", file: "main.go", line: "var version = \"dev\"" },
    Subject { name: "shop", main: "./cmd/server", file: "cmd/server/main.go", line: "var version = \"dev\"" },
];

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for subject in &SUBJECTS {
        let job = format!("{}: nothing changed", subject.name);
        match unchanged(bench, subject, &job) {
            Ok(found) => rows.extend(found),
            Err(reason) => rows.push(Row::unmeasured(&job, reason)),
        }
        let job = format!("{}: one line changed", subject.name);
        rows.push(Row::or_reason(&job, changed(bench, subject, &job)));
        let job = format!("{}: cold", subject.name);
        rows.push(Row::or_reason(&job, cold(bench, subject, &job)));
    }
    Ok(rows)
}

/// One side's copy of an example, in a git repository with one commit, and folders for what the side keeps.
struct Side {
    folder: PathBuf,
    module: PathBuf,
}

impl Side {
    fn new(bench: &Bench, subject: &Subject, name: &str) -> Result<Side> {
        let folder = bench.scratch.join(format!("{}-{name}", subject.name));
        recreate(&folder)?;
        let module = folder.join("module");
        copy_tree(&example(subject.name), &module).map_err(context("cannot copy the example"))?;
        commit(&module)?;
        Ok(Side { folder, module })
    }

    fn go_cache(&self) -> PathBuf {
        self.folder.join("go-build")
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn longshore(&self, bench: &Bench, subject: &Subject) -> Command {
        let mut build = command(&bench.longshore);
        build
            .args(["build", subject.main, "-t", &format!("{}:bench", subject.name), "--store"])
            .arg(self.store())
            .args(["--progress", "quiet"])
            .current_dir(&self.module)
            .env("GOCACHE", self.go_cache());
        build
    }

    fn go_build(&self, bench: &Bench, subject: &Subject) -> Command {
        let mut build = command(&bench.peers.go);
        build
            .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(self.folder.join("binary"))
            .arg(subject.main)
            .current_dir(&self.module)
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", self.go_cache());
        build
    }

    /// Changes one line so that it was never so before.
    fn change(&self, subject: &Subject, what: &str) -> Result<()> {
        let path = self.module.join(subject.file);
        let failed = |error| format!("cannot change {}: {error}", path.display());
        let original = std::fs::read_to_string(example(subject.name).join(subject.file)).map_err(failed)?;
        let changed = original.replace(subject.line, &subject.line.replace("dev", what));
        if changed == original {
            return Err(format!("{} holds no line {}", subject.file, subject.line));
        }
        let mut file = std::fs::File::create(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, changed.as_bytes()).map_err(failed)
    }
}

/// Makes a module a git repository with one commit, which is the same wherever and whenever it is made.
pub(super) fn commit(module: &Path) -> Result<()> {
    let steps: [&[&str]; 3] = [
        &["init", "--quiet"],
        &["add", "."],
        &["-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", "One"],
    ];
    for step in steps {
        let mut git = command("git");
        // What a user has configured (signatures, templates) is no part of the measurement.
        git.args(step)
            .current_dir(module)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        git.env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
        if !git.status().is_ok_and(|status| status.success()) {
            return Err("git could not make the commit to build".into());
        }
    }
    Ok(())
}

fn unchanged(bench: &Bench, subject: &Subject, job: &str) -> Result<Vec<Row>> {
    let registry = Registry::start().map_err(|error| error.to_string())?;
    let base = registry.reference("base:1");
    push_base(bench, &base)?;
    let (own, other) = (Side::new(bench, subject, "longshore")?, Side::new(bench, subject, "ko")?);
    let ko = || {
        let mut build = command(&bench.peers.ko);
        build
            .args(["build", "--push=false", "--sbom=none", "--platform=linux/amd64"])
            .arg(format!("--oci-layout-path={}", other.folder.join("layout").display()))
            .arg(subject.main)
            .current_dir(&other.module)
            .env("GOCACHE", other.go_cache())
            .env("KOCACHE", other.folder.join("ko-cache"))
            .env("KO_DOCKER_REPO", registry.reference("ko"))
            .env("KO_DEFAULTBASEIMAGE", &base);
        build
    };
    let first = answer(&mut own.longshore(bench, subject))?;
    time(&mut ko())?;
    let figures =
        alternate(ROUNDS_UNCHANGED, |_| time(&mut own.longshore(bench, subject)), |_| time(&mut ko()))?;
    let again = answer(&mut own.longshore(bench, subject))?;
    if again != first {
        return Err(format!("the digest changed from {first} to {again}"));
    }
    let limit = Row::figure(
        &format!("{job}, by itself"),
        format!("{:.1} ms", figures.0.as_secs_f64() * 1000.0),
        "at most 50 ms",
        figures.0 <= AT_MOST,
    );
    Ok(vec![Row::times(job, "ko", figures, 0.05), limit])
}

/// A base image with one small file: what ko asks its registry for at every build.
fn push_base(bench: &Bench, reference: &str) -> Result<()> {
    let folder = bench.scratch.join("base");
    recreate(&folder.join("etc"))?;
    let file = folder.join("etc/base");
    std::fs::File::create(&file).map_err(context(format!("cannot create {}", file.display())))?;
    let archive = folder.join("base.tar");
    answer(command("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).arg("etc"))?;
    answer(command(&bench.peers.crane).arg("append").arg("-f").arg(&archive).args(["-t", reference]))
        .map(drop)
}

fn changed(bench: &Bench, subject: &Subject, job: &str) -> Result<Row> {
    let (own, other) = (Side::new(bench, subject, "longshore")?, Side::new(bench, subject, "go")?);
    time(&mut own.longshore(bench, subject))?;
    time(&mut other.go_build(bench, subject))?;
    let mut digests = std::collections::BTreeSet::new();
    let figures = alternate(
        ROUNDS_CHANGED,
        |round| {
            own.change(subject, &format!("change {round}"))?;
            let duration = time(&mut own.longshore(bench, subject))?;
            digests.insert(answer(&mut own.longshore(bench, subject))?);
            Ok(duration)
        },
        |round| {
            other.change(subject, &format!("change {round}"))?;
            time(&mut other.go_build(bench, subject))
        },
    )?;
    if digests.len() != ROUNDS_CHANGED {
        return Err(format!("{ROUNDS_CHANGED} changes made {} images", digests.len()));
    }
    Ok(Row::times(job, "go build", figures, 1.05))
}

fn cold(bench: &Bench, subject: &Subject, job: &str) -> Result<Row> {
    let (own, other) = (Side::new(bench, subject, "longshore")?, Side::new(bench, subject, "go")?);
    // The module cache is filled for both.
    if !run(command(&bench.peers.go).args(["mod", "download"]).current_dir(&own.module))? {
        return Err("the modules could not be downloaded".into());
    }
    let figures = alternate(
        ROUNDS_COLD,
        |_| {
            recreate(&own.go_cache())?;
            super::remove(&own.store())?;
            time(&mut own.longshore(bench, subject))
        },
        |_| {
            recreate(&other.go_cache())?;
            time(&mut other.go_build(bench, subject))
        },
    )?;
    Ok(Row::times(job, "go build", figures, 1.05))
}

/// The digest that a build prints, for the digests' table.
pub(crate) fn digest_of(build: &mut Command) -> Result<String> {
    let text = answer(build)?;
    let digest = text.lines().last().unwrap_or_default().to_owned();
    if digest.starts_with("sha256:") {
        Ok(digest)
    } else {
        Err(format!("longshore build printed {text:?}, no digest"))
    }
}

/// `longshore build` of a folder with a store and a GOCACHE.
pub(crate) fn build_command(longshore: &Path, module: &Path, store: &Path, go_cache: &Path) -> Command {
    let mut build = Command::new(longshore);
    build
        .args(["build", ".", "-t", "bench:1", "--progress", "quiet", "--store"])
        .arg(store)
        .current_dir(module)
        .env("GOCACHE", go_cache);
    build
}
