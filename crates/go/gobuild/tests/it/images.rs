//! What is in an image, and what it says.

use std::error::Error as _;

use std::fs;

use longshore_config::{BaseChoice, HealthcheckChoice, ImageFormat, Include, Presence};
use longshore_image::layer::{Entry, LayerBuilder, Timestamps};
use longshore_oci::{Descriptor, ImageConfig, Manifest, Platform};
use longshore_testkit::TestResult;

use crate::world::{HELLO, World, chain};

pub(crate) fn a_service_becomes_an_image() -> TestResult {
    let world = World::new(HELLO);
    let outcome = world.build()?;
    assert!(!outcome.cached);
    let (manifest, config, files) = world.single(&outcome);
    assert_eq!(manifest.layers.len(), 2);
    let modes: Vec<_> = files
        .iter()
        .map(|(path, (kind, mode, owner, _))| format!("{kind} {mode:04o} {owner} {path}"))
        .collect();
    assert_eq!(
        modes,
        [
            "d 0755 0 app",
            "f 0555 0 app/hello",
            "d 0755 0 etc",
            "f 0644 0 etc/group",
            "f 0644 0 etc/nsswitch.conf",
            "f 0644 0 etc/passwd",
            "d 0755 0 home",
            "d 0700 65532 home/nonroot",
            "d 1777 0 tmp",
        ]
    );
    assert_eq!(config.config.user, "65532:65532");
    assert_eq!(config.config.entrypoint.as_deref(), Some(&["/app/hello".to_owned()][..]));
    assert_eq!(config.config.cmd, None);
    assert_eq!(config.config.env, ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/app"]);
    assert_eq!(config.config.working_dir, "/");
    assert_eq!(config.created.as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(manifest.annotations["org.opencontainers.image.title"], "hello");
    assert_eq!(config.history.len(), 2);
    let image = &outcome.images[0];
    assert!(image.is_static);
    assert_eq!(image.program_size, files["app/hello"].3.len() as u64);
    // The program runs, and says what it should.
    let program = world.folder.write("program", &files["app/hello"].3)?;
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let output = std::process::Command::new(program).output()?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "hello\n");
    Ok(())
}

pub(crate) fn platforms_become_an_index() -> TestResult {
    let mut world = World::new(HELLO);
    let names = ["linux/amd64", "linux/arm64", "linux/arm/v6"];
    world.request.settings.platforms = Some(names.map(str::to_owned).to_vec());
    let outcome = world.build()?;
    let index = world.image(&outcome).index()?;
    let platforms: Vec<_> =
        index.manifests.iter().map(|d| d.platform.as_ref().unwrap().to_string()).collect();
    assert_eq!(platforms, names);
    let machines: Vec<u8> = world
        .image(&outcome)
        .images()?
        .iter()
        .map(|image| crate::world::files(image)["app/hello"].3[18])
        .collect();
    assert_eq!(machines, [62, 183, 40], "ELF machines of x86-64, AArch64 and ARM");
    Ok(())
}

const TLS: &str = "package main\n\nimport (\n\t\"net/http\"\n\t\"time\"\n)\n\nfunc main() {\n\thttp.Get(\"https://example.com\")\n\tzone, _ := time.LoadLocation(\"Europe/Berlin\")\n\tprintln(zone.String())\n}\n";

pub(crate) fn the_program_decides_what_goes_in() -> TestResult {
    let mut world = World::new(TLS);
    let (_, config, files) = world.single(&world.build()?);
    assert!(files.contains_key("usr/share/zoneinfo/Europe/Berlin"));
    assert!(files["etc/ssl/certs/ca-certificates.crt"].3.starts_with(b"-----BEGIN CERTIFICATE-----\n"));
    assert!(config.config.env.contains(&"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".to_owned()));
    world.write("tz.go", "package main\n\nimport _ \"time/tzdata\"\n");
    let outcome = world.build()?;
    assert!(!world.single(&outcome).2.contains_key("usr/share/zoneinfo"));
    assert_eq!(
        outcome.images[0].decisions[1],
        "time zones: left out, the program holds them itself (time/tzdata)"
    );
    world.request.settings.certificates = Some(Presence::Off);
    world.request.settings.timezones = Some(Presence::On);
    let (_, _, files) = world.single(&world.build()?);
    assert!(!files.contains_key("etc/ssl") && files.contains_key("usr/share/zoneinfo/UTC"));
    world.request.settings = longshore_config::Settings::default();
    world.write("ca.pem", "x\n-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n");
    world.request.settings.extra_ca = Some(vec!["ca.pem".into()]);
    let (_, _, files) = world.single(&world.build()?);
    let end = b"-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    assert!(files["etc/ssl/certs/ca-certificates.crt"].3.ends_with(end));
    Ok(())
}

pub(crate) fn settings_reach_the_config() -> TestResult {
    let mut world =
        World::new("package main\n\nvar version = \"none\"\n\nfunc main() { println(version) }\n");
    world.request.facts.health = Some(vec!["health".into()]);
    world.request.facts.ports = vec!["8080".parse()?];
    let settings = &mut world.request.settings;
    settings.image_format = Some(ImageFormat::Docker);
    settings.stamp = [("main.version".to_owned(), "${version} of it's".to_owned())].into();
    settings.version = Some("v1.2.3".into());
    settings.env = [("A".to_owned(), "1".to_owned()), ("PATH".to_owned(), "/x".to_owned())].into();
    settings.labels = [("a.b".to_owned(), "c".to_owned())].into();
    settings.annotations = [("d.e".to_owned(), "f".to_owned())].into();
    settings.entrypoint_args = Some(vec!["serve".into()]);
    settings.cmd = Some(vec!["--fast".into()]);
    settings.stop_signal = Some("SIGINT".into());
    settings.workdir = Some("/tmp".into());
    settings.user = Some("1000:1000".into());
    let outcome = world.build()?;
    let (manifest, config, files) = world.single(&outcome);
    assert_eq!(outcome.root.media_type, "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(manifest.layers[0].media_type, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let inner = config.config;
    let check = inner.healthcheck.unwrap();
    assert_eq!(check.test, ["CMD", "/app/hello", "health"]);
    assert_eq!((check.interval, check.timeout, check.retries), (30_000_000_000, 3_000_000_000, 3));
    assert_eq!(inner.exposed_ports.keys().collect::<Vec<_>>(), ["8080/tcp"]);
    assert_eq!(inner.entrypoint.unwrap(), ["/app/hello", "serve"]);
    assert_eq!(inner.cmd.unwrap(), ["--fast"]);
    assert_eq!(inner.env, ["PATH=/x", "A=1"]);
    assert_eq!((inner.user.as_str(), inner.working_dir.as_str()), ("1000:1000", "/tmp"));
    assert_eq!(inner.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(inner.labels["a.b"], "c");
    assert_eq!(inner.labels["org.opencontainers.image.version"], "v1.2.3");
    assert!(manifest.annotations.is_empty(), "Docker's format has none");
    assert!(memory_find(&files["app/hello"].3, b"v1.2.3 of it's"));
    world.request.settings.healthcheck = Some(HealthcheckChoice::Off);
    assert_eq!(world.single(&world.build()?).1.config.healthcheck, None);
    world.request.settings.image_format = Some(ImageFormat::Oci);
    assert_eq!(world.single(&world.build()?).0.annotations["d.e"], "f");
    for (platform, known) in [("linux/amd64/v9", "v1 to v4"), ("linux/arm/v8", "v5, v6 and v7")] {
        world.request.settings.platforms = Some(vec![platform.to_owned()]);
        let error = world.build().err().and_then(|error| error.source().map(ToString::to_string));
        assert!(error.is_some_and(|error| error.ends_with(known)), "{platform}");
    }
    Ok(())
}

fn memory_find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub(crate) fn files_are_included() -> TestResult {
    let mut world = World::new(HELLO);
    world.write("kodata/x", "kodata");
    world.write("assets/css/a.css", "a");
    let include = Include { source: "assets".into(), destination: "/srv/assets".into(), mode: Some(0o640) };
    world.request.settings.include = Some(vec![include]);
    let (manifest, config, files) = world.single(&world.build()?);
    assert_eq!(files["srv/assets/css/a.css"], ('f', 0o640, 0, b"a".to_vec()));
    assert_eq!(files["var/run/ko/x"], ('f', 0o444, 0, b"kodata".to_vec()));
    assert_eq!(manifest.layers.len(), 3);
    assert!(config.config.env.contains(&"KO_DATA_PATH=/var/run/ko".to_owned()));
    world.write("assets/css/b.css", "b");
    let again = world.build()?;
    assert!(!again.cached, "a new file of an included folder was missed");
    assert!(world.single(&again).2.contains_key("srv/assets/css/b.css"));
    Ok(())
}

pub(crate) fn the_commit_is_told() -> TestResult {
    let mut world = World::new(HELLO);
    world.write(".gitignore", "ignored\n");
    world.commit();
    let (manifest, config, _) = world.single(&world.build()?);
    let revision = manifest.annotations["org.opencontainers.image.revision"].clone();
    assert_eq!(revision.len(), 40);
    assert_eq!(config.created.as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(config.config.labels["org.opencontainers.image.revision"], revision);
    // A stray file is nobody's business; a changed source is.
    world.write("notes.txt", "stray");
    let with_stray = world.build()?;
    assert!(with_stray.cached, "{:?}", with_stray.reason);
    world.write("main.go", HELLO.replace("hello", "other"));
    let dirty = world.single(&world.build()?).0.annotations["org.opencontainers.image.revision"].clone();
    assert_eq!(dirty, format!("{revision}-dirty"));
    world.run("git", &["tag", "v0.1.0"]);
    world.request.settings.vcs = Some(longshore_config::Vcs::Full);
    let (manifest, ..) = world.single(&world.build()?);
    assert_eq!(manifest.annotations["org.opencontainers.image.version"], "v0.1.0");
    Ok(())
}

/// A base with a loader, a library and links, as Debian's are laid out.
fn glibc_base(world: &World, with_libc: bool) -> Result<longshore_image::Image, Box<dyn std::error::Error>> {
    let writer = world.store.writer()?;
    let mut builder = LayerBuilder::new(writer.blob()?, Timestamps::Fixed(0));
    builder.append_empty(&Entry::symlink("lib64", "usr/lib64"))?;
    builder.append_empty(&Entry::symlink("app", "opt/app"))?;
    builder.append_empty(&Entry::directory("opt/app", 0o755))?;
    builder.append_empty(&Entry::directory("usr/lib64", 0o755))?;
    builder.append_empty(&Entry::file("usr/lib64/ld-linux-x86-64.so.2", 0o755, 0))?;
    if with_libc {
        builder.append_empty(&Entry::file("usr/lib/x86_64-linux-gnu/libc.so.6", 0o755, 0))?;
        builder.append_empty(&Entry::file("usr/lib/x86_64-linux-gnu/libresolv.so.2", 0o755, 0))?;
    }
    let (layer, blob) = builder.finish(ImageFormat::Oci)?;
    writer.adopt(blob, &layer.descriptor.digest)?;
    let mut config = ImageConfig::new(&Platform::new("linux", "amd64", None));
    config.rootfs.diff_ids.push(layer.diff_id);
    config.config.env = vec!["PATH=/bin".into(), "LANG=C".into()];
    config.config.cmd = Some(vec!["sh".into()]);
    config.config.labels.insert("org.opencontainers.image.title".into(), "base".into());
    let config = writer.bytes(ImageFormat::Oci.config(), &serde_json::to_vec(&config)?)?;
    let manifest = Manifest::new(ImageFormat::Oci, config, vec![layer.descriptor]);
    let root: Descriptor = writer.bytes(ImageFormat::Oci.manifest(), &serde_json::to_vec(&manifest)?)?;
    Ok(world.store.layout().image(&root))
}

pub(crate) fn a_base_is_kept_and_checked() -> TestResult {
    let mut world = World::new(HELLO);
    let base = glibc_base(&world, false).unwrap();
    let digest = base.digest().to_string();
    world.base = Some(base);
    world.request.settings.base = Some(BaseChoice::Image("registry.example/base:1".into()));
    let (manifest, config, files) = world.single(&world.build()?);
    assert_eq!(manifest.annotations["org.opencontainers.image.base.name"], "registry.example/base:1");
    assert_eq!(manifest.annotations["org.opencontainers.image.base.digest"], digest);
    assert_eq!(config.config.env, ["PATH=/bin:/app", "LANG=C"]);
    assert_eq!(config.config.cmd, None);
    assert_eq!(config.config.labels["org.opencontainers.image.title"], "hello");
    assert!(files.contains_key("opt/app/hello"), "the base's link app -> opt/app was followed");
    assert_eq!(manifest.layers.len(), 2);
    // PIE asks for a loader: this base has one, the built-in base has none.
    world.request.settings.build_mode = Some(longshore_config::BuildMode::Pie);
    assert!(!world.build()?.images[0].is_static);
    world.request.settings.base = None;
    let error = world.build().unwrap_err();
    assert_eq!(
        chain(&error),
        "the program asks for the loader /lib64/ld-linux-x86-64.so.2, and the built-in base does not have it"
    );
    assert!(error.hint().unwrap().contains("debian"));
    Ok(())
}

const CGO: &str = "package main\n\n// static int two(void) { return 2; }\nimport \"C\"\n\nfunc main() { println(C.two()) }\n";

pub(crate) fn cgo_links_what_its_base_has() -> TestResult {
    let mut world = World::new(CGO);
    let error = world.build().unwrap_err();
    assert!(chain(&error).contains("build constraints exclude all Go files"), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("cgo = true"));
    world.request.settings.cgo = Some(true);
    assert!(chain(&world.build().unwrap_err()).contains("ld-linux-x86-64.so.2"));
    world.request.settings.base = Some(BaseChoice::Image("registry.example/base:1".into()));
    world.base = Some(glibc_base(&world, false).unwrap());
    world.request.lock = longshore_gobuild::LockMode::Ignore;
    let error = chain(&world.build().unwrap_err());
    assert_eq!(
        error,
        "the program asks for the library libc.so.6, and the base registry.example/base:1 does not have it"
    );
    world.base = Some(glibc_base(&world, true).unwrap());
    assert!(!world.build()?.images[0].is_static);
    // Linked statically it needs no base at all.
    world.request.settings.base = None;
    world.request.settings.ldflags = Some(vec!["-linkmode=external".into(), "-extldflags=-static".into()]);
    let outcome = world.build()?;
    assert!(outcome.images[0].is_static);
    assert!(world.build()?.cached);
    Ok(())
}

const RACE: &str = "package main\n\nfunc main() {\n\tn, done := 0, make(chan bool)\n\tgo func() { n++; done <- true }()\n\tn++\n\t<-done\n\tprintln(n)\n}\n";

pub(crate) fn the_race_detector_is_in_the_program() -> TestResult {
    let mut world = World::new(RACE);
    world.request.settings.race = Some(true);
    assert!(chain(&world.build().unwrap_err()).contains("the race detector needs cgo"));
    world.request.settings.cgo = Some(true);
    let error = chain(&world.build().unwrap_err());
    assert!(error.contains("ld-linux"), "{error}");
    world.request.settings.base = Some(BaseChoice::Image("registry.example/base:1".into()));
    world.base = Some(glibc_base(&world, true).unwrap());
    let (_, _, files) = world.single(&world.build()?);
    let program = world.folder.join("racy");
    longshore_files::write_atomic(&program, &files["opt/app/hello"].3)?;
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let ran = std::process::Command::new(&program).output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("WARNING: DATA RACE"), "{said}");
    assert_eq!(ran.status.code(), Some(66), "Go's exit code where a race was found");
    Ok(())
}

pub(crate) fn a_home_is_not_needed() -> TestResult {
    let mut world = World::new("package main\n\nfunc main() {}\n");
    for name in ["HOME", "XDG_CACHE_HOME", "GOCACHE"] {
        world.variables.remove(std::ffi::OsStr::new(name));
    }
    world.variables.insert("HOME".into(), world.folder.join("no-home").into());
    world.build()?;
    assert!(world.store.cache_folder("go").join("go-build").is_dir());
    Ok(())
}

pub(crate) fn the_store_stays_valid() -> TestResult {
    let world = World::new(HELLO);
    let outcome = world.build()?;
    let image = world.image(&outcome);
    for blob in image.blobs()? {
        let mut reader = image.open(&blob)?;
        std::io::copy(&mut reader, &mut std::io::sink())?;
    }
    assert_eq!(fs::read_dir(world.store.temporary_folder())?.count(), 0, "a temporary file was left behind");
    Ok(())
}

/// A health check by URL brings the probe, where there is one for the platform, and nothing else does.
pub(crate) fn a_health_url_brings_the_probe() -> TestResult {
    let mut world = World::new("package main\n\nfunc main() {}\n");
    world.request.facts.health_url = Some("http://127.0.0.1:8080/health".into());
    let path = longshore_gobuild::PROBE_PATH;
    let place = path.trim_start_matches('/');
    world.request.settings.platforms = Some(vec!["linux/amd64".into()]);
    // The OCI format has no health check.
    assert!(!world.single(&world.build()?).2.contains_key(place));
    world.request.settings.image_format = Some(ImageFormat::Docker);
    for architecture in ["amd64", "arm64", "riscv64"] {
        world.request.settings.platforms = Some(vec![format!("linux/{architecture}")]);
        let (_, config, files) = world.single(&world.build()?);
        let found = files.get(place).map(|file| file.3.as_slice());
        assert_eq!(found, longshore_gobuild::probe(architecture), "{architecture}");
        let test = config.config.healthcheck.map(|check| check.test);
        let expected = ["CMD", path, "http://127.0.0.1:8080/health"].map(str::to_owned).to_vec();
        assert_eq!(test, found.map(|_| expected), "{architecture}");
        assert_eq!(files.contains_key("usr/local"), found.is_some(), "{architecture}");
    }
    // One that is asked for by name is there, or an error.
    let named = |words: &[&str]| {
        let command = Some(words.iter().map(|word| (*word).to_owned()).collect());
        Some(HealthcheckChoice::On(longshore_config::Healthcheck { command, ..Default::default() }))
    };
    world.request.facts.health_url = None;
    world.request.settings.healthcheck = named(&[path, "grpc://127.0.0.1:50051"]);
    let error = world.build().err().and_then(|error| error.source().map(ToString::to_string));
    assert_eq!(error.unwrap(), format!("`healthcheck` names {path}, and there is none for linux/riscv64"));
    world.request.settings.platforms = Some(vec!["linux/arm64".into()]);
    for format in [ImageFormat::Docker, ImageFormat::Oci] {
        world.request.settings.image_format = Some(format);
        assert!(world.single(&world.build()?).2.contains_key(place));
    }
    world.request.settings.healthcheck = named(&["/app/hello"]);
    assert!(!world.single(&world.build()?).2.contains_key(place));
    Ok(())
}
