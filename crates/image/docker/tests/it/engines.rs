//! Images into engines and out of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore_docker::{
    Address, Endpoint, Engine, EngineError, EngineErrorKind, EngineKind, EngineVariables,
};
use longshore_events::Events;
use longshore_http::{HttpErrorKind, HttpSettings};
use longshore_image::archive::{Archive, SavedImage, save_archive};
use longshore_image::layer::{Entry, LayerBuilder, Timestamps};
use longshore_image::mutate::Draft;
use longshore_image::validate::validate;
use longshore_image::{Image, Layout, mutate};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{History, Platform, StringMap};
use longshore_testkit::{Authority, Dockerd, Folder, Requirement, Stop, Suite, TestResult, program};

const DOCKER: &[Requirement] = &[Requirement::Containers];
const OPENSSL: &[Requirement] = &[Requirement::Program("openssl")];
const PODMAN: &[Requirement] = &[Requirement::Program("podman"), Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("docker_loads_what_is_streamed_and_exports_it", DOCKER, docker)
        .test("podman_loads_what_is_streamed_and_exports_it", PODMAN, podman)
        .test("an_engine_behind_tls_needs_the_authority_that_signed_it", OPENSSL, tls)
}

fn assembled(layout: &Layout, architecture: &str, format: ImageFormat) -> Result<mutate::Assembled, Stop> {
    let mut draft = Draft::empty(&Platform::new("linux", architecture, None));
    draft.config.config.user = "65532".to_owned();
    draft.config.config.cmd = Some(vec!["/hello".to_owned()]);
    for name in ["one", "two"] {
        let mut builder = LayerBuilder::new(layout.blob_writer()?, Timestamps::Fixed(0));
        builder.append(&Entry::file(name, 0o644, 3), &mut name.as_bytes())?;
        let (layer, file) = builder.finish(ImageFormat::Oci)?;
        layout.adopt(file, &layer.descriptor.digest)?;
        draft.append(&layer, History::default());
    }
    let assembled = draft.finish(format)?;
    for document in &assembled.documents {
        layout.write_bytes(&document.descriptor, &document.bytes)?;
    }
    Ok(assembled)
}

/// An index of two platforms, and an image in Docker's format.
fn images(layout: &Layout) -> Result<(Image, Image), Stop> {
    let host = Platform::host();
    let other = if host.architecture == "arm64" { "amd64" } else { "arm64" };
    let platforms = [
        assembled(layout, other, ImageFormat::Oci)?,
        assembled(layout, &host.architecture, ImageFormat::Oci)?,
    ];
    let index = mutate::index(&platforms, StringMap::new(), ImageFormat::Oci)?;
    for document in &index.documents {
        layout.write_bytes(&document.descriptor, &document.bytes)?;
    }
    let single = assembled(layout, &host.architecture, ImageFormat::Docker)?;
    Ok((layout.image(&index.root), layout.image(&single.root)))
}

fn engine(kind: EngineKind, socket: &Path) -> Result<Engine, Stop> {
    let endpoint = Endpoint { kind, address: Address::Unix(socket.to_owned()), origin: "a test".to_owned() };
    Ok(Engine::new(endpoint, &HttpSettings::default())?)
}

/// Loads both images, and has them back.
fn exercise(engine: &Engine, folder: &Folder) -> TestResult {
    let events = Events::silent();
    let host = Platform::host();
    let (index, single) = images(&Layout::create(&folder.join("layout"))?)?;
    for (image, name) in [(&index, "localhost/index:dev"), (&single, "localhost/single:dev")] {
        let saved = [SavedImage { image: image.clone(), names: vec![name.parse()?] }];
        let loaded = engine.load(&saved, &host, &events)?;
        assert!(loaded.iter().any(|loaded| loaded == name), "{loaded:?}");
        let chosen = image.select(&host)?;
        let id = chosen.manifest()?.config.digest;
        let details = engine.inspect(name, &events)?.ok_or_else(|| Stop::failed("it is not there"))?;
        let shown = details.id.trim_start_matches("sha256:");
        assert_eq!(shown, id.encoded(), "{name}");
        assert_eq!(details.architecture, host.architecture);
        assert_eq!(details.all["Config"]["User"], "65532");

        let archive = engine.export(&[name], folder.path(), &events)?;
        let [entry] = archive.entries() else { return Err(Stop::failed(format!("{archive:?}"))) };
        assert_eq!(entry.names, [name]);
        let back = archive.image(entry, &events)?;
        assert_eq!(back.config()?.rootfs, chosen.config()?.rootfs);
        assert_eq!(back.manifest()?.config.digest, id, "{name}");
        assert_eq!(validate(&back, &events)?, []);
    }
    let names: Vec<_> = engine.images(&events)?.into_iter().flat_map(|image| image.names).collect();
    assert!(names.contains(&"localhost/index:dev".to_owned()), "{names:?}");
    engine.tag("localhost/single:dev", &"localhost/other:2".parse()?, &events)?;
    assert!(engine.inspect("localhost/other:2", &events)?.is_some());
    for name in ["localhost/other:2", "localhost/single:dev"] {
        assert!(engine.remove(name, false, &events)?, "{name}");
        assert!(engine.inspect(name, &events)?.is_none(), "{name}");
    }
    assert!(!engine.remove("localhost/single:dev", false, &events)?);
    let missing = engine.export(&["localhost/gone:1"], folder.path(), &events);
    assert!(missing.is_err(), "{missing:?}");
    Ok(())
}

