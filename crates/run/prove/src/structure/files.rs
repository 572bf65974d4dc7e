//! Files: whether they are there, whose they are, what stands in them.
//!
//! Links are followed, inside the image, as a program in it would; only where the permissions that are asked for begin with an `l` (or Go's `L`) is it the link
//! itself that is meant. A path that ends in a link to nothing is there.

use std::path::Path;

use longshore_snapshot::{Node, NodeKind, SnapshotError, View};

use super::document::{ExecutableBy, FileContentTest, FileExistenceTest};
use crate::check::{Outcome, Problem};
use crate::pattern::Pattern;

/// Largest file that is looked through, in bytes.
const MAX_CONTENT: u64 = 16 << 20;

pub(super) fn existence(test: &FileExistenceTest, path: &str, view: &View) -> Outcome {
    let link = test.permissions.as_deref().is_some_and(|text| text.starts_with(['l', 'L']));
    let node = match find(view, path, link) {
        Ok(node) => node,
        Err(error) => return Outcome::unchecked(chain(&error)),
    };
    match (node, test.should_exist) {
        (None, false) => Outcome::passed(),
        (None, true) => {
            Outcome::failed(format!("{path} is there"), "it is not").hinted(neighbour(view, path))
        }
        (Some(node), false) => Outcome::failed(format!("{path} is not there"), permissions(&node)),
        (Some(node), true) => Outcome::judged(attributes(test, &node)),
    }
}

pub(super) fn content(test: &FileContentTest, path: &str, view: &View) -> Outcome {
    let text = match view.read_small(Path::new(path), MAX_CONTENT) {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(None) => {
            return Outcome::failed(format!("{path} is there"), "it is not").hinted(neighbour(view, path));
        }
        Err(SnapshotError::NotAFile(_)) => {
            return Outcome::failed(format!("{path} is a file"), "it is something else");
        }
        Err(error) => return Outcome::unchecked(chain(&error)),
    };
    let expected = matches(&test.expected_contents, &text, true);
    let excluded = matches(&test.excluded_contents, &text, false);
    match (expected, excluded) {
        (Ok(mut problems), Ok(excluded)) => {
            problems.extend(excluded);
            Outcome::judged(problems)
        }
        (Err(reason), _) | (_, Err(reason)) => Outcome::unchecked(reason),
    }
}

/// Holds patterns against a text: each must match, or none may.
pub(super) fn matches(patterns: &[String], text: &str, wanted: bool) -> Result<Vec<Problem>, String> {
    let mut problems = Vec::new();
    for pattern in patterns {
        let compiled = Pattern::new(pattern).map_err(|error| error.to_string())?;
        if compiled.is_match(text) != wanted {
            let verb = if wanted { "a match of" } else { "no match of" };
            problems.push(Problem { expected: format!("{verb} `{pattern}`"), found: excerpt(text) });
        }
    }
    Ok(problems)
}

/// The beginning of a text, for a person.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 400;
    let text = text.trim_end();
    match text.char_indices().nth(SHOWN) {
        None if text.is_empty() => "nothing".to_owned(),
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// What stands at a path. Links at its end are followed, but for those that lead nowhere.
pub(super) fn find(view: &View, path: &str, link: bool) -> Result<Option<Node>, SnapshotError> {
    let own = view.lookup(Path::new(path))?;
    if link || !matches!(own.as_ref().map(|node| &node.kind), Some(NodeKind::Symlink(_))) {
        return Ok(own);
    }
    Ok(view.lookup(&view.resolve(Path::new(path))?)?.or(own))
}

fn attributes(test: &FileExistenceTest, node: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut compare = |what: &str, expected: String, found: String| {
        if expected != found {
            let [expected, found] = [expected, found].map(|value| format!("{what} {value}"));
            problems.push(Problem { expected, found });
        }
    };
    if let Some(expected) = &test.permissions {
        let own = permissions(node);
        let found = if *expected == go_permissions(node) { expected.clone() } else { own };
        compare("permissions", expected.clone(), found);
    }
    for (what, expected, found) in [("uid", test.uid, node.uid), ("gid", test.gid, node.gid)] {
        if let Some(expected) = expected.filter(|id| *id != -1) {
            compare(what, expected.to_string(), found.to_string());
        }
    }
    if let Some(by) = test.is_executable_by {
        let (bits, name) = match by {
            ExecutableBy::Any => (0o111, "any"),
            ExecutableBy::Owner => (0o100, "its owner"),
            ExecutableBy::Group => (0o010, "its group"),
            ExecutableBy::Other => (0o001, "others"),
        };
        if node.mode & bits == 0 {
            let expected = format!("executable by {name}");
            problems.push(Problem { expected, found: format!("permissions {}", permissions(node)) });
        }
    }
    problems
}

/// Permissions as `ls -l` shows them: "-rwsr-xr-x".
fn permissions(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::Directory => 'd',
        NodeKind::Symlink(_) => 'l',
        NodeKind::CharacterDevice(..) => 'c',
        NodeKind::BlockDevice(..) => 'b',
        NodeKind::Fifo => 'p',
        _ => '-',
    };
    let mut text: Vec<char> = std::iter::once(kind).chain(letters(node)).collect();
    for (bit, at, with, without) in [(0o4000, 3, 's', 'S'), (0o2000, 6, 's', 'S'), (0o1000, 9, 't', 'T')] {
        if node.mode & bit != 0 {
            text[at] = if text[at] == 'x' { with } else { without };
        }
    }
    text.into_iter().collect()
}

