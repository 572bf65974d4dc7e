//! `longshore build -f`: what a person sees of a Dockerfile's build, above all of one that goes wrong.
//!
//! What comes out of builds is held against BuildKit's in conformance.rs; here it is the words.

use std::process::Stdio;
use std::time::{Duration, Instant};

use longshore_testkit::{Folder, Longshore, Ran, Stop, Suite, TestResult};
use rustix::process::{Pid, Signal, kill_process};

use crate::conformance::bases;
use crate::run::{assert_snapshot, redactions, transcript, user};
use crate::schema;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("dockerfile::every_mistake_is_shown_with_its_line_and_hint", &[], mistakes)
        .test("dockerfile::stages_that_do_not_exist_are_named_with_those_that_do", &[], stages)
        .test("dockerfile::a_copy_of_nothing_says_what_is_near", &[], sources)
        .test("dockerfile::a_failing_run_shows_its_output_and_its_line", &[], failing_run)
        .test("dockerfile::images_and_contexts_that_are_not_there_are_named", &[], missing_images)
        .test("dockerfile::values_that_mean_nothing_are_refused", &[], flags)
        .test("dockerfile::a_frontend_that_is_not_built_in_is_refused", &[], frontends)
        .test("dockerfile::it_may_come_through_a_pipe", &[], piped)
        .test("dockerfile::the_store_may_be_named_from_the_working_folder", &[], relative_store)
        .test("dockerfile::plain_progress_numbers_steps_and_times_their_output", &[], plain)
        .test("dockerfile::json_progress_keeps_to_its_schema", &[], json)
        .test("dockerfile::an_interrupted_build_leaves_nothing_behind", &[], interrupted)
}

/// A folder with these files, beside a Dockerfile.
fn folder(dockerfile: &str, files: &[&str]) -> Result<Folder, Stop> {
    let folder = Folder::new()?;
    folder.write("Dockerfile", dockerfile)?;
    for file in files {
        folder.write(file, "")?;
    }
    Ok(folder)
}

/// The flag by which `busybox` stands for the base image of that name.
pub(crate) fn busybox(base: &str) -> Result<String, Stop> {
    Ok(format!("busybox=oci-layout://{}:{base}", bases()?.folder().display()))
}

