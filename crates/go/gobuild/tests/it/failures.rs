//! What goes wrong, and how it is said.

use std::fs;
use std::sync::Arc;

use longshore_events::{Event, Events, Listener};
use longshore_gobuild::{BuildError, GoFailureKind};
use longshore_testkit::TestResult;

use crate::world::{HELLO, World, chain};

pub(crate) fn failures_say_what_go_said() -> TestResult {
    type Case = (&'static str, &'static [(&'static str, &'static str)], GoFailureKind, &'static str);
    let cases: [Case; 6] = [
        (
            "does not compile",
            &[("main.go", "package main\n\nfunc main() { undefined() }\n")],
            GoFailureKind::Compile,
            "./main.go:3:15: undefined: undefined",
        ),
        (
            "a requirement is missing",
            &[("main.go", "package main\n\nimport _ \"example.org/absent\"\n\nfunc main() {}\n")],
            GoFailureKind::Sums,
            "main.go:3:8: no required module provides package example.org/absent",
        ),
        (
            "a sum is missing",
            &[
                ("go.mod", "module example.com/hello\n\ngo 1.24\n\nrequire golang.org/x/text v0.14.0\n"),
                ("main.go", "package main\n\nimport _ \"golang.org/x/text/width\"\n\nfunc main() {}\n"),
            ],
            GoFailureKind::Sums,
            "missing go.sum entry",
        ),
        ("no program", &[("main.go", "package other\n")], GoFailureKind::Other, "hello"),
        (
            "no Go files",
            &[("main.go", "//go:build ignore\n\npackage main\n")],
            GoFailureKind::Excluded,
            "build constraints exclude all Go files",
        ),
        (
            "inconsistent vendoring",
            &[
                ("go.mod", "module example.com/hello\n\ngo 1.24\n\nrequire golang.org/x/text v0.14.0\n"),
                ("vendor/modules.txt", "# nothing\n"),
            ],
            GoFailureKind::Vendoring,
            "inconsistent vendoring",
        ),
    ];
    for (name, files, kind, said) in cases {
        let world = World::new(HELLO);
        files.iter().for_each(|(path, text)| world.write(path, text));
        match world.build() {
            Err(BuildError::Go(failure)) => {
                assert!(failure.message.contains(said), "{name}: {}", failure.message);
                assert_eq!(failure.kind, kind, "{name}: {}", failure.message);
            }
            Err(BuildError::Elf(_)) if name == "no program" => {}
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(fs::read_dir(world.store.temporary_folder())?.count(), 0, "{name}");
    }
    Ok(())
}

pub(crate) fn settings_that_contradict_are_refused() -> TestResult {
    type Change = fn(&mut World);
    let cases: [(Change, &str); 8] = [
        (
            |w| w.request.settings.race = Some(true),
            "cannot build hello as asked: the race detector needs cgo",
        ),
        (
            |w| w.request.settings.goarm = Some("7".into()),
            "cannot build hello as asked: `goarm` means nothing for linux/amd64",
        ),
        (
            |w| w.request.settings.user = Some("alice".into()),
            "cannot build hello as asked: the built-in base has no user or group `alice`",
        ),
        (
            |w| drop(w.request.settings.go_env.insert("GOOS".into(), "plan9".into())),
            "cannot build hello as asked: `go-env` may not set GOOS",
        ),
        (
            |w| drop(w.variables.insert("GOFLAGS".into(), "-toolexec=x".into())),
            "cannot build hello as asked: GOFLAGS has -toolexec, which would run or read what no image can name",
        ),
        (
            |w| w.request.source_date_epoch = Some(-1),
            "cannot build hello as asked: -1 is not a time between 1970 and 9999",
        ),
        (
            |w| drop(w.request.settings.stamp.insert("main.x".into(), "${x}".into())),
            "cannot build hello as asked: `${x}` is not a placeholder: there are ${version}, ${revision} and ${date}",
        ),
        (
            |w| {
                w.request.settings.cgo = Some(true);
                w.request.settings.platforms = Some(vec!["linux/s390x".into()]);
            },
            "cannot build hello as asked: cgo for linux/s390x needs a C compiler that builds for it",
        ),
    ];
    for (change, expected) in cases {
        let mut world = World::new(HELLO);
        change(&mut world);
        assert_eq!(chain(&world.build().unwrap_err()), expected);
    }
    let world = World::new(HELLO);
    world.write("go.mod", "module example.com/hello\n\ngo 1.24\nrequire (\n");
    let error = world.build().unwrap_err();
    assert!(matches!(error, BuildError::Module { .. }), "{error:?}");
    Ok(())
}

/// Asks the work to stop as soon as something begins.
struct StopAt(std::sync::Mutex<Option<Events>>, &'static str);

impl Listener for StopAt {
    fn event(&self, event: Event) {
        if let Event::Started { label, .. } = event
            && label.starts_with(self.1)
            && let Some(events) = &*self.0.lock().unwrap()
        {
            events.cancel();
        }
    }
}

pub(crate) fn a_stopped_build_leaves_nothing() -> TestResult {
    for label in ["compile", "write the layers"] {
        let world = World::new(HELLO);
        let listener = Arc::new(StopAt(std::sync::Mutex::new(None), label));
        let events = Events::new(listener.clone());
        *listener.0.lock().unwrap() = Some(events.clone());
        let error = world.build_with(&events).unwrap_err();
        assert!(error.is_cancelled(), "{label}: {error:?}");
        assert_eq!(fs::read_dir(world.store.temporary_folder())?.count(), 0, "{label}");
        assert!(!world.build()?.cached);
    }
    Ok(())
}
