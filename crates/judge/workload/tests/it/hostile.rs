//! Files that are wrong, or that mean harm: what is said, where, and that the rest is still read.

use std::io;
use std::path::{Path, PathBuf};

use longshore_testkit::Suite;
use longshore_workload::Content;
use longshore_workload::compose::{Inputs, Loaded, load};
use longshore_workload::document::{Documents, read};
use longshore_workload::kubernetes::Manifests;
use proptest::prelude::{any, prop};
use proptest::test_runner::{Config, TestRunner};

use crate::compose::variable;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("hostile::what_is_wrong_is_told_with_its_place", &[], || {
            places();
            Ok(())
        })
        .test("hostile::the_rest_is_read", &[], || {
            rest();
            Ok(())
        })
        .test("hostile::bombs_cost_nothing", &[], || {
            bombs();
            Ok(())
        })
        .test("hostile::projects_and_manifests_have_an_end", &[], || {
            ends();
            Ok(())
        })
        .test("hostile::spans_are_what_was_written", &[], || {
            spans();
            Ok(())
        })
        .test("hostile::nothing_panics", &[], || {
            nothing_panics();
            Ok(())
        })
}

fn problems(found: &Documents) -> Vec<(u32, &str)> {
    found.problems.iter().map(|problem| (problem.span.start, problem.message.as_str())).collect()
}

fn places() {
    for (bytes, start, message) in [
        (b"a: \xff\xfe".as_slice(), 3, "the file is no UTF-8"),
        (b"a: 1\nb: 2\na: 3\n".as_slice(), 10, "the key `a` stands twice"),
        (b"a: &x [*x]\n".as_slice(), 7, "the alias stands within what it names"),
        (b"<<: 1\n".as_slice(), 4, "`<<` takes mappings"),
        (b"? [a]\n: b\n".as_slice(), 2, "a key must be a single value"),
    ] {
        let found = read(0, bytes);
        assert_eq!(problems(&found), [(start, message)], "{}", String::from_utf8_lossy(bytes));
    }
    for bytes in [b"a: [1\n".as_slice(), b"a: *nothing\n", b"\x00\x01\x02", b"a: \"\\q\"\n", b"a:\n\t- b\n"] {
        let found = read(0, bytes);
        assert!(found.problems.iter().all(|problem| problem.message.starts_with("this is no YAML: ")));
        assert_eq!(found.problems.len(), 1, "{}", String::from_utf8_lossy(bytes));
        assert!(found.documents.is_empty());
    }
}

fn rest() {
    let found = read(0, b"kind: A\n---\nkind: [\n---\nkind: C\n");
    assert_eq!(found.problems.len(), 1);
    let kinds: Vec<&str> =
        found.documents.iter().filter_map(|node| Some(node.get("kind")?.scalar()?.text.as_str())).collect();
    assert_eq!(kinds, ["A", "C"]);

    let mut manifests = Manifests::default();
    manifests.add(
        Path::new("all.yaml"),
        b"nonsense\n---\nkind: Pod\nspec: {containers: [{name: a, image: i}]}\n".to_vec(),
    );
    assert_eq!(manifests.workloads().len(), 1);
    assert_eq!(manifests.problems.len(), 1);
}

fn bombs() {
    // Nine levels of nine: a billion values, if anybody wrote them out.
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let found = read(0, text.as_bytes());
    assert!(found.documents.is_empty());
    assert!(found.problems[0].message.contains("over 1000000 values"), "{:?}", found.problems);

    for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        let found = read(0, deep.as_bytes());
        assert_eq!((found.documents.len(), found.problems.len()), (0, 1));
    }
    let large = vec![b'#'; 17 << 20];
    assert!(read(0, &large).problems[0].message.contains("at most"));
}

/// What is said of a project whose files these are; the first is its own.
fn said(files: &[(&str, &[u8])]) -> Vec<String> {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let inputs = Inputs { read: &read, variable: &|_| None };
    let loaded = load(&[PathBuf::from(files[0].0)], inputs);
    let mut problems = loaded.problems.clone();
    for service in loaded.project.services() {
        problems.extend(loaded.project.service(&service.name, inputs).expect("it was listed").problems);
    }
    problems.into_iter().map(|problem| problem.message).collect()
}

