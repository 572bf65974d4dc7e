//! longshore.lock: when it is written, and what it refuses.

use longshore_config::{Lock, ToolchainPin};
use longshore_gobuild::LockMode;
use longshore_testkit::TestResult;

use crate::world::{HELLO, World, chain};

pub(crate) fn pins_and_is_written() -> TestResult {
    let world = World::new(HELLO);
    let outcome = world.build()?;
    assert!(!world.source("longshore.lock").exists(), "nothing was resolved outside");
    // One that is there is brought up to date.
    Lock::default().save(&world.request.root)?;
    let again = world.build()?;
    assert_eq!(again.root.digest, outcome.root.digest);
    let lock = Lock::load(&world.request.root)?.unwrap();
    assert_eq!(lock, outcome.pins);
    assert!(lock.certificates.is_some() && lock.go.is_some());
    Ok(())
}

pub(crate) fn locked_builds_name_what_drifted() -> TestResult {
    let mut world = World::new(HELLO);
    world.request.lock = LockMode::Locked;
    let message = chain(&world.build().unwrap_err());
    assert!(
        message.starts_with("the build would drift from longshore.lock: Go: not locked, found 1."),
        "{message}"
    );
    world.request.lock = LockMode::Update;
    let mut lock = world.build()?.pins;
    lock.save(&world.request.root)?;
    world.request.lock = LockMode::Locked;
    let locked = world.build()?;
    assert!(locked.cached, "{:?}", locked.reason);
    lock.certificates = Some("0.0.1".into());
    lock.save(&world.request.root)?;
    let error = world.build().unwrap_err();
    let message = chain(&error);
    assert!(
        message
            .starts_with("the build would drift from longshore.lock: CA certificates: locked 0.0.1, found "),
        "{message}"
    );
    assert_eq!(error.hint().unwrap(), "build without --locked to bring longshore.lock up to date");
    lock.certificates = None;
    lock.go = Some(ToolchainPin { version: "1.20.0".into(), hashes: Default::default() });
    lock.save(&world.request.root)?;
    let message = chain(&world.build().unwrap_err());
    assert!(message.contains("older than Go 1.24"), "{message}");
    Ok(())
}
