//! What the command starts with and ends with, beside dumb-init and tini.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use longshore_testkit::{Folder, Ran, Stop, TestResult, program, run};

use crate::start::{LIMIT, probe};

/// One of the inits, with options.
#[derive(Clone)]
pub(crate) struct Init {
    pub(crate) name: &'static str,
    words: Vec<OsString>,
}

impl Init {
    pub(crate) fn probe(options: &[&str]) -> Init {
        Init::new("probe", [probe().into(), "init".into()].to_vec(), options)
    }

    pub(crate) fn dumb_init(options: &[&str]) -> Result<Init, Stop> {
        Ok(Init::new("dumb-init", vec![program("dumb-init")?.into()], options))
    }

    pub(crate) fn tini(options: &[&str]) -> Result<Init, Stop> {
        Ok(Init::new("tini", vec![program("tini")?.into()], options))
    }

    fn new(name: &'static str, mut words: Vec<OsString>, options: &[&str]) -> Init {
        words.extend(options.iter().map(OsString::from));
        Init { name, words }
    }

    /// The init with a command to run. Signals that whoever runs the tests ignores, as nohup(1) does, are none that it would.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal").args(&self.words).arg("--").args(arguments);
        command
    }

    /// The whole command line, for another program to start.
    pub(crate) fn words(&self, arguments: &[&str]) -> Vec<OsString> {
        let arguments = std::iter::once("--").chain(arguments.iter().copied()).map(OsString::from);
        self.words.iter().cloned().chain(arguments).collect()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Ran, Stop> {
        Ok(run(&mut self.command(arguments), LIMIT)?)
    }
}

/// All three, each in its own default.
pub(crate) fn all() -> Result<[Init; 3], Stop> {
    // tini says that it is not process 1 unless it is asked to be a subreaper.
    Ok([Init::probe(&[]), Init::dumb_init(&[])?, Init::tini(&["-s"])?])
}

pub(crate) fn exit_codes() -> TestResult {
    for init in all()? {
        for code in [0, 1, 2, 32, 64, 126, 127, 254, 255] {
            let ran = init
                .run(&["sh", "-c", &format!("echo out; echo err >&2; exit {code}")])?
                .expect_code(code)?;
            assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"), "{}", init.name);
        }
        for signal in [1, 2, 3, 6, 9, 10, 13, 14, 15, 31, 34, 64] {
            init.run(&["sh", "-c", &format!("kill -{signal} $$")])?.expect_code(128 + signal)?;
        }
    }
    Ok(())
}

pub(crate) fn not_runnable() -> TestResult {
    let folder = Folder::new()?;
    let plain = folder.write("plain", "x")?;
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644))?;
    let plain = plain.display().to_string();
    // dumb-init ends with 2 whatever the reason is: tini's codes, which are the shell's, win.
    let cases: [(&str, i32, &str); 6] = [
        ("no-such-program", 127, "no such file"),
        ("/no/such/program", 127, "no such file"),
        ("", 127, "no such file"),
        (&plain, 126, "permission denied"),
        ("/etc", 126, "permission denied"),
        ("/etc/passwd/program", 126, "system error"),
    ];
    for (command, code, said) in cases {
        let ran = Init::probe(&[]).run(&[command])?.expect_code(code)?;
        assert_eq!(ran.stderr, format!("probe: cannot run {command}: {said}\n"));
        // tini takes what is no folder for a failure of its own.
        let of_tini = if command.starts_with("/etc/passwd") { 1 } else { code };
        Init::tini(&["-s"])?.run(&[command])?.expect_code(of_tini)?;
        Init::dumb_init(&[])?.run(&[command])?.expect_code(2)?;
    }
    // A folder of PATH whose program may not be run does not hide that of a later one.
    let path = format!("{}:/no/such:/usr/bin:/bin", folder.path().display());
    let hidden = folder.write("true", "x")?;
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o644))?;
    for init in all()? {
        run(init.command(&["true"]).env("PATH", &path), LIMIT)?.succeeded()?;
    }
    Ok(())
}

