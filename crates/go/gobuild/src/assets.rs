//! Files that go into an image beside the program: `include` of longshore.toml, and ko's `kodata/`.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use longshore_config::Include;

use crate::error::{AssetError, AssetErrorKind};
use crate::memory::{Filter, Watch};

/// Where ko puts the files of `kodata/`.
pub(crate) const KO_DATA: &str = "var/run/ko";
/// Deeper folders than these are a circle of links.
const DEEPEST: usize = 32;

/// A file to include.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asset {
    pub(crate) source: PathBuf,
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

/// Files by their place in the image, relative to its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Assets {
    pub(crate) files: BTreeMap<PathBuf, Asset>,
    pub(crate) has_kodata: bool,
}

struct Collector<'a> {
    /// The project's folder, links resolved: what files may not lie outside of.
    root: PathBuf,
    assets: Assets,
    watch: &'a mut Watch,
}

impl Assets {
    /// Collects what `include` names below `root`, and the main package's `kodata`.
    ///
    /// Errors: something named is not there, leads out of the project, or is no file.
    pub(crate) fn collect(
        root: &Path,
        include: &[Include],
        package: &Path,
        watch: &mut Watch,
    ) -> Result<Assets, AssetError> {
        let real = root.canonicalize().map_err(|error| failed(root, error))?;
        let mut collector = Collector { root: real, assets: Assets::default(), watch };
        for entry in include {
            collector.include(root, entry)?;
        }
        let kodata = package.join("kodata");
        collector.watch.presence(&kodata);
        if kodata.is_dir() {
            collector.assets.has_kodata = true;
            collector.walk(&kodata, Path::new(KO_DATA), None, &|_| true, 0)?;
        }
        Ok(collector.assets)
    }
}

impl Collector<'_> {
    fn include(&mut self, root: &Path, entry: &Include) -> Result<(), AssetError> {
        let destination = Path::new(entry.destination.trim_start_matches('/'));
        let source = root.join(&entry.source);
        let count = self.assets.files.len();
        if has_wildcards(&entry.source) && !source.exists() {
            let (folder, matcher) = pattern(root, &entry.source)?;
            self.watch.presence(&folder);
            if folder.is_dir() {
                let taken = |path: &Path| path.strip_prefix(root).is_ok_and(|path| matcher.is_match(path));
                self.walk(&folder, destination, entry.mode, &taken, 0)?;
            }
            if self.assets.files.len() == count {
                return Err(AssetError { path: source, kind: AssetErrorKind::NoMatch });
            }
            return Ok(());
        }
        self.watch.presence(&source);
        let about = fs::metadata(&source).map_err(|error| missing(&source, error))?;
        if about.is_dir() {
            return self.walk(&source, destination, entry.mode, &|_| true, 0);
        }
        let name = source.file_name().unwrap_or_default();
        let is_folder = entry.destination.ends_with('/');
        let place = if is_folder { destination.join(name) } else { destination.to_owned() };
        self.add(&source, &about, place, entry.mode)
    }

    fn walk(
        &mut self,
        folder: &Path,
        destination: &Path,
        mode: Option<u32>,
        taken: &dyn Fn(&Path) -> bool,
        depth: usize,
    ) -> Result<(), AssetError> {
        if depth > DEEPEST {
            return Err(AssetError { path: folder.to_owned(), kind: AssetErrorKind::Depth });
        }
        self.check_inside(folder)?;
        self.watch.folder(folder, &Filter::All);
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
            paths.push(entry.map_err(|error| failed(folder, error))?.path());
        }
        paths.sort();
        for path in paths {
            let about = fs::metadata(&path).map_err(|error| missing(&path, error))?;
            let place = destination.join(path.file_name().unwrap_or_default());
            if about.is_dir() {
                self.walk(&path, &place, mode, taken, depth + 1)?;
            } else if taken(&path) {
                self.add(&path, &about, place, mode)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        source: &Path,
        about: &Metadata,
        place: PathBuf,
        mode: Option<u32>,
    ) -> Result<(), AssetError> {
        let error = |kind| AssetError { path: source.to_owned(), kind };
        if !about.is_file() {
            return Err(error(AssetErrorKind::Special));
        }
        self.check_inside(source)?;
        self.watch.file(source);
        let usual = if about.permissions().mode() & 0o100 != 0 { 0o555 } else { 0o444 };
        let asset = Asset { source: source.to_owned(), mode: mode.unwrap_or(usual), size: about.len() };
        match self.assets.files.insert(place.clone(), asset.clone()) {
            Some(other) if other.source != asset.source => {
                Err(error(AssetErrorKind::Twice { destination: place, other: other.source }))
            }
            _ => Ok(()),
        }
    }

    fn check_inside(&self, path: &Path) -> Result<(), AssetError> {
        let real = path.canonicalize().map_err(|error| failed(path, error))?;
        if real.starts_with(&self.root) {
            return Ok(());
        }
        Err(AssetError { path: path.to_owned(), kind: AssetErrorKind::Outside(self.root.clone()) })
    }
}

