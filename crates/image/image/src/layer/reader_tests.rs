use std::io::Write as _;

use super::*;
use crate::samples::{Raw, header, tar};

fn all(bytes: &[u8]) -> Result<(Vec<TarEntry>, TarEnd), TarError> {
    let mut reader = entries(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        found.push(entry);
    }
    Ok((found, reader.end().unwrap()))
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|length| length - rest == length.to_string().len()).unwrap();
        writeln!(bytes, "{length} {key}={value}").unwrap();
    }
    bytes
}

#[test]
fn kinds_names_and_offsets_are_read() {
    let records =
        pax(&[("path", "long/name"), ("mtime", "12.5"), ("SCHILY.xattr.user.a", "b"), ("uid", "70000")]);
    let bytes = tar(&[
        Raw("dir/", b'5', "", b""),
        Raw("dir/file", b'0', "", b"abc"),
        Raw("soft", b'2', "/etc/x", b""),
        Raw("hard", b'1', "dir/file", b""),
        Raw("null", b'3', "", b""),
        Raw("old/", 0, "", b""),
        Raw("ignored", b'g', "", &pax(&[("path", "global")])),
        Raw("pax", b'x', "", &records),
        Raw("short", b'0', "", b"x"),
        Raw("././@LongLink", b'L', "", b"gnu/name\0"),
        Raw("short", b'0', "", b""),
    ]);
    let (found, end) = all(&bytes).unwrap();
    let seen: Vec<_> = found.iter().map(|e| (e.path.to_str().unwrap(), e.kind.clone(), e.size)).collect();
    assert_eq!(
        seen,
        [
            ("dir/", TarKind::Directory, 0),
            ("dir/file", TarKind::File, 3),
            ("soft", TarKind::Symlink("/etc/x".into()), 0),
            ("hard", TarKind::Hardlink("dir/file".into()), 0),
            ("null", TarKind::CharacterDevice(0, 0), 0),
            ("old/", TarKind::Directory, 0),
            ("long/name", TarKind::File, 1),
            ("gnu/name", TarKind::File, 0),
        ]
    );
    assert_eq!((found[1].header_offset, found[1].data_offset), (512, 1024));
    let long = &found[6];
    assert_eq!((long.mtime, long.mtime_nanos, long.uid), (12, 500_000_000, 70_000));
    assert_eq!(long.xattrs["user.a"], b"b");
    assert_eq!(end, TarEnd { marked: true, garbage: None, size: bytes.len() as u64 });
}

#[test]
fn contents_are_read_or_passed_over() {
    let bytes = tar(&[Raw("a", b'0', "", &[1; 700]), Raw("b", b'0', "", b"bee")]);
    let mut reader = entries(&bytes[..]);
    assert_eq!(reader.next_entry().unwrap().unwrap().size, 700);
    let mut part = [0; 10];
    reader.content().read_exact(&mut part).unwrap();
    assert_eq!(reader.next_entry().unwrap().unwrap().path, Path::new("b"));
    let mut text = String::new();
    reader.content().read_to_string(&mut text).unwrap();
    assert_eq!(text, "bee");
    assert!(reader.next_entry().unwrap().is_none() && reader.next_entry().unwrap().is_none());
}

