//! Which ids a user namespace has.
//!
//! An ordinary user may map one id: its own. More are lent by the administrator in /etc/subuid and /etc/subgid, and written by the
//! set-user-id programs newuidmap and newgidmap (shadow; subuid(5)).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{getgid, getuid};

use crate::SandboxError;

/// Where distributions put newuidmap.
const FOLDERS: [&str; 5] = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/run/wrappers/bin"];

/// A range of ids: where it begins inside, outside, and how long it is.
type Range = (u32, u32, u32);

/// The ids of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Maps {
    /// The caller alone, who is root inside.
    Single,
    /// Written by helpers of the system: user ids, group ids.
    Lent { helpers: [PathBuf; 2], ranges: [Vec<Range>; 2] },
    /// Written by root itself: all ids that it has.
    Own([Vec<Range>; 2]),
}

/// Writes a file of the kernel's, which takes its content in one piece or not at all.
pub(crate) fn write_whole(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    match file.write(text.as_bytes())? {
        count if count == text.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

impl Maps {
    /// The caller's id as root, and the ids that are lent to it.
    ///
    /// Errors: why there are none, as the end of a sentence.
    pub(crate) fn subordinate() -> Result<Maps, String> {
        let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
        if uid == 0 {
            return Ok(Maps::Own([own("/proc/self/uid_map")?, own("/proc/self/gid_map")?]));
        }
        let name = user_name(&read("/etc/passwd").unwrap_or_default(), uid);
        let named = name.clone().unwrap_or_else(|| uid.to_string());
        let lent = |file: &str, own: u32| {
            let ranges = lent_ranges(&read(file)?, name.as_deref(), uid);
            if ranges.is_empty() {
                return Err(format!("{file} lends no ids to {named}"));
            }
            Ok(with_own(own, &ranges))
        };
        let ranges = [lent("/etc/subuid", uid)?, lent("/etc/subgid", gid)?];
        Ok(Maps::Lent { helpers: [helper("newuidmap")?, helper("newgidmap")?], ranges })
    }

    /// Writes the maps of a process that has just entered its namespace.
    pub(crate) fn write(&self, process: u32) -> Result<(), SandboxError> {
        match self {
            Maps::Single => Ok(()),
            Maps::Lent { helpers, ranges } => {
                helpers.iter().zip(ranges).try_for_each(|(helper, ranges)| call(helper, process, ranges))
            }
            Maps::Own(both) => ["uid_map", "gid_map"].iter().zip(both).try_for_each(|(name, ranges)| {
                let path = PathBuf::from(format!("/proc/{process}/{name}"));
                let lines =
                    ranges.iter().map(|(inside, outside, count)| format!("{inside} {outside} {count}\n"));
                write_whole(&path, &lines.collect::<String>()).map_err(|source| SandboxError::Setup {
                    action: "write".into(),
                    path: Some(path.clone()),
                    source,
                })
            }),
        }
    }
}

fn call(helper: &Path, process: u32, ranges: &[Range]) -> Result<(), SandboxError> {
    let numbers = ranges.iter().flat_map(|(inside, outside, count)| [inside, outside, count]);
    let output = Command::new(helper)
        .arg(process.to_string())
        .args(numbers.map(u32::to_string))
        .stdin(Stdio::null())
        .output();
    let failed = |source| SandboxError::Setup {
        action: "map ids with".to_owned(),
        path: Some(helper.to_owned()),
        source,
    };
    let output = output.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(io::Error::other(said.lines().next().unwrap_or("it failed").trim().to_owned())))
}

fn read(file: &str) -> Result<String, String> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!("there is no {file}")),
        Err(error) => Err(format!("{file} cannot be read: {error}")),
    }
}

fn helper(name: &str) -> Result<PathBuf, String> {
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        format!("{name} is not installed (Debian and Ubuntu: package uidmap; Fedora and Alpine: shadow)")
    })
}

/// The ids that this process itself has: the ranges of its own map, each mapped to itself.
fn own(file: &str) -> Result<Vec<Range>, String> {
    let text = read(file)?;
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u32>);
        let (inside, _, count) = (fields.next()?.ok()?, fields.next()?, fields.next()?.ok()?);
        Some((inside, inside, count))
    });
    Ok(ranges.collect())
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<&str>>());
    let line = lines.find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(uid))?;
    line.first().map(|name| (*name).to_owned())
}

/// First id and count of each range that is lent to a user, by name or by number.
fn lent_ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let is_ours = Some(owner) == name || owner == number;
            let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (is_ours && count > 0).then_some((start, count))
        })
        .collect()
}

/// The caller as root, and the lent ids after it.
fn with_own(own: u32, lent: &[(u32, u32)]) -> Vec<Range> {
    let mut ranges = vec![(0, own, 1)];
    let mut next = 1_u32;
    for (start, count) in lent {
        let count = (*count).min(u32::MAX - next);
        ranges.push((next, *start, count));
        next += count;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_ids_follow_the_callers_own() {
        let text = "root:1:2\nada:100000:65536\n# ada:5:5\n1000:300000:10\nada:7:0\nada:x:1\n";
        let lent = lent_ranges(text, Some("ada"), 1000);
        assert_eq!(lent, [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(with_own(1000, &lent), [(0, 1000, 1), (1, 100_000, 65_536), (65_537, 300_000, 10)]);
        assert_eq!(lent_ranges(text, None, 1001), []);
        let passwd = "root:x:0:0::/:\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(user_name(passwd, 1), None);
    }
}
