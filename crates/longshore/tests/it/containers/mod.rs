//! `run` and what is done with what it started.
//!
//! Each test runs as several people where that matters: root, a user to whom ids are lent, one who has a single id. The image is busybox
//! alone, so no registry is needed. Every container is removed at the end, also when a test fails.

mod attached;
mod copy;
mod copy_rules;
mod docker;
mod go;
mod life;
mod logs;
mod mistakes;
mod ports;
mod runbook;
mod seccomp;
mod sees;
mod starts;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use longshore_testkit::{Folder, Longshore, Ran, Skip, Stop, Suite, UNLENT_USER, lent_user, run};
use serde_json::Value;

use crate::conformance::bases;
use crate::rungs::{copy_program, make_readable, open_folder};

pub(crate) fn add(suite: Suite) -> Suite {
    let suite = ports::add(attached::add(seccomp::add(starts::add(copy_rules::add(copy::add(suite))))));
    logs::add(runbook::add(life::add(mistakes::add(docker::add(go::add(sees::add(suite)))))))
}

/// The name of the image that every person has.
const IMAGE: &str = "box:1";
/// Longest time that one command may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Who runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Root,
    /// An ordinary user with subordinate ids.
    Lent,
    /// An ordinary user without.
    Single,
}

impl Who {
    fn isolation(self) -> &'static str {
        match self {
            Who::Root => "namespaces",
            Who::Lent => "user-namespace",
            Who::Single => "single-user",
        }
    }
}

/// Somebody with a store of their own.
struct Person {
    user: Longshore,
    uid: Option<u32>,
    isolation: &'static str,
    _folder: Folder,
}

impl Person {
    /// Somebody who has the image.
    fn new(who: Who) -> Result<Person, Stop> {
        Person::with_store(who, None)
    }

    /// The same with a store in this place.
    fn with_store(who: Who, store: Option<&Path>) -> Result<Person, Stop> {
        let uid = match who {
            Who::Root => None,
            Who::Lent => Some(lent_user()?),
            Who::Single => Some(UNLENT_USER),
        };
        let folder = open_folder()?;
        let program = copy_program(&folder)?;
        let copied = folder.join("base");
        let from = format!("oci:{}:busybox", bases()?.folder().display());
        let root = Longshore::at(&program)?;
        root.run(["image", "copy", &from, &format!("oci:{}:base", copied.display())])?.succeeded()?;
        make_readable(&copied)?;
        let user = Longshore::at(&program)?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
        let user = match store {
            Some(store) => user.with_store(store),
            None => user,
        };
        if uid.is_some() {
            std::os::unix::fs::chown(user.home(), uid, uid)?;
        }
        let person = Person { user, uid, isolation: who.isolation(), _folder: folder };
        let copy = ["image", "copy", &format!("oci:{}:base", copied.display()), IMAGE];
        person.run(&copy)?.succeeded()?;
        Ok(person)
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = self.user.command(words);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid).env("TMPDIR", self.user.home());
        }
        command
    }

    /// longshore with these words.
    fn run(&self, words: &[&str]) -> Result<Ran, Stop> {
        Ok(run(&mut self.command(words), LIMIT)?)
    }

    /// `longshore run` with these words.
    fn contain(&self, words: &[&str]) -> Result<Ran, Stop> {
        let mut all = vec!["run", "--isolation", self.isolation];
        all.extend(words);
        let ran = self.run(&all)?;
        // A machine that keeps ordinary users from namespaces says so.
        match ran.stderr.contains("does not work here") {
            true => Err(Skip(ran.stderr).into()),
            false => Ok(ran),
        }
    }

    /// What `inspect` says of a container.
    fn inspect(&self, name: &str) -> Result<Value, Stop> {
        let text = self.run(&["inspect", name])?.succeeded()?.stdout;
        let report: Value = serde_json::from_str(&text)?;
        Ok(report["containers"][0].clone())
    }

    /// Waits until something holds.
    fn until(&self, what: &str, mut holds: impl FnMut() -> Result<bool, Stop>) -> Result<(), Stop> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds()? {
            if Instant::now() > deadline {
                let seen = self.run(&["ps", "-a"])?.stdout;
                return Err(Stop::failed(format!("{what} did not come\n{seen}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let Ok(listed) = self.run(&["ps", "-aq"]) else { return };
        let mut words = vec!["rm", "-f"];
        words.extend(listed.stdout.lines());
        if words.len() > 2 {
            // What a failed test left is of no interest.
            let _ = self.run(&words);
        }
    }
}
