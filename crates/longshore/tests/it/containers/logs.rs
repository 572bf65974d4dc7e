//! What is kept of a container's output, and who gets it.

use longshore_testkit::{Requirement, Suite, TestResult};

use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite.test("containers::logs::a_follower_sees_every_line_once", ROOT, followed)
}

/// While files change every few milliseconds.
fn followed() -> TestResult {
    let person = Person::new(Who::Root)?;
    let program = "sleep 0.3; i=0; while test $i -lt 3000; do echo line $i; i=$((i+1)); test $((i % 50)) != 0 || usleep 5000; done";
    let mut words = vec!["-d", "--name", "wordy", "--network", "none", "--log-opt", "max-size=4k"];
    words.extend(["--log-opt", "max-file=40", IMAGE, "sh", "-c", program]);
    person.contain(&words)?.succeeded()?;
    let followed = person.run(&["logs", "-f", "wordy"])?.succeeded()?;
    let expected: String = (0..3000).map(|number| format!("line {number}\n")).collect();
    assert!(followed.stdout == expected, "{} lines", followed.stdout.lines().count());
    assert_eq!(followed.stderr, "");
    // Of what is kept now the beginning is gone.
    let kept = person.run(&["logs", "wordy"])?.succeeded()?.stdout;
    assert!(expected.ends_with(&kept) && kept.len() < expected.len(), "{} lines", kept.lines().count());
    Ok(())
}