fn failed(path: &Path, source: std::io::Error) -> AssetError {
    AssetError { path: path.to_owned(), kind: AssetErrorKind::Io(source) }
}

fn missing(path: &Path, source: std::io::Error) -> AssetError {
    let kind = match source.kind() {
        std::io::ErrorKind::NotFound => AssetErrorKind::NoMatch,
        _ => AssetErrorKind::Io(source),
    };
    AssetError { path: path.to_owned(), kind }
}

fn has_wildcards(source: &str) -> bool {
    source.contains(['*', '?', '[', '{'])
}

/// The folder before the first wildcard, and what matches paths relative to `root`.
fn pattern(root: &Path, source: &str) -> Result<(PathBuf, GlobMatcher), AssetError> {
    let mut folder = root.to_owned();
    let mut plain = PathBuf::new();
    for component in Path::new(source).components() {
        if let Component::Normal(name) = component {
            plain.push(name);
        }
    }
    for component in &plain {
        if has_wildcards(&component.to_string_lossy()) {
            break;
        }
        folder.push(component);
    }
    let glob = GlobBuilder::new(&plain.to_string_lossy()).literal_separator(true).build();
    let kind = |error| AssetError { path: root.join(source), kind: AssetErrorKind::Pattern(error) };
    Ok((folder, glob.map_err(kind)?.compile_matcher()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_files::FileInstant;

    fn collect(root: &Path, entries: &[(&str, &str, Option<u32>)]) -> Result<Vec<String>, String> {
        let include: Vec<Include> = entries
            .iter()
            .map(|(source, destination, mode)| Include {
                source: (*source).into(),
                destination: (*destination).into(),
                mode: *mode,
            })
            .collect();
        let mut watch = Watch::since(FileInstant::now());
        let assets =
            Assets::collect(root, &include, &root.join("cmd"), &mut watch).map_err(|e| e.kind.to_string())?;
        Ok(assets
            .files
            .iter()
            .map(|(path, asset)| format!("{} {:o} {}", path.display(), asset.mode, asset.size))
            .collect())
    }

    #[test]
    fn sources_are_files_folders_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, mode) in
            [("web/a.css", 0o644), ("web/js/b.js", 0o600), ("web/run.sh", 0o755), ("cmd/kodata/x/y", 0o644)]
        {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            longshore_files::write_atomic(&root.join(path), b"abc").unwrap();
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("../../web/a.css", root.join("cmd/kodata/link")).unwrap();
        let kodata = ["var/run/ko/link 444 3", "var/run/ko/x/y 444 3"];
        type Case<'a> = (&'a [(&'a str, &'a str, Option<u32>)], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (&[], &[]),
            (&[("web", "/srv", None)], &["srv/a.css 444 3", "srv/js/b.js 444 3", "srv/run.sh 555 3"]),
            (&[("./web/**", "/srv", None)], &["srv/a.css 444 3", "srv/js/b.js 444 3", "srv/run.sh 555 3"]),
            (&[("web/*.css", "/srv/", Some(0o640))], &["srv/a.css 640 3"]),
            (&[("web/a.css", "/srv/", None)], &["srv/a.css 444 3"]),
            (&[("web/a.css", "/srv/b.css", None)], &["srv/b.css 444 3"]),
        ];
        for (entries, expected) in cases {
            let expected: Vec<&str> = expected.iter().chain(&kodata).copied().collect();
            assert_eq!(collect(root, entries).unwrap(), expected, "{entries:?}");
        }
        std::os::unix::fs::symlink("/etc", root.join("web/etc")).unwrap();
        assert!(collect(root, &[("web", "/srv", None)]).unwrap_err().starts_with("it leads out of"));
        fs::remove_file(root.join("web/etc")).unwrap();
        std::os::unix::fs::symlink(".", root.join("web/loop")).unwrap();
        assert!(collect(root, &[("web", "/srv", None)]).unwrap_err().contains("circle"));
        assert_eq!(collect(root, &[("none", "/srv", None)]).unwrap_err(), "nothing matches it");
        assert_eq!(collect(root, &[("none/*", "/srv", None)]).unwrap_err(), "nothing matches it");
        let twice = [("web/a.css", "/x", None), ("web/run.sh", "/x", None)];
        assert!(collect(root, &twice).unwrap_err().starts_with("x is already there, from "));
    }
}