/// What little text asks for is much, and is not done.
fn ends() {
    let one = b"services: {app: {image: a, env_file: app.env}}".as_slice();
    // Invalid bytes are longer as text than they were.
    let invalid = [b"A=".as_slice(), &[0xff; 50], b"\n=\n"].concat();
    assert_eq!(said(&[("c", one), ("app.env", &invalid)]), ["app.env:2: expected NAME=VALUE"]);
    assert_eq!(said(&[("c", b"services: {}"), ("./.env", &invalid)]), ["expected NAME=VALUE"]);

    let mut bomb = "A0=xxxxxxxxxx\n".to_owned();
    (1..40).for_each(|at| bomb.push_str(&format!("A{at}=${{A{0}}}${{A{0}}}\n", at - 1)));
    let found = said(&[("c", one), ("app.env", bomb.as_bytes())]);
    assert_eq!(found, ["app.env:18: with its variables replaced, the value has over 1048576 bytes"]);

    let (last, shown) = (b"services: {app: {image: a}}".as_slice(), "over 1000 files");
    let names: Vec<String> = (0..20).map(|at| at.to_string()).collect();
    let texts: Vec<String> = (1..20).map(|at| format!("include: [{at}, {at}]")).collect();
    let texts = names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_bytes()));
    let mut files: Vec<(&str, &[u8])> = texts.collect();
    files.push((&names[19], last));
    let found = said(&files);
    assert!(found.iter().any(|problem| problem.contains(shown)), "{found:?}");

    let mut chain = "services:\n".to_owned();
    for at in 0..30_000 {
        chain.push_str(&format!("  s{at}: {{image: a, depends_on: [s{}]}}\n", (at + 1).min(29_999)));
    }
    let read = |path: &Path| match path == Path::new("c") {
        true => Ok(chain.clone().into_bytes()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let problems = load(&[PathBuf::from("c")], Inputs { read: &read, variable: &|_| None }).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "these services wait for each other: s29999");

    let escapes = b"services: {\"a\\e[31m\": {image: a}}";
    assert_eq!(said(&[("c", escapes)]), ["`a\u{1b}[31m` is no name of a service"]);
    manifests_end();
    secrets_stay();
    groups_read();
}

/// What may be secret is marked as such, so that nobody shows it.
fn secrets_stay() {
    let mut manifests = Manifests::default();
    let secret = b"kind: Secret\nmetadata: {name: s}\ndata: {password: not base64}\n";
    manifests.add(Path::new("all.yaml"), secret.to_vec());
    let [problem] = manifests.problems.as_slice() else { panic!("{:?}", manifests.problems) };
    assert!(problem.is_secret);
    assert_eq!(&secret[problem.span.start as usize..problem.span.end as usize], b"not base64");
    for (text, marked) in [("A=1\nPASS hunter2\nB=2", "PASS hunter2"), ("PASS=hunter${2", "PASS=hunter${2")] {
        let read = |path: &Path| match path == Path::new("./.env") {
            true => Ok(text.as_bytes().to_vec()),
            false => Ok(b"services: {}".to_vec()),
        };
        let loaded = load(&[PathBuf::from("c")], Inputs { read: &read, variable: &|_| None });
        let [problem] = loaded.problems.as_slice() else { panic!("{:?}", loaded.problems) };
        assert!(problem.is_secret && !problem.message.contains("hunter"), "{problem:?}");
        assert_eq!(&text[problem.span.start as usize..problem.span.end as usize], marked);
    }
}

