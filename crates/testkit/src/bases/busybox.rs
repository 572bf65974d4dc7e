//! The files of the base images.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use longshore_image::Layout;
use longshore_image::layer::{Entry, EntryKind, Layer, LayerBuilder, Timestamps};
use longshore_oci::media_type::ImageFormat;

use super::{BasesError, CREATED};
use crate::{Skip, program};

/// Where busybox and the links to it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Programs {
    /// In `/bin`.
    InBin,
    /// In `/usr/bin`, with `/bin` a link to it.
    InUsrBin,
}

/// Programs that Dockerfiles of tests use; each is in every busybox of the last ten years.
const LINKS: &str = "ash awk base64 basename bunzip2 bzcat cat chgrp chmod chown cmp cp cut date dd diff dirname du \
    echo ed egrep env expr false fgrep find grep groups gunzip gzip head hexdump hostname id kill ln ls md5sum mkdir mkfifo mknod \
    mktemp mount mv nproc od printf ps pwd readlink realpath rm rmdir sed seq setsid sh sha1sum sha256sum sleep sort stat sync \
    tac tail tar tee test time timeout touch tr true truncate umount uname uniq unlink usleep vi wc wget which whoami xargs yes \
    zcat";

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:App:/home/app:/bin/sh
other:x:1001:2000::/home/other:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";
const GROUP: &str = "\
root:x:0:
daemon:x:1:
staff:x:50:app
app:x:1000:
users:x:2000:other,app
nobody:x:65534:
";
const RELEASE: &str = "\
ID=longshore-test
NAME=\"Base of tests\"
VERSION_ID=1
";

/// `cap_net_bind_service` effective and permitted, version 2 (capability.h, `struct vfs_cap_data`).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Finds a busybox that needs no loader.
pub(super) fn find() -> Result<PathBuf, BasesError> {
    let path = program("busybox").map_err(|_| Skip("busybox-static is not installed".into()))?;
    let failed = |source| BasesError::Busybox { path: path.clone(), source };
    let mut start = Vec::new();
    File::open(&path).and_then(|file| file.take(4096).read_to_end(&mut start)).map_err(failed)?;
    if has_interpreter(&start) {
        return Err(Skip(format!("{} is not static", path.display())).into());
    }
    Ok(path)
}

/// Whether a 64-bit little-endian ELF file has a PT_INTERP segment (elf(5)). Its start is enough: the program headers are there.
fn has_interpreter(start: &[u8]) -> bool {
    let number = |offset: usize, bytes: usize| {
        let field = start.get(offset..offset + bytes).unwrap_or_default();
        field.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

/// Writes the layer.
pub(super) fn layer(layout: &Layout, busybox: &Path, programs: Programs) -> Result<Layer, BasesError> {
    let mut builder = LayerBuilder::new(layout.blob_writer()?, Timestamps::Fixed(CREATED));
    let folder = match programs {
        Programs::InBin => "bin",
        Programs::InUsrBin => "usr/bin",
    };
    for entry in folders(programs) {
        builder.append_empty(&entry)?;
    }
    let failed = |source| BasesError::Busybox { path: busybox.to_owned(), source };
    let mut program = File::open(busybox).map_err(failed)?;
    let size = program.metadata().map_err(failed)?.len();
    builder.append(&Entry::file(format!("{folder}/busybox"), 0o755, size), &mut program)?;
    for name in LINKS.split_whitespace() {
        builder.append_empty(&Entry::symlink(format!("{folder}/{name}"), "busybox"))?;
    }
    for (path, text) in [
        ("etc/group", GROUP),
        ("etc/hostname", "base\n"),
        ("etc/os-release", RELEASE),
        ("etc/passwd", PASSWD),
    ] {
        builder.append(&Entry::file(path, 0o644, text.len() as u64), &mut text.as_bytes())?;
    }
    for (entry, text) in data() {
        builder.append(&entry, &mut text.as_bytes())?;
    }
    let end = |source| BasesError::End { image: "busybox", source };
    let (layer, file) = builder.finish(ImageFormat::Oci).map_err(end)?;
    layout.adopt(file, &layer.descriptor.digest)?;
    Ok(layer)
}

fn folders(programs: Programs) -> Vec<Entry> {
    const PLAIN: [&str; 12] = [
        // Mount points of engines; where a base has none, a step leaves them behind.
        "dev",
        "etc",
        "home",
        "proc",
        "root",
        "run",
        "sys",
        "usr",
        "usr/bin",
        "usr/local",
        "usr/local/bin",
        "var",
    ];
    let mut folders = PLAIN.map(|path| Entry::directory(path, 0o755)).to_vec();
    folders.push(match programs {
        Programs::InBin => Entry::directory("bin", 0o755),
        Programs::InUsrBin => Entry::symlink("bin", "usr/bin"),
    });
    folders.push(Entry::directory("home/app", 0o750).owned_by(1000, 1000));
    folders.push(Entry::directory("tmp", 0o1777));
    folders
}

/// `/data`: one file of each kind that a step may copy, move, change or remove.
fn data() -> Vec<(Entry, &'static str)> {
    let file = |path: &str, mode, text: &'static str| (Entry::file(path, mode, text.len() as u64), text);
    let empty = |entry: Entry| (entry, "");
    let (owned, text) = file("data/owned", 0o600, "owned by app\n");
    let owned = (owned.owned_by(1000, 1000), text);
    let (mut capable, text) = file("data/capable", 0o755, "capable\n");
    capable.xattrs.insert("security.capability".to_owned(), CAPABILITY.to_vec());
    let capable = (capable, text);
    let hard = Entry {
        kind: EntryKind::Hardlink { target: "data/file".into() },
        ..Entry::file("data/hard", 0o644, 0)
    };
    vec![
        empty(Entry::directory("data", 0o755)),
        file("data/file", 0o644, "file\n"),
        empty(hard),
        empty(Entry::symlink("data/link", "file")),
        empty(Entry::symlink("data/absolute", "/etc/hostname")),
        empty(Entry::symlink("data/folder-link", "folder")),
        empty(Entry::symlink("data/dangling", "/nowhere/at-all")),
        owned,
        capable,
        file("data/setuid", 0o4755, "setuid\n"),
        empty(Entry::directory("data/folder", 0o755)),
        file("data/folder/first", 0o644, "first\n"),
        file("data/folder/second", 0o640, "second\n"),
        empty(Entry::directory("data/folder/deep", 0o700)),
        file("data/folder/deep/third", 0o644, "third\n"),
        empty(Entry::directory("data/empty", 0o755)),
        empty(Entry::directory("data/shared", 0o2775).owned_by(0, 50)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_found_where_there_is_one() {
        let mut elf = vec![0; 64 + 56 * 2];
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 2;
        elf[64] = 1;
        assert!(!has_interpreter(&elf));
        elf[64 + 56] = 3;
        assert!(has_interpreter(&elf));
        assert!(!has_interpreter(b"#!/bin/sh\n"));
    }
}