#[test]
fn what_is_broken_is_said_with_its_place() {
    let good = tar(&[Raw("a", b'0', "", b"abc"), Raw("b", b'0', "", b"")]);
    let mut flipped = good.clone();
    flipped[1024] ^= 1;
    let mut huge_pax = header("p", b'x', "", 1 << 40).to_vec();
    huge_pax.resize(4096, 0);
    let lying = header("a", b'0', "", 0o77_777_777_777);
    let mut negative = header("a", b'0', "", 0);
    negative[124..136].fill(0xff);
    let sum: u32 = negative
        .iter()
        .enumerate()
        .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
        .sum();
    negative[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let lonely = tar(&[Raw("p", b'x', "", &pax(&[("path", "x")]))]);
    type Check = fn(&TarErrorKind) -> bool;
    let cases: [(&str, &[u8], u64, Check); 8] = [
        ("altered header", &flipped, 1024, |kind| matches!(kind, TarErrorKind::Checksum)),
        ("cut in a header", &good[..1100], 1024, |kind| matches!(kind, TarErrorKind::Truncated)),
        ("cut in content", &good[..514], 512, |kind| matches!(kind, TarErrorKind::Truncated)),
        ("text", &[b'x'; 600], 0, |kind| matches!(kind, TarErrorKind::Checksum)),
        ("huge extended header", &huge_pax, 512, |kind| matches!(kind, TarErrorKind::TooLong { .. })),
        ("a size that lies", &lying, 512, |kind| matches!(kind, TarErrorKind::Truncated)),
        ("a negative size", &negative, 0, |kind| matches!(kind, TarErrorKind::Number("size"))),
        ("an extended header alone", &lonely, 1024, |kind| matches!(kind, TarErrorKind::Truncated)),
    ];
    for (name, bytes, offset, check) in cases {
        let error = all(bytes).unwrap_err();
        assert!(error.offset == offset && check(&error.kind), "{name}: {error:?}");
    }
}

#[test]
fn a_size_in_an_extended_header_counts_and_that_of_a_link_does_not() {
    let mut bytes = tar(&[Raw("p", b'x', "", &pax(&[("size", "3")]))]);
    bytes.truncate(1024);
    bytes.extend(header("f", b'0', "", 0));
    bytes.extend_from_slice(b"abc");
    bytes.resize(2048, 0);
    bytes.extend(header("l", b'2', "f", 1 << 30));
    bytes.extend(header("d/", b'5', "", 1 << 30));
    bytes.resize(bytes.len() + 1024, 0);
    let mut reader = entries(&bytes[..]);
    assert_eq!(reader.next_entry().unwrap().unwrap().size, 3);
    let mut text = String::new();
    reader.content().read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");
    for name in ["l", "d/"] {
        let entry = reader.next_entry().unwrap().unwrap();
        assert_eq!((entry.path.to_str(), entry.size), (Some(name), 0));
    }
    assert!(reader.next_entry().unwrap().is_none());
}

#[test]
fn ends_without_a_mark_and_garbage_after_one_are_told() {
    let good = tar(&[Raw("a", b'0', "", b"abc")]);
    let (_, end) = all(&good[..1024]).unwrap();
    assert_eq!(end, TarEnd { marked: false, garbage: None, size: 1024 });
    let (_, end) = all(&[&good[..], b"\0more"].concat()).unwrap();
    assert_eq!(end.garbage, Some(good.len() as u64 + 1));
    assert_eq!(all(b"").unwrap(), (vec![], TarEnd::default()));
}

#[test]
fn paths_are_confined_as_engines_do() {
    for (path, clean) in [
        ("a/b", Some("a/b")),
        ("./a//b/", Some("a/b")),
        ("/etc/passwd", Some("etc/passwd")),
        ("a/../b", Some("b")),
        ("./", Some("")),
        ("../a", None),
        ("a/../../b", None),
        ("/..", None),
    ] {
        assert_eq!(inside(Path::new(path)), clean.map(PathBuf::from), "{path}");
    }
}

#[test]
fn the_tar_crate_sees_the_same_entries() {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (path, size) in [("short".to_owned(), 5_usize), ("d/".repeat(90) + "f", 600), ("x".repeat(300), 0)] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(size as u64);
        header.set_mode(0o4755);
        header.set_mtime(77);
        header.set_uid(3_000_000);
        builder.append_data(&mut header, path, &vec![7; size][..]).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let (ours, _) = all(&bytes).unwrap();
    let mut archive = ::tar::Archive::new(&bytes[..]);
    for (ours, theirs) in ours.iter().zip(archive.entries().unwrap()) {
        let theirs = theirs.unwrap();
        assert_eq!(ours.path, theirs.path().unwrap());
        assert_eq!(ours.data_offset, theirs.raw_file_position());
        let header = theirs.header();
        let facts =
            (header.size().unwrap(), header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap());
        assert_eq!((ours.size, ours.mode, ours.uid, u64::try_from(ours.mtime).unwrap()), facts);
    }
    assert_eq!(ours.len(), 3);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut blocks in proptest::collection::vec(proptest::array::uniform32(0_u8..), 0..64), fix: bool) {
        let mut bytes = blocks.concat();
        blocks.clear();
        if fix {
            // Right checksums let the bytes past the first check.
            for block in bytes.chunks_exact_mut(512) {
                block[156] = *b"0125xgLKS".get(usize::from(block[156] % 9)).unwrap();
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let _ = all(&bytes);
    }

    #[test]
    fn no_field_makes_it_panic(field in 100_usize..500, values in proptest::collection::vec(0_u8.., 1..12), flag in 0_usize..9) {
        let mut block = header("name", b"0125xgLKS"[flag], "link", 600);
        let end = (field + values.len()).min(512);
        block[field..end].copy_from_slice(&values[..end - field]);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = block.to_vec();
        bytes.extend_from_slice(b"12 path=a/b\n30 SCHILY.xattr.a=bbbbbbbbbbbb\n");
        bytes.resize(4096, 0);
        let _ = all(&bytes);
    }
}
