//! Namespaces as root.

use std::collections::BTreeSet;
use std::path::Path;

use longshore_sandbox::{Isolation, MountKind, Status};
use longshore_testkit::{Requirement, Suite, TestResult};

use crate::root::Fixture;

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("exit_codes_and_output", &[Requirement::Root], exit_codes_and_output).test(
        "what_was_made_for_mounts_is_removed",
        &[Requirement::Root],
        stubs,
    )
}

fn exit_codes_and_output() -> TestResult {
    let outcome = Fixture::new(Isolation::Namespaces, "echo out; echo err >&2; exit 7")?.run()?;
    assert_eq!(outcome.stdout, "out\n");
    assert_eq!(outcome.stderr, "err\n");
    assert_eq!(outcome.ended.status, Status::Exited(7));
    Ok(())
}

/// The files below a folder, by their paths.
fn tree(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            found.insert(path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned());
            if path.symlink_metadata()?.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

fn stubs() -> TestResult {
    let mut fixture =
        Fixture::new(Isolation::Namespaces, "cat /var/cache/file /etc/key; echo new > /var/kept/mine")?;
    let source = fixture.path("source");
    std::fs::create_dir(&source)?;
    longshore_files::write_atomic(&source.join("file"), b"cached\n")?;
    fixture.mount("/var/cache", MountKind::Bind { source, read_only: true });
    let secret = longshore_sandbox::SecretBytes::new(b"secret\n".to_vec());
    fixture.mount("/etc/key", MountKind::Content { bytes: secret, mode: 0o400, uid: 0, gid: 0 });
    fixture.mount("/var/kept/inner", MountKind::Tmpfs { size: Some(4096), mode: 0o755 });
    let outcome = fixture.run()?;
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("cached\nsecret\n", ""));
    let left = tree(&fixture.path("upper"))?;
    assert_eq!(left, ["etc", "var", "var/kept", "var/kept/mine"].map(String::from).into());
    Ok(())
}
