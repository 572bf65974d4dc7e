//! Licences that must not be there: AGPL and WTFPL, by their names, as container-structure-test looks for them.

use std::path::Path;

use longshore_snapshot::{NodeKind, SnapshotError, View};

use super::document::LicenseTest;
use super::files::{chain, find};
use crate::check::{Outcome, Problem};

/// Where Debian keeps what its packages say of themselves.
const PACKAGES: &str = "/usr/share/doc";
/// A package that is let through: its file names licences that it does not have.
const LET_THROUGH: &str = "libgnutls30";
const REFUSED: [&str; 2] = ["AGPL", "WTFPL"];
/// Largest file of a licence, in bytes.
const MAX_LICENCE: u64 = 4 << 20;

pub(super) fn licenses(test: &LicenseTest, view: &View) -> Outcome {
    match problems(test, view) {
        Ok(problems) => Outcome::judged(problems),
        Err(error) => Outcome::unchecked(chain(&error)),
    }
}

fn problems(test: &LicenseTest, view: &View) -> Result<Vec<Problem>, SnapshotError> {
    let mut problems = Vec::new();
    let mut files = test.files.clone();
    if test.debian {
        match view.list(Path::new(PACKAGES)) {
            Ok(nodes) => {
                let folders = nodes.into_iter().filter(|(_, node)| node.kind == NodeKind::Directory);
                let names = folders.map(|(name, _)| name.to_string_lossy().into_owned());
                files.extend(
                    names
                        .filter(|name| name != LET_THROUGH)
                        .map(|name| format!("{PACKAGES}/{name}/copyright")),
                );
            }
            Err(SnapshotError::Missing(_) | SnapshotError::NotAFolder(_)) => problems.push(Problem {
                expected: format!("packages of Debian in {PACKAGES}"),
                found: "there is no such folder".to_owned(),
            }),
            Err(error) => return Err(error),
        }
    }
    for file in files {
        let text = match find(view, &file, false)? {
            Some(_) => view.read_small(Path::new(&file), MAX_LICENCE)?,
            None => None,
        };
        let Some(text) = text else {
            let (expected, found) = (format!("a licence in {file}"), "there is no such file".to_owned());
            problems.push(Problem { expected, found });
            continue;
        };
        let text = String::from_utf8_lossy(&text).to_uppercase();
        for name in REFUSED.iter().filter(|name| text.contains(**name)) {
            problems.push(Problem {
                expected: format!("{file} without {name}"),
                found: format!("it names {name}"),
            });
        }
    }
    Ok(problems)
}
