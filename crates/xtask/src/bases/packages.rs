//! The repository of packages inside the Alpine images, so that `apk add` works with no network: made and signed by Alpine's
//! own apk (apk-mkpkg(8), apk-mkndx(8)).
//!
//! ca-certificates, tzdata, curl, gosu and dumb-init are the programs and files that they say. git, netcat-openbsd and
//! build-base are stand-ins without a program, since no registry here has Alpine's; security-scan-tool, which no
//! distribution has, is one that checks for an ELF file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use longshore_files::create_folders;

use super::download::must;
use super::{Workshop, debian};
use crate::command::{Result, command, context, output, write};

/// Where the repository is in the images.
const REPOSITORY: &str = "opt/apk-repo";
/// Where a package's files are put together, and where packages are written, in the folder that has apk.
const STAGE: &str = "tmp/stage";
const PACKAGES: &str = "tmp/packages/x86_64";
const KEY: &str = "tmp/bases.rsa";

const STAND_INS: [&str; 3] = ["build-base", "git", "netcat-openbsd"];
const SCANNER: &str = "#!/bin/sh\n\
    # Stand-in: says only whether its argument is an ELF file.\n\
    [ \"$(head -c 4 \"$1\" | tail -c 3)\" = ELF ] && echo \"$1: scanned\"\n";

/// The packages that curl is made of in Alpine, as one: nothing else needs its libraries.
const CURL: [&str; 9] = [
    "curl",
    "libcurl",
    "c-ares",
    "nghttp2-libs",
    "libidn2",
    "libpsl",
    "libunistring",
    "brotli-libs",
    "zstd-libs",
];

/// Makes the packages with the apk in `machine`, and the repository in `root`.
pub(super) fn repository(shop: &Workshop, machine: &Path, root: &Path) -> Result<()> {
    keys(machine, root)?;
    create_folders(&machine.join(PACKAGES)).map_err(|error| error.to_string())?;
    let apk = Apk { machine };
    apk.certificates()?;
    apk.curl()?;
    apk.tools(shop)?;
    let index = format!("cd /{PACKAGES} && apk mkndx --quiet --sign-key /{KEY} --output Packages.adb *.apk");
    must(command("chroot").arg(machine).args(["sh", "-c", &index]))?;

    let repository = root.join(REPOSITORY);
    create_folders(&repository).map_err(|error| error.to_string())?;
    must(command("cp").arg("-a").arg(machine.join(PACKAGES)).arg(&repository))?;
    write(&root.join("etc/apk/repositories"), format!("v3 /{REPOSITORY}\n").as_bytes())
}

/// A key to sign with, which both folders trust.
fn keys(machine: &Path, root: &Path) -> Result<()> {
    let key = machine.join(KEY);
    output(command("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"))?;
    for trusting in [machine, root] {
        let public = trusting.join("etc/apk/keys/bases.rsa.pub");
        output(command("openssl").args(["rsa", "-pubout", "-in"]).arg(&key).arg("-out").arg(public))?;
    }
    Ok(())
}

struct Apk<'a> {
    machine: &'a Path,
}

impl Apk<'_> {
    fn certificates(&self) -> Result<()> {
        let stage = self.stage()?;
        for path in ["usr/share/ca-certificates", "etc/ca-certificates.conf"] {
            copy(&self.machine.join(path), &stage.join(path))?;
        }
        self.package("ca-certificates", "20260909-r0")
    }

    fn curl(&self) -> Result<()> {
        let stage = self.stage()?;
        let listing = output(command("chroot").arg(self.machine).args(["apk", "info", "-qL"]).args(CURL))?;
        // A listing has empty lines between packages.
        for path in listing.lines().map(str::trim).filter(|path| !path.is_empty()) {
            copy(&self.machine.join(path), &stage.join(path))?;
        }
        self.package("curl", "8.22.0-r0")
    }

    fn tools(&self, shop: &Workshop) -> Result<()> {
        let zones = debian::unpacked(shop, "tzdata")?.join("usr/share/zoneinfo");
        copy(&zones, &self.stage()?.join("usr/share/zoneinfo"))?;
        self.package("tzdata", "2026b-r0")?;

        let gosu = debian::unpacked(shop, "gosu")?.join("usr/sbin/gosu");
        copy(&gosu, &self.stage()?.join("usr/bin/gosu"))?;
        self.package("gosu", "1.14-r0")?;

        dumb_init(shop, &self.stage()?.join("usr/bin/dumb-init"))?;
        self.package("dumb-init", "1.2.5-r3")?;

        let scanner = self.stage()?.join("usr/bin/security-scan-tool");
        add(&scanner, SCANNER)?;
        std::fs::set_permissions(&scanner, std::fs::Permissions::from_mode(0o755))
            .map_err(context(format!("cannot change {}", scanner.display())))?;
        self.package("security-scan-tool", "1.0.0-r0")?;

        for name in STAND_INS {
            let readme = self.stage()?.join("usr/share/doc").join(name).join("README");
            add(&readme, "A stand-in for tests, without a program.\n")?;
            self.package(name, "1.0.0-r0")?;
        }
        Ok(())
    }

    /// The empty folder of the next package's files.
    fn stage(&self) -> Result<PathBuf> {
        let stage = self.machine.join(STAGE);
        if stage.exists() {
            std::fs::remove_dir_all(&stage).map_err(context("cannot empty the stage"))?;
        }
        create_folders(&stage).map_err(|error| error.to_string())?;
        Ok(stage)
    }

    /// Makes a package of the stage.
    fn package(&self, name: &str, version: &str) -> Result<()> {
        let mut make = command("chroot");
        make.arg(self.machine).args(["apk", "mkpkg", "--files", &format!("/{STAGE}")]);
        for (field, value) in
            [("name", name), ("version", version), ("arch", "x86_64"), ("description", name)]
        {
            make.args(["--info", &format!("{field}:{value}")]);
        }
        make.args(["--sign-key", &format!("/{KEY}")]);
        make.args(["--output", &format!("/{PACKAGES}/{name}-{version}.apk")]);
        output(&mut make).map(drop)
    }
}

/// Copies a file, link or folder as it is, with the folders above it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    parents(to)?;
    output(command("cp").arg("-a").arg(from).arg(to)).map(drop)
}

/// Writes a file with the folders above it.
fn add(path: &Path, content: &str) -> Result<()> {
    parents(path)?;
    write(path, content)
}

fn parents(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |parent| create_folders(parent).map_err(|error| error.to_string()))
}

/// dumb-init, compiled from its source without a libc of its own: Debian's needs glibc.
fn dumb_init(shop: &Workshop, target: &Path) -> Result<()> {
    parents(target)?;
    let archive = shop.downloads.source("dumb-init", "1.2.5.post1")?;
    let source = shop.folder("dumb-init")?;
    output(command("tar").arg("-xf").arg(archive).arg("-C").arg(&source).arg("--strip-components=1"))?;
    let mut compile = command("gcc");
    compile.args(["-std=gnu99", "-O2", "-static", "-s", "-o"]).arg(target).arg("dumb-init.c");
    must(compile.current_dir(&source))
}
