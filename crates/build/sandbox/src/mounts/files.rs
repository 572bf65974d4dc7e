//! Files that the sandbox makes: /etc/hosts, /etc/resolv.conf, and secrets. They live in memory and are mounted one by one, so that
//! nothing of them is ever in the image's folders.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::place::Place;
use super::tree::{Attributes, Filesystem, clone_of, restrict};
use super::{harmless_file, shares_network};
use crate::child::Fault;
use crate::{Isolation, MountKind, Step};

/// Name servers for a network of its own whose machine has none but on loopback; BuildKit's, after Docker's.
const PUBLIC_SERVERS: &str = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";

/// What is in the files under /etc.
pub(crate) struct Texts {
    /// /etc/hosts.
    pub(crate) hosts: String,
    /// /etc/resolv.conf, if the machine has one.
    pub(crate) resolv: Option<Vec<u8>>,
}

impl Texts {
    /// What a step sees of the machine's names.
    pub(crate) fn read(step: &Step) -> Result<Texts, Fault> {
        let machine = match std::fs::read("/etc/resolv.conf") {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Fault::of_io("read", "/etc/resolv.conf")(error)),
        };
        let resolv =
            if shares_network(step) { machine } else { Some(without_loopback(&machine.unwrap_or_default())) };
        Ok(Texts { hosts: hosts(step), resolv })
    }
}

fn hosts(step: &Step) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {}\n", step.hostname);
    text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in &step.hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

/// The machine's name servers without those that only the machine itself can reach.
fn without_loopback(machine: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut servers = 0;
    for line in machine.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_whitespace();
        if words.next() == Some("nameserver") {
            // A zone after an address ("fe80::1%eth0") does not change whether it is loopback.
            let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
            if address.is_none_or(|address| address.is_loopback()) {
                continue;
            }
            servers += 1;
        }
        kept.extend_from_slice(line);
    }
    if servers == 0 {
        if kept.last().is_some_and(|byte| *byte != b'\n') {
            kept.push(b'\n');
        }
        kept.extend_from_slice(PUBLIC_SERVERS.as_bytes());
    }
    kept
}

/// The files, each as a mount that is not attached yet.
pub(super) struct Contents {
    hosts: OwnedFd,
    resolv: Option<OwnedFd>,
    secrets: Vec<Option<OwnedFd>>,
}

impl Contents {
    /// Makes the files in a folder in memory, which is attached only as long as it takes to get a mount of each file.
    pub(super) fn make(place: &mut Place, texts: &Texts, step: &Step) -> Result<Contents, Fault> {
        let fault = |action| Fault::of(action, "/dev");
        let memory = Filesystem::new("tmpfs")
            .and_then(|memory| memory.option("mode", "700")?.mount(harmless_file()))
            .map_err(fault("make a folder in memory below"))?;
        let dev = Path::new("/dev");
        place.mount(memory.as_fd(), dev)?;
        let file = |name: &str, bytes: &[u8], mode| {
            make_file(&memory, name, bytes, mode)
                .map_err(Fault::of("make the file", Path::new("/etc").join(name)))
        };
        let hosts = file("hosts", texts.hosts.as_bytes(), (0o644, 0, 0))?;
        let resolv =
            texts.resolv.as_ref().map(|text| file("resolv.conf", text, (0o644, 0, 0))).transpose()?;
        let mut secrets = Vec::with_capacity(step.mounts.len());
        for (index, mount) in step.mounts.iter().enumerate() {
            let MountKind::Content { bytes, mode, uid, gid } = &mount.kind else {
                secrets.push(None);
                continue;
            };
            // A single user's files have one owner; what the step sees of it is kept account of.
            let single = step.isolation == Isolation::SingleUser;
            let (uid, gid) = if single { (0, 0) } else { (*uid, *gid) };
            let made = make_file(&memory, &index.to_string(), bytes.expose(), (*mode, uid, gid));
            secrets.push(Some(made.map_err(Fault::of("make the file for", &mount.target))?));
        }
        rustix::process::fchdir(&memory)
            .and_then(|()| unmount(".", UnmountFlags::DETACH))
            .map_err(fault("unmount the folder in memory below"))?;
        Ok(Contents { hosts, resolv, secrets })
    }

    /// Mounts the files under /etc.
    pub(super) fn mount_texts(&self, place: &mut Place) -> Result<(), Fault> {
        place.mount(self.hosts.as_fd(), Path::new("/etc/hosts"))?;
        match &self.resolv {
            Some(resolv) => place.mount(resolv.as_fd(), Path::new("/etc/resolv.conf")),
            None => Ok(()),
        }
    }

    /// The file of a secret, by the number of its mount.
    pub(super) fn secret(&mut self, index: usize) -> Option<OwnedFd> {
        self.secrets.get_mut(index)?.take()
    }
}

type Access = (u32, u32, u32);

fn make_file(folder: &OwnedFd, name: &str, bytes: &[u8], (mode, uid, gid): Access) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::from_raw_mode(0o600))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
        rest = rest.get(written..).unwrap_or_default();
    }
    if (uid, gid) != (0, 0) {
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fchmod(&file, Mode::from_raw_mode(mode))?;
    let path = openat(folder, name, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    let tree = clone_of(path, "")?;
    restrict(&tree, Attributes::READ_ONLY, false)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_loopback_are_left_out() {
        let cases: [(&[u8], &str); 4] = [
            (b"nameserver 127.0.0.53\nsearch x\nnameserver 10.0.0.2", "search x\nnameserver 10.0.0.2"),
            (b"nameserver ::1\noptions edns0", "options edns0\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"),
            (b"nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0\n"),
            (b"", PUBLIC_SERVERS),
        ];
        for (machine, expected) in cases {
            assert_eq!(String::from_utf8(without_loopback(machine)).unwrap(), expected);
        }
    }
}
