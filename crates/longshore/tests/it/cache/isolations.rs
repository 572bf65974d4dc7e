//! Caches between ways to isolate: a layer has the true owners whoever made it, so what one machine made in one way serves another.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use longshore_testkit::{
    Folder, Requirement, RunError, Skip, Stop, Suite, TestResult, copy_tree, run as testkit_run,
};

use super::{Built, STEPS, arguments, build, from, project, to};
use crate::conformance::bases;
use crate::run::user;

const LIMIT: Duration = Duration::from_secs(120);
/// An ordinary user to whom nobody lends ids.
const SINGLE: u32 = 54_321;

pub(super) fn add(suite: Suite) -> Suite {
    suite.test("cache::it_serves_every_kind_of_isolation", &[Requirement::Root], isolations)
}

/// The user to whom /etc/subuid lends ids, if there is one.
fn lent_user() -> Option<u32> {
    let lent = std::fs::read_to_string("/etc/subuid").ok()?;
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut names = lent.lines().filter_map(|line| line.split(':').next());
    names.find_map(|name| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok().filter(|uid| *uid != 0)
    })
}

/// Builds as an ordinary user, with a store of that user's own.
fn build_as(uid: u32, folder: &Folder, flags: &[&str]) -> Result<Built, Stop> {
    // A place that the user can get at, with the program and the base images.
    let place = Folder::new()?;
    let binary = place.join("longshore");
    std::fs::copy(env!("CARGO_BIN_EXE_longshore"), &binary)?;
    copy_tree(bases()?.folder(), &place.join("bases"))?;
    copy_tree(folder.path(), &place.join("project"))?;
    let mut chown = Command::new("chown");
    testkit_run(chown.args(["-R", &uid.to_string()]).arg(place.path()), LIMIT)?.succeeded()?;
    let flags = arguments(&place.join("project").display().to_string(), flags)?;
    let layout = bases()?.folder().display().to_string();
    let flags = flags.iter().map(|flag| flag.replace(&layout, &place.join("bases").display().to_string()));
    let mut command = Command::new(&binary);
    command.args(flags).env("HOME", place.path()).env("LONGSHORE_STORE", place.join("store"));
    command.env("TMPDIR", place.path()).uid(uid).gid(uid);
    loop {
        match testkit_run(&mut command, LIMIT) {
            // Another thread has forked while the copy was written, and not yet let go of it.
            Err(RunError::Start { source, .. }) if source.kind() == ErrorKind::ExecutableFileBusy => {}
            ran => return Built::of(ran?),
        }
    }
}

fn isolations() -> TestResult {
    if std::fs::read_to_string("/proc/sys/user/max_user_namespaces")?.trim() == "0" {
        return Err(Skip("user namespaces are not allowed here".into()).into());
    }
    let (folder, caches) = (project()?, Folder::new()?);
    std::fs::set_permissions(caches.path(), std::fs::Permissions::from_mode(0o777))?;
    let mut users = vec![
        ("root", 0, &[][..]),
        ("chroot", 0, &["--isolation", "chroot"][..]),
        ("single-user", SINGLE, &[][..]),
    ];
    users.extend(lent_user().map(|uid| ("user-namespace", uid, &[][..])));
    let run = |uid: u32, folder: &Folder, flags: &[&str]| match uid {
        0 => build(&user()?, folder, flags),
        uid => build_as(uid, folder, flags),
    };
    for (maker, uid, isolation) in &users {
        folder.write("main.go", "package main\n")?;
        let cache = caches.join(maker);
        let made = run(*uid, &folder, &[*isolation, &["--cache-to", &to(&cache, "max")]].concat())?;
        let mut open = Command::new("chmod");
        testkit_run(open.args(["-R", "a+rX"]).arg(&cache), LIMIT)?.succeeded()?;
        for (taker, uid, isolation) in &users {
            let source = from(&cache);
            let flags = [*isolation, &["--cache-from", &source]].concat();
            folder.write("main.go", "package main\n")?;
            let known = run(*uid, &folder, &flags)?;
            assert_eq!((&known.digest, known.done), (&made.digest, 0), "{maker} {taker}: {}", known.stderr);
            folder.write("main.go", "package main // edited\n")?;
            let edited = run(*uid, &folder, &flags)?;
            assert_eq!((edited.done, edited.steps), (3, Some(STEPS.0)), "{maker} {taker}: {}", edited.stderr);
        }
    }
    Ok(())
}
