//! A proxy's content made by hand: toolchains of a few files, and a checksum database of one record.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use longshore_events::{Event, Events, Listener};
use longshore_http::{Client, HttpSettings};
use longshore_testkit::{Answer, FaultServer, Reply};
use longshore_toolchain::{GoEnvironment, ToolchainRequest, ToolchainSettings, Toolchains};
use sha2::{Digest, Sha256};

/// Paths below a proxy's URL, and what it answers there.
pub(crate) type Content = BTreeMap<String, Vec<u8>>;

/// The version of this machine's toolchain `name` in `golang.org/toolchain`.
pub(crate) fn version(name: &str) -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("v0.0.1-{name}.linux-{architecture}")
}

/// The path of a module's file below a proxy.
pub(crate) fn path(name: &str, ending: &str) -> String {
    format!("golang.org/toolchain/@v/{}.{ending}", version(name))
}

/// A toolchain of a few files, and many small ones: its zip and its hash.
pub(crate) fn toolchain(name: &str, salt: &str) -> (Vec<u8>, String) {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut file = |path: &str, text: String| {
        files.insert(format!("golang.org/toolchain@{}/{path}", version(name)), text)
    };
    file("VERSION", format!("{name}\n"));
    file("bin/go", format!("#!/bin/sh\necho go version {name}\n"));
    file("pkg/tool/linux_amd64/compile", format!("compiler {salt}\n"));
    file("lib/wasm/go_js_wasm_exec", "runner\n".into());
    file("src/_go.mod", "module std\n".into());
    file("src/cmd/_go.mod", "module cmd\n".into());
    for number in 0..400 {
        file(&format!("src/many/f{number:03}.go"), format!("package many // {number}\n").repeat(20));
    }
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut summary = String::new();
    for (path, text) in &files {
        zip.start_file(path.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
        let hash: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        summary += &format!("{hash}  {path}\n");
    }
    (zip.finish().unwrap().into_inner(), format!("h1:{}", STANDARD.encode(Sha256::digest(summary))))
}

/// What a proxy answers that has these toolchains, each with its `.zip`, and a list of them.
pub(crate) fn proxy(names: &[&str]) -> Content {
    let mut content = Content::new();
    let list: String = names.iter().map(|name| version(name) + "\n").collect();
    content.insert("golang.org/toolchain/@v/list".into(), list.into_bytes());
    for name in names {
        content.insert(path(name, "zip"), toolchain(name, "").0);
    }
    content
}

/// A database of one record, below `sumdb/test.db/` of a proxy, and the key for GOSUMDB.
pub(crate) fn database(name: &str, hash: &str) -> (Content, String) {
    const NAME: &str = "test.db";
    let signing = SigningKey::from_bytes(&[9; 32]);
    let key = [&[1], &signing.verifying_key().as_bytes()[..]].concat();
    let key_hash = &Sha256::new().chain_update(NAME).chain_update("\n").chain_update(&key).finalize()[..4];
    let version = version(name);
    let record =
        format!("golang.org/toolchain {version} {hash}\ngolang.org/toolchain {version}/go.mod h1:x=\n");
    let root = Sha256::new().chain_update([0]).chain_update(&record).finalize();
    let head = format!("go.sum database tree\n1\n{}\n", STANDARD.encode(root));
    let signature = [key_hash, &signing.sign(head.as_bytes()).to_bytes()].concat();
    let answer = format!("0\n{record}\n{head}\n\u{2014} {NAME} {}\n", STANDARD.encode(signature));
    let mut content = Content::new();
    content.insert(format!("sumdb/{NAME}/supported"), Vec::new());
    content.insert(format!("sumdb/{NAME}/lookup/golang.org/toolchain@{version}"), answer.into_bytes());
    content.insert(format!("sumdb/{NAME}/tile/8/0/000.p/1"), root.to_vec());
    let key_hash: String = key_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (content, format!("{NAME}+{key_hash}+{}", STANDARD.encode(key)))
}

/// Writes a proxy's content to a folder, for `file://`.
pub(crate) fn write(content: &Content, folder: &Path) {
    for (path, bytes) in content {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }
}

/// A proxy on loopback that answers by its content, 404 for the rest.
pub(crate) fn serve(content: Content) -> FaultServer {
    serve_with(content, |_, _| None)
}

/// The same, but for what `spoil` decides by the path and how often it was asked before.
pub(crate) fn serve_with(
    content: Content,
    spoil: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static,
) -> FaultServer {
    FaultServer::start(move |request| {
        let path = request.target.trim_start_matches('/');
        let range = request
            .header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let plain = || match (content.get(path), range) {
            (None, _) => Reply::Answer(Answer::new(404, "not found: no such thing\n")),
            (Some(bytes), None) => Reply::Answer(Answer::new(200, bytes.clone()).header("ETag", "\"1\"")),
            (Some(bytes), Some(start)) => {
                let start: usize = start;
                let size = bytes.len();
                let part = Answer::new(206, &bytes[start..]);
                Reply::Answer(part.header("Content-Range", format!("bytes {start}-{}/{size}", size - 1)))
            }
        };
        spoil(path, request.earlier).unwrap_or_else(plain)
    })
    .unwrap()
}

/// Toolchains of a cache folder in an environment of these variables alone, without an installed Go.
pub(crate) fn toolchains(cache: &Path, variables: &[(&str, &str)]) -> Toolchains {
    Toolchains::new(settings(cache, variables))
}

/// The settings of [`toolchains`], to change.
pub(crate) fn settings(cache: &Path, variables: &[(&str, &str)]) -> ToolchainSettings {
    let http = HttpSettings { attempts: 2, backoff: Duration::from_millis(10), ..HttpSettings::default() };
    ToolchainSettings {
        cache_dir: cache.to_owned(),
        environment: GoEnvironment::of_variables(variables.iter().copied()),
        http: Client::new(http),
        offline: false,
        use_installed: false,
    }
}

/// What a go.mod with these lines asks for; empty is no line.
pub(crate) fn request(go: &str, toolchain: &str) -> ToolchainRequest {
    let lines = longshore_golang::ToolchainLines { go: go.parse().ok(), toolchain: toolchain.parse().ok() };
    ToolchainRequest { lines, file: Some("/src/go.mod".into()), pin: None }
}

/// An error with all of its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Warnings, as they were said.
#[derive(Default)]
pub(crate) struct Warnings(pub(crate) Mutex<Vec<String>>);

impl Listener for Warnings {
    fn event(&self, event: Event) {
        if let Event::Note { level: longshore_events::Level::Warning, message } = event {
            self.0.lock().unwrap().push(message);
        }
    }
}

/// Events whose warnings are kept.
pub(crate) fn listening() -> (Events, Arc<Warnings>) {
    let warnings = Arc::new(Warnings::default());
    (Events::new(warnings.clone()), warnings)
}

/// What stands in the cache's folder of toolchains, locks aside.
pub(crate) fn shelf(cache: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(cache.join("toolchains")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}
