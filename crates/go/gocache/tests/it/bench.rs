//! A folder in which one project is built with the cache and without, by the same commands.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use longshore_gocache::{CacheRoot, install_helper};
use longshore_testkit::Stop;
use tempfile::TempDir;

/// The Go that a build uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Toolchain {
    /// The one on the PATH.
    Installed,
    /// The one of the guide's Dockerfiles, from the module proxy.
    Old,
}

impl Toolchain {
    pub(crate) const ALL: [Toolchain; 2] = [Toolchain::Installed, Toolchain::Old];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Toolchain::Installed => "installed Go",
            Toolchain::Old => "Go 1.21",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Toolchain::Installed => "local",
            Toolchain::Old => "go1.21.13",
        }
    }
}

pub(crate) fn is_long() -> bool {
    std::env::var_os("LONGSHORE_LONG_TESTS").is_some_and(|value| value == "1")
}

/// A project and its two ways to be built.
pub(crate) struct Bench {
    folder: TempDir,
    project: String,
    pub(crate) toolchain: Toolchain,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Bench {
    /// A bench whose caches hold the standard library in the short form, and nothing in the long one.
    pub(crate) fn new(toolchain: Toolchain) -> Result<Bench, Stop> {
        let bench = Bench::empty(toolchain)?;
        if let Some(seed) = seed(toolchain)? {
            bench.plant(&seed)?;
            // Where Go has its cache when it is left alone.
            copy_tree(&seed, &bench.path("home/.cache/go-build"), Outputs::Linked)?;
        }
        Ok(bench)
    }

    /// Puts a build cache where the program in front keeps its own.
    fn plant(&self, seed: &Path) -> Result<(), Stop> {
        self.write("go.mod", "module m\n\ngo 1.21\n")?;
        self.write("m.go", "package m\n")?;
        let output = self.go_with_cache(&["build", "."])?;
        fs::remove_file(self.project().join("m.go"))?;
        fs::remove_file(self.project().join("go.mod"))?;
        let notes = self.cache().take_notes()?;
        if notes != ["go build: with the cache"] {
            return Err(Stop::failed(format!("the notes are {notes:?}: {}", said(&output))));
        }
        for entry in fs::read_dir(self.cache().folder())? {
            let folder = entry?.path().join("go");
            if folder.is_dir() {
                copy_tree(seed, &folder, Outputs::Copied)?;
            }
        }
        Ok(())
    }

    fn empty(toolchain: Toolchain) -> Result<Bench, Stop> {
        let folder = tempfile::tempdir()?;
        for name in ["project", "home", "longshore/go/cache"] {
            fs::create_dir_all(folder.path().join(name))?;
        }
        install_helper(Path::new("/proc/self/exe"), &folder.path().join("longshore/go/bin"))?;
        let modules = go_env("GOMODCACHE")?;
        let path = std::env::var("PATH").map_err(|error| Stop::failed(error.to_string()))?;
        let home = folder.path().join("home").display().to_string();
        let pairs = [
            ("PATH", path),
            ("HOME", home),
            ("GOMODCACHE", modules),
            ("GOTOOLCHAIN", toolchain.variable().to_owned()),
            ("CGO_ENABLED", "0".to_owned()),
            ("GOFLAGS", "-buildvcs=false".to_owned()),
            ("GONOSUMDB", "golang.org/x/mod".to_owned()),
        ];
        let environment = pairs.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Bench { folder, project: "project".to_owned(), toolchain, environment })
    }

    /// Goes on with another project, which has the same cache.
    pub(crate) fn switch(&mut self, project: &str) -> Result<(), Stop> {
        project.clone_into(&mut self.project);
        Ok(fs::create_dir_all(self.project())?)
    }

