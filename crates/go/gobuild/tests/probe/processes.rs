//! Processes that outlive their parents.

use std::process::Command;

use longshore_testkit::{Folder, Stop, TestResult, run};

use crate::init::Init;
use crate::signals::{Running, eventually};
use crate::start::LIMIT;

/// What the command leaves behind gets a SIGTERM when the command ends, if it is in a session of its own.
pub(crate) fn left_over() -> TestResult {
    let folder = Folder::new()?;
    let cases = [
        (Init::probe(&[]), "got"),
        (Init::dumb_init(&[])?, "got"),
        (Init::probe(&["-c"]), "not"),
        (Init::dumb_init(&["-c"])?, "not"),
        (Init::probe(&["-g"]), "not"),
        (Init::tini(&["-s", "-g"])?, "not"),
    ];
    for (index, (init, expected)) in cases.iter().enumerate() {
        let told = folder.join(index.to_string());
        let ready = folder.join(format!("{index}-ready"));
        let (told, ready) = (told.display(), ready.display());
        // It ends by itself after a while, and says so.
        let left = format!(
            "trap 'echo got >{told}; exit' TERM; : >{ready}; i=0; while [ $i -lt 30 ]; do sleep 0.01; i=$((i + 1)); done; echo not >{told}"
        );
        let script =
            format!("sh -c \"$1\" >/dev/null 2>&1 & while ! [ -e {ready} ]; do sleep 0.01; done; exit 3");
        init.run(&["sh", "-c", &script, "sh", &left])?.expect_code(3)?;
        let path = folder.join(index.to_string());
        let mut text = String::new();
        eventually("what is left ends", || {
            text = std::fs::read_to_string(&path).unwrap_or_default();
            text.ends_with('\n')
        })?;
        assert_eq!(text.trim(), *expected, "{}", init.name);
    }
    Ok(())
}

/// Makes three orphans that end at once, and lists the zombies that are left a little later.
const ORPHANS: &str = "for i in 1 2 3; do (sleep 0.05 & exec true); done; sleep 0.4; \
    for stat in /proc/[0-9]*/stat; do \
      if read -r line <$stat; then set -- ${line##*) }; test \"$1 $2\" = \"Z $PPID\" && echo zombie; fi; \
    done 2>/dev/null; echo end";

pub(crate) fn orphans_of_process_1() -> TestResult {
    for init in [Init::probe(&[]), Init::probe(&["-c"]), Init::dumb_init(&[])?, Init::tini(&[])?] {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .args(init.words(&["sh", "-c", ORPHANS]));
        let ran = run(&mut command, LIMIT)?.succeeded()?;
        assert_eq!(ran.stdout, "end\n", "{}", init.name);
    }
    // A process 1 that collects nothing: what is looked for can be seen.
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.args(["sh", "-c", "sh -c \"$1\" & exec sleep 1.5", "sh", ORPHANS]);
    let ran = run(&mut command, LIMIT)?.succeeded()?;
    assert_eq!(ran.stdout, "zombie\nzombie\nzombie\nend\n");
    Ok(())
}

pub(crate) fn orphans_of_a_subreaper() -> TestResult {
    for init in [Init::probe(&["-s"]), Init::tini(&["-s"])?] {
        let ran = init.run(&["sh", "-c", ORPHANS])?.succeeded()?;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("end\n", ""), "{}", init.name);
    }
    // A line for each of the orphans: that they came here, and were collected.
    for init in [Init::probe(&["-s", "-w"]), Init::tini(&["-s", "-w"])?] {
        let ran = init.run(&["sh", "-c", ORPHANS])?.succeeded()?;
        assert_eq!(ran.stderr.lines().count(), 3, "{}: {}", init.name, ran.stderr);
        assert!(init.name == "tini" || ran.stderr.starts_with("probe: collected orphan "), "{}", ran.stderr);
    }
    Ok(())
}

/// The parent ends, the init gets the signal and passes it on.
pub(crate) fn parent_death() -> TestResult {
    let folder = Folder::new()?;
    for (index, init) in
        [Init::probe(&["-p", "TERM"]), Init::tini(&["-s", "-p", "SIGTERM"])?].iter().enumerate()
    {
        let told = folder.join(index.to_string());
        let ready = folder.join(format!("{index}-ready"));
        let script = format!(
            "trap 'echo got >{}; exit' TERM; : >{}; while :; do sleep 0.01; done",
            told.display(),
            ready.display()
        );
        let mut parent = Command::new("sh");
        let waiting = format!("\"$@\" & while ! [ -e {} ]; do sleep 0.01; done", ready.display());
        parent.args(["-c", &waiting, "sh"]).args(init.words(&["sh", "-c", &script]));
        run(&mut parent, LIMIT)?.succeeded()?;
        eventually("the command is told", || std::fs::read(&told).is_ok_and(|text| text == b"got\n"))?;
    }
    // It can only be told of the parent that it has.
    let mut running = Running::start(&Init::probe(&["-p", "9"]), "echo ready; exit 6")?;
    assert_eq!(running.line()?, "ready");
    match running.wait()? {
        Some(6) => Ok(()),
        other => Err(Stop::failed(format!("it ended with {other:?}"))),
    }
}
