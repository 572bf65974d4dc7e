//! The terminal, which there is one of.

use std::process::Command;

use longshore_testkit::{TestResult, program, run};

use crate::init::Init;
use crate::start::LIMIT;

/// Where the init leads the session of a terminal, the command gets it, and not the SIGHUP that this causes; otherwise the command can still use it where
/// it stays in the session.
pub(crate) fn controlling() -> TestResult {
    let script = "trap 'echo hangup' HUP; trap 'echo continued' CONT; sleep 0.1; \
        if (: >/dev/tty) 2>/dev/null; then echo terminal; else echo none; fi; exit 3";
    let cases = [
        (Init::probe(&[]), "terminal"),
        (Init::dumb_init(&[])?, "terminal"),
        (Init::probe(&["-c"]), "terminal"),
        (Init::probe(&["-g"]), "terminal"),
        (Init::tini(&["-s", "-g"])?, "terminal"),
    ];
    for (init, expected) in cases {
        let quoted: Vec<String> = init
            .words(&["sh", "-c", script])
            .iter()
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
            .collect();
        // `script` runs its command with a shell in a new session on a new terminal, in which the init takes the shell's place.
        let mut command = Command::new(program("script")?);
        command.args([
            "--quiet",
            "--return",
            "--command",
            &format!("exec {}", quoted.join(" ")),
            "/dev/null",
        ]);
        let ran = run(&mut command, LIMIT)?.expect_code(3)?;
        assert_eq!(ran.stdout.trim(), expected, "{}", init.name);
    }
    Ok(())
}
