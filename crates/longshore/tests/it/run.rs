//! What the tests share: a user, what a run showed, and the files it is compared with.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

use longshore_testkit::{Longshore, Ran, Redactions, Stop};

/// A user with an empty home and an empty store.
pub(crate) fn user() -> Result<Longshore, Stop> {
    let user = Longshore::at(env!("CARGO_BIN_EXE_longshore"))?;
    Ok(user.env("GIT_CONFIG_GLOBAL", "/dev/null"))
}

/// What differs from run to run for this user.
pub(crate) fn redactions(user: &Longshore) -> Redactions {
    Redactions::new().path(user.store(), "STORE").path(user.home(), "HOME")
}

/// All that a user would see of a run: exit code, standard output, standard error.
pub(crate) fn transcript(ran: &Ran, redactions: &Redactions) -> String {
    let mut text = match ran.status.code() {
        Some(code) => format!("exit {code}\n"),
        None => format!("{}\n", ran.status),
    };
    for (name, stream) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        if !stream.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "---- {name}\n{}", redactions.apply(stream.trim_end_matches('\n')));
        }
    }
    text
}

/// Runs longshore and compares all that a user sees with a file under tests/it/snapshots.
#[track_caller]
pub(crate) fn check<A: AsRef<OsStr>>(
    user: &Longshore,
    arguments: impl IntoIterator<Item = A>,
    snapshot: &str,
) -> Result<Ran, Stop> {
    let ran = user.run(arguments)?;
    assert_snapshot(snapshot, &transcript(&ran, &redactions(user)));
    Ok(ran)
}

/// Compares with a file under tests/it/snapshots; SNAPSHOTS=overwrite writes it.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    assert_file(&format!("tests/it/snapshots/{name}.txt"), text);
}

/// Compares with a file of this crate; SNAPSHOTS=overwrite writes it.
#[track_caller]
pub(crate) fn assert_file(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let expected = snapbox::Data::read_from(&path, None).raw();
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(text, expected);
}