/// Permissions as Go's `fs.FileMode.String` shows them, which the format's files are written with: "urwxr-xr-x".
fn go_permissions(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::Directory => "d",
        NodeKind::Symlink(_) => "L",
        NodeKind::CharacterDevice(..) => "Dc",
        NodeKind::BlockDevice(..) => "D",
        NodeKind::Fifo => "p",
        _ => "",
    };
    // In the order in which Go has them: dalTLDpSugct.
    let marks = [(0o4000, 'u'), (0o2000, 'g')].into_iter();
    let marks: String = marks.filter(|(bit, _)| node.mode & bit != 0).map(|(_, mark)| mark).collect();
    let sticky = if node.mode & 0o1000 != 0 { "t" } else { "" };
    let prefix = match kind {
        "Dc" => format!("D{marks}c{sticky}"),
        kind => format!("{kind}{marks}{sticky}"),
    };
    let prefix = if prefix.is_empty() { "-".to_owned() } else { prefix };
    prefix + &letters(node).iter().collect::<String>()
}

fn letters(node: &Node) -> [char; 9] {
    // Links have no permissions of their own; every tool shows all of them.
    let mode = if matches!(node.kind, NodeKind::Symlink(_)) { 0o777 } else { node.mode };
    std::array::from_fn(|at| if mode & (0o400 >> at) != 0 { ['r', 'w', 'x'][at % 3] } else { '-' })
}

/// A name in the same folder that was probably meant.
fn neighbour(view: &View, path: &str) -> Option<String> {
    let path = Path::new(path);
    let (folder, wanted) = (path.parent()?, path.file_name()?.to_str()?);
    let names = view.list(folder).ok()?;
    let close = |name: &str| strsim::jaro_winkler(name, wanted);
    let nearest = names
        .iter()
        .filter_map(|(name, _)| name.to_str())
        .max_by(|one, other| close(one).total_cmp(&close(other)))?;
    (close(nearest) > 0.85).then(|| format!("there is {}", folder.join(nearest).display()))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_both_tools_write_them() {
        let node = |kind: NodeKind, mode: u32| Node {
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            xattrs: std::collections::BTreeMap::new(),
            inode: None,
        };
        let file = || NodeKind::File { size: 0 };
        for (node, ls, go) in [
            (node(file(), 0o644), "-rw-r--r--", "-rw-r--r--"),
            (node(file(), 0o4755), "-rwsr-xr-x", "urwxr-xr-x"),
            (node(file(), 0o2644), "-rw-r-Sr--", "grw-r--r--"),
            (node(NodeKind::Directory, 0o1777), "drwxrwxrwt", "dtrwxrwxrwx"),
            (node(NodeKind::Symlink("x".into()), 0o777), "lrwxrwxrwx", "Lrwxrwxrwx"),
            (node(NodeKind::CharacterDevice(1, 3), 0o666), "crw-rw-rw-", "Dcrw-rw-rw-"),
        ] {
            assert_eq!((permissions(&node).as_str(), go_permissions(&node).as_str()), (ls, go));
        }
    }
}
