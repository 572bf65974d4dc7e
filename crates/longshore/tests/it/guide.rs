//! The four Dockerfiles of examples/guide: built word for word, held against what BuildKit makes of them, and run.
//!
//! The configs are those that BuildKit 0.34.2 wrote for the same files on the same base images. In the containers the service
//! is asked through their own loopback, so that several run at once and none meets what listens on the machine.

use std::time::{Duration, Instant};

use longshore_testkit::conformance::builds_dockerfiles;
use longshore_testkit::{Dockerd, Folder, Longshore, Requirement, Stop, Suite, TestResult, distributions};
use serde_json::{Value, json};

use crate::run::user;

const GOLANG: &str = "golang:1.21-alpine";
const ALPINE: &str = "alpine:latest";
const NEEDS: &[Requirement] = &[
    Requirement::Distribution(GOLANG),
    Requirement::Distribution(ALPINE),
    // For `go mod download`.
    Requirement::ModuleProxy,
];

const CHROOT: &[Requirement] = &[Requirement::Root, Requirement::Distribution(GOLANG)];

/// How long a service may take to answer on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Dockerfile, and what comes of it.
struct Guide {
    file: &'static str,
    bases: &'static [&'static str],
    /// Layers, the base's included.
    layers: usize,
    /// Stages that are not built, since nothing needs them.
    skipped: &'static [&'static str],
    config: Value,
    /// What to run in the container to ask the service for its health, and what it prints.
    health: (&'static [&'static str], &'static str),
    /// The user id that the service runs with.
    user: &'static str,
}

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("guide::the_first_dockerfile_builds_and_runs", NEEDS, || check(&first()))
        .test("guide::the_one_from_scratch_builds_and_runs", NEEDS, || check(&advanced()))
        .test("guide::the_one_with_a_syntax_line_builds_and_runs", NEEDS, || check(&buildkit()))
        .test("guide::the_one_with_an_init_builds_and_runs", NEEDS, || check(&secure()))
        .test("guide::go_finds_its_toolchain_where_there_is_no_proc", CHROOT, without_proc)
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const WGET: &[&str] = &["wget", "-q", "-O", "-", "http://localhost:8080/health"];
const HEALTHY: &str = "\"status\":\"healthy\"";

fn healthcheck(test: &Value) -> Value {
    let second = 1_000_000_000_u64;
    json!({"Test": test, "Interval": 30 * second, "Timeout": 3 * second, "StartPeriod": 5 * second, "Retries": 3})
}

fn wget_healthcheck() -> Value {
    healthcheck(&json!([
        "CMD-SHELL",
        "wget --no-verbose --tries=1 --spider http://localhost:8080/health || exit 1"
    ]))
}

/// Release builds of Go hold no path of their own, and find themselves by /proc, which steps by chroot lack.
fn without_proc() -> TestResult {
    let folder = Folder::new()?;
    folder
        .write("Dockerfile", "FROM golang AS build\nRUN test ! -e /proc/self && go list fmt > /listed\n")?;
    let user = user()?.inside(folder.path());
    let context = format!("golang=oci-layout://{}:{GOLANG}", distributions::folder().display());
    let build = ["build", "-f", "Dockerfile", "--isolation", "chroot", "--build-context", &context];
    user.run(build)?.succeeded()?;
    Ok(())
}

fn first() -> Guide {
    Guide {
        file: "Dockerfile",
        bases: &[GOLANG, ALPINE],
        layers: 6,
        skipped: &[],
        config: json!({
            "User": "appuser",
            "ExposedPorts": {"8080/tcp": {}},
            "Env": [PATH],
            "Cmd": ["./main"],
            "WorkingDir": "/app",
            "ArgsEscaped": true,
            "Healthcheck": wget_healthcheck(),
        }),
        health: (WGET, HEALTHY),
        user: "1001",
    }
}

fn advanced() -> Guide {
    Guide {
        file: "Dockerfile.advanced",
        bases: &[GOLANG],
        layers: 3,
        skipped: &["test", "security"],
        config: json!({
            "ExposedPorts": {"8080/tcp": {}},
            "Env": [PATH, "TZ=UTC"],
            "Entrypoint": ["/main"],
            "WorkingDir": "/",
            "Healthcheck": healthcheck(&json!(["CMD", "/main", "health"])),
        }),
        health: (&["/main", "health"], ""),
        user: "0",
    }
}