/// What a user sees, with those redactions.
fn shown(ran: &Ran, user: &Longshore) -> String {
    let text = transcript(ran, &redactions(user));
    // Numbers in front of output are seconds that differ from run to run.
    let line = |line: &str| match line.split_once(' ') {
        Some((number, rest)) if number.starts_with('#') => match rest.split_once(' ') {
            Some((time, text)) if time.parse::<f64>().is_ok() => format!("{number} [TIME] {text}\n"),
            _ => format!("{line}\n"),
        },
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Builds a Dockerfile that must fail, and compares what the user sees; the store must hold no image afterwards.
fn fails(dockerfile: &str, files: &[&str], arguments: &[&str], snapshot: &str) -> TestResult {
    let folder = folder(dockerfile, files)?;
    let user = user()?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
    let busybox = busybox("busybox")?;
    let build = ["build", "-f", "Dockerfile", "--build-context", &busybox];
    let ran = user.run(build.iter().chain(arguments))?;
    assert!(matches!(ran.status.code(), Some(1 | 2)), "{snapshot}: {}", ran.stderr);
    assert_snapshot(&format!("dockerfile-{snapshot}"), &shown(&ran, &user));
    assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout, "", "{snapshot}");
    Ok(())
}

/// Steps run with a working folder of their own.
fn relative_store() -> TestResult {
    let folder = folder("FROM busybox\nRUN echo one > /one\nRUN test -e /one\n", &[])?;
    let user = user()?.inside(folder.path());
    let busybox = busybox("busybox")?;
    let build = ["--store", "here", "build", "-f", "Dockerfile", "-t", "a:1", "--build-context", &busybox];
    user.run(build)?.succeeded()?;
    let listed = user.run(["--store", "here", "image", "ls", "--quiet"])?.succeeded()?;
    assert_eq!(listed.stdout.lines().count(), 1);
    Ok(())
}

fn mistakes() -> TestResult {
    let several = "FORM busybox\nWORKDIR\nFROM busybox\nCOPY --frm=x a b\n\nRUN --mount=type=bnd,target=/x true\nEXPOSE\n";
    fails(several, &[], &[], "mistakes")?;
    fails("FROM busybox\nHEALTCHECK CMD true\n", &[], &[], "unknown-instruction")?;
    fails("FROM busybox\nRUN <<EOF\necho\n", &[], &[], "open-heredoc")?;
    fails("", &[], &[], "empty")?;
    fails("FROM busybox\nENV A=${B:?must be set}\n", &[], &[], "expansion")?;
    fails("# escape=x\nFROM busybox\nSTOPSIGNAL NOPE\n", &[], &[], "directive")
}

fn stages() -> TestResult {
    let dockerfile =
        "FROM busybox AS builder\nFROM busybox AS test\nFROM busybox\nCOPY --from=builder /x /x\n";
    fails(dockerfile, &[], &["--target", "tset"], "unknown-target")?;
    fails("FROM busybox AS builder\nFROM busybox\nCOPY --from=biulder /x /x\n", &[], &[], "unknown-stage")
}

fn sources() -> TestResult {
    fails("FROM busybox\nCOPY cmd/sevrer/main.go /\n", &["cmd/server/main.go"], &[], "missing-source")?;
    let folder = folder(
        "FROM busybox\n\n# The sources.\nCOPY go.mod \\\n  main.go \\\n  /src/\nRUN true\n",
        &["main.go", "go.mod"],
    )?;
    folder.write(".dockerignore", "*.go\n")?;
    let user = user()?.inside(folder.path());
    let ran = user.run(["build", "-f", "Dockerfile", "--build-context", &busybox("busybox")?])?;
    assert_snapshot("dockerfile-ignored-source", &shown(&ran, &user));
    fails("FROM busybox\nCOPY --from=0 /etc/paswd /\n", &[], &[], "copy-from-itself")?;
    fails("FROM busybox AS a\nFROM busybox\nCOPY --from=a /etc/paswd /\n", &[], &[], "missing-in-stage")?;
    fails("FROM busybox\nCOPY --from=busybox /etc/paswd /\n", &[], &[], "missing-in-image")?;
    let mount = "FROM busybox\nRUN --mount=type=bind,source=scirpts,target=/x true\n";
    fails(mount, &["scripts/a"], &[], "missing-mount")?;
    fails("FROM busybox\nRNU true\n", &[], &[], "transposed")
}

fn failing_run() -> TestResult {
    let dockerfile = "FROM busybox AS builder\n\n# What is built.\nRUN echo one && \\\n    echo two >&2 && \\\n    exit 3\n\nFROM busybox\nCOPY --from=builder /x /x\n";
    fails(dockerfile, &[], &["--progress", "plain"], "failing-run-plain")?;
    fails(dockerfile, &[], &["--progress", "quiet"], "failing-run-quiet")?;
    fails("FROM busybox\nRUN no-such-program --flag\n", &[], &["--progress", "quiet"], "program-not-found")?;
    fails("FROM busybox\nRUN [\"/no/such\"]\n", &[], &["--progress", "quiet"], "cannot-start")?;
    fails("FROM busybox\nRUN kill -9 $$\n", &[], &["--progress", "quiet"], "killed-run")?;
    fails(
        "FROM busybox\nRUN --mount=type=secret,id=key,required true\n",
        &[],
        &["--progress", "quiet"],
        "missing-secret",
    )
}

fn missing_images() -> TestResult {
    fails("FROM golang:1.26 AS build\nRUN go build\n", &[], &[], "offline-base")?;
    fails(
        "FROM busybox\nCOPY --from=docs /x /x\n",
        &[],
        &["--build-context", "docs=./no-such-folder"],
        "missing-context",
    )?;
    let layout = format!("docs=oci-layout://{}:busibox", bases()?.folder().display());
    let folder = folder("FROM docs\n", &[])?;
    let user = user()?.inside(folder.path());
    let ran = user.run(["build", "-f", "Dockerfile", "--build-context", &layout])?;
    let text = shown(&ran, &user).replace(&bases()?.folder().display().to_string(), "[BASES]");
    assert_snapshot("dockerfile-no-such-image-in-layout", &text);
    let ran = user.run([
        "build",
        "-f",
        "Dockerfile",
        "--platform",
        "linux/s390x",
        "--build-context",
        &busybox("platforms")?.replace("busybox=", "docs="),
    ])?;
    assert_snapshot("dockerfile-other-platform", &shown(&ran, &user));
    let docs = busybox("platforms")?.replace("busybox=", "docs=");
    folder.write("Dockerfile", "FROM scratch\n\nCOPY --from=docs /etc/passwd /\n")?;
    let ran =
        user.run(["build", "-f", "Dockerfile", "--platform", "linux/s390x", "--build-context", &docs])?;
    assert_snapshot("dockerfile-other-platform-copied", &shown(&ran, &user));
    Ok(())
}

fn flags() -> TestResult {
    for (arguments, snapshot) in [
        (["--network", "bridge"], "bad-network"),
        (["--isolation", "docker"], "bad-isolation"),
        (["--shm-size", "lots"], "bad-size"),
        (["--secret", "key=s3cr3t"], "bad-secret"),
        (["--ssh", "=x"], "bad-ssh"),
        (["--add-host", "db"], "bad-host"),
        (["--build-context", "docs"], "bad-context"),
        (["--main", "api"], "go-flag"),
        (["--secret", "id=key,src=/no/such/file"], "unreadable-secret"),
    ] {
        fails("FROM busybox\n", &[], &arguments, snapshot)?;
    }
    let user = user()?;
    let ran = user.run(["build", "--target", "x"])?;
    assert_snapshot("dockerfile-flag-without-file", &shown(&ran, &user));
    let folder = Folder::new()?;
    let user = user.inside(folder.path());
    let ran = user.run(["build", "-f", "Dockerfil"])?;
    assert_snapshot("dockerfile-no-such-file", &shown(&ran, &user));
    Ok(())
}

fn frontends() -> TestResult {
    fails("# syntax=example.com/mine:1\nFROM busybox\n", &[], &[], "foreign-frontend")?;
    let dockerfile = "# syntax=docker/dockerfile:1.7\nFROM busybox\n";
    let folder = folder(dockerfile, &[])?;
    let user = user()?.inside(folder.path());
    let ran = user.run(["build", "-f", "Dockerfile", "--build-context", &busybox("busybox")?])?;
    let said = ran.succeeded()?.stderr;
    assert_eq!(said.matches("docker/dockerfile:1.7").count(), 1, "{said}");
    Ok(())
}

fn piped() -> TestResult {
    let folder = folder("FROM busybox\nCOPY hello /\nRUN cat /hello\n", &["hello"])?;
    let user = user()?.inside(folder.path());
    let busybox = busybox("busybox")?;
    let build = |user: &Longshore| -> Result<std::process::Output, Stop> {
        let mut command = user.command(["build", "-f", "-", "--build-context", &busybox]);
        Ok(command.stdin(std::fs::File::open(folder.join("Dockerfile"))?).output()?)
    };
    let built = build(&user)?;
    let digest = String::from_utf8(built.stdout)?;
    assert!(digest.trim_end().parse::<longshore_oci::Digest>().is_ok(), "{digest}");
    folder.write("Dockerfile", "FROM busybox\nCOPY hello /\nRUNN cat /hello\n")?;
    let refused = build(&user)?;
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert_snapshot("dockerfile-piped-mistake", &String::from_utf8(refused.stderr)?);
    Ok(())
}

const STEPS: &str = "\
FROM busybox AS builder
WORKDIR /src
RUN echo one && echo two >&2 && echo made > /made

FROM busybox AS test
RUN exit 1

FROM busybox
COPY --from=builder /made /made
RUN cat /made
";

fn plain() -> TestResult {
    let folder = folder(STEPS, &[])?;
    let user = user()?.inside(folder.path());
    let busybox = busybox("busybox")?;
    let build = ["build", "-f", "Dockerfile", "--build-context", &busybox, "--progress", "plain"];
    let first = user.run(build)?.succeeded()?;
    // Sizes are busybox's.
    let image = |text: String| -> String {
        let line = |line: &str| match line.split_once(" (") {
            Some((digest, rest)) if digest.len() == 12 && !line.starts_with('#') => {
                let steps = rest.split_once(", ").map_or(rest, |(_, steps)| steps);
                format!("[IMAGE] ([PLATFORM] [SIZE], {steps}\n")
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    };
    assert_snapshot("dockerfile-plain", &image(shown(&first, &user)));
    let again = user.run(build)?.succeeded()?;
    assert_eq!(again.stdout, first.stdout);
    assert_snapshot("dockerfile-plain-again", &image(shown(&again, &user)));
    folder.write("Dockerfile", STEPS.replace("RUN cat", "RUN ls -l").as_bytes())?;
    let edited = user.run(build)?.succeeded()?;
    let cached = edited.stderr.lines().filter(|line| line.ends_with(" CACHED")).count();
    assert_eq!(cached, 3, "{}", edited.stderr);
    Ok(())
}

fn json() -> TestResult {
    let folder = folder(STEPS, &[])?;
    let user = user()?.inside(folder.path());
    let ran = user.run([
        "build",
        "-f",
        "Dockerfile",
        "--build-context",
        &busybox("busybox")?,
        "--progress",
        "json",
    ])?;
    let mut steps = Vec::new();
    let mut lines = Vec::new();
    for line in ran.succeeded()?.stderr.lines() {
        schema::check("progress", line)?;
        let event: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        if event["kind"] == "step" {
            steps.push(text("label"));
        }
        if event["event"] == "output" {
            lines.push(text("line"));
        }
    }
    let expected = [
        "[builder 2/3] WORKDIR /src",
        "[builder 3/3] RUN echo one && echo two >&2 && echo made > /made",
        "[stage-2 2/3] COPY --from=builder /made /made",
        "[stage-2 3/3] RUN cat /made",
        "[test]",
    ];
    assert_eq!(steps, expected);
    lines.sort();
    assert_eq!(lines, ["made", "one", "two"]);
    Ok(())
}

/// Processes whose command line has this text.
fn processes(text: &str) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        // A process may end between the two looks.
        let line = std::fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) && !line.contains("cmdline") {
            found.push(line);
        }
    }
    Ok(found)
}

