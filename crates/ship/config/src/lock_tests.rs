use super::*;

fn digest(byte: char) -> Digest {
    format!("sha256:{}", byte.to_string().repeat(64)).parse().unwrap()
}

fn sample() -> Lock {
    let hashes = [("linux/amd64", "h1:aaa="), ("linux/arm64", "h1:bbb=")];
    Lock {
        go: Some(ToolchainPin {
            version: "1.26.8".into(),
            hashes: hashes.iter().map(|(platform, hash)| ((*platform).into(), (*hash).into())).collect(),
        }),
        certificates: Some("1.0.11".into()),
        bases: [("alpine:3.22", 'a'), ("registry.example:5000/x\"y", 'b')]
            .map(|(name, byte)| (name.to_owned(), BasePin { digest: digest(byte) }))
            .into(),
    }
}

#[test]
fn the_text_is_stable_and_is_read_back() {
    let expected = format!(
        "{PREAMBLE}version = 1\n\n[go]\nversion = \"1.26.8\"\n\n[go.hashes]\n\"linux/amd64\" = \"h1:aaa=\"\n\
         \"linux/arm64\" = \"h1:bbb=\"\n\n[certificates]\nversion = \"1.0.11\"\n\n[[base]]\nname = \"alpine:3.22\"\n\
         digest = \"sha256:{}\"\n\n[[base]]\nname = 'registry.example:5000/x\"y'\ndigest = \"sha256:{}\"\n",
        "a".repeat(64),
        "b".repeat(64)
    );
    assert_eq!(sample().to_text(), expected);
    assert_eq!(Lock::parse(expected.as_bytes()).unwrap(), sample());
    assert_eq!(Lock::parse(Lock::default().to_text().as_bytes()).unwrap(), Lock::default());
}

#[test]
fn damaged_and_newer_files_are_refused() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "it is not a lock file: `version` is missing or no format"),
        (b"version = 0", "it is not a lock file: `version` is missing or no format"),
        (b"version = 2\n[future]", "it has format 2, and this longshore knows formats up to 1"),
        (b"version = 1\nextra = 1", "it is not a lock file: unknown key `extra`"),
        (b"version = 1\n[go]", "it is not a lock file: `go.version` is not a string"),
        (b"version = 1\n[[base]]\nname=\"a\"\ndigest=\"x\"", "it is not a lock file: `x` is not a digest"),
        (b"version = 1\nbase = 1", "it is not a lock file: `base` is not a list of tables"),
        (b"version = 1\ngo = 1", "it is not a lock file: `go` is not a table"),
        (b"\xff", "it is not a lock file: it is not UTF-8 text"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            Lock::parse(bytes).unwrap_err().to_string(),
            expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert!(Lock::parse(b"version = 1\n<<<<<<< HEAD\n").is_err());
}

#[test]
fn saving_writes_once_and_loads_back() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Lock::load(folder.path()).unwrap(), None);
    assert!(sample().save(folder.path()).unwrap());
    assert!(!sample().save(folder.path()).unwrap());
    assert_eq!(Lock::load(folder.path()).unwrap(), Some(sample()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn merging_keeps_other_platforms_and_bases() {
    let newer = Lock {
        go: Some(ToolchainPin {
            version: "1.26.8".into(),
            hashes: [("linux/arm64".to_owned(), "h1:ccc=".to_owned())].into(),
        }),
        certificates: None,
        bases: [("alpine:3.22".to_owned(), BasePin { digest: digest('c') })].into(),
    };
    let merged = sample().merged(&newer);
    let go = merged.go.clone().unwrap();
    assert_eq!(go.hashes["linux/amd64"], "h1:aaa=");
    assert_eq!(go.hashes["linux/arm64"], "h1:ccc=");
    assert_eq!(merged.certificates.as_deref(), Some("1.0.11"));
    assert_eq!(merged.bases["alpine:3.22"].digest, digest('c'));
    assert_eq!(merged.bases.len(), 2);
    let upgraded = Lock {
        go: Some(ToolchainPin { version: "1.27.0".into(), hashes: BTreeMap::new() }),
        ..Lock::default()
    };
    assert_eq!(sample().merged(&upgraded).go, upgraded.go);
}

#[test]
fn drift_names_what_changed_and_nothing_else() {
    assert_eq!(sample().drift(&sample()), []);
    assert_eq!(sample().drift(&Lock::default()), []);
    let mut found = sample();
    found.go.as_mut().unwrap().version = "1.27.0".into();
    found.go.as_mut().unwrap().hashes.insert("linux/s390x".into(), "h1:new=".into());
    found.certificates = Some("1.1.0".into());
    found.bases.insert("debian:13".into(), BasePin { digest: digest('d') });
    let lines: Vec<String> = sample().drift(&found).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "Go: locked 1.26.8, found 1.27.0".to_owned(),
            "CA certificates: locked 1.0.11, found 1.1.0".to_owned(),
            format!("base debian:13: not locked, found sha256:{}", "d".repeat(64)),
        ]
    );
}
