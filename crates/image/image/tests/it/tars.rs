//! Tars by GNU tar in all its formats.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use longshore_image::layer::{TarKind, entries};
use longshore_testkit::{Folder, Requirement, Stop, Suite, TestResult};

use crate::sample::peer;

const TAR: &[Requirement] = &[Requirement::Program("tar")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("every_format_of_gnu_tar_is_read", TAR, every_format)
}

/// Files of every kind that a tar of any user can hold.
fn populate(folder: &Path, long: bool) -> Result<(), Stop> {
    let write =
        |path: PathBuf, bytes: &[u8]| -> Result<(), Stop> { Ok(File::create(path)?.write_all(bytes)?) };
    fs::create_dir_all(folder.join("d/e"))?;
    write(folder.join("d/file"), b"content")?;
    write(folder.join("d/e/empty"), b"")?;
    write(folder.join("d/odd\nname \u{e9}"), &[7; 1025])?;
    std::os::unix::fs::symlink("../d/file", folder.join("d/link"))?;
    fs::hard_link(folder.join("d/file"), folder.join("d/hard"))?;
    // More holes than one header has room for, and than two.
    let holes = File::create(folder.join("d/holes"))?;
    for number in 0..40_u64 {
        holes.write_at(&[1], number * 64 * 1024)?;
    }
    holes.set_len(40 * 64 * 1024 + 5)?;
    if long {
        let deep = folder.join("x".repeat(120)).join("y".repeat(200));
        fs::create_dir_all(&deep)?;
        write(deep.join("z".repeat(90)), b"deep")?;
        std::os::unix::fs::symlink("t".repeat(300), folder.join("far"))?;
    }
    write(folder.join("last"), b"the end")
}

fn every_format() -> TestResult {
    let formats: [(&[&str], bool); 8] = [
        (&["--format=v7"], false),
        (&["--format=ustar"], false),
        (&["--format=oldgnu", "--sparse"], true),
        (&["--format=gnu"], true),
        (&["--format=gnu", "--sparse"], true),
        (&["--format=posix", "--sparse", "--sparse-version=0.0"], true),
        (&["--format=posix", "--sparse", "--sparse-version=0.1"], true),
        (&["--format=posix", "--sparse", "--sparse-version=1.0"], true),
    ];
    for (arguments, long) in formats {
        let folder = Folder::new()?;
        let tree = folder.join("tree");
        fs::create_dir(&tree)?;
        populate(&tree, long)?;
        let path = folder.join("a.tar");
        let (from, to) = (tree.display().to_string(), path.display().to_string());
        peer("tar", &[arguments, &["-C", &from, "-cf", &to, "."]].concat())?;
        check(&path, &tree, arguments.contains(&"--sparse")).map_err(|stop| match stop {
            Stop::Failed(message) => Stop::failed(format!("{arguments:?}: {message}")),
            other => other,
        })?;
    }
    Ok(())
}

/// Compares a tar with the folder that it was made from.
fn check(path: &Path, tree: &Path, with_holes: bool) -> TestResult {
    let mut reader = entries(File::open(path)?);
    let (mut seen, mut sparse) = (0, 0);
    while let Some(entry) = reader.next_entry()? {
        seen += 1;
        let original = tree.join(&entry.path);
        let metadata = fs::symlink_metadata(&original)?;
        let name = entry.path.display();
        assert_eq!(entry.mode, metadata.mode() & 0o7777, "{name}");
        assert_eq!((entry.uid, entry.gid), (u64::from(metadata.uid()), u64::from(metadata.gid())), "{name}");
        assert_eq!(entry.mtime, metadata.mtime(), "{name}");
        match &entry.kind {
            TarKind::Directory => assert!(metadata.is_dir(), "{name}"),
            TarKind::Symlink(target) => assert_eq!(*target, fs::read_link(&original)?, "{name}"),
            TarKind::Hardlink(target) => {
                assert_eq!(fs::metadata(tree.join(target))?.ino(), metadata.ino(), "{name}");
            }
            TarKind::File => {
                sparse += usize::from(entry.sparse);
                assert_eq!(entry.size, metadata.len(), "{name}");
                let mut content = Vec::new();
                entry.expand(reader.content()).read_to_end(&mut content)?;
                assert!(content == fs::read(&original)?, "{name}");
            }
            other => return Err(Stop::failed(format!("{name} is {other:?}"))),
        }
    }
    let ran = peer("tar", &["-tf", &path.display().to_string()])?;
    assert_eq!(sparse, usize::from(with_holes));
    assert_eq!(seen, ran.stdout.lines().count());
    assert_eq!(reader.end().map(|end| (end.marked, end.garbage)), Some((true, None)));
    Ok(())
}
