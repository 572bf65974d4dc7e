//! What the assembler reads beside a package's own files.
//!
//! `#include "../../math/fp_amd64.h"` in an assembly file makes a package depend on a file that cmd/go does not count among its inputs
//! (it counts files in the package's folder whose names and constraints fit: go/build, HFiles). When such a file changes, Go's cache
//! yields the old object. So each assembler run writes down what it included from where and what was in it, before it runs; and whoever
//! finds one of these files changed does not use the cache.
//!
//! cmd/asm looks for an included name in the current folder, then in each folder of `-I` (cmd/asm/internal/lex, input.go).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use longshore_files::FileError;

use super::memory;

/// Written in place of a digest where there was no file.
const ABSENT: &str = "absent";

/// An assembler's command line, as far as includes go.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    sources: Vec<PathBuf>,
    /// GOROOT, known by the folder of headers in it.
    root: Option<PathBuf>,
    /// The names that file names may hold and still be meant for the target.
    targets: Vec<String>,
}

impl Assembly {
    /// Reads the words after `asm`.
    pub(crate) fn read(words: &[OsString]) -> Assembly {
        let mut assembly = Assembly::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if text == "-I" {
                let root = words.next().and_then(|folder| Path::new(folder).ancestors().nth(2));
                assembly.root = root.map(Path::to_owned);
            } else if text == "-D" {
                let define = words.next().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
                let target = define.strip_prefix("GOOS_").or_else(|| define.strip_prefix("GOARCH_"));
                assembly.targets.extend(target.map(str::to_owned));
            } else if text.ends_with(".s") && !text.starts_with('-') {
                assembly.sources.push(word.into());
            }
        }
        assembly
    }

    /// Every file that Go does not count, with its digest, and every place that was looked at in vain.
    pub(crate) fn uncounted(&self, folder: &Path) -> Result<BTreeSet<(PathBuf, String)>, FileError> {
        let mut uncounted = BTreeSet::new();
        if self.root.as_ref().is_some_and(|root| folder.starts_with(root)) {
            // The standard library's headers that its packages share are part of the toolchain's identity.
            return Ok(uncounted);
        }
        let mut seen = BTreeSet::new();
        let mut next: Vec<PathBuf> = self.sources.iter().map(|source| folder.join(source)).collect();
        while let Some(file) = next.pop() {
            let text = std::fs::read(&file).map_err(FileError::of("read", &file))?;
            for name in included(&text) {
                if seen.insert(name.clone()) {
                    next.extend(self.look_up(&name, folder, &mut uncounted)?);
                }
            }
        }
        Ok(uncounted)
    }

    /// The file that an included name stands for, if it is one to be read for further includes.
    fn look_up(
        &self,
        name: &OsStr,
        folder: &Path,
        uncounted: &mut BTreeSet<(PathBuf, String)>,
    ) -> Result<Option<PathBuf>, FileError> {
        let own = folder.join(name);
        if name.as_bytes().contains(&b'\\') {
            // Go reads escapes in it. No file has this digest, so the record always counts as changed.
            uncounted.insert((own, "escaped".to_owned()));
            return Ok(None);
        }
        if let Some(digest) = digest(&own)? {
            if !self.is_counted(name, &own)? {
                uncounted.insert((own.clone(), digest));
            }
            return Ok(Some(own));
        }
        // Then it is in the folders that Go names: its working folder, whose only header it makes of the package itself, or
        // GOROOT/pkg/include, which is part of the toolchain's identity. Flags that name others keep Go away from the cache.
        uncounted.insert((own, ABSENT.to_owned()));
        Ok(None)
    }

    /// Whether Go counts a header as an input of the package in whose folder it is. In doubt, it does not.
    fn is_counted(&self, name: &OsStr, path: &Path) -> Result<bool, FileError> {
        let Some(name) = name.to_str() else { return Ok(false) };
        let Some((stem, "h" | "hh" | "hpp" | "hxx")) = name.split_once('.') else { return Ok(false) };
        let is_own = !name.contains('/') && !name.starts_with('_');
        // `x_arm64.h` counts where the target is arm64 only.
        let fits = stem.split('_').skip(1).all(|part| self.targets.iter().any(|target| target == part));
        if !is_own || !fits {
            return Ok(false);
        }
        let text = std::fs::read(path).map_err(FileError::of("read", path))?;
        Ok(!contains(&text, b"go:build") && !contains(&text, b"+build"))
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// The names that a source includes, also in parts that are left out by a condition.
///
/// Comments may stand between the words of a directive: whatever is quoted in a line that has them counts.
fn included(text: &[u8]) -> Vec<OsString> {
    let mut names = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line.contains(&b'#') && contains(line, b"include") {
            let quoted = line.split(|byte| *byte == b'"').skip(1).step_by(2);
            names
                .extend(quoted.filter(|name| !name.is_empty()).map(|name| OsString::from_vec(name.to_vec())));
        }
    }
    names
}

