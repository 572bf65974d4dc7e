//! Debian bookworm out of its own archive: debootstrap's smallest set of packages, and what cgo needs beside Go on top of that.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use longshore_image::Image;
use longshore_image::mutate::Draft;

use super::download::{must, need};
use super::tree::Tree;
use super::{PATH, Workshop, append, empty_draft, golang, words};
use crate::command::{Result, command, context, output};

const ARCHIVE: &str = "http://deb.debian.org/debian";
/// Folders whose content the slim images go without.
const EMPTIED: [&str; 6] =
    ["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists", "var/log"];
/// What debootstrap copies from this machine, and a container gets from its engine.
const MACHINE_FILES: [&str; 2] = ["etc/hostname", "etc/resolv.conf"];
/// What compiling C beside Go takes, as in the official golang image.
const FOR_CGO: [&str; 4] = ["gcc", "git", "libc6-dev", "make"];

pub(super) fn image(shop: &Workshop) -> Result<Draft> {
    need(&[("debootstrap", "debootstrap")])?;
    let root = shop.folder("debian")?;
    println!("debootstrap takes some minutes.");
    output(
        command("debootstrap")
            .args(["--variant=minbase", "--include=ca-certificates", "bookworm"])
            .arg(&root)
            .arg(ARCHIVE),
    )?;
    clean(&root)?;
    let mut draft = empty_draft();
    append(&mut draft, &Tree::read(&root)?.layer(&shop.layout)?, "debootstrap --variant=minbase bookworm");
    draft.config.config.env = words(&[PATH]);
    draft.config.config.cmd = Some(words(&["bash"]));
    draft.config.config.working_dir = "/".to_owned();
    Ok(draft)
}

/// Go and a C compiler on Debian.
pub(super) fn with_go(shop: &Workshop, version: &str) -> Result<Draft> {
    let base = shop.base("debian:bookworm-slim")?;
    let root = shop.folder("golang-debian")?;
    unpack(&base, &root)?;
    let before = Tree::read(&root)?;
    install(&root, &FOR_CGO)?;
    clean(&root)?;
    let compiler = Tree::read(&root)?.layer_since(&before, &shop.layout)?;

    let mut draft = golang::on(shop, "debian:bookworm-slim", version)?;
    append(&mut draft, &compiler, &format!("apt-get install {}", FOR_CGO.join(" ")));
    draft.config.config.cmd = Some(words(&["bash"]));
    Ok(draft)
}

/// A package's files in a folder of its own.
pub(super) fn unpacked(shop: &Workshop, package: &str) -> Result<PathBuf> {
    let folder = shop.scratch.join(format!("deb-{package}"));
    if !folder.exists() {
        let archive = shop.downloads.debian(package)?;
        must(command("dpkg-deb").arg("-x").arg(archive).arg(&folder))?;
    }
    Ok(folder)
}

/// Unpacks an image without whiteouts: those made here have one layer, or such as only add.
fn unpack(image: &Image, root: &Path) -> Result<()> {
    let manifest = image.manifest().map_err(context("cannot read the base"))?;
    for descriptor in &manifest.layers {
        let mut layer = image.open_layer(descriptor).map_err(context("cannot open the base's layer"))?;
        let mut tar = command("tar");
        tar.args(["--extract", "--numeric-owner", "--preserve-permissions", "-C"]).arg(root);
        let mut child = tar.stdin(Stdio::piped()).spawn().map_err(context("cannot run tar"))?;
        let copied = child.stdin.take().map(|mut stdin| io::copy(&mut layer, &mut stdin));
        let status = child.wait().map_err(context("cannot wait for tar"))?;
        if !status.success() {
            return Err(format!("tar ended with {status}"));
        }
        copied.transpose().map_err(context("cannot read the base's layer"))?;
    }
    Ok(())
}

/// Installs packages in a root. Devices are no part of a layer; what installs itself writes to /dev/null.
fn install(root: &Path, packages: &[&str]) -> Result<()> {
    let null = root.join("dev/null");
    must(command("mknod").args(["-m", "666"]).arg(&null).args(["c", "1", "3"]))?;
    let resolver = root.join("etc/resolv.conf");
    std::fs::copy("/etc/resolv.conf", &resolver).map_err(context("cannot copy /etc/resolv.conf"))?;
    let script = format!(
        "apt-get -qq update && apt-get -qq install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    let mut chroot = command("chroot");
    chroot.arg(root).args(["sh", "-c", &script]).env("DEBIAN_FRONTEND", "noninteractive");
    must(chroot.env("LC_ALL", "C"))
}

fn clean(root: &Path) -> Result<()> {
    for folder in EMPTIED {
        let path = root.join(folder);
        std::fs::remove_dir_all(&path)
            .and_then(|()| std::fs::create_dir(&path))
            .map_err(context(format!("cannot empty {}", path.display())))?;
    }
    for file in MACHINE_FILES {
        let path = root.join(file);
        if path.exists() {
            std::fs::remove_file(&path).map_err(context(format!("cannot remove {}", path.display())))?;
        }
    }
    Ok(())
}
