//! A module, a store and a toolchain of a test's own; Go's build cache is shared by all tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_config::Settings;
use longshore_events::Events;
use longshore_gobuild::{
    BaseSource, BuildEnvironment, BuildError, BuildOutcome, BuildRequest, LockMode, ServiceFacts,
};
use longshore_http::{Client, HttpSettings};
use longshore_image::Image;
use longshore_oci::{Digest, ImageConfig, Manifest, Reference};
use longshore_store::Store;
use longshore_testkit::{Folder, repository};
use longshore_toolchain::{GoEnvironment, ToolchainSettings, Toolchains};

/// What an image's layers hold, by path: type, mode, owner, and content.
pub(crate) type Files = BTreeMap<String, (char, u32, u64, Vec<u8>)>;

pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) store: Store,
    pub(crate) request: BuildRequest,
    pub(crate) variables: BTreeMap<OsString, OsString>,
    pub(crate) base: Option<Image>,
}

/// A base that is already at hand.
struct OneBase(Option<Image>);

impl BaseSource for OneBase {
    fn resolve(
        &self,
        reference: &Reference,
        pinned: Option<&Digest>,
        _: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        let image = self.0.clone().ok_or_else(|| format!("no base {reference}"))?;
        match pinned {
            Some(digest) if digest != image.digest() => Err(format!("{digest} is gone").into()),
            _ => Ok(image),
        }
    }
}

/// A service of one file.
pub(crate) const HELLO: &str = "package main\n\nfunc main() { println(\"hello\") }\n";

impl World {
    /// A module `example.com/hello` with a `main.go`, built for linux/amd64.
    pub(crate) fn new(main: &str) -> World {
        let world = World::empty();
        world.write("go.mod", "module example.com/hello\n\ngo 1.24\n");
        world.write("main.go", main);
        // A file that is as young as the clock's granularity counts as changed while it was built, and leaves no memory.
        std::thread::sleep(std::time::Duration::from_millis(30));
        world
    }

    pub(crate) fn empty() -> World {
        let folder = Folder::new().unwrap();
        let source = folder.join("source");
        std::fs::create_dir(&source).unwrap();
        let store = Store::open(&folder.join("store")).unwrap();
        let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        variables.retain(|name, _| !name.to_string_lossy().starts_with("GO"));
        let cache = repository().join("target/test-cache/go-build");
        variables.insert("GOCACHE".into(), cache.into());
        let settings = Settings { platforms: Some(vec!["linux/amd64".into()]), ..Settings::default() };
        let request = BuildRequest {
            root: source.clone(),
            module: source,
            package: ".".into(),
            name: "hello".into(),
            settings,
            facts: ServiceFacts::default(),
            lock: LockMode::Update,
            fresh: false,
            source_date_epoch: None,
        };
        World { folder, store, request, variables, base: None }
    }

    pub(crate) fn source(&self, path: &str) -> PathBuf {
        self.request.root.join(path)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.source(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As an editor that keeps the file's inode does it.
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_ref()).unwrap();
    }

    pub(crate) fn toolchains(&self) -> Toolchains {
        Toolchains::new(ToolchainSettings {
            cache_dir: repository().join("target/test-cache/toolchains"),
            environment: GoEnvironment::read(self.variables.clone()).unwrap(),
            offline: false,
            use_installed: true,
            http: Client::new(HttpSettings::default()),
        })
    }

    pub(crate) fn with_environment<T>(&self, work: impl FnOnce(&BuildEnvironment<'_>) -> T) -> T {
        let (toolchains, bases) = (self.toolchains(), OneBase(self.base.clone()));
        work(&BuildEnvironment {
            store: &self.store,
            toolchains: &toolchains,
            bases: &bases,
            variables: self.variables.clone(),
        })
    }

    pub(crate) fn build(&self) -> Result<BuildOutcome, BuildError> {
        self.build_with(&Events::silent())
    }

    pub(crate) fn build_with(&self, events: &Events) -> Result<BuildOutcome, BuildError> {
        self.with_environment(|environment| longshore_gobuild::build(&self.request, environment, events))
    }

    pub(crate) fn image(&self, outcome: &BuildOutcome) -> Image {
        self.store.layout().image(&outcome.root)
    }

    pub(crate) fn single(&self, outcome: &BuildOutcome) -> (Manifest, ImageConfig, Files) {
        let image = self.image(outcome).images().unwrap().remove(0);
        (image.manifest().unwrap(), image.config().unwrap(), files(&image))
    }

    /// Runs a program in the source folder.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(program)
            .args(arguments)
            .current_dir(self.source(""))
            .envs([
                ("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z"),
                ("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z"),
            ])
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    /// Makes the source a repository of one commit.
    pub(crate) fn commit(&self) {
        self.run("git", &["init", "--quiet", "--initial-branch=main"]);
        self.run("git", &["add", "--all"]);
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        self.run("git", &[&identity[..], &["commit", "--quiet", "-m", "first"]].concat());
    }
}

/// Everything in an image's layers, later layers over earlier ones.
pub(crate) fn files(image: &Image) -> Files {
    let mut files = Files::new();
    for layer in image.manifest().unwrap().layers {
        let mut archive = tar::Archive::new(image.open_layer(&layer).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 0, "{path}");
            let kind = if header.entry_type().is_dir() { 'd' } else { 'f' };
            let (mode, owner) = (header.mode().unwrap(), header.uid().unwrap());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path.trim_end_matches('/').to_owned(), (kind, mode, owner, content));
        }
    }
    files
}

/// The message of an error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Copies a folder without anything that a test may have left in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    longshore_testkit::copy_tree(from, to).unwrap();
}