fn digest(path: &Path) -> Result<Option<String>, FileError> {
    match File::open(path).and_then(|mut file| memory::blake3(&mut file)) {
        Ok(digest) => Ok(Some(digest)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(FileError::of("read", path)(error)),
    }
}

/// Adds to a record what it does not hold yet.
pub(crate) fn record(path: &Path, uncounted: &BTreeSet<(PathBuf, String)>) -> Result<(), FileError> {
    let known = read(path)?;
    let mut lines = Vec::new();
    for (file, digest) in uncounted.difference(&known) {
        lines.extend_from_slice(digest.as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(file.as_os_str().as_bytes());
        lines.push(b'\n');
    }
    if lines.is_empty() {
        return Ok(());
    }
    let append = || File::options().append(true).create(true).open(path)?.write_all(&lines);
    append().map_err(FileError::of("write", path))
}

/// The first file of a record that is not as it was.
pub(crate) fn changed(path: &Path) -> Result<Option<PathBuf>, FileError> {
    for (file, recorded) in read(path)? {
        if digest(&file)?.as_deref().unwrap_or(ABSENT) != recorded {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<BTreeSet<(PathBuf, String)>, FileError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(FileError::of("read", path)(error)),
    };
    let entry = |line: &[u8]| {
        let (digest, file) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
        let file = PathBuf::from(OsStr::from_bytes(&file[1..]));
        Some((file, String::from_utf8_lossy(digest).into_owned()))
    };
    // A line that a kill cut short names no file that is there with such a digest, and so counts as changed.
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| entry(line).unwrap_or_else(|| (PathBuf::from(path), ABSENT.to_owned())))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        longshore_files::write_atomic(path, text.as_bytes()).unwrap();
    }

    fn names(folder: &Path, source: &str) -> Vec<String> {
        write(&folder.join("p/a_amd64.s"), source);
        let words = [
            "-p",
            "p",
            "-I",
            "/work/b001/",
            "-I",
            "/go/pkg/include/",
            "-D",
            "GOOS_linux",
            "-D",
            "GOARCH_amd64",
        ];
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words.extend(["-o".into(), "/work/b001/a.o".into(), "./a_amd64.s".into()]);
        let uncounted = Assembly::read(&words).uncounted(&folder.join("p")).unwrap();
        let name = |(path, digest): &(PathBuf, String)| {
            let path = path.strip_prefix(folder.join("p")).unwrap().display().to_string();
            if digest == ABSENT { format!("{path}, absent") } else { path }
        };
        uncounted.iter().map(name).collect()
    }

    #[test]
    fn what_go_does_not_count_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(&folder.join("common/far.h"), "#include \"near.inc\"\n");
        for own in ["near.inc", "own.h", "own_amd64.h", "own_arm64.h", "_own.h"] {
            write(&folder.join("p").join(own), "#define X 1\n");
        }
        write(&folder.join("p/chosen.h"), "//go:build purego\n");
        write(&folder.join("p/chain.h"), "  #  include \"own_arm64.h\"\n");

        assert_eq!(names(folder, "// include \"x.h\"\nTEXT"), Vec::<String>::new());
        assert_eq!(names(folder, "#include \"textflag.h\"\n"), ["textflag.h, absent"], "it may appear");
        assert_eq!(names(folder, "#include \"own.h\"\n#include \"own_amd64.h\"\n"), Vec::<String>::new());
        assert_eq!(names(folder, "#include \"../common/far.h\"\n"), ["../common/far.h", "near.inc"]);
        assert_eq!(names(folder, "#include \"own_arm64.h\""), ["own_arm64.h"]);
        assert_eq!(names(folder, "#include \"_own.h\""), ["_own.h"]);
        assert_eq!(names(folder, "#include \"chosen.h\""), ["chosen.h"]);
        assert_eq!(names(folder, "#include \"chain.h\""), ["own_arm64.h"]);
        assert_eq!(names(folder, "#ifdef X\n#include \"sub/none.h\"\n#endif"), ["sub/none.h, absent"]);
        assert_eq!(names(folder, "/* a */ # /* b */ include \"_own.h\" // c"), ["_own.h"]);
        assert_eq!(names(folder, "#include \"\\x5fown.h\""), ["\\x5fown.h"]);
    }

    #[test]
    fn the_standard_library_is_known_by_its_toolchain() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("src/runtime");
        write(&package.join("a.s"), "#include \"cgo/abi_amd64.h\"");
        let include = folder.path().join("pkg/include");
        let words = ["-I".into(), "/work/b001/".into(), "-I".into(), include.into(), "./a.s".into()];
        assert_eq!(Assembly::read(&words).uncounted(&package).unwrap(), BTreeSet::new());
    }

    #[test]
    fn a_record_knows_what_changed_appeared_and_went() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (file, absent, list) = (path("far.h"), path("none.h"), path("includes"));
        assert_eq!(changed(&list).unwrap(), None);
        write(&file, "1");
        let uncounted: BTreeSet<_> =
            [(file.clone(), digest(&file).unwrap().unwrap()), (absent.clone(), ABSENT.to_owned())].into();
        record(&list, &uncounted).unwrap();
        record(&list, &uncounted).unwrap();
        assert_eq!(std::fs::read_to_string(&list).unwrap().lines().count(), 2);
        assert_eq!(changed(&list).unwrap(), None);
        write(&file, "2");
        assert_eq!(changed(&list).unwrap(), Some(file.clone()));
        write(&file, "1");
        write(&absent, "");
        assert_eq!(changed(&list).unwrap(), Some(absent.clone()));
        std::fs::remove_file(&absent).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(changed(&list).unwrap(), Some(file));
        write(&list, "cut");
        assert_eq!(changed(&list).unwrap(), Some(list));
    }
}
