//! Modules written as one text: files are parted by lines of the form `-- name --`.

use std::fs;
use std::path::Path;

use longshore_project::{DetectOptions, Project, detect};
use tempfile::TempDir;

/// Writes the files of an archive into a new folder.
pub(crate) fn write(archive: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut name: Option<&str> = None;
    let mut text = String::new();
    let finish = |name: Option<&str>, text: &mut String| {
        if let Some(name) = name {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a fixture need not be atomic")]
            fs::write(path, std::mem::take(text)).unwrap();
        }
    };
    for line in archive.lines() {
        match line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
            Some(next) => {
                finish(name, &mut text);
                name = Some(next);
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    finish(name, &mut text);
    folder
}

pub(crate) fn detect_in(folder: &Path) -> Project {
    detect(folder, &DetectOptions::default()).unwrap()
}