pub(crate) fn wrong_usage() -> TestResult {
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["no command, or -c and -g: init"]),
        (&["--yolo"], &["unexpected: --yolo"]),
        (&["-x"], &["unexpected: -x"]),
        (&["-r"], &["wrong value: -r"]),
        (&["-r", "15"], &["wrong value: -r"]),
        (&["-r", ":"], &["wrong value: -r"]),
        (&["-r", "15:-1"], &["wrong value: -r"]),
        (&["-r", "0:15"], &["wrong value: -r"]),
        (&["-r", "15:derp"], &["wrong value: -r"]),
        (&["-r", "65:1"], &["wrong value: -r"]),
        (&["-e", "256"], &["wrong value: -e"]),
        (&["-p", "SIGFOO"], &["wrong value: -p"]),
    ];
    for (options, said) in cases {
        // Something to run, unless that is what is missing.
        let command: &[&str] = if options.is_empty() { &[] } else { &["echo", "started"] };
        let run = |init: &Init| -> Result<Ran, Stop> {
            let mut words = init.words.clone();
            words.extend(command.iter().map(OsString::from));
            let ran = run(Command::new(&words[0]).args(&words[1..]), LIMIT)?;
            assert_eq!(ran.stdout, "", "{} {options:?}", init.name);
            Ok(ran)
        };
        let ran = run(&Init::probe(options))?.expect_code(2)?;
        assert_eq!(ran.stderr, said.iter().map(|line| format!("probe: {line}\n")).collect::<String>());
        let is_tinis = matches!(options.first(), Some(&("-e" | "-p")));
        let other = if is_tinis { Init::tini(options)? } else { Init::dumb_init(options)? };
        let ran = run(&other)?.expect_code(1)?;
        assert!(!(ran.stderr.is_empty()), "{} {options:?}", other.name);
    }
    Ok(())
}

pub(crate) fn remapped() -> TestResult {
    for init in [Init::probe(&["-e", "143", "-e3"]), Init::tini(&["-s", "-e", "143", "-e3"])?] {
        for (script, code) in
            [("kill $$", 0), ("exit 143", 0), ("exit 3", 0), ("exit 4", 4), ("kill -9 $$", 137)]
        {
            init.run(&["sh", "-c", script])?.expect_code(code)?;
        }
    }
    Ok(())
}

pub(crate) fn script() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("script", "echo \"$0 $1 $2\"; exit 5\n")?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let path = path.display().to_string();
    for init in all()? {
        let ran = init.run(&[&path, "a b", "c"])?.expect_code(5)?;
        assert_eq!(ran.stdout, format!("{path} a b c\n"), "{}", init.name);
    }
    Ok(())
}

/// The set of signals in a line of /proc/PID/status.
fn ignored(line: &str) -> u64 {
    line.strip_prefix("SigIgn:\t").and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(u64::MAX)
}

/// The signals that an init resets: dumb-init the first 31, the probe all.
fn of(init: &Init) -> u64 {
    if init.name == "dumb-init" { (1 << 31) - 1 } else { u64::MAX }
}

/// No signal is blocked or ignored, the folder and the environment are as they were, and the init itself stands in no folder that could be unmounted.
pub(crate) fn clean() -> TestResult {
    let folder = Folder::new()?;
    let script = "pwd; echo $HOME; grep -E '^Sig(Blk|Ign)' /proc/self/status; readlink /proc/$PPID/cwd";
    let cwd = folder.path().canonicalize()?.display().to_string();
    for (init, own) in all()?.into_iter().zip(["/", "/", cwd.as_str()]) {
        let mut command = init.command(&["sh", "-c", script]);
        let ran = run(command.current_dir(folder.path()).env("HOME", "/home/x"), LIMIT)?.succeeded()?;
        let lines: Vec<&str> = ran.stdout.lines().collect();
        let expected = [cwd.as_str(), "/home/x", "SigBlk:\t0000000000000000", lines[3], own];
        assert_eq!(lines, expected, "{}", init.name);
        // tini passes on what it was given.
        assert!(init.name == "tini" || ignored(lines[3]) & of(&init) == 0, "{}: {}", init.name, lines[3]);
    }
    // A parent that ignores signals, as nohup does.
    for init in [Init::probe(&[]), Init::dumb_init(&[])?] {
        let words = init.words(&["sh", "-c", "grep SigIgn /proc/self/status"]);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' HUP USR1; exec \"$@\"", "sh"]).args(words);
        let ran = run(&mut command, LIMIT)?.succeeded()?;
        assert_eq!(ignored(ran.stdout.trim()) & of(&init), 0, "{}: {}", init.name, ran.stdout);
    }
    Ok(())
}

/// Whether the command leads a session, and a process group.
pub(crate) fn sessions() -> TestResult {
    // The fields of /proc/PID/stat after the name: state, parent, group, session.
    let script = "read -r _ _ _ _ group session _ </proc/$$/stat; \
        test $group = $$ && g=own || g=shared; test $session = $$ && s=own || s=shared; echo $g $s";
    let cases = [
        (Init::probe(&[]), "own own"),
        (Init::dumb_init(&[])?, "own own"),
        (Init::probe(&["-c"]), "shared shared"),
        (Init::probe(&["--single-child"]), "shared shared"),
        (Init::dumb_init(&["-c"])?, "shared shared"),
        (Init::probe(&["-g"]), "own shared"),
        (Init::tini(&["-s", "-g"])?, "own shared"),
    ];
    for (init, expected) in cases {
        let ran = init.run(&["sh", "-c", script])?.succeeded()?;
        assert_eq!(ran.stdout.trim(), expected, "{} {:?}", init.name, init.words);
    }
    Ok(())
}
