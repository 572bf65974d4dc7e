//! What is said of a source that is not there: where it was looked for, and what has nearly its name.

use std::path::{Path, PathBuf};

use crate::error::InstructionErrorKind;
use crate::origin::Origin;
use crate::solve::Solve;
use crate::tree::{FileTree, below_root};

impl<'a> Solve<'a> {
    /// The error for a path that nothing stands at. `from` is what `--from` or `from=` says.
    pub(crate) fn not_found(
        &self,
        path: &Path,
        tree: &dyn FileTree,
        origin: &Origin,
        from: Option<&str>,
    ) -> InstructionErrorKind {
        let path = below_root(path);
        // Paths of a context are relative to it; those of a stage begin at its root.
        let shown = |path: &Path| match origin {
            Origin::Context | Origin::Named(_) => path.to_owned(),
            Origin::State(_) => Path::new("/").join(path),
        };
        InstructionErrorKind::NoSource {
            near: near(tree, &path).map(|near| shown(&near).to_string_lossy().into_owned()),
            ignored: tree.hides(&path),
            place: self.place_of(origin, from),
            path: shown(&path),
        }
    }

    fn place_of(&self, origin: &Origin, from: Option<&str>) -> String {
        let from = from.unwrap_or_default();
        match origin {
            Origin::Context => "the build context".to_owned(),
            Origin::Named(name) => format!("the build context `{name}`"),
            Origin::State(_) => match self.graph.find(from) {
                Some(stage) => format!("stage `{}`", self.graph.stages[stage].label()),
                None => format!("the image `{from}`"),
            },
        }
    }
}

/// What is there and differs from a path by a slip in one of its names: the first that is not there.
fn near(tree: &dyn FileTree, path: &Path) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    let mut names = path.iter();
    for name in names.by_ref() {
        if tree.lookup(&place.join(name)).ok()?.is_some() {
            place.push(name);
            continue;
        }
        let listed = tree.list(&tree.resolve(&place).ok()?).ok()?;
        let wanted = name.to_string_lossy().to_lowercase();
        let length = wanted.chars().count();
        let distance = |name: &str| strsim::osa_distance(&name.to_lowercase(), &wanted);
        let known = listed.iter().map(|(name, _)| name.to_string_lossy().into_owned());
        let (nearest, distance) =
            known.map(|name| (distance(&name), name)).min().map(|(distance, name)| (name, distance))?;
        if distance > 1 + length / 4 || distance >= length {
            return None;
        }
        place.push(nearest);
        // What follows a name at the end of a path is empty, and would end it with a slash.
        let rest = names.as_path();
        let found = if rest.as_os_str().is_empty() { place } else { place.join(rest) };
        return tree.lookup(&found).ok()?.is_some().then_some(found);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ContextTree;
    use crate::memory::HashMemory;

    #[test]
    fn one_slip_is_seen_anywhere_in_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["cmd/server/main.go", "README.md", "go.mod", "a/b"] {
            let path = folder.path().join(file);
            longshore_files::create_folders(path.parent().unwrap()).unwrap();
            longshore_files::write_atomic(&path, b"").unwrap();
        }
        let memory = HashMemory::open(folder.path().join("memory"));
        let tree = ContextTree::open(folder.path(), memory).unwrap();
        for (path, expected) in [
            ("cmd/sevrer/main.go", Some("cmd/server/main.go")),
            ("cmd/server/mian.go", Some("cmd/server/main.go")),
            ("cmd/sevrer", Some("cmd/server")),
            ("cmd/sevrer/mian.go", None),
            ("readme.md", Some("README.md")),
            ("go.mdo", Some("go.mod")),
            ("go.sum", None),
            ("x", None),
            ("a/c", None),
        ] {
            let found = near(&tree, Path::new(path)).map(|found| found.display().to_string());
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }
}
