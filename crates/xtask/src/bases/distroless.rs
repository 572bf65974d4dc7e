//! What a static binary may look for, and nothing else, as in distroless' static image: CA certificates, time zones, users,
//! /tmp and nsswitch.conf.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use longshore_files::create_folders;
use longshore_image::mutate::Draft;

use super::download::{must, need};
use super::tree::Tree;
use super::{CERTIFICATES, PATH, Workshop, append, debian, empty_draft, words};
use crate::command::{Result, command, context, write};

const NONROOT: u32 = 65532;

/// Folders with mode and owner; those that stand in others come after them.
const FOLDERS: [(&str, u32, u32); 9] = [
    ("etc", 0o755, 0),
    ("etc/ssl/certs", 0o755, 0),
    ("home", 0o755, 0),
    ("home/nonroot", 0o700, NONROOT),
    ("root", 0o700, 0),
    ("tmp", 0o1777, 0),
    ("usr/share", 0o755, 0),
    ("var", 0o755, 0),
    ("var/run", 0o755, 0),
];

const FILES: [(&str, &str); 4] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
         nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n"),
    ("etc/nsswitch.conf", "hosts: files dns\n"),
    (
        "etc/os-release",
        "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"12\"\n",
    ),
];

pub(super) fn image(shop: &Workshop) -> Result<Draft> {
    need(&[("apt-get", "apt"), ("dpkg-deb", "dpkg")])?;
    let root = shop.folder("distroless")?;
    for (folder, mode, owner) in FOLDERS {
        let path = root.join(folder);
        create_folders(&path).map_err(|error| error.to_string())?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .and_then(|()| chown(&path, Some(owner), Some(owner)))
            .map_err(context(format!("cannot change {}", path.display())))?;
    }
    for (path, content) in FILES {
        write(&root.join(path), content)?;
    }
    let certificates = root.join(CERTIFICATES.trim_start_matches('/'));
    std::fs::copy(Path::new(CERTIFICATES), &certificates)
        .map_err(context(format!("cannot copy {CERTIFICATES}")))?;
    let zones = debian::unpacked(shop, "tzdata")?.join("usr/share/zoneinfo");
    must(command("cp").arg("-a").arg(zones).arg(root.join("usr/share/")))?;

    let mut draft = empty_draft();
    append(&mut draft, &Tree::read(&root)?.layer(&shop.layout)?, "CA certificates, time zones and users");
    draft.config.config.env = words(&[PATH, &format!("SSL_CERT_FILE={CERTIFICATES}")]);
    draft.config.config.user = NONROOT.to_string();
    draft.config.config.working_dir = "/home/nonroot".to_owned();
    Ok(draft)
}
