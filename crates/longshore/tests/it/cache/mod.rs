//! `--cache-to` and `--cache-from`: what one machine made, another need not make.
//!
//! Steps here leave something else each time they run, so that two images with one digest are proof that nothing ran.

mod cases;
mod hostile;
mod isolations;
mod keys;
mod random;
mod registries;

use std::path::Path;

use longshore_testkit::{Folder, Longshore, Ran, Stop, Suite, TestResult};

use crate::dockerfile::busybox;
use crate::run::user;

pub(crate) fn add(suite: Suite) -> Suite {
    let suite = cases::add(hostile::add(isolations::add(registries::add(suite))));
    let suite = random::add(keys::add(suite));
    suite
        .test("cache::a_folder_brings_an_image_to_another_store", &[], folders)
        .test("cache::an_edit_reuses_the_steps_before_it", &[], edit)
        .test("cache::several_caches_and_platforms", &[], several)
        .test("cache::it_is_handed_on_without_being_used", &[], handed_on)
        .test("cache::times_that_were_cut_are_told_apart", &[], times)
        .test("cache::builds_at_once_share_it", &[], at_once)
        .test("cache::no_secret_and_no_cache_mount_is_in_it", &[], secrets)
        .test("cache::no_cache_runs_all_the_same", &[], no_cache)
        .test("cache::what_cannot_be_written_is_an_error", &[], unwritable)
}

pub(crate) const DOCKERFILE: &str = "\
FROM busybox AS builder
WORKDIR /src
COPY go.mod .
RUN head -c 16 /dev/urandom > /downloaded && cat go.mod
COPY main.go .
RUN cat main.go /downloaded > /app && chown 7:8 /app

FROM busybox
RUN head -c 16 /dev/urandom > /made && rm -r /data
COPY --from=builder /app /bin/app
ENV A=b
";
/// Steps of it, and those of the builder.
const STEPS: (usize, usize) = (7, 5);

/// The project that is built.
pub(crate) fn project() -> Result<Folder, Stop> {
    let folder = Folder::new()?;
    folder.write("Dockerfile", DOCKERFILE)?;
    folder.write("go.mod", "module example.com/x\n")?;
    folder.write("main.go", "package main\n")?;
    Ok(folder)
}

/// What came of a build.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) digest: String,
    /// Steps that were done, of how many.
    pub(crate) done: usize,
    pub(crate) steps: Option<usize>,
    pub(crate) stderr: String,
}

impl Built {
    pub(crate) fn of(ran: Ran) -> Result<Built, Stop> {
        let ran = ran.succeeded()?;
        let last = ran.stderr.lines().rfind(|line| line.contains(" (linux/")).unwrap_or_default();
        let counts = last.rsplit_once(", ").map(|(_, rest)| rest.trim_end_matches(')')).unwrap_or_default();
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        let mut words = counts.split(' ');
        let (done, steps) = match counts {
            "nothing changed" => (Some(0), None),
            _ => (number(words.next()), number(words.nth(1))),
        };
        let done = done.ok_or_else(|| Stop::failed(format!("no count of steps: {last}")))?;
        Ok(Built { digest: ran.stdout.trim_end().to_owned(), done, steps, stderr: ran.stderr })
    }

    /// Labels of the steps that were known.
    fn cached(&self) -> Vec<&str> {
        let label = |line: &str| self.stderr.lines().find(|other| other.starts_with(line));
        let numbers = self.stderr.lines().filter_map(|line| line.strip_suffix(" CACHED"));
        numbers.filter_map(|number| Some(label(&format!("{number} ["))?.split_once(' ')?.1)).collect()
    }
}

/// Builds the project for a user with flags.
pub(crate) fn build(user: &Longshore, folder: &Folder, flags: &[&str]) -> Result<Built, Stop> {
    Built::of(user.run(arguments(&folder.path().display().to_string(), flags)?)?)
}

fn arguments(folder: &str, flags: &[&str]) -> Result<Vec<String>, Stop> {
    let dockerfile = format!("{folder}/Dockerfile");
    let busybox = busybox("busybox")?;
    let fixed = ["build", "-f", &dockerfile, folder, "--build-context", &busybox, "--progress", "plain"];
    Ok(fixed.iter().chain(flags).map(|&argument| argument.to_owned()).collect())
}

pub(crate) fn to(folder: &Path, mode: &str) -> String {
    format!("type=local,dest={},mode={mode}", folder.display())
}

pub(crate) fn from(folder: &Path) -> String {
    format!("type=local,src={}", folder.display())
}

