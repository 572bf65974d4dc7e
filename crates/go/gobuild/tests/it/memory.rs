//! Nothing changed, nothing done; anything changed, built again.

use std::fs;
use std::time::{Duration, Instant};

use longshore_testkit::TestResult;

use crate::world::{HELLO, World};

pub(crate) fn nothing_changed_means_nothing_done() -> TestResult {
    let mut world = World::new(HELLO);
    let first = world.build()?;
    std::thread::sleep(Duration::from_millis(60));
    world.build()?;
    let start = Instant::now();
    let second = world.build()?;
    let elapsed = start.elapsed();
    assert!(second.cached, "{:?}", second.reason);
    assert_eq!((&second.root, &second.images, &second.pins), (&first.root, &first.images, &first.pins));
    // An unoptimised program on a busy machine: a build takes several times as long.
    assert!(elapsed < Duration::from_millis(150), "{elapsed:?}");
    // A touch, and a rewrite of the same, are no changes.
    world.write("main.go", HELLO);
    assert!(world.build()?.cached);
    // An edit below the imports is built, and remembered, without asking Go for its files again.
    world.write("main.go", HELLO.replace("hello", "edited"));
    // As young as the clock's granularity, it would count as changed while it is built.
    std::thread::sleep(Duration::from_millis(30));
    let edited = world.build()?;
    assert!(
        edited.reason.as_ref().is_some_and(|reason| reason.ends_with("main.go changed")),
        "{:?}",
        edited.reason
    );
    assert_ne!(edited.root, first.root);
    assert_eq!(world.build()?.root, edited.root);
    assert!(world.build()?.cached);
    world.write("main.go", HELLO);
    assert_eq!(world.build()?.root, first.root);
    // Other settings are another build, and the first is still remembered.
    world.request.settings.user = Some("1:1".into());
    assert!(!world.build()?.cached);
    world.request.settings.user = None;
    assert!(world.build()?.cached);
    world.request.fresh = true;
    let fresh = world.build()?;
    assert!(!fresh.cached);
    assert_eq!(fresh.root, first.root);
    Ok(())
}

pub(crate) fn what_was_not_there_is_an_input() -> TestResult {
    let main = "package main\n\nimport (\n\t\"embed\"\n\n\t\"example.com/hello/inner\"\n)\n\n//go:embed all:static/* t*.txt\nvar files embed.FS\n\nfunc main() { println(inner.Name) }\n";
    type Change = fn(&World);
    let cases: [(&str, Change, bool); 14] = [
        ("a new source", |w| w.write("new.go", "package main\n\nfunc init() { println(1) }\n"), false),
        ("a new source of another system", |w| w.write("new_windows.go", "package main\n"), false),
        ("a new test", |w| w.write("inner/inner_test.go", "package inner\n"), false),
        ("a new file elsewhere", |w| w.write("README.md", "text"), true),
        ("a new package that nobody imports", |w| w.write("other/other.go", "package other\n"), true),
        ("a new match of a pattern", |w| w.write("two.txt", "2"), false),
        ("no match of the pattern", |w| w.write("one.txt.bak", "2"), true),
        ("a new file below an embedded folder", |w| w.write("static/deep/b", "b"), false),
        ("a go.work above", |w| w.write("go.work", "go 1.24\n\nuse .\n"), false),
        ("a vendor folder", |w| w.write("vendor/modules.txt", ""), false),
        (
            "a go.mod between",
            |w| w.write("inner/go.mod", "module example.com/hello/inner\n\ngo 1.24\n"),
            false,
        ),
        ("a profile", |w| w.write("default.pgo", ""), false),
        ("a go.sum", |w| w.write("go.sum", ""), false),
        ("an embedded file", |w| w.write("static/a", "A"), false),
    ];
    for (name, change, expected) in cases {
        let world = World::new(main);
        world.write("inner/inner.go", "package inner\n\nconst Name = \"x\"\n");
        world.write("static/a", "a");
        world.write("tone.txt", "1");
        world.write("static/deep/c", "c");
        std::thread::sleep(Duration::from_millis(30));
        let first = world.build()?;
        assert_eq!(first.reason.as_deref(), Some("it was not built before with these settings"), "{name}");
        assert!(world.build()?.cached, "{name}: the second build did work");
        change(&world);
        match world.build() {
            Ok(outcome) => assert_eq!(outcome.cached, expected, "{name}: {:?}", outcome.reason),
            // Some of the changes make the module invalid, which is not an answer from memory either.
            Err(_) => assert!(!expected, "{name}"),
        }
    }
    Ok(())
}

pub(crate) fn a_commit_is_an_input() -> TestResult {
    let world = World::new(HELLO);
    world.commit();
    std::thread::sleep(Duration::from_millis(30));
    let first = world.build()?;
    let second = world.build()?;
    assert!(second.cached, "{:?}", second.reason);
    let identity =
        ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "second"];
    world.run("git", &identity);
    std::thread::sleep(Duration::from_millis(30));
    let third = world.build()?;
    assert!(!third.cached);
    assert_ne!(third.root.digest, first.root.digest, "the image names the new commit");
    std::thread::sleep(Duration::from_millis(30));
    assert!(world.build()?.cached);
    // References may be packed at any time; the commit stays the same.
    world.run("git", &["pack-refs", "--all"]);
    let packed = world.build()?;
    assert_eq!(packed.root.digest, third.root.digest);
    // A branch may be a name for another one, which is the one that a commit then moves.
    world.run("git", &["branch", "other"]);
    world.run("git", &["symbolic-ref", "refs/heads/main", "refs/heads/other"]);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(world.build()?.root.digest, third.root.digest);
    let through = [&identity[..8], &["third"]].concat();
    world.run("git", &through);
    assert_ne!(world.build()?.root.digest, third.root.digest, "the image names the newest commit");
    Ok(())
}

pub(crate) fn an_image_is_not_pruned_before_it_has_a_name() -> TestResult {
    let world = World::new(HELLO);
    let first = world.build()?;
    world.store.collect_garbage()?;
    assert_eq!(world.image(&first).blobs()?.len(), 1 + 1 + world.single(&first).0.layers.len());
    drop(first);
    std::thread::sleep(Duration::from_millis(30));
    let again = world.build()?;
    assert!(again.cached, "{:?}", again.reason);
    world.store.collect_garbage()?;
    world.image(&again).blobs()?;
    drop(again);
    assert!(world.store.collect_garbage()? > 0, "what nobody named goes");
    Ok(())
}

pub(crate) fn a_lost_blob_is_built_again() -> TestResult {
    let world = World::new(HELLO);
    let first = world.build()?;
    for blob in world.image(&first).blobs()? {
        std::thread::sleep(Duration::from_millis(20));
        assert!(world.build()?.cached);
        let hex = blob.digest.to_string().replace("sha256:", "sha256/");
        fs::remove_file(world.store.root().join("images/blobs").join(hex))?;
        let again = world.build()?;
        assert!(!again.cached, "{} was lost", blob.media_type);
        assert_eq!(again.root, first.root);
        assert_eq!(again.reason.as_deref(), Some("the image of last time is no longer in the store"));
    }
    Ok(())
}