fn interrupted() -> TestResult {
    // A number that no other process sleeps for.
    let sleep = format!("sleep {}", 1_000_000 + std::process::id());
    let folder = folder(&format!("FROM busybox\nRUN echo first\nRUN {sleep} & {sleep}\n"), &[])?;
    let user = user()?.inside(folder.path());
    let busybox = busybox("busybox")?;
    let build = ["build", "-f", "Dockerfile", "--build-context", &busybox, "--progress", "plain"];
    let child =
        user.command(build).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let patience = Instant::now();
    while processes(&sleep)?.len() < 2 {
        assert!(patience.elapsed() < Duration::from_secs(60), "the step did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.ok_or_else(|| Stop::failed("no process id"))?, Signal::INT)?;
    let output = child.wait_with_output()?;
    let took = asked.elapsed();
    let said = String::from_utf8(output.stderr)?;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(130), b"".as_slice()), "{said}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(said.contains("#2 CANCELED\n") && said.ends_with("\ninterrupted\n"), "{said}");
    assert_eq!(processes(&sleep)?, Vec::<String>::new());
    user.run(["image", "validate"])?.succeeded()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    assert!(!mounts.contains(&user.store().display().to_string()), "{mounts}");
    // What was done before is known.
    folder.write("Dockerfile", "FROM busybox\nRUN echo first\nRUN echo second\n")?;
    let resumed = user.run(build)?.succeeded()?.stderr;
    assert!(resumed.contains("#1 [2/3] RUN echo first\n#1 CACHED\n"), "{resumed}");
    Ok(())
}
