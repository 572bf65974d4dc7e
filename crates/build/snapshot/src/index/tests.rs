use proptest::prelude::*;

use super::*;

fn record(path: &str, kind: RecordKind) -> Record {
    Record {
        path: path.as_bytes().into(),
        kind,
        mode: 0o4755,
        uid: 4_000_000_000,
        gid: 1,
        mtime: (-5, 999_999_999),
        inode: 7,
        linked: true,
        xattrs: vec![(b"user.a".as_slice().into(), b"\0\xff".as_slice().into())],
    }
}

fn sample() -> Index {
    let text = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
    let folder = |opaque, implied| RecordKind::Directory { opaque, implied };
    let mut records = vec![
        record("", folder(false, false)),
        record("a", folder(true, false)),
        record("b", folder(false, true)),
        record("a-b", RecordKind::Fifo),
        record("a/file", RecordKind::File { size: 1 << 40, offset: 512, sparse: true }),
        record("a/link", RecordKind::Symlink(text("../b"))),
        record("b/null", RecordKind::CharacterDevice(1, 3)),
        record("b/disk", RecordKind::BlockDevice(254, 70_000)),
        record("b/gone", RecordKind::Whiteout),
        record("b/other", RecordKind::Foreign(text("a/x"))),
    ];
    records.sort_by(|a, b| key(&a.path).cmp(&key(&b.path)));
    Index { records, held: BTreeMap::from([(512, b"root:x".to_vec())]) }
}

#[test]
fn an_index_is_read_as_it_was_written_and_damage_is_seen() {
    let bytes = sample().to_bytes();
    assert_eq!(Index::from_bytes(&bytes), Some(sample()));
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        assert_eq!(Index::from_bytes(&damaged), None, "byte {position}");
        assert_eq!(Index::from_bytes(&bytes[..position]), None, "cut at {position}");
    }
}

#[test]
fn paths_are_found_and_folders_listed() {
    let index = sample();
    for record in index.records() {
        assert_eq!(index.get(&super::path(&record.path)), Some(record));
    }
    assert_eq!(index.get(Path::new("a/none")), None);
    let names = |folder: &str| {
        let names = index.list(Path::new(folder)).map(|(name, _)| name.into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["a", "a-b", "b"]);
    assert_eq!(names("a"), ["file", "link"]);
    assert_eq!(names("b"), ["disk", "gone", "null", "other"]);
    assert_eq!(names("a-b"), [""; 0]);
    assert_eq!(index.held(512), Some(&b"root:x"[..]));
    assert!(!index.is_whole());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        // With a right digest, so that the records themselves are read.
        let mut bytes = b"longshore layer index 2\n".to_vec();
        bytes.extend_from_slice(&body);
        let digest = longshore_oci::Digest::of(&bytes).encoded().to_owned();
        bytes.extend_from_slice(digest.as_bytes());
        if let Some(index) = Index::from_bytes(&bytes) {
            prop_assert_eq!(index.records().len() as u64, u64::from(body[0]));
        }
    }
}
