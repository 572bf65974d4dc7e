use super::*;
use longshore_events::TaskKind;
use std::os::unix::fs::PermissionsExt;

/// One entry of a zip that is written byte by byte, so that it can break every rule.
#[derive(Clone)]
pub(crate) struct Raw {
    name: Vec<u8>,
    content: Vec<u8>,
    mode: u32,
    /// What the entry claims to hold, where that is a lie.
    stated: Option<u32>,
    flags: u16,
}

fn raw(name: impl AsRef<[u8]>, content: &str) -> Raw {
    Raw { name: name.as_ref().to_vec(), content: content.into(), mode: 0o100_644, stated: None, flags: 0 }
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn headers(entry: &Raw) -> Vec<u8> {
    let size = entry.stated.unwrap_or(entry.content.len() as u32);
    let mut bytes = [20u16, entry.flags, 0, 0, 33].map(u16::to_le_bytes).concat();
    bytes.extend([crc(&entry.content), size, size].map(u32::to_le_bytes).concat());
    bytes.extend([entry.name.len() as u16, 0].map(u16::to_le_bytes).concat());
    bytes
}

fn zip_of(entries: &[Raw]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(headers(entry));
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(&entry.name);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(headers(entry));
        bytes.extend(&entry.name);
        bytes.extend(&entry.content);
    }
    let start = bytes.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    let length = (directory.len() as u32).to_le_bytes();
    bytes.extend(directory);
    bytes.extend(
        [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &start.to_le_bytes(), &[0, 0]].concat(),
    );
    bytes
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn unpack(bytes: &[u8], folder: &Path) -> Result<String, ArchiveError> {
    let zip = ModuleZip::open(file_of(bytes), "m@v1/")?;
    let task = Events::silent().task(TaskKind::Work, "unpack");
    zip.unpack(&folder.join("out"), |path| path.starts_with("bin/"), &task)
}

fn problem(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = unpack(bytes, folder.path()).unwrap_err();
    let outside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(outside.iter().all(|name| name == "out"), "{outside:?}");
    match error {
        ArchiveError::Entry { reason, .. } => reason.to_owned(),
        ArchiveError::Broken(_) => "broken".into(),
        ArchiveError::TooLarge { .. } => "too large".into(),
        ArchiveError::Unpack { .. } => "unpack".into(),
        other => other.to_string(),
    }
}

/// `sha256sum` of coreutils over the same files, as the documentation of dirhash describes it, gave this hash.
#[test]
fn a_module_is_unpacked_and_hashed_as_go_hashes_it() {
    let entries = [
        raw("m@v1/src/b", "two\n"),
        raw("m@v1/bin/a", "one\n"),
        raw("m@v1/src.go", ""),
        raw("m@v1/src/", ""),
    ];
    let mut entries = entries.to_vec();
    entries[3].mode = 0o040_755;
    let folder = tempfile::tempdir().unwrap();
    let hash = unpack(&zip_of(&entries[..3]), folder.path()).unwrap();
    let out = folder.path().join("out");
    assert_eq!(fs::read_to_string(out.join("src/b")).unwrap(), "two\n");
    let mode = |path: &str| fs::metadata(out.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("bin/a") & 0o500, mode("src/b") & 0o700, mode("src.go") & 0o700], [0o500, 0o400, 0o400]);
    assert_eq!(hash, "h1:6E9SKXdUerLzKHV8F/fQyDutn8H66i49MdEO6WMGcc8=");
    let with_folder = tempfile::tempdir().unwrap();
    assert_ne!(
        unpack(&zip_of(&entries), with_folder.path()).unwrap(),
        hash,
        "Go hashes folders that have entries"
    );
}

