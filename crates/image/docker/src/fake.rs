//! An engine that says what it is told to say: for what no real one does on request.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use longshore_events::Events;
use longshore_http::HttpSettings;
use longshore_image::archive::SavedImage;
use longshore_image::layer::{Entry, LayerBuilder, Timestamps};
use longshore_image::mutate::Draft;
use longshore_image::{Image, Layout};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{History, Platform};

use crate::{Address, Endpoint, Engine, EngineErrorKind, EngineKind, EngineVariables};

/// Answers by `METHOD PATH`; what it was asked is noted with the number of bytes of its body.
struct Fake {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answers = HashMap<&'static str, (&'static str, &'static str)>;

impl Fake {
    fn start(answers: &[(&'static str, &'static str, &'static str)]) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let mut table: Answers =
            answers.iter().map(|(call, status, body)| (*call, (*status, *body))).collect();
        table.entry("GET /_ping").or_insert(("200 OK\r\nApi-Version: 1.41", "OK"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away in the middle is one of the tests.
                let _ = answer(stream.unwrap(), &table, &log);
            }
        });
        Fake { folder, asked }
    }

    fn engine(&self) -> Engine {
        let address = Address::Unix(self.folder.path().join("socket"));
        let endpoint = Endpoint { kind: EngineKind::Docker, address, origin: "a test".to_owned() };
        Engine::new(endpoint, &HttpSettings::default()).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(stream: UnixStream, table: &Answers, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None => break,
        }
    }
    let received = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
    let call = first.rsplit_once(' ').map_or("", |(call, _)| call).to_owned();
    log.lock().unwrap().push(format!("{call} {received}"));
    let path = call.split('?').next().unwrap_or_default();
    let (status, body) =
        table.get(path).copied().unwrap_or(("404 Not Found", r#"{"message":"no such thing"}"#));
    // Without a length, the body ends with the connection; one that is cut has a length that is not reached.
    let length = if body.ends_with('…') {
        format!("Content-Length: {}\r\n", body.len() + 10)
    } else {
        String::new()
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{length}\r\n{body}")?;
    stream.flush()
}

fn image(layout: &Layout) -> Image {
    let mut builder = LayerBuilder::new(layout.blob_writer().unwrap(), Timestamps::Fixed(0));
    builder.append(&Entry::file("a", 0o644, 1), &mut &b"a"[..]).unwrap();
    let (layer, file) = builder.finish(ImageFormat::Oci).unwrap();
    layout.adopt(file, &layer.descriptor.digest).unwrap();
    let mut draft = Draft::empty(&Platform::host());
    draft.append(&layer, History::default());
    let assembled = draft.finish(ImageFormat::Oci).unwrap();
    for document in &assembled.documents {
        layout.write_bytes(&document.descriptor, &document.bytes).unwrap();
    }
    layout.image(&assembled.root)
}

fn load(fake: &Fake) -> Result<Vec<String>, EngineErrorKind> {
    let folder = tempfile::tempdir().unwrap();
    let image = image(&Layout::create(folder.path()).unwrap());
    let saved = [SavedImage { image, names: vec!["app:dev".parse().unwrap()] }];
    fake.engine().load(&saved, &Platform::host(), &Events::silent()).map_err(|error| error.kind)
}

#[test]
fn an_image_is_sent_whole_with_its_length() {
    let fake =
        Fake::start(&[("POST /v1.41/images/load", "200 OK", r#"{"stream":"Loaded image: app:dev\n"}"#)]);
    assert_eq!(load(&fake).unwrap(), ["app:dev"]);
    let asked = fake.asked();
    assert_eq!(asked[0], "GET /_ping 0");
    let size = asked[1].strip_prefix("POST /v1.41/images/load?quiet=0 ").unwrap();
    assert_eq!(size.parse::<u64>().unwrap() % 512, 0, "{asked:?}");
}

#[test]
fn errors_come_from_the_status_the_stream_or_the_connection() {
    let with = |status, body| load(&Fake::start(&[("POST /v1.41/images/load", status, body)])).unwrap_err();
    let kind = with("500 Internal Server Error", r#"{"message":"no space left on device"}"#);
    assert!(
        matches!(kind, EngineErrorKind::Status { status: 500, message } if message == "no space left on device")
    );
    let kind = with(
        "200 OK",
        r#"{"stream":"x"}{"error":"invalid diffID","errorDetail":{"message":"invalid diffID"}}"#,
    );
    assert!(matches!(kind, EngineErrorKind::Failed(message) if message == "invalid diffID"));
    let kind = with("200 OK", r#"{"stream":"Loaded image: app:dev"} …"#);
    assert!(matches!(kind, EngineErrorKind::Http(_) | EngineErrorKind::Json(_)), "{kind:?}");
    let kind = with("200 OK", "");
    assert!(matches!(kind, EngineErrorKind::Unconfirmed), "{kind:?}");
}

#[test]
fn an_image_that_cannot_be_read_is_the_cause() {
    let fake = Fake::start(&[("POST /v1.41/images/load", "200 OK", "")]);
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let image = image(&layout);
    let layer = image.manifest().unwrap().layers[0].digest.clone();
    std::fs::remove_file(layout.blob_path(&layer)).unwrap();
    let saved = [SavedImage { image, names: Vec::new() }];
    let error = fake.engine().load(&saved, &Platform::host(), &Events::silent()).unwrap_err();
    assert!(matches!(&error.kind, EngineErrorKind::Content(error) if error.digest == layer), "{error:?}");
}

#[test]
fn an_engine_that_is_not_there_or_too_old_is_told() {
    let address = Address::Unix(PathBuf::from("/nonexistent/docker.sock"));
    let endpoint = Endpoint { kind: EngineKind::Docker, address, origin: "a test".to_owned() };
    let engine = Engine::new(endpoint, &HttpSettings::default()).unwrap();
    let error = engine.ping(&Events::silent()).unwrap_err();
    assert!(error.is_absent(), "{error:?}");
    assert_eq!(error.to_string(), "cannot reach Docker at unix:///nonexistent/docker.sock");
    assert!(error.hint().unwrap().contains("no engine listens there"));

    let find = |host: String| {
        let variables = EngineVariables { docker_host: Some(host), ..EngineVariables::default() };
        Engine::find(EngineKind::Docker, &variables, &HttpSettings::default(), &Events::silent())
    };
    let error = find("unix:///nonexistent/docker.sock".to_owned()).unwrap_err();
    assert!(error.is_absent());
    assert_eq!(error.to_string(), "cannot find Docker");
    assert_eq!(error.kind.to_string(), "none listens at unix:///nonexistent/docker.sock");
    let running = Fake::start(&[]);
    let socket = running.folder.path().join("socket");
    assert!(find(format!("unix://{}", socket.display())).is_ok());
    // A socket that nobody listens on any more is there, and refuses.
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("socket");
    drop(UnixListener::bind(&dead).unwrap());
    let error = find(format!("unix://{}", dead.display())).unwrap_err();
    assert!(matches!(error.kind, EngineErrorKind::Http(_)) && error.is_absent(), "{error:?}");

    let old = Fake::start(&[("GET /_ping", "200 OK\r\nApi-Version: 1.18", "OK")]);
    let error = old.engine().ping(&Events::silent()).unwrap_err();
    assert!(matches!(&error.kind, EngineErrorKind::Version { found, .. } if found == "1.18"), "{error:?}");
    let new = Fake::start(&[
        ("GET /_ping", "200 OK\r\nApi-Version: 1.99", "OK"),
        ("GET /v1.51/images/json", "200 OK", "[]"),
    ]);
    assert_eq!(new.engine().images(&Events::silent()).unwrap(), []);
}

#[test]
fn images_are_listed_inspected_named_and_removed() {
    let fake = Fake::start(&[
        (
            "GET /v1.41/images/json",
            "200 OK",
            r#"[{"Id":"sha256:1","RepoTags":null,"Size":5},{"Id":"sha256:2","RepoTags":["a:1"],"RepoDigests":[]}]"#,
        ),
        (
            "GET /v1.41/images/a:1/json",
            "200 OK",
            r#"{"Id":"sha256:2","RepoTags":["a:1"],"Os":"linux","Architecture":"arm64"}"#,
        ),
        ("POST /v1.41/images/a:1/tag", "201 Created", ""),
        ("DELETE /v1.41/images/a:1", "200 OK", "[]"),
        ("DELETE /v1.41/images/used", "409 Conflict", r#"{"message":"in use"}"#),
        ("GET /v1.41/images/get", "200 OK", "no tar"),
    ]);
    let (engine, events) = (fake.engine(), Events::silent());
    let images = engine.images(&events).unwrap();
    assert_eq!((images[0].names.len(), images[0].size, images[1].names[0].as_str()), (0, 5, "a:1"));
    let details = engine.inspect("a:1", &events).unwrap().unwrap();
    assert_eq!((details.id.as_str(), details.architecture.as_str()), ("sha256:2", "arm64"));
    assert_eq!(engine.inspect("gone", &events).unwrap(), None);
    engine.tag("a:1", &"localhost:5000/b:2".parse().unwrap(), &events).unwrap();
    assert!(
        fake.asked().contains(&"POST /v1.41/images/a:1/tag?repo=localhost%3A5000%2Fb&tag=2 0".to_owned()),
        "{:?}",
        fake.asked()
    );
    assert!(engine.remove("a:1", false, &events).unwrap());
    assert!(!engine.remove("gone", true, &events).unwrap());
    let error = engine.remove("used", false, &events).unwrap_err();
    assert!(matches!(error.kind, EngineErrorKind::Status { status: 409, .. }));
    let error = engine.export(&["a:1"], fake.folder.path(), &events).unwrap_err();
    assert!(matches!(error.kind, EngineErrorKind::Archive(_)), "{error:?}");
}