/// Items of a store's cache whose kind begins so.
pub(crate) fn items(user: &Longshore, kind: &str) -> Result<usize, Stop> {
    let mut count = 0;
    for entry in std::fs::read_dir(user.store().join("cache"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(kind) {
            count += std::fs::read_dir(entry.path())?.count();
        }
    }
    Ok(count)
}

fn folders() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let exporter = user()?;
    let (max, min) = (caches.join("max"), caches.join("min"));
    let made = build(&exporter, &folder, &["--cache-to", &to(&max, "max"), "--cache-to", &to(&min, "min")])?;
    assert_eq!((made.done, made.steps), (STEPS.0, Some(STEPS.0)), "{}", made.stderr);
    let layers = |cache: &Path| -> Result<usize, Stop> {
        Ok(manifest(cache)?["layers"].as_array().map_or(0, Vec::len))
    };
    assert_eq!((layers(&max)?, layers(&min)?), (STEPS.0, STEPS.0 - STEPS.1));
    for cache in [&max, &min] {
        let importer = user()?;
        let known = build(&importer, &folder, &["--cache-from", &from(cache)])?;
        assert_eq!((known.digest.as_str(), known.done), (made.digest.as_str(), 0), "{}", known.stderr);
        assert_eq!(known.cached().len(), STEPS.0, "{}", known.stderr);
        assert_eq!(items(&importer, "snapshots-")?, 0, "nothing is unpacked");
        importer.run(["image", "validate"])?.succeeded()?;
        // What came is known without the cache from then on.
        std::fs::rename(cache, caches.join("away"))?;
        let later = build(&importer, &folder, &[])?;
        assert_eq!((later.digest.as_str(), later.done), (made.digest.as_str(), 0), "{}", later.stderr);
        std::fs::remove_dir_all(caches.join("away"))?;
    }
    Ok(())
}

/// The manifest of a cache in a folder.
fn manifest(cache: &Path) -> Result<serde_json::Value, Stop> {
    let read = |path: &Path| -> Result<serde_json::Value, Stop> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    };
    let index = read(&cache.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().unwrap_or_default().replace(':', "/");
    read(&cache.join("blobs").join(digest))
}

fn edit() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let (max, min) = (caches.join("max"), caches.join("min"));
    build(&user()?, &folder, &["--cache-to", &to(&max, "max"), "--cache-to", &to(&min, "min")])?;

    folder.write("main.go", "package main // edited\n")?;
    let importer = user()?;
    let edited = build(&importer, &folder, &["--cache-from", &from(&max)])?;
    assert_eq!((edited.done, edited.steps), (3, Some(STEPS.0)), "{}", edited.stderr);
    let mut known = edited.cached();
    known.sort_unstable();
    let expected = [
        "[builder 2/6] WORKDIR /src",
        "[builder 3/6] COPY go.mod .",
        "[builder 4/6] RUN head -c 16 /dev/urandom > /downloaded && cat go.mod",
        "[stage-1 2/3] RUN head -c 16 /dev/urandom > /made && rm -r /data",
    ];
    assert_eq!(known, expected, "{}", edited.stderr);
    let again = build(&importer, &folder, &[])?;
    assert_eq!((again.digest, again.done), (edited.digest, 0), "{}", again.stderr);

    // The image's own layers are all that the smaller cache has.
    let edited = build(&user()?, &folder, &["--cache-from", &from(&min)])?;
    assert_eq!((edited.done, edited.steps), (STEPS.1 + 1, Some(STEPS.0)), "{}", edited.stderr);

    // Of the builder only what is copied counts, and that is what it was.
    folder.write("main.go", "package main\n")?;
    let dockerfile = DOCKERFILE.replace("ENV A=b", "RUN head -c 16 /dev/urandom > /last");
    folder.write("Dockerfile", dockerfile)?;
    let importer = user()?;
    let added = build(&importer, &folder, &["--cache-from", &from(&min)])?;
    assert_eq!((added.done, added.steps), (1, Some(STEPS.0 + 1)), "{}", added.stderr);
    assert!(!added.stderr.contains("/downloaded && cat go.mod\n#1 DONE"), "{}", added.stderr);
    importer.run(["image", "validate"])?.succeeded()?;
    Ok(())
}

