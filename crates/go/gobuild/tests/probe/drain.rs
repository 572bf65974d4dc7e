//! `--drain`, which neither dumb-init nor tini has.

use std::time::{Duration, Instant};

use longshore_testkit::TestResult;

use crate::init::Init;
use crate::signals::Running;

const SCRIPT: &str =
    "trap 'echo term; exit 0' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.01; done";

fn ready(drain: &str, more: &[&str]) -> Result<Running, longshore_testkit::Stop> {
    let mut running = Running::start(&Init::probe(&[&["--drain", drain], more].concat()), SCRIPT)?;
    assert_eq!(running.line()?, "ready");
    Ok(running)
}

pub(crate) fn held_back() -> TestResult {
    // After its time.
    let mut running = ready("400ms", &[])?;
    let begin = Instant::now();
    running.signal(15)?;
    // Others are not held back.
    running.signal(10)?;
    assert_eq!(running.line()?, "usr1");
    assert!(begin.elapsed() < Duration::from_millis(350), "{:?}", begin.elapsed());
    assert_eq!(running.line()?, "term");
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
    assert_eq!(running.wait()?, Some(0));

    // A second one at once.
    let mut running = ready("1m", &["-c"])?;
    let begin = Instant::now();
    running.signal(15)?;
    // Two at the same moment would be one.
    running.signal(10)?;
    assert_eq!(running.line()?, "usr1");
    running.signal(15)?;
    assert_eq!(running.line()?, "term");
    assert_eq!(running.wait()?, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());

    // What is held back is SIGTERM, whatever becomes of it.
    let mut running = ready("300ms", &["-r", "TERM:USR1", "-g"])?;
    let begin = Instant::now();
    running.signal(15)?;
    assert_eq!(running.line()?, "usr1");
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());

    // The command may end before.
    let mut running = Running::start(&Init::probe(&["--drain=1m"]), "echo ready; sleep 0.3; exit 7")?;
    assert_eq!(running.line()?, "ready");
    running.signal(15)?;
    assert_eq!(running.wait()?, Some(7));
    Ok(())
}
