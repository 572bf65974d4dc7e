//! The same source, built where and as whoever: the same digest, or a row that names the difference.

use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_testkit::{copy_tree, example};

use super::build::{build_command, commit, digest_of};
use super::report::Row;
use super::{Bench, recreate, remove};
use crate::command::{Result, command, context, find};

const EXAMPLE: &str = "shop";
/// A user that has no name on any machine.
const OTHER_USER: &str = "54321";

/// A copy of the example, with the same commit, and with a store and a GOCACHE of its own, so that nothing but the source is shared.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(folder: PathBuf) -> Result<Place> {
        recreate(&folder)?;
        let module = folder.join("module");
        copy_tree(&example(EXAMPLE), &module).map_err(context("cannot copy the example"))?;
        // Its own repository: a copy without one would belong to whichever repository is around it.
        commit(&module)?;
        Ok(Place { folder })
    }

    fn build(&self, longshore: &Path) -> Command {
        let mut build = build_command(
            longshore,
            &self.folder.join("module"),
            &self.folder.join("store"),
            &self.folder.join("go-build"),
        );
        build.env("TZ", "UTC");
        build
    }
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let scratch = bench.scratch.join("digests");
    let first = Place::new(scratch.join("first"))?;
    let expected = digest_of(&mut first.build(&bench.longshore))?;
    let row = |job: &str, digest: Result<String>| {
        let compared = digest.map(|digest| {
            let figure = if digest == expected {
                "the same digest".to_owned()
            } else {
                format!("{digest}, not {expected}")
            };
            Row::figure(job, figure, "the same digest", digest == expected)
        });
        Row::or_reason(job, compared)
    };

    let mut rows = vec![
        row("another folder", another_folder(bench, &scratch)),
        row("another user", another_user(bench, &scratch)),
        row("another umask (077)", another_umask(bench, &scratch)),
        row("another time zone", another_zone(bench, &scratch)),
    ];
    remove(&first.folder.join("store"))?;
    remove(&first.folder.join("go-build"))?;
    rows.push(row("again, after store and GOCACHE are gone", digest_of(&mut first.build(&bench.longshore))));
    Ok(rows)
}

fn another_folder(bench: &Bench, scratch: &Path) -> Result<String> {
    digest_of(&mut Place::new(scratch.join("another/folder, deeper"))?.build(&bench.longshore))
}

fn another_zone(bench: &Bench, scratch: &Path) -> Result<String> {
    let place = Place::new(scratch.join("zone"))?;
    digest_of(place.build(&bench.longshore).env("TZ", "Pacific/Auckland"))
}

/// The command with another program in front of it, which runs it.
fn behind(wrapper: &str, arguments: &[&str], inner: &Command) -> Command {
    let mut outer = command(wrapper);
    outer.args(arguments).arg(inner.get_program()).args(inner.get_args());
    if let Some(folder) = inner.get_current_dir() {
        outer.current_dir(folder);
    }
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

fn another_umask(bench: &Bench, scratch: &Path) -> Result<String> {
    let place = Place::new(scratch.join("umask"))?;
    // The source's own modes are those that git would have made under this umask.
    let module = place.folder.join("module");
    super::measure::answer(command("chmod").args(["-R", "go-rwx"]).arg(&module))?;
    let script = "umask 077 && exec \"$@\"";
    digest_of(&mut behind("sh", &["-c", script, "sh"], &place.build(&bench.longshore)))
}

fn another_user(bench: &Bench, _scratch: &Path) -> Result<String> {
    if !rustix::process::geteuid().is_root() || find("setpriv").is_none() {
        return Err("becoming another user takes root and setpriv".into());
    }
    // Below the system's temporary folder, since the repository may be closed to others.
    let folder = std::env::temp_dir().join("longshore-bench-user");
    let place = Place::new(folder.clone())?;
    let binary = folder.join("longshore");
    std::fs::copy(&bench.longshore, &binary).map_err(context("cannot copy the binary"))?;
    super::measure::answer(command("chown").args(["-R", OTHER_USER]).arg(&folder))?;
    let user = format!("--reuid={OTHER_USER}");
    let group = format!("--regid={OTHER_USER}");
    let mut build = behind("setpriv", &[&user, &group, "--clear-groups", "--"], &place.build(&binary));
    let digest = digest_of(build.env("HOME", &folder).env("GOMODCACHE", folder.join("go-mod")));
    remove(&folder)?;
    digest
}