fn several() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    folder
        .write("Dockerfile", "FROM busybox\nARG NAME\nARG TARGETARCH\nCOPY main.go /$TARGETARCH/$NAME\n")?;
    let platforms = busybox("platforms")?;
    let flags = |name: &str| {
        let name = format!("NAME={name}");
        let fixed =
            ["--build-context", &platforms, "--platform", "linux/amd64,linux/arm64", "--build-arg", &name];
        fixed.map(str::to_owned)
    };
    let run = |user: &Longshore, name: &str, more: &[&str]| -> Result<Built, Stop> {
        let flags = flags(name);
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        build(user, &folder, &flags)
    };
    let (one, two, image) = (caches.join("one"), caches.join("two"), caches.join("image"));
    let output = format!("oci:{}", image.display());
    let first = run(&user()?, "one", &["--cache-to", &to(&one, "max")])?;
    let second = run(&user()?, "two", &["--cache-to", &to(&two, "min")])?;
    run(&user()?, "one", &["--cache-to", "type=inline", "--output", &output])?;
    let importer = user()?;
    let both = ["--cache-from", &from(&one), "--cache-from", &from(&two)];
    for (name, made) in [("one", &first), ("two", &second)] {
        let known = run(&importer, name, &both)?;
        assert_eq!((&known.digest, known.done), (&made.digest, 0), "{}", known.stderr);
    }
    let known = run(&user()?, "one", &["--cache-from", &from(&image)])?;
    assert_eq!(known.done, 0, "the records of both platforms are in the image: {}", known.stderr);
    Ok(())
}

fn handed_on() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let (first, second) = (caches.join("first"), caches.join("second"));
    let made = build(&user()?, &folder, &["--cache-to", &to(&first, "max")])?;
    // A machine on which nothing is left hands all of it on, the layers of the builder too that it never needed.
    let flags = ["--cache-from", &from(&first), "--cache-to", &to(&second, "max")];
    build(&user()?, &folder, &flags)?;
    assert_eq!(manifest(&second)?, manifest(&first)?);
    std::fs::remove_dir_all(&first)?;
    let known = build(&user()?, &folder, &["--cache-from", &from(&second)])?;
    assert_eq!((known.digest, known.done), (made.digest, 0), "{}", known.stderr);
    Ok(())
}

fn times() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let (kept, cut) = (caches.join("kept"), caches.join("cut"));
    let epoch = "SOURCE_DATE_EPOCH";
    folder.write("Dockerfile", "FROM busybox\nRUN head -c 16 /dev/urandom > /made\n")?;
    let exporter = user()?;
    let plain = build(&exporter, &folder, &["--cache-to", &to(&kept, "max")])?;
    let exporter = exporter.env(epoch, "1700000000");
    let dated = build(&exporter, &folder, &["--cache-to", &to(&cut, "max")])?;
    assert_eq!(dated.done, 0, "{}", dated.stderr);
    assert_ne!(dated.digest, plain.digest);
    let importer = |value: &str| Ok::<_, Stop>(user()?.env(epoch, value));
    for (cache, value, digest, done) in [
        (&cut, "1700000000", Some(&dated.digest), 0),
        // Written anew, with the same bytes.
        (&kept, "1700000000", Some(&dated.digest), 0),
        // Times that were cut for one image are not those of another.
        (&cut, "1600000000", None, 1),
    ] {
        let built = build(&importer(value)?, &folder, &["--cache-from", &from(cache)])?;
        assert_eq!(built.done, done, "{value}: {}", built.stderr);
        assert!(digest.is_none_or(|digest| *digest == built.digest), "{value}: {}", built.stderr);
    }
    let built = build(&user()?, &folder, &["--cache-from", &from(&cut)])?;
    assert_eq!(built.done, 1, "{}", built.stderr);
    // Nor once a step stands on them, and they are unpacked.
    folder.write("Dockerfile", "FROM busybox\nRUN head -c 16 /dev/urandom > /made\nRUN true\n")?;
    let unpacking = user()?;
    for (epoch, done) in [("1700000000", 1), ("1700000000", 0), ("1800000000", 2)] {
        let argument = format!("SOURCE_DATE_EPOCH={epoch}");
        let flags = ["--build-arg", &argument, "--cache-from", &from(&cut)];
        let built = build(&unpacking, &folder, &flags)?;
        assert_eq!(built.done, done, "{epoch}: {}", built.stderr);
    }
    Ok(())
}

