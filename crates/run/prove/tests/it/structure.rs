//! Structure tests on an image that is made here.

use std::io::Write as _;
use std::sync::Arc;

use longshore_events::Events;
use longshore_image::mutate::Draft;
use longshore_image::{Image, Layout};
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_oci::{Descriptor, Digest, History, Platform};
use longshore_prove::structure::{Document, Target, structure};
use longshore_prove::{Check, Checks, Verdict};
use longshore_snapshot::{Ownership, Snapshots};
use longshore_store::Store;
use longshore_testkit::{Folder, Stop, Suite, TestResult};

use crate::fake::{Behaviour, Fake};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("files and metadata are read from layers, of any platform", &[], verdicts)
        .test("commands without a runtime could not be checked", &[], no_runtime)
        .test("commands with setup run beside a program that waits", &[], setup)
}

const CONFIG: &str = r#"{"User":"app","Env":["PATH=/bin","HOME=/home/app"],"Entrypoint":["/bin/app"],"WorkingDir":"/srv",
    "ExposedPorts":{"8080/tcp":{},"53/udp":{}},"Volumes":{"/data/":{}},"Labels":{"a.b":"c"}}"#;

/// An entry of a tar: name, kind, link, content, mode, uid.
fn tar(entries: &[(&str, u8, &str, &str, u32, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, content, mode, uid) in entries {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        let mut number = |start: usize, width: usize, value: u64| {
            let text = format!("{value:0width$o}", width = width - 1);
            header[start..start + text.len()].copy_from_slice(text.as_bytes());
        };
        number(100, 8, u64::from(*mode));
        number(108, 8, u64::from(*uid));
        number(116, 8, 7);
        number(124, 12, content.len() as u64);
        number(136, 12, 0);
        header[156] = *kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(content.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn image(layout: &Layout) -> Result<Image, Stop> {
    let platform: Platform = "linux/s390x".parse()?;
    let mut draft = Draft::empty(&platform);
    draft.config.config = serde_json::from_str(CONFIG)?;
    let lower = tar(&[
        ("bin/", b'5', "", "", 0o755, 0),
        ("bin/app", b'0', "", "\u{7f}ELF", 0o750, 1000),
        ("bin/sleep", b'0', "", "", 0o755, 0),
        ("etc/", b'5', "", "", 0o755, 0),
        ("etc/old", b'0', "", "x", 0o644, 0),
        ("etc/conf", b'0', "", "{\"port\": 8080}\nsecond\n", 0o600, 1000),
        ("etc/link", b'2', "/etc/conf", "", 0o777, 0),
        ("etc/dangling", b'2', "/none", "", 0o777, 0),
        ("usr/share/doc/good/", b'5', "", "", 0o755, 0),
        ("usr/share/doc/good/copyright", b'0', "", "MIT", 0o644, 0),
        ("usr/share/doc/bad/", b'5', "", "", 0o755, 0),
        ("usr/share/doc/bad/copyright", b'0', "", "the Agpl-3", 0o644, 0),
        ("home/app/", b'5', "", "", 0o1777, 1000),
    ]);
    let upper = tar(&[("etc/", b'5', "", "", 0o755, 0), ("etc/.wh.old", b'0', "", "", 0, 0)]);
    for tar in [lower, upper] {
        let digest = Digest::of(&tar);
        let mut file = layout.blob_writer()?;
        file.write_all(&tar)?;
        layout.adopt(file, &digest)?;
        let descriptor =
            Descriptor::new(ImageFormat::Oci.layer(Compression::None), digest.clone(), tar.len() as u64);
        draft.append(&longshore_image::layer::Layer { descriptor, diff_id: digest }, History::default());
    }
    let assembled = draft.finish(ImageFormat::Oci)?;
    for document in &assembled.documents {
        layout.write_bytes(&document.descriptor, &document.bytes)?;
    }
    Ok(Image::new(assembled.root, Arc::new(layout.clone())))
}

fn checks(text: &str, fake: Option<&Fake>) -> Result<Vec<Check>, Stop> {
    let folder = Folder::new()?;
    let layout = Layout::create(&folder.join("layout"))?;
    let image = image(&layout)?;
    let store = Store::open(&folder.join("store"))?;
    let snapshots = Snapshots::open(&store, Ownership::Root, true)?;
    let events = Events::silent();
    let view = snapshots.base(&image)?.view(&events)?;
    let document = Document::parse("tests.yaml", format!("schemaVersion: 2.0.0\n{text}").as_bytes())?;
    let config = image.config()?.config;
    let runtime = match fake {
        Some(fake) => Ok(fake as &dyn longshore_runtime::Runtime),
        None => Err("nothing runs here".to_owned()),
    };
    let mut checks = Checks::new(false);
    structure(&document, &Target { image: "app", config: &config, view: &view, runtime }, &mut checks);
    Ok(checks.made().to_vec())
}

/// A test in one line, and what must be found wrong; empty if nothing.
const CASES: &[(&str, &[&str])] = &[
    (
        "fileExistenceTests: [{name: n, path: /bin/app, permissions: -rwxr-x---, uid: 1000, gid: 7, isExecutableBy: group}]",
        &[],
    ),
    ("fileExistenceTests: [{name: n, path: /bin/app, uid: -1, gid: -1}]", &[]),
    ("fileExistenceTests: [{name: n, path: /bin/app, isExecutableBy: other}]", &["permissions -rwxr-x---"]),
    (
        "fileExistenceTests: [{name: n, path: /bin/app, permissions: -rw-r--r--, uid: 0, gid: 0}]",
        &["permissions -rwxr-x---", "uid 1000", "gid 7"],
    ),
    ("fileExistenceTests: [{name: n, path: $HOME, permissions: dtrwxrwxrwx}]", &[]),
    ("fileExistenceTests: [{name: n, path: '${HOME}', permissions: drwxrwxrwt}]", &[]),
    ("fileExistenceTests: [{name: n, path: /etc/old, shouldExist: false}]", &[]),
    ("fileExistenceTests: [{name: n, path: /etc/old}]", &["it is not"]),
    ("fileExistenceTests: [{name: n, path: /etc/conf, shouldExist: false}]", &["-rw-------"]),
    ("fileExistenceTests: [{name: n, path: /etc/link, permissions: -rw-------}]", &[]),
    ("fileExistenceTests: [{name: n, path: /etc/link, permissions: Lrwxrwxrwx}]", &[]),
    ("fileExistenceTests: [{name: n, path: /etc/dangling}]", &[]),
    (
        "fileContentTests: [{name: n, path: /etc/link, expectedContents: ['{\"port\": \\d+}', '(?m)^second$'], excludedContents: [third]}]",
        &[],
    ),
    (
        "fileContentTests: [{name: n, path: /etc/conf, expectedContents: [third], excludedContents: [second]}]",
        &["{\"port\"", "{\"port\""],
    ),
    ("fileContentTests: [{name: n, path: /none}]", &["it is not"]),
    ("fileContentTests: [{name: n, path: /etc}]", &["it is something else"]),
    ("licenseTests: [{debian: true}]", &["it names AGPL"]),
    ("licenseTests: [{files: [/usr/share/doc/good/copyright]}]", &[]),
    ("licenseTests: [{files: [/none]}]", &["there is no such file"]),
    (
        "metadataTest: {user: app, workdir: /srv, entrypoint: [/bin/app], cmd: [], exposedPorts: [8080, 53/udp], unexposedPorts: ['53'], volumes: [/data], unmountedVolumes: [/var], labels: [{key: a.b, value: c}], envVars: [{key: PATH, value: '^/b', isRegex: true}], env: [{key: HOME, value: /home/app}]}",
        &[],
    ),
    (
        "metadataTest: {user: root, workdir: /, entrypoint: [], cmd: [x]}",
        &["[\"/bin/app\"]", "[]", "`/srv`", "`app`"],
    ),
    (
        "metadataTest: {exposedPorts: ['53'], unexposedPorts: ['8080'], volumes: [/var], unmountedVolumes: [/data]}",
        &["8080/tcp", "8080/tcp", "/data", "/data"],
    ),
    (
        "metadataTest: {labels: [{key: none, value: c}], envVars: [{key: PATH, value: /b}, {key: PATH, value: ^x, isRegex: true}]}",
        &["`/bin`", "`/bin`", "it is not set"],
    ),
];

fn verdicts() -> TestResult {
    for (text, expected) in CASES {
        let checks = checks(text, None)?;
        let [check] = &checks[..] else { return Err(Stop::failed(format!("{text}: {checks:#?}"))) };
        let verdict = if expected.is_empty() { Verdict::Passed } else { Verdict::Failed };
        assert_eq!((check.verdict, check.problems.len()), (verdict, expected.len()), "{text}: {check:#?}");
        for (problem, expected) in check.problems.iter().zip(*expected) {
            assert!(problem.found.contains(expected), "{text}: {check:#?}");
        }
    }
    Ok(())
}

fn no_runtime() -> TestResult {
    let checks = checks("commandTests: [{name: n, command: app}]", None)?;
    assert_eq!(
        (checks[0].verdict, checks[0].reason.as_deref()),
        (Verdict::Unchecked, Some("nothing runs here"))
    );
    Ok(())
}

fn setup() -> TestResult {
    let fake = Fake::new(Behaviour::Good);
    let text = "globalEnvVars: [{key: NEW, value: '$HOME/x'}]\ncommandTests: [{name: n, setup: [[a]], command: say, args: [$NEW], expectedOutput: ['\\[\"say\", \"/home/app/x\"\\]']}]";
    let checks = checks(text, Some(&fake))?;
    assert_eq!(checks[0].verdict, Verdict::Passed, "{checks:#?}");
    assert_eq!(fake.left(), 0);
    Ok(())
}