fn manifests_end() {
    let container = |rest: &str| {
        let text = format!("kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{rest}]}}\n");
        let mut manifests = Manifests::default();
        manifests.add(Path::new("all.yaml"), text.into_bytes());
        let mut problems = manifests.problems.clone();
        let workloads = manifests.workloads();
        let lowered = workloads.iter().filter_map(|one| manifests.container(one, "a"));
        problems.extend(lowered.flat_map(|lowered| lowered.problems));
        problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    // A container that cannot be named would not be tested, and nobody would know.
    for (text, message) in [
        ("{image: a}", "the container has no `name`"),
        ("{name: '', image: a}", "the container has no `name`"),
        ("a", "the container has no `name`"),
        ("{name: a, image: a}, {name: a, image: b}", "there are two containers a"),
    ] {
        assert_eq!(container(text), [message], "{text}");
    }
    let variables: Vec<String> =
        (1..40).map(|at| format!("{{name: A{at}, value: $(A{0})$(A{0})}}", at - 1)).collect();
    let text = format!("{{name: a, env: [{{name: A0, value: xxxxxxxxxx}}, {}]}}", variables.join(", "));
    let found = container(&text);
    assert_eq!(found[0], "with its variables expanded, it has over 131072 bytes");
}

/// A kubelet lets the group of a pod read what would be its owner's alone.
fn groups_read() {
    for (context, mode) in [("{}", 0o400), ("{fsGroup: 2000}", 0o444)] {
        let text = format!(
            "kind: Secret\nmetadata: {{name: s}}\nstringData: {{key: x}}\n---\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  securityContext: {context}\n  volumes: [{{name: v, secret: {{secretName: s, defaultMode: 0400}}}}]\n  containers: [{{name: a, image: a, volumeMounts: [{{name: v, mountPath: /c}}]}}]\n"
        );
        let mut manifests = Manifests::default();
        manifests.add(Path::new("all.yaml"), text.into_bytes());
        let lowered = manifests.container(&manifests.workloads()[0], "a").expect("it is there");
        let Content::Folder(files) = &lowered.files[0].content else { panic!("{lowered:?}") };
        assert_eq!((files[0].0.as_str(), files[0].1.mode), ("key", mode), "{context}");
    }
}

fn spans() {
    let text = "a: one\nb:\n  - 'two' # not this\n  - {c: three}\nd: &x\n  e: \u{fc}\nf: *x\n";
    let found = read(0, text.as_bytes());
    let root = &found.documents[0];
    let written = |span: longshore_workload::Span| &text[span.start as usize..span.end as usize];
    let b = root.get("b").expect("it is there");
    assert_eq!(written(root.get("a").expect("it is there").span), "one");
    assert_eq!(written(b.items()[0].span), "'two'");
    assert_eq!(written(b.items()[1].span), "{c: three}");
    assert_eq!(written(b.span), "- 'two' # not this\n  - {c: three}");
    assert_eq!(written(root.at(&["d", "e"]).expect("it is there").span), "\u{fc}");
    assert_eq!(root.get("f"), root.get("d"));
    assert_eq!(written(root.entries()[3].key_span), "f");
    // A mark of byte order is no part of the text.
    let marked = read(0, b"\xef\xbb\xbfa: 1\n");
    assert_eq!(marked.documents[0].entries()[0].key_span.start, 3);
}

fn project(text: &[u8]) -> Loaded {
    let read = |path: &Path| match path == Path::new("compose.yaml") {
        true => Ok(text.to_vec()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let inputs = Inputs { read: &read, variable: &variable };
    let loaded = load(&[PathBuf::from("compose.yaml")], inputs);
    for service in loaded.project.services() {
        assert!(loaded.project.service(&service.name, inputs).is_some());
    }
    loaded
}

/// Words of both formats put together at random: whatever they come to, it is an answer.
fn nothing_panics() {
    let words = [
        "services:",
        "app:",
        "image:",
        "ports:",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "${A:-",
        "}",
        "$",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "'",
        "\"",
        "!reset ",
        "extends: ",
        "include: ",
        "volumes: ",
        "8080:80",
        "1-9",
        "environment: ",
        "kind: ",
        "Pod",
        "spec: ",
        "containers: ",
        "name: a",
        "resources: ",
        "limits: ",
        "memory: ",
        "1e9Gi",
        "env: ",
        "valueFrom: ",
        "command: ",
        "healthcheck: ",
        "test: ",
        "deploy: ",
        "x",
        "0755",
        "~",
        "---\n",
        "\u{fc}",
        "\t",
        "#",
    ];
    let strategy = prop::collection::vec(any::<prop::sample::Index>(), 0..60);
    let mut runner = TestRunner::new(Config { cases: 3_000, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |picked| {
        let text: String = picked.iter().map(|index| words[index.index(words.len())]).collect();
        project(text.as_bytes());
        let mut manifests = Manifests::default();
        manifests.add(Path::new("all.yaml"), text.into_bytes());
        for workload in manifests.workloads() {
            for one in &workload.containers {
                let _ = manifests.container(&workload, &one.name);
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(project(b"services: {app: {image: a}}").problems.is_empty());
}