fn docker() -> TestResult {
    let dockerd = Dockerd::start()?;
    let folder = Folder::new()?;
    let engine = engine(EngineKind::Docker, &dockerd.socket())?;
    let events = Events::silent();
    let info = engine.info(&events)?;
    assert_eq!(info.kind, EngineKind::Docker);
    assert_eq!(info.platform, Platform::host().to_string());
    assert!(!info.version.is_empty() && !info.storage_driver.is_empty() && !info.rootless, "{info:?}");
    exercise(&engine, &folder)?;

    // The same by files and Docker's own client.
    let (index, _) = images(&Layout::create(&folder.join("layout"))?)?;
    let path = folder.join("a.tar");
    let saved = [SavedImage { image: index.clone(), names: vec!["by-file:1".parse()?] }];
    save_archive(&saved, &Platform::host(), &path, &events)?;
    let shown = path.display().to_string();
    dockerd.docker(["load", "--input", &shown])?.succeeded()?;
    let out = folder.join("b.tar").display().to_string();
    dockerd.docker(["save", "--output", &out, "by-file:1"])?.succeeded()?;
    let archive = Archive::open(Path::new(&out), folder.path(), &events)?;
    let [entry] = archive.entries() else { return Err(Stop::failed(format!("{archive:?}"))) };
    let back = archive.image(entry, &events)?;
    let chosen = index.select(&Platform::host())?;
    assert_eq!(back.manifest()?.config.digest, chosen.manifest()?.config.digest);
    assert_eq!(validate(&back, &events)?, []);
    Ok(())
}

/// Ends a server with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn podman() -> TestResult {
    let folder = Folder::new()?;
    let socket = folder.join("podman.sock");
    let child = Command::new(program("podman")?)
        .arg("--root")
        .arg(folder.join("root"))
        .arg("--runroot")
        .arg(folder.join("run"))
        .args(["--storage-driver", "vfs", "system", "service", "--time", "0"])
        .arg(format!("unix://{}", socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let _service = Service(child);
    let engine = engine(EngineKind::Podman, &socket)?;
    let events = Events::silent();
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = engine.ping(&events) {
        if !error.is_absent() || Instant::now() > deadline {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let info = engine.info(&events)?;
    assert_eq!(info.kind, EngineKind::Podman);
    exercise(&engine, &folder)
}

/// What answers a ping is a file: no engine is needed to see which certificates are trusted.
fn tls() -> TestResult {
    let authority = Authority::create()?;
    let folder = Folder::new()?;
    folder.write(
        "_ping",
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK",
    )?;
    let mut child = Command::new(program("openssl")?)
        .args(["s_server", "-accept", "127.0.0.1:0", "-HTTP", "-cert"])
        .arg(authority.server_certificate())
        .arg("-key")
        .arg(authority.server_key())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().ok_or_else(|| Stop::failed("openssl has no output"))?;
    let _service = Service(child);
    let mut lines = BufReader::new(output).lines();
    let address = loop {
        let line = lines.next().ok_or_else(|| Stop::failed("openssl did not say where it listens"))??;
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.to_owned();
        }
    };
    let certificates = folder.join("certificates");
    std::fs::create_dir(&certificates)?;
    let events = Events::silent();
    let find = |folder: &Path, verified: bool| {
        let variables = EngineVariables {
            docker_host: Some(format!("tcp://{address}")),
            docker_tls: Some(folder.to_owned()),
            docker_tls_unverified: !verified,
            ..EngineVariables::default()
        };
        Engine::find(EngineKind::Docker, &variables, &HttpSettings::default(), &events)
    };
    let Err(error) = find(&certificates, true) else { return Err(Stop::failed("it was trusted")) };
    let is_tls = |error: &EngineError| matches!(&error.kind, EngineErrorKind::Http(error) if matches!(error.kind, HttpErrorKind::Tls { .. }));
    assert!(is_tls(&error), "{error:?}");
    find(&certificates, false)?;
    std::fs::copy(authority.certificate(), certificates.join("ca.pem"))?;
    find(&certificates, true)?;
    Ok(())
}
