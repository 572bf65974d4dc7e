//! The guide's container tests in Go: they compile, and pass against longshore alone and against an engine.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Dockerd, Folder, Requirement, Stop, Suite, TestResult, run};

use super::{Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const GO: &[Requirement] = &[Requirement::Root, Requirement::Program("go"), Requirement::ModuleProxy];
    const ENGINE: &[Requirement] = &[
        Requirement::Root,
        Requirement::Program("go"),
        Requirement::ModuleProxy,
        Requirement::Program("dockerd"),
        Requirement::Program("docker"),
    ];
    suite
        .test("containers::go::the_guides_tests_pass_with_an_engine", ENGINE, || {
            let engine = Dockerd::start()?;
            let said = tested(Who::Root, Some(&engine.host()))?;
            // Five tests, each against both.
            assert_eq!(said.matches("    --- PASS: ").count(), 10, "{said}");
            assert_eq!(said.matches("--- SKIP: ").count(), 0, "{said}");
            Ok(())
        })
        .test("containers::go::the_guides_tests_pass_for_an_ordinary_user", GO, || {
            let said = tested(Who::Lent, None)?;
            // Limits need control groups, which an ordinary user has not; the engine is not there.
            assert_eq!(said.matches("    --- PASS: ").count(), 4, "{said}");
            assert_eq!(said.matches("    --- SKIP: ").count(), 6, "{said}");
            Ok(())
        })
}

/// What `go test` says, which must succeed.
fn tested(who: Who, engine: Option<&str>) -> Result<String, Stop> {
    let person = Person::new(who)?;
    let folder = Folder::with_example("guide")?;
    let mut command = Command::new("go");
    // The same environment as that of the longshore which it starts, with Go's caches.
    let like = person.user.command::<_, &str>([]);
    command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["test", "-v", "-count=1", "./internal/testing/"]).current_dir(folder.path());
    command.env("LONGSHORE", like.get_program()).env_remove("LONGSHORE_OFFLINE");
    if let Some(host) = engine {
        command.env("DOCKER_HOST", host);
    }
    if let Some(uid) = person.uid {
        give(folder.path(), uid)?;
        for name in ["GOCACHE", "GOMODCACHE"] {
            command.env(name, person.user.home().join(name));
        }
        command.uid(uid).gid(uid).env("TMPDIR", person.user.home());
    }
    Ok(run(&mut command, Duration::from_secs(600))?.succeeded()?.stdout)
}

/// Gives a folder with all that is in it to a user.
fn give(path: &std::path::Path, uid: u32) -> TestResult {
    assert!(Command::new("chown").arg("-R").arg(format!("{uid}:{uid}")).arg(path).status()?.success());
    Ok(())
}