    /// The project's folder.
    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join(&self.project)
    }

    /// A path beside the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn cache(&self) -> CacheRoot {
        CacheRoot::at(self.folder.path().join("longshore/go/cache"))
    }

    /// Writes a file that looks as old as all others: its size and times say nothing about its content.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Stop> {
        let path = self.project().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        longshore_files::write_atomic(&path, text.as_bytes())?;
        File::options()
            .write(true)
            .open(&path)?
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))?;
        Ok(())
    }

    /// A `go` command in the project, with the cache.
    pub(crate) fn go_with_cache(&self, words: &[&str]) -> Result<Output, Stop> {
        let path = format!("{}:{}", self.path("longshore/go/bin").display(), self.environment["PATH"]);
        let mut command = Command::new(self.path("longshore/go/bin/go"));
        command.args(words).current_dir(self.project()).env_clear().envs(&self.environment).env("PATH", path);
        Ok(command.output()?)
    }

    /// The same command with nothing between, and a build cache of its own.
    pub(crate) fn go_without(&self, words: &[&str], cache: &Path) -> Result<Output, Stop> {
        let mut command = Command::new("go");
        command.args(words).current_dir(self.project()).env_clear().envs(&self.environment);
        Ok(command.env("GOCACHE", cache).output()?)
    }

    /// Builds both ways, and returns the program if it is the same.
    pub(crate) fn build(&self, words: &[&str]) -> Result<Vec<u8>, Stop> {
        self.build_noted(words, "with the cache")
    }

    /// Builds both ways, holds the note about the one with the cache against a beginning, and returns the program if it is the same.
    pub(crate) fn build_noted(&self, words: &[&str], note: &str) -> Result<Vec<u8>, Stop> {
        let expected = self.reference(words)?;
        self.cache().take_notes()?;
        let output = self.go_with_cache(words)?;
        let notes = self.cache().take_notes()?;
        if !matches!(&notes[..], [only] if only.contains(note)) {
            return Err(Stop::failed(format!("the notes are {notes:?}, not {note:?}: {}", said(&output))));
        }
        let program = self.take_program(&output)?;
        if program != expected {
            return Err(Stop::failed(format!("go {words:?} gives other bytes with the cache than without")));
        }
        Ok(program)
    }

    /// A build cache for [`Bench::go_without`] that holds what the short form begins with.
    pub(crate) fn plain_cache(&self) -> Result<TempDir, Stop> {
        let cache = tempfile::tempdir()?;
        if let Some(seed) = seed(self.toolchain)? {
            copy_tree(&seed, cache.path(), Outputs::Linked)?;
        }
        Ok(cache)
    }

    /// What the command gives without the cache.
    ///
    /// The short form leaves `-a` out, for it would compile the standard library each time: that it changes nothing has a test.
    pub(crate) fn reference(&self, words: &[&str]) -> Result<Vec<u8>, Stop> {
        let cache = self.plain_cache()?;
        let words: Vec<&str> = words.iter().copied().filter(|word| is_long() || *word != "-a").collect();
        let output = self.go_without(&words, cache.path())?;
        self.take_program(&output)
    }

    /// Reads the program `main` and removes it.
    pub(crate) fn take_program(&self, output: &Output) -> Result<Vec<u8>, Stop> {
        if !output.status.success() {
            return Err(Stop::failed(format!("go failed: {}", said(output))));
        }
        let path = self.project().join("main");
        let program = fs::read(&path)?;
        fs::remove_file(&path)?;
        if program.len() < 500_000 || !program.starts_with(b"\x7fELF") {
            return Err(Stop::failed("go built no program"));
        }
        Ok(program)
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn go_env(name: &str) -> Result<String, Stop> {
    let output = Command::new("go").args(["env", name]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A build cache that builds begin with in the short form: the standard library's packages that cases use, and nothing of any project.
/// In the long form, everything begins with nothing.
fn seed(toolchain: Toolchain) -> Result<Option<PathBuf>, Stop> {
    static SEEDS: OnceLock<Mutex<BTreeMap<Toolchain, TempDir>>> = OnceLock::new();

    if is_long() {
        return Ok(None);
    }
    let mut seeds = SEEDS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Entry::Vacant(entry) = seeds.entry(toolchain) {
        entry.insert(make_seed(toolchain)?);
    }
    Ok(seeds.get(&toolchain).map(|seed| seed.path().to_owned()))
}

fn make_seed(toolchain: Toolchain) -> Result<TempDir, Stop> {
    let bench = Bench::empty(toolchain)?;
    let seed = tempfile::tempdir()?;
    bench.write("go.mod", "module m\n\ngo 1.21\n")?;
    // Cases build these in these ways; without them here, each would compile the standard library once more.
    for words in [
        &["build", "embed", "sort"][..],
        &["build", "-buildmode=pie", "runtime"],
        &["build", "-trimpath", "runtime"],
    ] {
        let output = bench.go_without(words, seed.path())?;
        if !output.status.success() {
            return Err(Stop::failed(format!("the standard library does not build: {}", said(&output))));
        }
    }
    Ok(seed)
}

/// How the outputs in a build cache are copied. Go never writes to one that is whole, but tests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    Linked,
    Copied,
}

/// Copies a build cache.
pub(crate) fn copy_tree(from: &Path, to: &Path, outputs: Outputs) -> Result<(), Stop> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let is_output = entry.file_name().to_string_lossy().ends_with("-d");
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target, outputs)?;
        } else if is_output && outputs == Outputs::Linked {
            fs::hard_link(entry.path(), target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
