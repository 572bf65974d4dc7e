//! Behaviour and hardening on services that do one thing wrong each: that thing, and no other, must be told.

use std::time::Duration;

use longshore_events::Events;
use longshore_prove::{
    Check, Checks, Deployed, Expectations, Subject, Users, Verdict, as_deployed, behaviour, hardening,
};
use longshore_runtime::ContainerSettings;
use longshore_testkit::{Stop, Suite, TestResult};

use crate::fake::{Behaviour, Fake};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("a service that behaves passes every check", &[], good)
        .test("each misbehaviour fails its own check", &[], each_misbehaviour)
        .test("the constraint that is not borne is named", &[], guilty)
        .test("a deployment's settings are those that count", &[], deployed)
        .test("a constraint that cannot be had is not checked", &[], not_here)
        .test("nothing is checked after the first failure if so wished", &[], fail_fast)
        .test("who waits for a service can be asked to stop", &[], interrupted)
}

fn subject(fake: &Fake) -> Subject<'_> {
    let expectations = Expectations {
        port: Some(8080),
        ready_within: Duration::from_millis(300),
        grace: Duration::from_secs(1),
        requests: 20,
        ..Expectations::default()
    };
    let settings = ContainerSettings { image: "app".to_owned(), ..ContainerSettings::default() };
    Subject {
        runtime: fake,
        settings,
        expectations,
        users: Users::Unseen,
        by_shell: false,
        events: Events::silent(),
    }
}

fn of(fake: &Fake, test: fn(&Subject<'_>, &mut Checks)) -> Vec<Check> {
    let mut checks = Checks::new(false);
    test(&subject(fake), &mut checks);
    checks.made().to_vec()
}

fn verdicts(checks: &[Check]) -> Vec<(&str, Verdict)> {
    checks.iter().map(|check| (check.name.as_str(), check.verdict)).collect()
}

fn none_left(fake: &Fake) -> TestResult {
    match fake.left() {
        0 => Ok(()),
        left => Err(Stop::failed(format!("{left} containers were left behind"))),
    }
}

fn good() -> TestResult {
    let fake = Fake::new(Behaviour::Good);
    let checks = of(&fake, behaviour);
    assert_eq!(
        verdicts(&checks),
        [
            ("starts", Verdict::Passed),
            ("becomes healthy", Verdict::Passed),
            ("answers on its port", Verdict::Passed),
            ("runs as the declared user", Verdict::Skipped),
            ("stays up and within its memory under load", Verdict::Passed),
            ("writes its log as lines", Verdict::Passed),
            ("drains and exits 0 on its stop signal", Verdict::Passed),
            ("starts again", Verdict::Passed),
        ],
        "{checks:#?}"
    );
    let drained = checks[6].reason.as_deref().unwrap_or_default();
    assert!(drained.contains("when the request in flight was done"), "{drained}");
    let hardened = of(&fake, hardening);
    assert_eq!(hardened.len(), 10, "{hardened:#?}");
    assert!(hardened.iter().all(|check| check.verdict == Verdict::Passed), "{hardened:#?}");
    none_left(&fake)
}

fn deployed() -> TestResult {
    let fake = Fake::new(Behaviour::Good);
    let of_user = |user: &str, own: Option<&str>, missing: &[&str]| {
        let deployed = Deployed {
            name: "k8s.yaml: shop".to_owned(),
            not_root: true,
            image_user: user.to_owned(),
            missing: missing.iter().map(|one| (*one).to_owned()).collect(),
        };
        let mut checks = Checks::new(false);
        let mut subject = subject(&fake);
        subject.settings.user = own.map(str::to_owned);
        as_deployed(&subject, &deployed, &mut checks);
        checks.made().to_vec()
    };
    let good = of_user("65532", None, &[]);
    let bad = |check: &&Check| !matches!(check.verdict, Verdict::Passed | Verdict::Skipped);
    assert_eq!((good.len(), good.iter().find(bad)), (10, None), "{good:#?}");
    assert!(good.iter().all(|check| check.suite == "k8s.yaml: shop"), "{good:#?}");
    for (user, own, found) in [
        ("", None, Some("no user")),
        ("0", None, Some("0, which is root")),
        ("app", None, Some("the name app")),
        ("app:app", Some("0:7"), Some("0, which is root")),
        ("app", Some("7"), None),
        ("7:0", None, None),
    ] {
        let checks = of_user(user, own, &[]);
        let first = &checks[0];
        assert_eq!(first.name, "is admitted with runAsNonRoot");
        assert_eq!(first.verdict == Verdict::Failed, found.is_some(), "{user}: {first:#?}");
        if let Some(found) = found {
            assert!(first.problems[0].found.contains(found), "{user}: {first:#?}");
        }
    }
    let partly = of_user("7", None, &["spec.hostPID: namespaces are not shared"]);
    let unchecked: Vec<&str> =
        partly.iter().filter(|check| check.verdict == Verdict::Unchecked).map(|check| &*check.name).collect();
    assert_eq!(unchecked, ["has all that is asked for"], "{partly:#?}");
    none_left(&fake)
}

fn each_misbehaviour() -> TestResult {
    for (behaviour_of, name, found, hint) in [
        (Behaviour::Ends, "starts", "it ended with 3", None),
        (Behaviour::Unhealthy, "becomes healthy", "GET / answered 503", Some("it must listen")),
        (
            Behaviour::DiesOfSignal,
            "drains and exits 0 on its stop signal",
            "exit code 143",
            Some("signal.NotifyContext"),
        ),
        (
            Behaviour::Deaf,
            "drains and exits 0 on its stop signal",
            "it still runs",
            Some("signal.NotifyContext"),
        ),
        (
            Behaviour::Drops,
            "drains and exits 0 on its stop signal",
            "closed without a response",
            Some("Shutdown"),
        ),
    ] {
        let fake = Fake::new(behaviour_of);
        let checks = of(&fake, behaviour);
        let failed: Vec<&Check> = checks.iter().filter(|check| check.verdict == Verdict::Failed).collect();
        let [failed] = failed[..] else { return Err(Stop::failed(format!("{behaviour_of:?}: {checks:#?}"))) };
        assert_eq!(failed.name, name, "{behaviour_of:?}");
        assert!(failed.problems[0].found.contains(found), "{behaviour_of:?}: {failed:#?}");
        assert_eq!(failed.logs, ["listening"], "{behaviour_of:?}");
        if let Some(hint) = hint {
            assert!(failed.hints.iter().any(|found| found.contains(hint)), "{behaviour_of:?}: {failed:#?}");
        }
        none_left(&fake)?;
    }
    Ok(())
}

fn guilty() -> TestResult {
    let fake = Fake::new(Behaviour::Writes);
    let checks = of(&fake, hardening);
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Failed)
        .map(|check| check.name.as_str())
        .collect();
    let all = &checks[checks.len() - 1];
    assert_eq!(failed, ["--read-only", "all together"], "{checks:#?}");
    assert_eq!(all.reason.as_deref(), Some("guilty by itself: --read-only"));
    assert_eq!(all.hints, ["it writes /var/lib/app/db: mount a tmpfs or a volume at /var/lib/app"]);
    none_left(&fake)
}