#[test]
fn hostile_entries_are_refused() {
    let mode = |name: &str, mode: u32| Raw { mode, ..raw(name, "x") };
    let cases: Vec<(Vec<Raw>, &str)> = vec![
        (vec![raw("other/file", "")], "is not below the module's own folder"),
        (vec![raw("../m@v1/file", "")], "is not below the module's own folder"),
        (vec![raw("/etc/passwd", "")], "is not below the module's own folder"),
        (vec![raw("m@v1/../../etc/passwd", "")], "has a name that is no clean relative path"),
        (vec![raw("m@v1//etc/passwd", "")], "has a name that is no clean relative path"),
        (vec![raw("m@v1/a/./b", "")], "has a name that is no clean relative path"),
        (vec![raw("m@v1/a//b", "")], "has a name that is no clean relative path"),
        (vec![raw("m@v1/", "")], "has an empty or endless name"),
        (vec![raw(format!("m@v1/{}", "a/".repeat(600) + "b"), "")], "has an empty or endless name"),
        (vec![raw(format!("m@v1/{}", "a".repeat(256)), "")], "has a name that is no clean relative path"),
        (vec![raw("m@v1/a\\b", "")], "has a name with control characters or backslashes"),
        (vec![raw("m@v1/a\nb", "")], "has a name with control characters or backslashes"),
        (vec![raw("m@v1/a\0b", "")], "has a name with control characters or backslashes"),
        (vec![raw(b"m@v1/\xff", "")], "has a name that is not UTF-8"),
        (vec![mode("m@v1/link", 0o120_777)], "is a link or a device"),
        (vec![mode("m@v1/device", 0o060_666)], "is a link or a device"),
        (vec![mode("m@v1/pipe", 0o010_666)], "is a link or a device"),
        (vec![mode("m@v1/folder", 0o040_755)], "is a folder and a file at once"),
        (vec![mode("m@v1/file/", 0o100_755)], "is a folder and a file at once"),
        (vec![mode("m@v1/folder/", 0o040_755)], "is a folder with content"),
        (vec![raw("m@v1/a", ""), raw("m@v1/a", "")], "occurs twice, or another does"),
        (vec![raw("m@v1/a", ""), raw("m@v1/A", "")], "differs from another only in case"),
        (vec![raw("m@v1/a/x", ""), raw("m@v1/A/y", "")], "differs from another only in case"),
        (vec![raw("m@v1/a", ""), raw("m@v1/a/b", "")], "is a folder and a file at once"),
        (vec![raw("m@v1/a/b", ""), raw("m@v1/a", "")], "is a folder and a file at once"),
        (vec![Raw { flags: 1, ..raw("m@v1/a", "secret") }], "is encrypted"),
    ];
    for (entries, expected) in cases {
        let names: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(&entry.name)).collect();
        assert_eq!(problem(&zip_of(&entries)), expected, "{names:?}");
    }
}

#[test]
fn bombs_and_lies_about_sizes_are_refused() {
    let stated = |name: &str, stated: u32| Raw { stated: Some(stated), ..raw(name, "some content") };
    let many: Vec<_> = (0..3).map(|number| stated(&format!("m@v1/{number}"), 200 << 20)).collect();
    assert_eq!(problem(&zip_of(&many)), "too large");
    for size in [3, 13] {
        let text = problem(&zip_of(&[stated("m@v1/a", size), raw("m@v1/b", "")]));
        assert!(["unpack", "has another size than it states"].contains(&text.as_str()), "{size}: {text}");
    }
    let mut crowd = zip_of(&[raw("m@v1/a", "")]);
    let end = crowd.len() - 22;
    crowd[end + 10..end + 12].copy_from_slice(&60_001u16.to_le_bytes());
    assert_eq!(problem(&crowd), "too large");
    let mut wrong = zip_of(&[raw("m@v1/a", "content")]);
    let at = wrong.windows(7).position(|window| window == b"content").unwrap();
    wrong[at] = b'C';
    assert_eq!(problem(&wrong), "unpack");
}

#[test]
fn a_broken_zip_is_an_error_at_every_byte() {
    let good = zip_of(&[raw("m@v1/a", "one"), raw("m@v1/b/c", "two")]);
    let folder = tempfile::tempdir().unwrap();
    let hash = unpack(&good, folder.path()).unwrap();
    for at in 0..good.len() {
        assert_eq!(problem(&good[..at]), "broken", "cut at {at}");
        let mut changed = good.clone();
        changed[at] ^= 0x55;
        let folder = tempfile::tempdir().unwrap();
        // Some bytes, such as times, mean nothing to a module: then the hash is the same. It never is another's.
        if let Ok(other) = unpack(&changed, folder.path()) {
            let renamed = fs::read_to_string(folder.path().join("out/a")).ok().as_deref() != Some("one")
                || !folder.path().join("out/b/c").exists();
            assert_eq!(other != hash, renamed, "byte {at}");
        }
    }
    assert_eq!(problem(&[good.clone(), b"x".to_vec()].concat()), "broken", "bytes behind the end");
    assert_eq!(problem(&[b"x".to_vec(), good].concat()), "broken", "bytes before the start");
}

#[test]
fn cancelling_stops_the_unpacking() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::silent();
    let zip = ModuleZip::open(file_of(&zip_of(&[raw("m@v1/a", "one")])), "m@v1/").unwrap();
    let task = events.task(TaskKind::Work, "unpack");
    events.cancel();
    let answer = zip.unpack(&folder.path().join("out"), |_| false, &task);
    assert!(matches!(answer, Err(ArchiveError::Cancelled(_))), "{answer:?}");
}
