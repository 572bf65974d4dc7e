//! Archives that nobody vouches for.

use std::process::Command;

use longshore_testkit::{Requirement, Suite, TestResult};

use crate::workshop::Workshop;

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("archives::nothing_leaves_the_destination", ROOT, hostile)
        .test("archives::a_hard_link_to_nothing_is_an_error", ROOT, dangling_hard_link)
        .test("archives::a_later_entry_takes_the_place_of_an_earlier_one", ROOT, replaced)
        .test("archives::what_cannot_be_unpacked_is_named", ROOT, broken)
        .test("archives::what_is_no_archive_is_copied", ROOT, no_archives)
        .test("archives::times_are_no_later_than_source_date_epoch", ROOT, times)
        .test(
            "archives::files_without_their_holes_get_them_back",
            &[Requirement::Root, Requirement::Program("tar")],
            sparse,
        )
}

/// A tar, put together by hand: a writer of tars would refuse these.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, flag: u8, name: &str, link: &str, content: &[u8]) -> Tar {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, b"0000640\0");
        put(108, b"0000007\0");
        put(116, b"0000010\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, format!("{:011o}\0", 1_500_000_000).as_bytes());
        put(148, b"        ");
        put(156, &[flag]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Tar {
        self.entry(b'0', name, "", content.as_bytes())
    }

    fn link(self, name: &str, target: &str) -> Tar {
        self.entry(b'2', name, target, b"")
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn hostile() -> TestResult {
    let workshop = Workshop::new()?;
    let tar = Tar::default()
        .file("../../climbed", "1")
        .file("/absolute", "22")
        .file("a/../../../b", "333")
        .link("root", "/")
        .file("root/through-root", "4444")
        .link("up", "../../../..")
        .file("up/through-up", "55555")
        .link("etc", "/etc")
        .link("first", "second")
        .link("second", "/../../third")
        .file("first/chained", "7777777")
        .entry(b'1', "hard", "../../../climbed", b"")
        .bytes();
    workshop.write("a.tar", &tar)?;
    let built = workshop.add("ADD a.tar /d/")?;
    // Links are content like any other; what is written through them lands below the destination.
    assert_eq!(
        built.listing(),
        [
            "d/ 755",
            "d/absolute 640 2",
            "d/b 640 3",
            "d/climbed 640 1",
            "d/etc -> /etc",
            "d/first -> second",
            "d/hard -> d/climbed",
            "d/root -> /",
            "d/second -> /../../third",
            "d/third/ 755",
            "d/third/chained 640 7",
            "d/through-root 640 4",
            "d/through-up 640 5",
            "d/up -> ../../../..",
        ]
    );
    Ok(())
}

fn dangling_hard_link() -> TestResult {
    let workshop = Workshop::new()?;
    for target in ["/etc/passwd", "../../../../etc/passwd", "nothing"] {
        workshop.write("a.tar", &Tar::default().file("x", "x").entry(b'1', "hard", target, b"").bytes())?;
        let (messages, _) = workshop.refused("ADD a.tar /d/")?;
        let place = target.trim_start_matches(['.', '/']);
        assert_eq!(messages[1..], [format!("there is no d/{place}")], "{target}");
    }
    Ok(())
}

fn replaced() -> TestResult {
    let workshop = Workshop::new()?;
    let tar = Tar::default()
        .link("a", "/elsewhere")
        .file("a/one", "1")
        .entry(b'5', "a", "", b"")
        .file("a/two", "22")
        .file("b/deep/three", "333")
        .file("b", "4444")
        .entry(b'6', "b", "", b"")
        .bytes();
    workshop.write("a.tar", &tar)?;
    let built = workshop.add("ADD a.tar /d/")?;
    assert_eq!(
        built.listing(),
        ["d/ 755", "d/a/ 640", "d/a/two 640 2", "d/b -> ", "d/elsewhere/ 755", "d/elsewhere/one 640 1"]
    );
    Ok(())
}

fn broken() -> TestResult {
    let workshop = Workshop::new()?;
    let whole = Tar::default().file("a", "a").file("b", &"b".repeat(2000)).bytes();
    let mut garbled = whole.clone();
    garbled[1024 + 10] ^= 1;
    for (bytes, expected) in [
        (
            &whole[..1024 + 700],
            vec!["cannot unpack a.tar", "cannot read b in it", "the tar ends in the middle of a file"],
        ),
        (
            &whole[..1024 + 100],
            vec![
                "cannot unpack a.tar",
                "cannot read the tar at byte 1024",
                "the tar ends in the middle of an entry",
            ],
        ),
        (
            &garbled[..],
            vec![
                "cannot unpack a.tar",
                "cannot read the tar at byte 1024",
                "its checksum is wrong: this is no tar header",
            ],
        ),
        (
            &Tar::default().file("a", "a").entry(b'M', "volume", "", b"").bytes()[..],
            vec!["cannot unpack a.tar", "its entry volume is of the type `M`, which is not read"],
        ),
        (
            &Tar::default().file("a/.wh..wh..opq", "").bytes()[..],
            vec![
                "d/a/.wh..wh..opq cannot stand in a layer: names that begin with `.wh.` are marks of what was removed",
            ],
        ),
    ] {
        workshop.write("a.tar", bytes)?;
        let (messages, _) = workshop.refused("ADD a.tar /d/")?;
        assert_eq!(messages[1..], expected);
    }
    Ok(())
}

fn no_archives() -> TestResult {
    let workshop = Workshop::new()?;
    let gzip: &[u8] = b"\x1f\x8b\x08\0 no gzip after all";
    for content in [&b""[..], b"text", &[0; 1024], gzip, b"BZh9 no bzip2", b"\xfd7zXZ\0 no xz"] {
        workshop.write("a.tar", content)?;
        let built = workshop.add("ADD a.tar /d/")?;
        assert!(built.holds("d/a.tar", content), "{content:?}: {:?}", built.listing());
    }
    Ok(())
}

fn times() -> TestResult {
    let workshop = Workshop::new()?;
    workshop.write("a.tar", &Tar::default().file("x/y", "z").bytes())?;
    for (epoch, expected) in
        [(1_600_000_000, [1_600_000_000, 1_500_000_000]), (1_400_000_000, [1_400_000_000; 2])]
    {
        let built = workshop.try_add("ADD a.tar /d/", Some(epoch))?;
        let time = |path: &str| built.tree.get(path).map_or(0, |file| file.mtime);
        assert_eq!([time("d/x"), time("d/x/y")], expected);
    }
    Ok(())
}

fn sparse() -> TestResult {
    let workshop = Workshop::new()?;
    let folder = workshop.folder.join("files");
    std::fs::create_dir(&folder)?;
    let mut content = vec![0; 3 << 20];
    content[1 << 20] = b'x';
    content[(3 << 20) - 1] = b'y';
    let file = std::fs::File::create(folder.join("holes"))?;
    std::os::unix::fs::FileExt::write_at(&file, b"x", 1 << 20)?;
    std::os::unix::fs::FileExt::write_at(&file, b"y", (3 << 20) - 1)?;
    for format in ["gnu", "posix"] {
        let archive = workshop.folder.join("context/a.tar");
        let status = Command::new("tar")
            .args(["--sparse", "--create", "--format", format, "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&folder)
            .arg("holes")
            .status()?;
        assert!(status.success());
        assert!(std::fs::metadata(&archive)?.len() < 1 << 20, "tar stored the holes");
        let built = workshop.add("ADD a.tar /d/")?;
        assert!(built.holds("d/holes", &content), "{format}: {:?}", built.listing());
    }
    Ok(())
}