fn buildkit() -> Guide {
    Guide {
        file: "Dockerfile.buildkit",
        bases: &[GOLANG, ALPINE],
        layers: 4,
        skipped: &["test", "security"],
        config: json!({
            "ExposedPorts": {"8080/tcp": {}},
            "Env": [PATH],
            "Cmd": ["./main"],
            "WorkingDir": "/app",
            "ArgsEscaped": true,
        }),
        health: (WGET, HEALTHY),
        user: "0",
    }
}

fn secure() -> Guide {
    Guide {
        file: "Dockerfile.secure",
        bases: &[GOLANG, ALPINE],
        layers: 7,
        skipped: &[],
        config: json!({
            "User": "appuser",
            "ExposedPorts": {"8080/tcp": {}},
            "Env": [PATH],
            "Entrypoint": ["dumb-init", "--"],
            "Cmd": ["./main"],
            "WorkingDir": "/app",
            "ArgsEscaped": true,
            "Healthcheck": wget_healthcheck(),
        }),
        health: (WGET, HEALTHY),
        user: "1001",
    }
}

fn check(guide: &Guide) -> TestResult {
    builds_dockerfiles(&user()?)?;
    let folder = Folder::with_example("guide")?;
    let user = user()?.inside(folder.path());
    build(guide, &user)?;
    Requirement::Containers.check()?;
    let engine = Dockerd::start()?;
    let user = user.env("DOCKER_HOST", engine.host());
    user.run(["image", "copy", "guide:1", "docker-daemon:guide:1"])?.succeeded()?;
    serve(guide, &engine)
}

fn build(guide: &Guide, user: &Longshore) -> TestResult {
    let mut arguments: Vec<String> =
        ["build", ".", "-t", "guide:1", "-f", guide.file].map(str::to_owned).into();
    for image in guide.bases {
        arguments.extend(["--build-context".to_owned(), distributions::build_context(image)?]);
    }
    let built = user.run(&arguments)?.succeeded()?;
    for stage in guide.skipped {
        let step = built.stderr.lines().find_map(|line| line.strip_suffix(&format!(" [{stage}]")));
        let told = step.is_some_and(|step| {
            built.stderr.lines().any(|line| line.starts_with(&format!("{step} SKIPPED: ")))
        });
        assert!(told, "the stage {stage} was skipped in silence:\n{}", built.stderr);
    }
    let shown = user.run(["image", "show", "guide:1", "--format", "json"])?.succeeded()?.stdout;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!(shown["digest"], built.stdout.trim_end());
    assert_eq!(shown["images"][0]["config"]["config"], guide.config);
    assert_eq!(shown["images"][0]["manifest"]["layers"].as_array().map(Vec::len), Some(guide.layers));
    user.run(["image", "validate", "guide:1"])?.succeeded()?;
    let again = user.run(&arguments)?.succeeded()?;
    assert_eq!(again.stdout, built.stdout);
    Ok(())
}

fn serve(guide: &Guide, engine: &Dockerd) -> TestResult {
    let started = engine.docker(["run", "--detach", "--network", "none", "guide:1"])?.succeeded()?;
    let id = started.stdout.trim().to_owned();
    let begin = Instant::now();
    let (command, expected) = &guide.health;
    let answer = loop {
        let asked = engine.docker(["exec", &id].iter().chain(*command))?;
        if asked.status.success() {
            break asked.stdout;
        }
        if begin.elapsed() > PATIENCE {
            let logs = engine.docker(["logs", &id])?;
            return Err(Stop::failed(format!("{}{}{}", asked.stderr, logs.stdout, logs.stderr)));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(answer.contains(expected), "{answer}");
    let users = engine.docker(["top", &id, "-eo", "pid,uid,args"])?.succeeded()?.stdout;
    let service = users.lines().filter(|line| line.ends_with("main"));
    let users: Vec<&str> = service.filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert!(!users.is_empty() && users.iter().all(|user| *user == guide.user), "{users:?}");

    engine.docker(["stop", "--time", "20", &id])?.succeeded()?;
    let code = engine.docker(["inspect", "--format", "{{.State.ExitCode}}", &id])?.succeeded()?.stdout;
    assert_eq!(code.trim(), "0", "the service did not end when it was asked to");
    Ok(())
}
