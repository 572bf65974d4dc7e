//! `cargo xtask syscalls`: the sandbox's table of system calls, held against Linux's headers.
//!
//! The headers are those that the crate linux-raw-sys carries as constants, for every machine and of a recent Linux, which rustix depends on
//! and which is therefore here wherever longshore can be built. Debian's are for one machine, and older.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::command::{Result, cargo, context, output, repository, write};

/// The machines as the crate names them, in the order of the table's columns.
const MACHINES: [&str; 4] = ["x86_64", "x86", "aarch64", "arm"];

fn table() -> PathBuf {
    repository().join("crates/build/sandbox/src/seccomp/calls.txt")
}

/// Compares the table with the headers, or with `--write` brings it up to date; what it says about Docker's profile stays.
pub(crate) fn syscalls(arguments: &[&str]) -> Result<bool> {
    let path = table();
    let present =
        std::fs::read_to_string(&path).map_err(context(format!("cannot read {}", path.display())))?;
    let made = renew(&present, &headers()?)?;
    match arguments {
        ["--write"] => write(&path, made).map(|()| true),
        [] => {
            let present: Vec<&str> = present.lines().collect();
            let differing: Vec<&str> = made.lines().filter(|line| !present.contains(line)).collect();
            for line in &differing {
                println!("the headers have: {line}");
            }
            Ok(differing.is_empty() && made.lines().count() == present.len())
        }
        _ => Err("usage: cargo xtask syscalls [--write]".into()),
    }
}

/// The table with these numbers. A call that is new to it is one that Docker's profile does not allow, until somebody looks.
fn renew(present: &str, numbers: &[BTreeMap<String, u32>; 4]) -> Result<String> {
    let mut made = String::new();
    let mut grants = BTreeMap::new();
    for line in present.lines() {
        if line.starts_with('#') {
            let _ = writeln!(made, "{line}");
            continue;
        }
        let name = line.split(' ').next().unwrap_or_default();
        grants.insert(name.to_owned(), line.rsplit(' ').next().unwrap_or("-"));
    }
    for machine in numbers {
        for name in machine.keys() {
            grants.entry(name.clone()).or_insert("-");
        }
    }
    for (name, grant) in grants {
        let columns = numbers.each_ref().map(|machine| machine.get(&name));
        if columns.iter().all(Option::is_none) {
            return Err(format!("the headers have no call `{name}`"));
        }
        let columns = columns.map(|number| number.map_or_else(|| "-".to_owned(), u32::to_string));
        let _ = writeln!(made, "{name} {} {grant}", columns.join(" "));
    }
    Ok(made)
}

/// The numbers on each machine.
fn headers() -> Result<[BTreeMap<String, u32>; 4]> {
    let mut numbers = [const { BTreeMap::new() }; 4];
    let folder = crate_folder()?;
    for (machine, numbers) in MACHINES.iter().zip(&mut numbers) {
        let path = folder.join("src").join(machine).join("general.rs");
        let text =
            std::fs::read_to_string(&path).map_err(context(format!("cannot read {}", path.display())))?;
        numbers.extend(text.lines().filter_map(call));
        if numbers.len() < 300 {
            return Err(format!("{} has {} system calls only", path.display(), numbers.len()));
        }
    }
    Ok(numbers)
}

/// A call and its number, from a line such as `pub const __NR_read: u32 = 0;`. What is in capitals is no call.
fn call(line: &str) -> Option<(String, u32)> {
    let rest = line.strip_prefix("pub const __")?;
    let rest = rest.strip_prefix("ARM_").unwrap_or(rest).strip_prefix("NR_")?;
    let (name, number) = rest.strip_suffix(';')?.split_once(": u32 = ")?;
    let is_call = name.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'));
    Some((name.to_owned(), number.parse().ok()?)).filter(|_| is_call)
}

fn crate_folder() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&output(&mut command)?)
        .map_err(context("cannot read what cargo metadata says"))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = packages.iter().find(|package| package["name"] == "linux-raw-sys");
    let manifest = found.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.and_then(|path| PathBuf::from(path).parent().map(PathBuf::from));
    folder.ok_or_else(|| "no dependency brings linux-raw-sys any more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_numbers_of_the_headers() {
        assert_eq!(syscalls(&[]), Ok(true));
    }

    #[test]
    fn a_table_is_renewed() {
        let number = |name: &str, number| (name.to_owned(), number);
        let numbers = [
            BTreeMap::from([number("read", 0), number("new", 500)]),
            BTreeMap::from([number("read", 3)]),
            BTreeMap::new(),
            BTreeMap::new(),
        ];
        let made = renew("# head\nread 1 3 - - +\n", &numbers).unwrap();
        assert_eq!(made, "# head\nnew 500 - - - -\nread 0 3 - - +\n");
        assert!(renew("old 1 3 - - +\n", &numbers).is_err());
        assert_eq!(call("pub const __NR_read: u32 = 0;"), Some(number("read", 0)));
        assert_eq!(call("pub const __ARM_NR_set_tls: u32 = 983045;"), Some(number("set_tls", 983_045)));
        assert_eq!(call("pub const __NR_SYSCALL_BASE: u32 = 0;"), None);
    }
}