fn not_here() -> TestResult {
    let fake = Fake { without_memory: true, ..Fake::new(Behaviour::Good) };
    let checks = of(&fake, hardening);
    let memory = checks.iter().find(|check| check.name.starts_with("--memory"));
    let memory = memory.ok_or_else(|| Stop::failed("memory was not tried"))?;
    assert_eq!(memory.verdict, Verdict::Unchecked);
    assert!(
        memory.reason.as_deref().is_some_and(|reason| reason.contains("no control groups")),
        "{memory:#?}"
    );
    let all = &checks[checks.len() - 1];
    assert_eq!((all.name.as_str(), all.verdict), ("all together", Verdict::Passed), "{all:#?}");
    let mut made = Checks::new(false);
    hardening(&Subject { users: Users::Single, ..subject(&fake) }, &mut made);
    let random = made.made().iter().find(|check| check.name.starts_with("--user"));
    assert_eq!(random.map(|check| check.verdict), Some(Verdict::Unchecked), "{random:#?}");
    Ok(())
}

fn fail_fast() -> TestResult {
    let fake = Fake::new(Behaviour::Unhealthy);
    let mut checks = Checks::new(true);
    behaviour(&subject(&fake), &mut checks);
    hardening(&subject(&fake), &mut checks);
    assert_eq!(verdicts(checks.made()), [("starts", Verdict::Passed), ("becomes healthy", Verdict::Failed)]);
    none_left(&fake)
}

fn interrupted() -> TestResult {
    let fake = Fake::new(Behaviour::Unhealthy);
    let mut subject = subject(&fake);
    subject.expectations.ready_within = Duration::from_secs(60);
    let events = subject.events.clone();
    let asked = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        events.cancel();
    });
    let start = std::time::Instant::now();
    let mut checks = Checks::new(false).interruptible(&subject.events);
    behaviour(&subject, &mut checks);
    hardening(&subject, &mut checks);
    asked.join().map_err(|_| Stop::failed("the thread failed"))?;
    assert!(start.elapsed() < Duration::from_secs(30), "it waited on");
    assert_eq!(
        verdicts(checks.made()),
        [("starts", Verdict::Passed), ("becomes healthy", Verdict::Unchecked)]
    );
    none_left(&fake)
}