fn at_once() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let cache = caches.join("max");
    let made = build(&user()?, &folder, &["--cache-to", &to(&cache, "max")])?;
    let edited = project()?;
    edited.write("main.go", "package main // edited\n")?;
    let shared = user()?;
    let again = caches.join("again");
    let built = std::thread::scope(|scope| -> Result<Vec<Built>, Stop> {
        let runs: Vec<_> = [&folder, &edited, &folder, &edited]
            .into_iter()
            .map(|folder| {
                let (shared, flags) = (
                    &shared,
                    ["--cache-from".to_owned(), from(&cache), "--cache-to".to_owned(), to(&again, "max")],
                );
                scope.spawn(move || build(shared, folder, &flags.each_ref().map(String::as_str)))
            })
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap_or_else(|_| Err(Stop::failed("a build panicked"))))
            .collect()
    })?;
    for index in [0, 2] {
        assert_eq!((&built[index].digest, built[index].done), (&made.digest, 0), "{}", built[index].stderr);
    }
    assert_eq!(built[1].digest, built[3].digest, "{}\n{}", built[1].stderr, built[3].stderr);
    assert_ne!(built[1].digest, made.digest);
    let done: usize = built.iter().map(|built| built.done).sum();
    assert_eq!(done, 3, "each step was done once");
    shared.run(["image", "validate"])?.succeeded()?;
    let known = build(&user()?, &folder, &["--cache-from", &from(&again)])?;
    assert!(known.done <= STEPS.0 && !known.stderr.contains("is not used"), "{}", known.stderr);
    Ok(())
}

fn secrets() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let dockerfile = "FROM busybox AS a
RUN --mount=type=secret,id=key cat /run/secrets/key > /dev/null
RUN --mount=type=cache,target=/cache echo s3cr3t-mount > /cache/x
FROM busybox
COPY --from=a /etc/passwd /copied
";
    folder.write("Dockerfile", dockerfile)?;
    let key = caches.write("key", "s3cr3t-key")?;
    let secret = format!("id=key,src={}", key.display());
    let cache = caches.join("max");
    build(&user()?, &folder, &["--secret", &secret, "--cache-to", &to(&cache, "max")])?;
    let layout = longshore_image::Layout::open(&cache)?;
    let root = layout.entries()?.into_iter().next().ok_or_else(|| Stop::failed("the layout is empty"))?;
    let image = layout.image(&root.descriptor);
    let mut bytes = image.raw()?;
    let manifest = image.manifest()?;
    std::io::Read::read_to_end(&mut image.open(&manifest.config)?, &mut bytes)?;
    assert!(manifest.layers.len() >= 2, "{manifest:?}");
    for layer in &manifest.layers {
        std::io::Read::read_to_end(&mut image.open_layer(layer)?, &mut bytes)?;
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("copied") && !text.contains("s3cr3t"), "{text}");
    // Another secret makes no other step.
    caches.write("key", "an0ther")?;
    let known = build(&user()?, &folder, &["--secret", &secret, "--cache-from", &from(&cache)])?;
    assert_eq!(known.done, 0, "{}", known.stderr);
    Ok(())
}

fn no_cache() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let cache = caches.join("max");
    let made = build(&user()?, &folder, &["--cache-to", &to(&cache, "max")])?;
    let importer = user()?;
    let flags = ["--cache-from", &from(&cache), "--no-cache"];
    let fresh = build(&importer, &folder, &flags)?;
    assert_eq!((fresh.done, fresh.steps), (STEPS.0, Some(STEPS.0)), "{}", fresh.stderr);
    assert_ne!(fresh.digest, made.digest);
    // What was done here counts more than what a cache has.
    let later = build(&importer, &folder, &["--cache-from", &from(&cache)])?;
    assert_eq!((later.digest, later.done), (fresh.digest, 0), "{}", later.stderr);
    Ok(())
}

fn unwritable() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let file = caches.write("file", "")?;
    let user = user()?;
    let refused =
        user.run(arguments(&folder.path().display().to_string(), &["--cache-to", &to(&file, "max")])?)?;
    let refused = refused.expect_code(1)?;
    assert_eq!(refused.stdout, "");
    let message = format!("error: cannot write the cache {}; the image was built", file.display());
    assert!(refused.stderr.contains(&message), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: ignore-error=true"), "{}", refused.stderr);
    let lenient = format!("{},ignore-error=true", to(&file, "max"));
    let built = build(&user, &folder, &["--cache-to", &lenient])?;
    assert!(
        built.stderr.contains(&format!("warning: the cache {} was not written: ", file.display())),
        "{}",
        built.stderr
    );
    assert_eq!(built.done, 0);
    // All is known here: no cache is asked.
    let absent = ["--cache-from", "registry.invalid/cache:1"];
    let built = build(&user, &folder, &absent)?;
    assert!(built.done == 0 && !built.stderr.contains("registry.invalid"), "{}", built.stderr);
    let built = build(&crate::run::user()?.env("LONGSHORE_OFFLINE", "1"), &folder, &absent)?;
    let message = "warning: the cache registry.invalid/cache:1 is not used: a registry is needed, and --offline leaves the network alone";
    assert!(built.stderr.contains(message), "{}", built.stderr);
    Ok(())
}
